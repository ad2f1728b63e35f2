"""Produces a record whose header name is arbitrary bytes, which librdkafka's Python client refuses."""

from __future__ import annotations

import ctypes
from pathlib import Path

import confluent_kafka

_PRODUCER, _COPY, _TEXT = 0, 2, 512
_TOPIC, _PARTITION, _VALUE, _FLAGS, _HEADER, _END = 1, 3, 4, 7, 9, 0


def produce_raw_header(bootstrap: str, topic: str, partition: int, value: bytes, header_name: bytes) -> None:
    """Write one record with one header, and wait until the broker has it."""
    client = _library()
    error = ctypes.create_string_buffer(_TEXT)
    config = client.rd_kafka_conf_new()
    assert client.rd_kafka_conf_set(config, b"bootstrap.servers", bootstrap.encode(), error, _TEXT) == 0
    producer = client.rd_kafka_new(_PRODUCER, config, error, _TEXT)
    assert producer, error.value
    size, number = ctypes.c_size_t, ctypes.c_int
    failed = client.rd_kafka_producev(
        ctypes.c_void_p(producer),
        number(_TOPIC), ctypes.c_char_p(topic.encode()),
        number(_PARTITION), ctypes.c_int32(partition),
        number(_VALUE), ctypes.c_char_p(value), size(len(value)),
        number(_HEADER), ctypes.c_char_p(header_name), ctypes.c_char_p(b"v"), ctypes.c_ssize_t(1),
        number(_FLAGS), number(_COPY),
        number(_END),
    )  # fmt: skip
    assert failed == 0
    assert client.rd_kafka_flush(ctypes.c_void_p(producer), 30_000) == 0
    client.rd_kafka_destroy(ctypes.c_void_p(producer))


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    (path,) = folder.glob("librdkafka-*.so*")
    client = ctypes.CDLL(str(path))
    client.rd_kafka_conf_new.restype = ctypes.c_void_p
    client.rd_kafka_conf_set.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t
    ]  # fmt: skip
    client.rd_kafka_new.restype = ctypes.c_void_p
    client.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    client.rd_kafka_flush.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return client
