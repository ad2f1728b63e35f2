"""The demo: a worker and a monitor on real data, with a broker inside this process or a given one.

Here: setup and teardown. The chapters are in `story`.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from stream_infer.app.checks.check import Checked, require_checked, require_checked_on_mock
from stream_infer.app.monitor import run_monitoring
from stream_infer.app.topics import apply_plan, plan_topics
from stream_infer.app.worker import run_scoring
from stream_infer.config.settings import Settings, load_settings
from stream_infer.demo import phishing
from stream_infer.demo.chapters import DemoRun, Interrupted, run_chapters
from stream_infer.demo.page import demo_page, free_port
from stream_infer.demo.phishing import World
from stream_infer.demo.report import ChapterResult, DemoReport
from stream_infer.demo.screen import Screen, screen_for
from stream_infer.demo.story import CHAPTERS, FIRST
from stream_infer.demo.tally import Tally
from stream_infer.demo.traffic import DemoReader, DemoTopics, PageSender
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
    "Package your own model: see the README, and `stream-infer package create --help`.",
    "Run your own pipeline: `stream-infer check -c worker.toml`, `run --role all`, `events --follow`.",
)


@dataclass(frozen=True, slots=True)
class _Broker:
    """The broker of the demo: `name` as in the option, its delivery guarantee, and texts for people."""

    name: str
    servers: str
    delivery: str
    introduction: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """How the demo runs: on `broker` ("mock" or HOST:PORT); without `once`, on and on with traffic.

    With `as_json` there is no page; `opens_browser` opens it where there is a browser.
    """

    broker: str = _MOCK
    once: bool = False
    as_json: bool = False
    seed: int = 0
    opens_browser: bool = False


def run_demo(plan: DemoPlan) -> int:
    """Run the chapters, and without `once` continue with traffic until Ctrl-C.

    Returns 0 when every chapter observed its effect and every page has exactly one answer, 130 after an
    interrupt before that, else 1.
    """
    logs.configure(sys.stderr, {"STREAM_INFER_LOG_LEVEL": "ERROR", **os.environ})
    stop, started = Stop(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="si-demo-") as folder,
        _broker(plan.broker) as where,
        on_signals(stop),
        screen_for(as_json=plan.as_json) as screen,
    ):
        screen.say(where.introduction)
        # Nobody uses the probes of a run that ends by itself: any port is right.
        port = 0 if plan.once else free_port(_PORT)
        config = _config(Path(folder), where.servers, port)
        page = nullcontext() if plan.as_json else demo_page(config, screen, opens_browser=plan.opens_browser)
        with page, _started(where, config, plan.seed, screen, stop) as run:
            results = run_chapters(run, CHAPTERS)
            if not plan.once and sum(one.happened for one in results) == len(CHAPTERS):
                _continue(run, config, port)
        report = _report(results, run.tally, where, plan.seed, time.monotonic() - started)
        screen.summary(report, (where.next_step, *_NEXT_STEPS))
    if report.ok:
        return ExitCode.OK
    return ExitCode.INTERRUPTED if stop.signal == signal.SIGINT else ExitCode.FAILURE


@contextmanager
def _broker(name: str) -> Iterator[_Broker]:
    """Hold the mock broker, or describe the given one."""
    if name != _MOCK:
        yield _Broker(
            name,
            name,
            "exactly once",
            f"Broker: {name}. Every page gets exactly one prediction or dead letter.",
            "Read predictions in your own code: see the README, and set isolation.level=read_committed.",
        )
        return
    with mock_broker() as servers:
        yield _Broker(
            name,
            servers,
            "no guarantee: the mock broker enforces none",
            "Broker: librdkafka's mock, inside this process. It enforces no delivery guarantee.",
            "Run it with exactly-once delivery, on a real Kafka: `stream-infer demo --broker HOST:PORT`.",
        )


@contextmanager
def _started(where: _Broker, config: Path, seed: int, screen: Screen, stop: Stop) -> Iterator[DemoRun]:
    """Start worker, monitor and traffic; after the block, wait for the last answers and stop everything."""
    data, folder = phishing.load_phishing(), config.parent
    settings = load_settings(config, {})
    store = ModelStore(folder / "models", settings.pipeline)
    package = phishing.build_package(data, folder, world=World.USUAL, version=FIRST)
    store.promote(package, Request("demo", "the first model"))
    screen.say(
        f"A model is trained on {len(data.train.pages)} real web pages and packaged as phishing {FIRST}. "
        "A worker and its monitor start with this worker.toml. To rehearse the model and to join the groups "
        "takes some seconds."
    )
    screen.quote(config.read_text())
    beside = load_settings(config, {"STREAM_INFER_HTTP__PORT": "0"})
    producer, tally = Producer({"bootstrap.servers": where.servers}, logger=SILENT), Tally()
    with (
        _topics(settings, where) as (ready, topics),
        # The topics are new: there is no state of an earlier run.
        _running("demo-monitor", lambda own: run_monitoring(beside, own, {}), stop),
        _running("demo-worker", lambda own: run_scoring(ready, own), stop) as worker,
        closing(DemoReader(producer, where.servers, topics, tally)) as reader,
    ):
        sender = PageSender(producer, topics.pages, phishing.Pages(data, seed=seed), tally)
        sender.start()
        yield DemoRun(data, folder, store, sender, reader, tally, screen, stop)
        sender.end()
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while tally.unanswered and worker.is_alive() and time.monotonic() < deadline:
            reader.read(0.1)
        reader.finish()


def _continue(run: DemoRun, config: Path, port: int) -> None:
    """Continue with the traffic until the demo is interrupted."""
    run.screen.say("That was the last chapter. The traffic continues until Ctrl-C. In another terminal:")
    run.screen.quote(f"stream-infer events --follow -c {config}\ncurl http://127.0.0.1:{port}/metrics")
    with suppress(Interrupted):
        while True:
            run.update()


def _config(folder: Path, servers: str, port: int) -> Path:
    (folder / "models").mkdir()
    config = folder / "worker.toml"
    pipeline = f"demo.{uuid.uuid4().hex[:8]}"
    config.write_text(_SETTINGS.format(pipeline=pipeline, servers=servers, port=port))
    return config


@contextmanager
def _topics(settings: Settings, where: _Broker) -> Iterator[tuple[Checked, DemoTopics]]:
    """Hold the topics of the pipeline, checked as `run` does; a real broker has them only for the block."""
    pages = settings.input.topics[0]
    topics = DemoTopics(
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
    """Run `work` on a thread while the block runs; its failure requests `everything` and is raised here."""
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
    results: Sequence[ChapterResult], tally: Tally, where: _Broker, seed: int, seconds: float
) -> DemoReport:
    return DemoReport(
        broker=where.name,
        delivery=where.delivery,
        seed=seed,
        seconds=round(seconds, 1),
        chapters=results,
        untold=[chapter.title for chapter in CHAPTERS[len(results) :]],
        pages_sent=tally.sent,
        predictions=dict(tally.versions),
        dead_letters=dict(tally.dead_letters),
        unanswered=tally.unanswered,
        answered_twice=tally.doubled,
    )
