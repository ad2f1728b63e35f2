"""A dead letter is the record as it came, with the reason in added headers."""

from __future__ import annotations

import pytest

from stream_infer.flow.records import Batch, Channel, Cursor, Headers, Partition, Rejected, Span, Stage
from stream_infer.steps.scoring.deadletter import MESSAGE_LIMIT, DeadLetterContext, dead_letters
from stream_infer.steps.scoring.size import record_bytes

HEAD = DeadLetterContext(group_id="payments.fraud.score", limit_bytes=1_000_000)
REASON = Rejected(1, Stage.DECODE, "truncated", "the record ends early")
NAMES = [
    "__dlq.errors.topic",
    "__dlq.errors.partition",
    "__dlq.errors.offset",
    "__dlq.errors.group",
    "__dlq.errors.message",
    "streaminfer.error.stage",
    "streaminfer.error.class",
    "streaminfer.model.version",
    "streaminfer.source.timestamp",
]


def batch_of(value: bytes | None, *, key: bytes | None = b"k", headers: Headers | None = None) -> Batch:
    """Return two records; the second is the one to turn away."""
    partition = Partition("payments.events", 3)
    return Batch(
        cursor=Cursor({partition: Span(40, 42)}),
        partitions=[partition],
        partition=[0, 0],
        offset=[40, 41],
        timestamp_ms=[1, 1_700_000_000_123],
        keys=[None, key],
        values=[b"fine", value],
        headers=[None, headers],
        received_ms=1_800_000_000_000,
    )


def letter(
    batch: Batch, *, reason: Rejected = REASON, limit_bytes: int = 1_000_000
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    head = DeadLetterContext(HEAD.group_id, limit_bytes)
    output = dead_letters(batch, [reason], head, model_version="1.2.0")
    assert output.headers[0] is not None
    return output.keys[0], output.values[0], list(output.headers[0])


def test_key_value_and_headers_are_untouched_and_the_reason_follows() -> None:
    original = [("a", b"1"), ("a", None), ("__dlq.errors.topic", b"an earlier life"), ("b", b"\xff")]

    key, value, headers = letter(batch_of(b"\x00\xffbytes", headers=original))

    assert (key, value) == (b"k", b"\x00\xffbytes")
    assert headers[:4] == original
    assert headers[4:] == [
        ("__dlq.errors.topic", b"payments.events"),
        ("__dlq.errors.partition", b"3"),
        ("__dlq.errors.offset", b"41"),
        ("__dlq.errors.group", b"payments.fraud.score"),
        ("__dlq.errors.message", b"the record ends early"),
        ("streaminfer.error.stage", b"decode"),
        ("streaminfer.error.class", b"truncated"),
        ("streaminfer.model.version", b"1.2.0"),
        ("streaminfer.source.timestamp", b"1700000000123"),
    ]


def test_a_batch_of_dead_letters_is_one_output_in_the_order_given() -> None:
    output = dead_letters(
        batch_of(b"x"), [Rejected(0, Stage.VALIDATE, "nan", "m"), REASON], HEAD, model_version="1"
    )

    assert output.channel is Channel.DEAD_LETTERS
    assert list(output.rows) == [0, 1]
    assert list(output.values) == [b"fine", b"x"]
    assert list(output.keys) == [None, b"k"]
    assert output.partitions is None


def test_a_tombstone_stays_a_tombstone() -> None:
    key, value, headers = letter(batch_of(None))

    assert (key, value) == (b"k", None)
    assert [name for name, _ in headers] == NAMES


def test_a_record_at_the_limit_is_whole_and_one_byte_over_goes_by_reference() -> None:
    batch = batch_of(b"x" * 5000, headers=[("a", b"1")])
    _, _, headers = letter(batch)
    size = record_bytes(b"k", b"x" * 5000, headers)

    assert letter(batch, limit_bytes=size)[1] == b"x" * 5000
    key, value, headers = letter(batch, limit_bytes=size - 1)

    assert (key, value) == (b"k", None)
    assert headers[0] == ("a", b"1")
    assert [name for name, _ in headers[1:]] == [*NAMES, "streaminfer.value.omitted"]
    assert headers[-1] == ("streaminfer.value.omitted", b"5000")


def test_a_bomb_of_headers_is_left_behind_but_the_key_stays() -> None:
    bomb = [(f"h{i}", b"x" * 10) for i in range(10_000)]

    key, value, headers = letter(batch_of(b"small", headers=bomb), limit_bytes=20_000)

    assert (key, value) == (b"k", None)
    assert [name for name, _ in headers] == [
        *NAMES,
        "streaminfer.value.omitted",
        "streaminfer.headers.omitted",
    ]
    assert record_bytes(key, value, headers) <= 20_000


def test_a_huge_key_is_left_behind_too() -> None:
    key, value, headers = letter(batch_of(b"small", key=b"k" * 50_000), limit_bytes=20_000)

    assert (key, value) == (None, None)
    assert headers[-1] == ("streaminfer.key.omitted", b"50000")
    assert "streaminfer.headers.omitted" not in dict(headers)


def test_a_tombstone_over_the_limit_has_no_value_to_omit() -> None:
    key, _, headers = letter(batch_of(None, key=b"k" * 50_000), limit_bytes=20_000)

    assert key is None
    assert [name for name, _ in headers] == [*NAMES, "streaminfer.key.omitted"]


def test_a_message_is_cut_and_anything_in_it_can_be_written() -> None:
    reason = Rejected(1, Stage.ENCODE, "x", "\ud800" + "m" * 5000)

    _, _, headers = letter(batch_of(b"v"), reason=reason)

    message = dict(headers)["__dlq.errors.message"]
    assert message == b"\\ud800" + b"m" * (MESSAGE_LIMIT - 1)


@pytest.mark.parametrize("name", ["plain", "naïve", "\ud800"])
def test_the_size_of_a_record_counts_names_as_they_are_written(name: str) -> None:
    bare = record_bytes(None, None, ())

    assert record_bytes(None, None, [(name, None)]) - bare >= len(name.encode("utf-8", "surrogatepass"))
