"""The control topic: the desired deployment of a pipeline, for fleets without a shared volume.

Compacted, one key, the newest record counts: a state to converge to, never a queue of commands. Where the
bytes of a package are is not known here; `fetch` knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.common.clock import to_unix_ms
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.standalone_reader import Entry, Tail, Unreadable, tail
from stream_infer.rollout.deployment import (
    Deployment,
    DeploymentInvalid,
    PackageRef,
    StoreProblem,
    parse_deployment,
)

_HELD_WITHIN_S = 10.0


class ControlTopic:
    """A `rollout.candidate_loader.Desired` that follows the control topic of `pipeline`."""

    def __init__(
        self,
        config: Mapping[str, object],
        topic: str,
        pipeline: str,
        *,
        fetch: Callable[[PackageRef], Path | StoreProblem],
    ) -> None:
        self._config = config
        self._topic = topic
        self._pipeline = pipeline
        self._fetch = fetch
        self._open = ExitStack()
        self._tail: Tail | None = None
        self._last: Deployment | StoreProblem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        found = self._look(timeout_s)
        if found is None or found == self._last:
            return None
        self._last = found
        return found

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        return self._fetch(package)

    def _look(self, timeout_s: float) -> Deployment | StoreProblem | None:
        try:
            entries = [e for e in self._read(timeout_s) if e.key == self._pipeline.encode()]
        except (BrokerUnreachable, Unreadable) as error:
            self._close()
            return StoreProblem(RefusalCode.GONE, f"the control topic {self._topic} cannot be read: {error}")
        if not entries:
            return None
        value = entries[-1].value
        if value is None:
            return StoreProblem(RefusalCode.EMPTY, "the desired deployment was taken away")
        try:
            return deployment(value)
        except (DeploymentInvalid, ValueError) as error:
            return StoreProblem(RefusalCode.INVALID, f"the control topic holds no deployment: {error}")

    def _read(self, timeout_s: float) -> list[Entry]:
        """Return what came; at first, all that is there: an older wish is not worth beginning with."""
        if self._tail is not None:
            return self._tail.read(timeout_s)
        self._tail = self._open.enter_context(tail(self._config, self._topic))
        deadline = time.monotonic() + _HELD_WITHIN_S
        entries: list[Entry] = []
        while not self._tail.caught_up:
            if time.monotonic() > deadline:
                raise BrokerUnreachable(f"{self._topic} was not read to its end in {_HELD_WITHIN_S:.0f} s")
            entries += self._tail.read(0.2)
        return entries

    def _close(self) -> None:
        self._tail = None
        self._open.close()


def deployment(value: bytes) -> Deployment:
    """Return the deployment in a record's value. Raises `ValueError` when there is none in it."""
    record = RecordReader(topic_schemas.topic_schema("Deployment"), Framing.NONE).read(value)
    requested_at = to_unix_ms(record["requested_at"])
    return parse_deployment(json.dumps({**record, "requested_at": requested_at}).encode())


def record(wish: Deployment) -> tuple[bytes, bytes]:
    """Return key and value of the record that makes `wish` the desired deployment."""
    writer = RecordWriter(topic_schemas.topic_schema("Deployment"), Framing.NONE)
    return wish.pipeline.encode(), writer.write(asdict(wish))
