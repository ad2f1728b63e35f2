"""The demo: the real worker on real data, on a broker inside this process or on a given one.

1. Train a model on half of the Phishing set and package it.
2. Start the worker, with the worker.toml that is printed.
3. Send it pages, a hundredth of them broken, and compare its predictions with the truth.
4. Flip one byte of a copy of the package: it is refused before anything in it is loaded.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from stream_infer.app.check import Checked, checked, checked_on_mock
from stream_infer.app.topics import carry_out, plan
from stream_infer.app.worker import serve
from stream_infer.config.settings import load
from stream_infer.demo import phishing
from stream_infer.demo.screen import Screen, screen_for
from stream_infer.demo.traffic import Reader, Sender, Tally
from stream_infer.flow.errors import Fatal, Refused
from stream_infer.kafka.mock import mock_broker
from stream_infer.kafka.topics import Wanted, create
from stream_infer.models.package import verify
from stream_infer.ops import logs
from stream_infer.runtime.stop import Stop, on_signals

_ONCE_PAGES = 5_000
_RATE = 1_000.0
_ANSWER_WITHIN_S = 20.0
_PARTITIONS = 4

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

[model]
package = "{package}"

[http]
port = 0
"""


@dataclass(frozen=True, slots=True)
class _Story:
    """What the parts of the demo share."""

    screen: Screen
    stop: Stop
    tally: Tally
    once: bool


def run_demo(broker: str, *, once: bool, as_json: bool, seed: int) -> int:
    """Run the demo on `broker` ("mock" or HOST:PORT) until Ctrl-C; with `once` it ends by itself.

    Returns 0 when every page that was sent had exactly one answer, else 1.
    """
    logs.configure(sys.stderr, {"STREAM_INFER_LOG_LEVEL": "ERROR", **os.environ})
    is_mock = broker == "mock"
    stop = Stop()
    with (
        tempfile.TemporaryDirectory(prefix="stream-infer-demo-") as name,
        mock_broker() if is_mock else nullcontext(broker) as servers,
        on_signals(stop),
        screen_for(as_json=as_json) as screen,
    ):
        story = _Story(screen, stop, Tally(), once)
        screen.say(_MOCK if is_mock else f"Broker: {servers}. Predictions are exactly once.")
        data = phishing.load()
        package = phishing.build_package(data, Path(name), version="1.0.0")
        screen.say(f"Trained on {len(data.train)} real web pages and packaged as {package.name}.")
        ready = _ready(Path(name), servers, package.name, is_mock=is_mock)
        started = time.monotonic()
        with _worker(ready, story):
            screen.say("The worker is starting; this is its whole worker.toml without defaults:")
            screen.say((Path(name) / "worker.toml").read_text())
            _send_and_watch(ready, servers, phishing.Pages(data, seed=seed), story)
        elapsed_s = time.monotonic() - started
        screen.end(_summary(story.tally, elapsed_s, broker, _tamper(package)))
    return 0 if _answered_once(story.tally) else 1


_MOCK = (
    "Broker: librdkafka's mock, inside this process. It enforces no delivery guarantee; to see exactly-once, "
    "run `stream-infer demo --broker HOST:PORT` on a real Kafka."
)


def _ready(folder: Path, servers: str, package: str, *, is_mock: bool) -> Checked:
    """Write worker.toml, make its topics where the broker is real, and check everything as `run` does."""
    pipeline = f"demo.{uuid.uuid4().hex[:8]}"
    path = folder / "worker.toml"
    path.write_text(_SETTINGS.format(pipeline=pipeline, servers=servers, package=package))
    settings = load(path, {})
    if is_mock:
        return checked_on_mock(settings)
    create(settings.kafka, [Wanted(topic, _PARTITIONS) for topic in settings.input.topics])
    carry_out(settings, plan(settings))
    return checked(settings)


@contextmanager
def _worker(ready: Checked, story: _Story) -> Iterator[None]:
    """Run the worker on a thread of its own while the block runs; its failure is raised at the end."""
    failures: list[BaseException] = []
    stop = Stop()

    def work() -> None:
        try:
            serve(ready, stop)
        except BaseException as failure:  # noqa: BLE001 - raised again below, on the main thread
            failures.append(failure)
            story.stop.request()

    thread = threading.Thread(target=work, name="demo-worker")
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join()
    if failures:
        raise failures[0]


def _send_and_watch(ready: Checked, servers: str, pages: phishing.Pages, story: _Story) -> None:
    settings, tally = ready.settings, story.tally
    producer = Producer({"bootstrap.servers": servers})
    total = _ONCE_PAGES if story.once else None
    sender = Sender(producer, settings.input.topics[0], pages, tally, rate=_RATE, total=total)
    started = time.monotonic()
    sender.start()
    with closing(Reader(servers, settings.output.topic, settings.dlq.topic, tally)) as reader:
        give_up_at = math.inf
        while sender.is_alive() or tally.answered < tally.sent:
            reader.read(0.1)
            story.screen.show(tally, time.monotonic() - started)
            if story.stop.requested or not sender.is_alive():
                sender.ended.set()
                give_up_at = min(give_up_at, time.monotonic() + _ANSWER_WITHIN_S)
            if time.monotonic() > give_up_at:
                break
    sender.join()


def _tamper(package: Path) -> str:
    """Flip one byte of a copy of the package and return why it is refused."""
    copy = package.with_name(f"{package.name}-tampered")
    shutil.copytree(package, copy)
    model = copy / "model.joblib"
    spoilt = bytearray(model.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    model.write_bytes(spoilt)
    try:
        verify(copy)
    except Refused as refused:
        return f"refused: {refused.reason}"
    raise Fatal("a package with a flipped byte was accepted")


def _answered_once(tally: Tally) -> bool:
    return tally.sent > 0 and tally.answered == tally.sent and tally.doubled == 0


def _summary(tally: Tally, elapsed_s: float, broker: str, tampered: str) -> dict[str, object]:
    return {
        "broker": broker,
        "seconds": round(elapsed_s, 1),
        "pages_sent": tally.sent,
        "predictions": tally.predicted,
        "dead_letters": dict(tally.dead_letters),
        "unanswered": tally.sent - tally.answered,
        "answered_twice": tally.doubled,
        "accuracy": None if tally.accuracy is None else round(tally.accuracy, 4),
        "model_versions": dict(tally.versions),
        "package_with_one_byte_flipped": tampered,
    }
