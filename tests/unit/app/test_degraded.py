"""Rows that cannot be summarised degrade monitoring: probes and metrics show it, and scoring goes on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from stream_infer.app.kit.observability import observability
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.reference import Reference
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.flow.records import Channel
from stream_infer.models.load import Model
from stream_infer.runtime.degradable import DegradableSink
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.observing.observe import Observe
from stream_infer.testing.memory import MemoryLog, MemorySink, MemorySource, StoredRecord
from tests.support.ports import free_ports
from tests.unit.app.project import make_project
from tests.unit.steps.world import SOURCE, event, score

REASON = "scored rows cannot be summarised: OSError: the store is away"


class Available:
    """The health of topics that all take records."""

    unavailable: Mapping[Channel, str] = {}

    def refresh(self) -> None:
        raise AssertionError("nothing was aborted")


class Probed:
    """An observer that reads `/readyz` and `/metrics` after each commit."""

    def __init__(self, port: int) -> None:
        self.answers: list[tuple[list[str], float]] = []
        self._port = port

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, BatchCommitted):
            degraded = json.loads(self._get("readyz"))["degraded"]
            [gauge] = [line for line in self._get("metrics").splitlines() if line.startswith(GAUGE)]
            self.answers.append((degraded, float(gauge.removeprefix(GAUGE))))

    def _get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=10) as response:
                body: bytes = response.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        return body


GAUGE = b'stream_infer_degraded{pipeline="shop"} '


def test_probes_and_metrics_are_degraded_while_summaries_are_missing(tmp_path: Path) -> None:
    failures = iter([OSError("the store is away")] * 2)

    def reference(_: Model) -> Reference | None:
        for failure in failures:
            raise failure
        return None

    [port] = free_ports(1)
    project = make_project(tmp_path)
    project.change("port = 0", f"port = {port}")
    log = MemoryLog({SOURCE: [StoredRecord(event(amount)) for amount in (1.0, 2.0, 3.0)]})
    frames = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)

    with observability(project.settings(), "shop.score") as shown:
        probed = Probed(port)
        observe = shown.observer(probed)
        run(
            MemorySource(log),
            score(observe=Observe("shop", frames, reference)),
            DegradableSink(MemorySink(log), Available(), {}, observe=observe),
            stop=Stop(),
            pace=Pace(Pacing(max_records=1, commit_interval_s=0.0)),
            observe=observe,
        )

    assert probed.answers == [([REASON], 1.0), ([REASON], 1.0), ([], 0.0)]
    assert sum(one.channel is Channel.PREDICTIONS for one in log.visible) == 3
