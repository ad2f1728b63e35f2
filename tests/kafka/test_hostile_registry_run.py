"""A registry that would fill the memory or never end: only the partitions that need those schemas wait."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.kafka.test_registry_run import V1, payment, positions, stream_infer_command
from tests.support.events import Framing
from tests.support.hostile_http import compressed, endless, slow_body, slow_headers
from tests.support.log import read_all
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.registry import StubRegistry
from tests.support.worker_process import Worker, until

_MOST_MEMORY_KB = 700_000
_HOSTILE = [compressed, endless, slow_headers, slow_body]
_START = '{"type": "record", "name": "E", "fields": [{"name": "a", "type": '
UNUSABLE = [
    _START + "[" * 900 + '"long"' + "]" * 900 + "}]}",
    _START + '"double", "default": ' + "9" * 4_001 + "}]}",
    json.dumps(
        {
            "type": "record",
            "name": "E",
            "fields": [{"name": f"m{n % 49_999}", "type": "int"} for n in range(50_000)],
        }
    ),
]
"""Nested 900 deep; a default of 4,001 digits; 50,000 fields, two of one name."""


def readiness(port: int) -> tuple[int, Any]:
    """Return the status and the document of `/readyz`."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def peak_memory_kb(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    assert found is not None
    return int(found[1])


def test_hostile_answers_cost_time_of_their_partitions_only_and_no_event(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[..., Worker]
) -> None:
    tested, port = pipeline(Framing.NONE), free_ports(1)[0]
    with StubRegistry() as registry:
        config = tested.write_config(
            "0", input={"framing": "confluent"}, output={"framing": "confluent"}, http={"port": port}
        )
        with config.open("a", encoding="utf-8") as file:
            file.write(f'[schema_registry]\nurl = "{registry.url}"\ntimeout = 1\n')
        assert stream_infer_command("topics", "create", "-c", str(config)).returncode == 0
        with closing(SchemaRegistryClient.new_client({"url": registry.url})) as client:
            context = SerializationContext(tested.input, MessageField.VALUE, [])
            datum = (AvroSerializer(client, V1)({**payment(1), "channel": "web"}, context) or b"")[5:]
        known = registry.add(f"{tested.input}-value", V1)
        slow = [registry.add("other", json.dumps({**json.loads(V1), "doc": str(n)})) for n in range(4)]
        unusable = [registry.add("other", text) for text in UNUSABLE]
        registry.hostile = dict(zip(slow, _HOSTILE, strict=True))
        parts = {
            **{index: [known, slow[index], known] for index in range(3)},
            3: [*[known] * 5, *unusable, *[known] * 5, slow[3], known],
        }
        producer = Producer({"bootstrap.servers": tested.bootstrap})
        for index, ids in parts.items():
            for schema_id in ids:
                producer.produce(tested.input, b"\0" + schema_id.to_bytes(4, "big") + datum, partition=index)
        assert producer.flush(30) == 0

        worker = start_worker(config)
        before = {0: 1, 1: 1, 2: 1, 3: 13}
        until("all before the hostile answers is answered", lambda: positions(tested) == before, worker)
        asked = [f"GET /schemas/ids/{one}" for one in slow]
        until("each is asked again", lambda: min(map(registry.asked.count, asked)) > 1, worker)
        status, document = readiness(port)
        assert status == 503
        assert any("partitions paused" in reason for reason in document["waiting_for"])
        assert positions(tested) == before

        registry.hostile = {}
        ends = {index: len(ids) for index, ids in parts.items()}
        until("all is answered", lambda: positions(tested) == ends, worker)
        until("the worker is ready", lambda: readiness(port)[0] == 200, worker)
        assert peak_memory_kb(worker.pid) < _MOST_MEMORY_KB
        assert worker.terminate() == 0

    letters = [dict(one.headers) for one in read_all(tested.bootstrap, tested.dead_letters)]
    assert {one["streaminfer.error.class"] for one in letters} == {b"schema_incompatible"}
    messages = [(one["__dlq.errors.message"] or b"").decode() for one in letters]
    named = [re.match(r"The schema of id (\d+) cannot be used", message) for message in messages]
    assert sorted(int(one[1]) for one in named if one is not None) == unusable
    assert len(read_all(tested.bootstrap, tested.predictions)) == sum(ends.values()) - len(unusable)
