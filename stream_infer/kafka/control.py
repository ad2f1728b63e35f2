"""The control topic: the desired deployment of a pipeline, for fleets without a shared volume.

Compacted, one key, the newest record counts: a state to converge to, never a queue of commands. Where the
bytes of a package are is not known here; `fetch` knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
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
            newest = self._newest(timeout_s)
        except (BrokerUnreachable, Unreadable) as error:
            self._close()
            return StoreProblem(RefusalCode.GONE, f"the control topic {self._topic} cannot be read: {error}")
        if newest is None:
            return None
        if newest.value is None:
            return StoreProblem(RefusalCode.EMPTY, "the desired deployment was taken away")
        try:
            found = deployment(newest.value)
        except (DeploymentInvalid, ValueError) as error:
            return StoreProblem(RefusalCode.INVALID, f"the control topic holds no deployment: {error}")
        if found.pipeline != self._pipeline:
            reason = f"the control topic holds a deployment of {found.pipeline} for {self._pipeline}"
            return StoreProblem(RefusalCode.INVALID, reason)
        return found

    def _newest(self, timeout_s: float) -> Entry | None:
        """Return the newest record of this pipeline that came in the time; at first, of all that are there.

        An older one is obsolete, and in a flood each would be a status and a log line. No other is kept.
        """
        if self._tail is None:
            self._tail = self._open.enter_context(tail(self._config, self._topic))
            return self._newest_held(self._tail)
        newest, deadline = None, time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            newest = self._own(self._tail.read(left_s)) or newest
            if not left_s:
                return newest

    def _newest_held(self, reading: Tail) -> Entry | None:
        """Return the newest record of this pipeline in the whole topic."""
        newest, deadline = None, time.monotonic() + _HELD_WITHIN_S
        while not reading.caught_up:
            if time.monotonic() > deadline:
                raise BrokerUnreachable(f"{self._topic} was not read to its end in {_HELD_WITHIN_S:.0f} s")
            newest = self._own(reading.read(0.2)) or newest
        return newest

    def _own(self, entries: Sequence[Entry]) -> Entry | None:
        """Return the last of `entries` that is of this pipeline."""
        key = self._pipeline.encode()
        return next((one for one in reversed(entries) if one.key == key), None)

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
