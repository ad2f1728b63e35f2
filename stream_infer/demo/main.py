"""The demo: the real worker and monitor on real data, on a broker inside this process or on a given one.

Here: what is set up, and in which order it goes away. What is told is in `story`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from stream_infer.app.checks.check import Checked, require_checked, require_checked_on_mock
from stream_infer.app.monitor import run_monitoring
from stream_infer.app.topics import apply_plan, plan_topics
from stream_infer.app.worker import run_scoring
from stream_infer.config.settings import Settings, load_settings
from stream_infer.demo import phishing
from stream_infer.demo.phishing import World
from stream_infer.demo.report import ChapterResult, DemoReport
from stream_infer.demo.screen import Screen, screen_for
from stream_infer.demo.story import CHAPTERS, FIRST, DemoRun, Interrupted, run_story
from stream_infer.demo.tally import Tally
from stream_infer.demo.traffic import Reader, Sender, Topics
from stream_infer.flow.codes import ExitCode
from stream_infer.kafka.client import SILENT
from stream_infer.kafka.mock import mock_broker
from stream_infer.kafka.topics import delete_topics
from stream_infer.ops import logs
from stream_infer.runtime.stop import Stop, on_signals
from stream_infer.store.model_store import ModelStore, Request

_MOCK = "mock"
_PORT = 8900
_PARTITIONS = 4
_ANSWER_WITHIN_S = 20.0

_SETTINGS = """\
pipeline = "{pipeline}"

[kafka]
"bootstrap.servers" = "{servers}"

[input]
topics = ["{pipeline}.pages.v1"]
schema = "page.avsc"
event_time = "seen_at"

[output]
copy = ["page_id"]

[labels]
topic = "{pipeline}.labels.v1"

[model]
store = "models"

