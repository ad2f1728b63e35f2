"""What each stage of scoring costs per event, and what each option adds. Stages need no broker.

python -m benchmarks.stages                      # the stages, within one process
python -m benchmarks.stages --options            # and exactly once, monitoring and headers, on a broker
"""

from __future__ import annotations

import argparse
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from confluent_kafka import Message, Producer

from benchmarks import material, report
from benchmarks.arena import arena
from benchmarks.material import Material
from benchmarks.predictions import batch_of, step_of
from benchmarks.race import Contestant, Run, in_turns, run, worker
from stream_infer.avro import schemas, topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.reference import parse_reference
from stream_infer.flow.records import Batch
from stream_infer.kafka.columns import CHUNK, Gathered
from stream_infer.kafka.publish import produce_all
from stream_infer.models.frame_builder import build_frame
from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.models.scores import check_scores
from stream_infer.runtime.gc_schedule import between_batches
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.scoring import policy
from stream_infer.steps.scoring.infer import infer
from stream_infer.steps.scoring.plan import Events, plan_scoring
from stream_infer.steps.scoring.prediction import prediction_columns

PARTITIONS = 4
TRACE = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
BASE, HEADERS = "exactly once, unwatched, without headers", "with headers"

Stage = Callable[[], object]


def stages(made: Material, count: int) -> Mapping[str, Stage]:
    """Return what is timed, in the order of the way of an event; each takes `count` events at once."""
    batch = _batch(made, count)
    traced = replace(batch, headers=[TRACE] * count)
    messages = _messages(batch)
    package = verify(made.package)
    model = load_model(package)
    manifest = model.manifest
    events = Events(
        Framing.NONE, [schemas.parse_schema(made.schema.read_text("utf-8"))], event_time=None, copy=()
    )
    planned = plan_scoring(model, events)
    columns = planned.decoder.decode(batch.values).columns
    frame = build_frame(columns, manifest)
    scores = model.predict(frame)
    everything = np.arange(count, dtype=np.intp)
    encoder = Encoder(topic_schemas.topic_schema("Prediction"), Framing.NONE)
    frames = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    reference = parse_reference(package.files["reference.json"])
    observe = Observe("benchmark", frames, lambda _model: reference)
    step = step_of(made)
    (output,) = step(batch).outputs
    (with_headers,) = step(traced).outputs
    producer = _queue(count)

    def answer() -> Mapping[str, object]:
        return prediction_columns(
            batch, everything, {}, scores, model=model, plan=planned, pipeline="benchmark"
        )

    def queue_with_headers() -> None:
        produce_all(producer, "benchmark", with_headers)

    answered = answer()
    return {
        "read: messages to columns": lambda: _read(messages),
        "decode": lambda: planned.decoder.decode(batch.values, batch.headers),
        "feature policy": lambda: policy.apply_policies(columns, manifest),
        "frame": lambda: build_frame(columns, manifest),
        "predict (the model itself)": lambda: model.predict(frame),
        "output contract": lambda: check_scores(scores, manifest.output, count),
        "policy to contract, as one": lambda: infer(model, columns),
        "columns of predictions": answer,
        "encode": lambda: encoder.encode(answered),
        "**the whole step**": lambda: step(batch),
        "queue for the broker": _emptied(producer, lambda: produce_all(producer, "benchmark", output)),
        "monitoring: observe": lambda: observe(
            batch, model, ScoredRows(columns, everything, everything, scores, ())
        ),
        "headers: the whole step with a traceparent in every event": lambda: step(traced),
        "headers: queue for the broker with them": _emptied(producer, queue_with_headers),
    }


def _batch(made: Material, count: int) -> Batch:
    batch = batch_of(made.values, count, partitions=PARTITIONS)
    return replace(
        batch,
        partition=array("i", batch.partition),
        offset=array("q", batch.offset),
        timestamp_ms=array("q", batch.timestamp_ms),
    )


def _messages(batch: Batch) -> list[Message]:
    rows = range(len(batch))
    return [
        Message(
            topic=batch.source(row).topic, partition=batch.source(row).index, offset=batch.offset[row],
            key=batch.keys[row], value=batch.values[row], timestamp=(1, batch.timestamp_ms[row]),
        )
        for row in rows
    ]  # fmt: skip


