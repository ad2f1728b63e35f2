"""A model that takes longer for a batch than its group allows: batches shrink until they are committed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from stream_infer.flow.events import BatchAborted, BatchCommitted, Event
from stream_infer.flow.records import Batch, Outcome
from stream_infer.ops.progress import ProgressCell
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from tests.conftest import Topics
from tests.contracts.kafka_rig import KafkaRig, transactions
from tests.contracts.rigs import copy_of
from tests.support.broker import Broker

COUNT = 8
RECORD_S = 0.6
MAX_POLL_INTERVAL_MS = 1_500


class ImpatientRig(KafkaRig):
    """A rig whose group removes a member that does not poll for some seconds."""

    def _consumer(self, instance: str) -> dict[str, object]:
        # A static member that has left by itself is removed when its session ends.
        short = {"max.poll.interval.ms": MAX_POLL_INTERVAL_MS, "session.timeout.ms": 1_000}
        return super()._consumer(instance) | short


class SlowStep:
    """Copies records, each in `RECORD_S` seconds."""

    def __call__(self, batch: Batch) -> Outcome:
        time.sleep(RECORD_S * len(batch))
        return copy_of(batch)

    def forget(self) -> None:
        """Keep nothing."""


@pytest.fixture
def rig(broker: Broker, topics: Topics) -> Iterator[ImpatientRig]:
    impatient = ImpatientRig(broker.bootstrap, topics, transactions)
    yield impatient
    impatient.close()


def test_a_batch_that_outlasts_the_poll_interval_is_halved_and_committed(rig: ImpatientRig) -> None:
    rig.append(0, [b"%d" % at for at in range(COUNT)])
    stop, progress = Stop(), ProgressCell()
    seen: list[Event] = []
    since: list[float | None] = []

    def observe(event: Event, /) -> None:
        progress(event)
        seen.append(event)
        aborting = progress.current.aborting
        since.append(None if aborting is None else aborting.since)
        committed = sum(each.records for each in seen if isinstance(each, BatchCommitted))
        aborted = sum(isinstance(each, BatchAborted) for each in seen)
        if committed == COUNT or aborted == 5:
            stop.request()

    source, sink = rig.open()
    pace = Pace(Pacing(batch_within_s=MAX_POLL_INTERVAL_MS / 2_000))
    run(source, SlowStep(), sink, stop=stop, pace=pace, observe=observe)

    sizes = [each.records for each in seen if isinstance(each, BatchAborted)]
    first = next(at for at, each in enumerate(seen) if isinstance(each, BatchAborted))
    done = next(at for at, each in enumerate(seen) if isinstance(each, BatchCommitted))
    assert sizes == [COUNT, COUNT // 2, COUNT // 4][: len(sizes)]
    # The group took the partitions away and gave them back meanwhile.
    assert set(since[first:done]) == {since[first]} != {None}
    assert rig.visible() == [(0, b"%d" % at) for at in range(COUNT)]