[http]
port = {port}
"""


_NEXT_STEPS = (
    "Your own model, in ten lines: 'Your own model' in the README, `stream-infer package create --help`.",
    "Your own pipeline: `stream-infer check -c worker.toml`, `run --role all`, `events --follow`.",
)


@dataclass(frozen=True, slots=True)
class _Broker:
    """Where the demo runs: `name` as it was asked for, what it promises, and how that is said."""

    name: str
    servers: str
    delivery: str
    said: str
    next_step: str


def run_demo(broker: str, *, once: bool, as_json: bool, seed: int) -> int:
    """Tell the story on `broker` ("mock" or HOST:PORT); without `once` go on with the traffic until Ctrl-C.

    Returns 0 when every chapter happened and every page had exactly one answer, 130 when it was interrupted
    before that could be told, else 1.
    """
    logs.configure(sys.stderr, {"STREAM_INFER_LOG_LEVEL": "ERROR", **os.environ})
    stop, started = Stop(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="si-demo-") as folder,
        _broker(broker) as where,
        on_signals(stop),
        screen_for(as_json=as_json) as screen,
    ):
        screen.say(where.said)
        # Nobody looks at the probes of a run that ends by itself: any port will do.
        port = 0 if once else _free_port(_PORT)
        config = _config(Path(folder), where.servers, port)
        with _stage(where, config, seed, screen, stop) as stage:
            told = run_story(stage, CHAPTERS)
            if not once and sum(one.happened for one in told) == len(CHAPTERS):
                _go_on(stage, config, port)
        report = _report(told, stage.tally, where, seed, time.monotonic() - started)
        screen.end(report, (where.next_step, *_NEXT_STEPS))
    if report.ok:
        return ExitCode.OK
    return ExitCode.INTERRUPTED if stop.signal == signal.SIGINT else ExitCode.FAILURE


@contextmanager
def _broker(wanted: str) -> Iterator[_Broker]:
    """Hold the mock broker, or what is known of a given one."""
    if wanted != _MOCK:
        yield _Broker(
            wanted,
            wanted,
            "exactly once",
            f"Broker: {wanted}. Every page gets exactly one prediction or dead letter.",
            "Read predictions in your own code: 'Reading predictions' in the README (read_committed!).",
        )
        return
    with mock_broker() as servers:
        yield _Broker(
            wanted,
            servers,
            "no guarantee: the mock broker enforces none",
            "Broker: librdkafka's mock, inside this process. It enforces no delivery guarantee.",
            "The same with exactly-once delivery, on a real Kafka: `stream-infer demo --broker HOST:PORT`.",
        )


@contextmanager
def _stage(where: _Broker, config: Path, seed: int, screen: Screen, stop: Stop) -> Iterator[DemoRun]:
    """Set everything up, let the block tell the story, wait for the last answers, take everything down."""
    data, folder = phishing.load_phishing(), config.parent
    settings = load_settings(config, {})
    store = ModelStore(folder / "models", settings.pipeline)
    package = phishing.build_package(data, folder, world=World.USUAL, version=FIRST)
    store.promote(package, Request("demo", "the first model"))
    screen.say(
        f"A model is trained on {len(data.train.pages)} real web pages and packaged as phishing {FIRST}. "
        "A worker and its monitor start with this worker.toml; rehearsing the model and joining the groups "
        "takes some seconds."
    )
    screen.quote(config.read_text())
    beside = load_settings(config, {"STREAM_INFER_HTTP__PORT": "0"})
    producer, tally = Producer({"bootstrap.servers": where.servers}, logger=SILENT), Tally()
    with (
        _topics(settings, where) as (ready, topics),
        # Its topics are new: there is no state of others of the same name.
        _running("demo-monitor", lambda own: run_monitoring(beside, own, {}), stop),
        _running("demo-worker", lambda own: run_scoring(ready, own), stop) as worker,
        closing(Reader(producer, where.servers, topics, tally)) as reader,
    ):
        sender = Sender(producer, topics.pages, phishing.Pages(data, seed=seed), tally)
        sender.start()
        yield DemoRun(data, folder, store, sender, reader, tally, screen, stop)
        sender.end()
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while tally.unanswered and worker.is_alive() and time.monotonic() < deadline:
            reader.read(0.1)
        reader.finish()


def _go_on(stage: DemoRun, config: Path, port: int) -> None:
    """Go on with the traffic until somebody wants the end."""
    stage.screen.say("The story is told; the pages go on until Ctrl-C. Meanwhile, in another terminal:")
    stage.screen.quote(f"stream-infer events --follow -c {config}\ncurl http://127.0.0.1:{port}/metrics")
    with suppress(Interrupted):
        while True:
            stage.look()


def _config(folder: Path, servers: str, port: int) -> Path:
    (folder / "models").mkdir()
    config = folder / "worker.toml"
    pipeline = f"demo.{uuid.uuid4().hex[:8]}"
    config.write_text(_SETTINGS.format(pipeline=pipeline, servers=servers, port=port))
    return config


def _free_port(wanted: int) -> int:
    """Return `wanted`; when that is busy, a port that the system chooses."""
    with suppress(OSError), socket.create_server(("127.0.0.1", wanted)):
        return wanted
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _topics(settings: Settings, where: _Broker) -> Iterator[tuple[Checked, Topics]]:
    """Hold the pipeline's topics, checked as `run` does; a real broker has them no longer than the block."""
    pages = settings.input.topics[0]
    topics = Topics(
        pages,
        settings.output.topic,
        settings.dlq.topic,
        settings.labels.topic or "",
        settings.monitoring.topic or "",
    )
    if where.name == _MOCK:
        yield require_checked_on_mock(settings), topics
        return
    planned = plan_topics(settings, input_partitions=_PARTITIONS)
    try:
        apply_plan(settings, planned)
        yield require_checked(settings), topics
    finally:
        delete_topics(settings.kafka, [one.spec.name for one in planned])


@contextmanager
def _running(name: str, work: Callable[[Stop], None], everything: Stop) -> Iterator[threading.Thread]:
    """Do `work` on a thread of its own while the block runs; its failure ends everything, and is raised."""
    failures: list[BaseException] = []
    stop = Stop()

    def run() -> None:
        try:
            work(stop)
        except BaseException as failure:  # noqa: BLE001 - raised again below, on the main thread
            failures.append(failure)
            everything.request()

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        yield thread
    finally:
        stop.request()
        thread.join()
    if failures:
        raise failures[0]


def _report(
    told: Sequence[ChapterResult], tally: Tally, where: _Broker, seed: int, seconds: float
) -> DemoReport:
    return DemoReport(
        broker=where.name,
        delivery=where.delivery,
        seed=seed,
        seconds=round(seconds, 1),
        chapters=told,
        untold=[chapter.title for chapter in CHAPTERS[len(told) :]],
        pages_sent=tally.sent,
        predictions=dict(tally.versions),
        dead_letters=dict(tally.dead_letters),
        unanswered=tally.unanswered,
        answered_twice=tally.doubled,
    )
