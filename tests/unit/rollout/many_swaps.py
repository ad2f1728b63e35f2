"""A program that replaces its model a hundred times, scores in between, and prints what it takes up.

`python -m tests.unit.rollout.many_swaps STORE ONE TWO`: the two packages in turn. It prints, as JSON, what
`measured` returns after each swap.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import psutil

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.flow.records import Batch, Cursor, Partition, Span
from stream_infer.models.active import ActiveModel
from stream_infer.rollout.candidate_loader import CandidateLoader
from stream_infer.rollout.deployer import Deployer, DeployerTiming
from stream_infer.rollout.rehearsal import Rehearsal
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.rollout.rehearsal_task import RehearsalLimits
from stream_infer.steps.scoring.plan import Events, plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings
from stream_infer.store.desired import StoreDesired
from stream_infer.store.model_store import ModelStore, Request
from tests.unit.rollout.packages import EVENT, datum

SWAPS, ROWS = 100, 500


def measured() -> dict[str, int]:
    """Return resident bytes, threads and open files of this process."""
    process = psutil.Process(os.getpid())
    return {
        "rss": process.memory_info().rss,
        "threads": process.num_threads(),
        "files": process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
    }


def main() -> None:
    """Swap, score, measure."""
    folder, one, two = map(Path, sys.argv[1:])
    store, cache = ModelStore(folder, "p"), cache_in_store(folder)
    store.promote(one, Request("me"))
    tick = threading.Event()
    desired = StoreDesired(store, wait=tick.wait)
    rehearsal = Rehearsal(RehearsalLimits(), cache)
    deployer = Deployer(
        CandidateLoader(desired, rehearsal), cache, report=bool, timing=DeployerTiming(poll_s=0.005)
    )
    active = ActiveModel(deployer.start())
    score = step(active)
    found = []
    with deployer.following(active):
        for package in islice(cycle((two, one)), SWAPS):
            generation = store.promote(package, Request("me")).generation
            while active.current.generation < generation:
                score(batch())
            outcome = score(batch())
            found.append({**measured(), "predicted": outcome.predicted})
    print(json.dumps(found))  # noqa: T201 - the answer of a program


def step(active: ActiveModel) -> Callable[[Batch], object]:
    """Return the step of the online role."""
    return Score(
        active,
        partial(plan_scoring, events=Events(Framing.NONE, [EVENT])),
        Encoder(topic_schemas.topic_schema("Prediction"), Framing.NONE),
        ScoreSettings(pipeline="p", group_id="p.score"),
    )


def batch() -> Batch:
    """Return some events, as a session reads them."""
    place = Partition("events", 0)
    return Batch(
        cursor=Cursor({place: Span(0, ROWS)}),
        partitions=[place],
        partition=[0] * ROWS,
        offset=list(range(ROWS)),
        timestamp_ms=[0] * ROWS,
        keys=[None] * ROWS,
        values=[datum(1.0)] * ROWS,
        headers=[None] * ROWS,
        received_ms=0,
    )


if __name__ == "__main__":
    main()
