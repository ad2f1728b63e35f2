"""The status record across releases: earlier ones lack `serves_since` and have it in a header."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pytest

from stream_infer.app.fleet import SERVES_SINCE, parse_status
from stream_infer.app.kit.member import GroupMember
from stream_infer.app.kit.records import event_writer
from stream_infer.app.status_reporter import ProcessName, StatusReporter, status_reporters
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.avro.schemas import parse_schema
from stream_infer.config.settings import parse_settings
from stream_infer.flow.records import Headers
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.status import DeployerStatus, ServedPackage

EARLIER = parse_schema(Path(__file__).with_name("earlier_worker_status.avsc").read_text("utf-8"))
NOW = topic_schemas.topic_schema("WorkerStatus")
STATUS: dict[str, Any] = {
    "pipeline": "lab.cells",
    "role": "score",
    "instance": "0",
    "state": "serving",
    "reason": None,
    "generation": 3,
    "model_version": "1.0.0",
    "model_digest": "sha256:" + "0" * 64,
    "rejected": None,
    "partitions": [0, 1],
    "worker_version": "0.1.0",
    "started_at": 1_000,
    "updated_at": 3_000,
}


class Published:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, Headers]] = []

    def post(self, _topic: str, _key: bytes, value: bytes | None, headers: Headers = ()) -> None:
        self.records.append((value, headers))


def written(schema: Any, record: dict[str, Any]) -> bytes:
    return RecordWriter(schema, Framing.NONE).write(record)


def test_the_schema_of_the_earlier_release_is_known() -> None:
    *_, earlier = topic_schemas.earlier_schemas("WorkerStatus")

    assert earlier.fingerprint == EARLIER.fingerprint != NOW.fingerprint


def test_a_record_type_that_did_not_change_has_no_earlier_schema() -> None:
    assert topic_schemas.earlier_schemas("Deployment") == []


def test_a_record_of_the_earlier_release_is_read_and_its_header_counts() -> None:
    value = written(EARLIER, STATUS)

    assert parse_status(value).serves_since is None
    worker = parse_status(value, [(SERVES_SINCE, b"2000")])
    assert (worker.instance, worker.partitions, worker.updated_at) == ("0", (0, 1), 3_000)
    assert worker.serves_since == 2_000


def test_the_field_counts_before_the_header() -> None:
    value = written(NOW, {**STATUS, "serves_since": 2_500})

    assert parse_status(value, [(SERVES_SINCE, b"2000")]).serves_since == 2_500


def test_a_reader_of_the_earlier_release_reads_the_record_of_today() -> None:
    value = written(NOW, {**STATUS, "serves_since": 2_500})

    record: Any = fastavro.schemaless_reader(io.BytesIO(value), EARLIER.parsed, None)

    assert record == fastavro.schemaless_reader(io.BytesIO(written(EARLIER, STATUS)), EARLIER.parsed, None)


def test_a_reader_of_today_reads_the_record_of_a_later_release() -> None:
    value = written(NOW, {**STATUS, "serves_since": 2_500}) + b"\x02\x06new"

    assert parse_status(value).serves_since == 2_500


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_record_that_ends_too_soon_is_none_of_either_release(cut: int) -> None:
    with pytest.raises(ValueError, match="not a record of"):
        parse_status(written(EARLIER, STATUS)[:cut])


def test_an_earlier_record_gets_the_defaults_of_the_new_fields() -> None:
    reader = RecordReader(NOW, Framing.NONE, earlier=topic_schemas.earlier_schemas("WorkerStatus"))

    assert reader.read(written(EARLIER, STATUS))["serves_since"] is None


def test_a_worker_writes_since_when_it_serves_as_field_and_as_header() -> None:
    published = Published()
    reporter = StatusReporter(
        published,  # type: ignore[arg-type]  # stands in for the publisher
        ProcessName("lab.cells", "score", "0"),
        status_topic="status",
        events_topic="events",
        events=RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE),
        now_ms=lambda: 3_000,
    )
    package = PackageRef("cells", "1.0.0", "sha256:" + "0" * 64, "cells-1.0.0")

    reporter.deployed(DeployerStatus())
    served = ServedPackage(package, generation=3, since_ms=2_000)
    reporter.deployed(DeployerStatus(served=served, newest_generation=4))

    (starting, no_headers), (serving, headers) = published.records
    assert parse_status(starting or b"", no_headers).serves_since is None
    assert parse_status(serving or b"").serves_since == 2_000
    assert parse_status(serving or b"").newest_generation == 4
    assert dict(headers) == {SERVES_SINCE: b"2000"}


def test_the_newest_generation_is_that_of_the_field_or_the_greatest_of_the_others() -> None:
    rejected = {"generation": 8, "digest": "sha256:" + "1" * 64, "reason_code": "golden", "reason": "row 1"}
    earlier = parse_status(written(EARLIER, {**STATUS, "rejected": rejected}))
    now = parse_status(written(NOW, {**STATUS, "newest_generation": 9}))

    assert (earlier.newest_generation, earlier.newest) == (None, 8)
    assert (now.newest_generation, now.newest) == (9, 9)
    assert parse_status(written(EARLIER, {**STATUS, "generation": None})).newest == 0


def test_a_worker_with_a_fixed_model_needs_no_writer_of_events(tmp_path: Path) -> None:
    document = {
        "pipeline": "lab.cells",
        "kafka": {"bootstrap.servers": "localhost:9092"},
        "input": {"topics": ["events"], "framing": "confluent"},
        "schema_registry": {"url": "http://localhost:8081"},
        "model": {"package": "cells-1.0.0"},
    }
    settings = parse_settings(document, {}, folder=tmp_path).settings
    assert settings is not None
    member = GroupMember(settings.kafka, settings.group_id, "0")

    with status_reporters(settings, member, partial(event_writer, settings, {})) as reporters:
        assert reporters == ()