def _read(messages: Sequence[Message]) -> object:
    """Do what `Session` does between the client's messages and a batch."""
    gathered = Gathered([messages[0].topic() or ""])
    for first in range(0, len(messages), CHUNK):
        chunk = messages[first : first + CHUNK]
        if not any(map(Message.error, chunk)):
            gathered.add(chunk)
    return gathered.batch(0)


def _queue(count: int) -> Producer:
    """Return a producer that never connects and has room for `count` records."""
    return Producer(
        {
            "bootstrap.servers": "127.0.0.1:1",
            "queue.buffering.max.messages": 2 * count,
            "queue.buffering.max.kbytes": 2_000_000,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "log_level": 0,
        }
    )


def _emptied(producer: Producer, stage: Stage) -> Stage:
    """Return `stage` with an empty queue before it; what emptying takes is not counted."""

    def timed() -> float:
        producer.purge()
        producer.flush(5)
        began = time.perf_counter()
        stage()
        return time.perf_counter() - began

    return timed


def timed(stage: Stage, rounds: int) -> list[float]:
    """Return the seconds that `stage` takes, after one call that warms up. A stage may time itself."""
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        said = stage()
        passed = time.perf_counter() - began
        took.append(said if isinstance(said, float) else passed)
    return took[1:]


def options(rounds: int, events: int) -> Mapping[str, list[Run]]:
    """Race the worker with and without each option, on one backlog."""
    with arena() as here:
        made, job = here.workload().made, here.workload().job
        plain, traced = (here.topics.create(name, PARTITIONS) for name in ("input", "traced"))
        here.topics.fill(plain, made.values, events, PARTITIONS)
        here.topics.fill(traced, made.values, events, PARTITIONS, headers=TRACE)

        def go(one: Contestant) -> Run:
            mine = replace(job, input=traced if one.name == HEADERS else plain)
            return run(one, mine, here.topics, count=events, partitions=PARTITIONS)

        return in_turns(
            [
                Contestant(BASE, worker),
                Contestant("at least once", worker, transactional=False),
                Contestant("with monitoring", worker, monitored=True),
                Contestant(HEADERS, worker),
            ],
            go,
            rounds,
        )


def _of_stages(sizes: Sequence[int], rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        made = material.make(Path(folder) / "linear")
        columns: list[Mapping[str, list[float]]] = []
        with between_batches():
            for size in sizes:
                todo = stages(made, size)
                columns.append({name: timed(stage, rounds) for name, stage in todo.items()})
    rows = [
        [name, *(_us(of[name], size) for size, of in zip(sizes, columns, strict=True))] for name in columns[0]
    ]
    return report.table(("stage", *(f"batches of {size:,}" for size in sizes)), rows)


def _us(took_s: Sequence[float], events: int) -> str:
    return report.spread([seconds / events * 1e6 for seconds in took_s], ".3f")


def _of_options(runs: Mapping[str, list[Run]]) -> str:
    base = runs[BASE]
    rows = [
        [
            name,
            report.spread([one.per_s for one in of]),
            report.ratios([one.per_s for one in of], [one.per_s for one in base]),
            report.spread([one.cpu_us for one in of], ".2f"),
            report.spread([a.cpu_us - b.cpu_us for a, b in zip(of, base, strict=True)], "+.2f"),
        ]
        for name, of in runs.items()
    ]
    return report.table(("worker", "events/s", "of the first", "CPU us/event", "more than the first"), rows)


def main() -> None:
    """Measure."""
    given = _options()
    stages_table = _of_stages(given.sizes, given.rounds)
    raced = _of_options(options(given.rounds, given.events)) if given.options else ""
    how = (
        f"The worker as a process on a backlog of {given.events:,} events, {given.rounds} rounds in turns; "
        "ratios and differences are of runs of one round."
    )
    report.finish(
        given.name,
        "What a stage and an option cost",
        f"Microseconds an event on the loop's thread: median of {given.rounds} (least-greatest). "
        f"{material.FEATURES} features, linear model, 0.1 kB; no broker.",
        stages_table,
        how if raced else "",
        raced,
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="stages", rounds=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000], help="of a batch")
    parser.add_argument("--options", action="store_true", help="race the options on a broker, too")
    parser.add_argument("--events", type=int, default=600_000, help="of each run of an option")
    return parser.parse_args()


if __name__ == "__main__":
    main()
