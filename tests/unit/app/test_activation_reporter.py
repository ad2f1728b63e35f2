"""A server announces each package that begins to serve, once, with the time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import fastavro

from stream_infer.app.activation_reporter import ActivationReporter
from stream_infer.app.status_reporter import ProcessName
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.flow.records import Headers
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.status import DeployerStatus, ServedPackage

EVENT = topic_schemas.topic_schema("MonitoringEvent")


class Published:
    """Stands in for the publisher."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, dict[str, Any], Headers]] = []

    def post(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        event = fastavro.schemaless_reader(io.BytesIO(value), EVENT.parsed, None)
        self.records.append((topic, key, cast(dict[str, Any], event), headers))


def served(version: str, generation: int, since_ms: int) -> DeployerStatus:
    package = PackageRef("cells", version, f"sha256:{version[0] * 64}", f"cells-{version}")
    return DeployerStatus(served=ServedPackage(package, generation, since_ms))


def told(*statuses: DeployerStatus) -> Sequence[tuple[str, bytes, dict[str, Any], Headers]]:
    published = Published()
    reporter = ActivationReporter(
        published,  # type: ignore[arg-type]  # stands in for the publisher
        ProcessName("lab", "serve", "serve-0"),
        "events",
        RecordWriter(EVENT, Framing.NONE),
    )
    for status in statuses:
        reporter.deployed(status)
    return published.records


def test_each_package_is_announced_once_with_the_time_and_no_offsets() -> None:
    statuses = [DeployerStatus(), served("1.0", 1, 1_000), served("1.0", 1, 1_000), served("2.0", 2, 5_000)]

    (topic, key, first, _), (_, _, second, headers) = told(*statuses)

    assert (topic, key) == ("events", b"lab/model")
    assert first["id"] == "lab/serve-0/model.activated/1/1000"
    assert first["model"]["from_version"] is None
    assert second["model"]["from_version"] == "1.0"
    assert second["ranges"] == []
    assert second["summary"] == "cells 2.0 replaces 1.0 on serve-0"
    assert second["time"].timestamp() == 5
    assert dict(headers)["ce_id"] == second["id"].encode()


def test_a_package_that_serves_for_another_generation_replaces_nothing() -> None:
    _, (_, _, again, _) = told(served("1.0", 1, 1_000), served("1.0", 2, 1_000))

    assert again["model"]["generation"] == 2
    assert again["model"]["from_version"] is None
