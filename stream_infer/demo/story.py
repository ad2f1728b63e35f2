"""The story: five chapters. Each does something, then waits until what should follow is read from the topics.

A chapter that waits in vain has not happened, and says what is missing; nothing that is told is scripted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from stream_infer.common.clock import unix_ms
from stream_infer.demo import phishing
from stream_infer.demo.phishing import SHIFTED, PhishingData, World
from stream_infer.demo.report import ChapterResult
from stream_infer.demo.screen import Screen
from stream_infer.demo.tally import Event, Tally
from stream_infer.demo.traffic import BROKEN_EVERY, LABEL_DELAY_S, LABELLED_EVERY, RATE, Reader, Sender
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import Deployment, PackageRef
from stream_infer.runtime.stop import Stop
from stream_infer.store.model_store import ModelStore, Request

FIRST, CHALLENGER, TAMPERED = "1.0.0", "1.1.0", "1.2.0"

# Four windows of the monitor in each of four partitions, and the beginning of a fifth: fewer are no habit.
_USUAL_PAGES = 28_000
# What errors are usual is learned from 1,000 labels, and held against 800 more.
_USUAL_LABELS = 2_000
_NEW_LABELS = 300
_SERVES_ON_PAGES = 3_000
_LEAST_FALL = 0.2
_WITHIN_S = 60.0

T = TypeVar("T")
Facts = Mapping[str, object]


class Missed(Exception):
    """What a chapter waits for has not come."""


class Interrupted(Exception):
    """Somebody wants the demo to end, or a part of it has failed."""


class Chapter(NamedTuple):
    """How it is called, for machines and for people, and how it goes: returns its outcome and facts."""

    name: str
    title: str
    play: Callable[[DemoRun], tuple[str, Facts]]


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What the chapters are played with."""

    data: PhishingData
    folder: Path
    store: ModelStore
    sender: Sender
    reader: Reader
    tally: Tally
    screen: Screen
    stop: Stop

    def look(self) -> None:
        """Read what there is, and show it. Raises `Interrupted`."""
        if self.stop.requested:
            raise Interrupted
        for event in self.reader.read(0.1):
            self.screen.event(event)
        self.screen.figures(self.tally)

    def wait_for(self, found: Callable[[], T | None], otherwise: str) -> T:
        """Return what `found` finds, once it does. Raises `Missed` when it never does, and `Interrupted`."""
        deadline = time.monotonic() + _WITHIN_S
        while (answer := found()) is None:
            if time.monotonic() > deadline:
                raise Missed(f"{otherwise} within {_WITHIN_S:.0f} s.")
            self.look()
        return answer


def run_story(stage: DemoRun, chapters: Sequence[Chapter]) -> Sequence[ChapterResult]:
    """Play `chapters` until one does not happen, or somebody wants the end; return those that were told."""
    told: list[ChapterResult] = []
    with suppress(Interrupted):
        for number, chapter in enumerate(chapters, 1):
            stage.screen.chapter(number, chapter.title)
            told.append(_played(stage, chapter))
            stage.screen.told(told[-1])
            if not told[-1].happened:
                break
    return told


def _played(stage: DemoRun, chapter: Chapter) -> ChapterResult:
    started = time.monotonic()
    facts: Facts = {}
    try:
        outcome, facts = chapter.play(stage)
        happened = True
    except Missed as missed:
        outcome, happened = str(missed), False
    seconds = round(time.monotonic() - started, 1)
    return ChapterResult(chapter.name, chapter.title, happened, outcome, seconds, facts)


def usual_traffic(stage: DemoRun) -> tuple[str, Facts]:
    """Let the monitor learn what is usual; nothing drifts yet."""
    tally = stage.tally
    stage.screen.say(
        f"{RATE:,} pages a second, one in {BROKEN_EVERY} of them cut short. Of one page in {LABELLED_EVERY} "
        f"the truth becomes known {LABEL_DELAY_S:g} s later, as a label."
    )
    stage.wait_for(
        lambda: True if tally.answered >= _USUAL_PAGES else None, f"{_USUAL_PAGES} pages were not answered"
    )
    accuracy = stage.wait_for(
        lambda: tally.accuracy(FIRST, least_labels=_USUAL_LABELS),
        f"no accuracy on {_USUAL_LABELS:,} labels was published",
    )
    _nothing_drifts(tally)
    letters = tally.dead_letters.total()
    outcome = (
        f"{tally.answered:,} pages are answered, {letters:,} of them by a dead letter. Accuracy is "
        f"{accuracy:.1%}, on pages that the model was not trained on. There was no drift event."
    )
    return outcome, {"answered": tally.answered, "accuracy": accuracy, "dead_letters": letters}


def inputs_shift(stage: DemoRun) -> tuple[str, Facts]:
    """Let most pages be popular ones, until the monitor names that feature."""
    tally, sent = stage.tally, stage.tally.sent
    stage.screen.say(
        "From now on nine in ten pages come from popular sites. Nobody tells the worker; no label is needed."
    )
    stage.sender.world = World.POPULAR
    event = stage.wait_for(
        lambda: tally.find("drift.detected", drift__feature=SHIFTED),
        f"no drift.detected event named the feature {SHIFTED}",
    )
    stage.sender.world = World.USUAL
    pages, drift = tally.sent - sent, event["drift"]
    before, now = drift["reference"]["mean"], drift["current"]["mean"]
    outcome = (
        f"{drift['detector']} named {SHIFTED} after {pages:,} pages: its mean went from {before:.2f} to "
        f"{now:.2f}. The shift is taken back now."
    )
    return outcome, {
        "feature": drift["feature"],
        "detector": drift["detector"],
        "mean_before": before,
        "mean_now": now,
        "pages": pages,
    }


def concept_changes(stage: DemoRun) -> tuple[str, Facts]:
    """Let more pages be phishing that look as before, until the monitor sees it in the labels."""
    tally, labelled = stage.tally, stage.tally.labelled
    early = tally.find("drift.detected", drift__signal="error")
    if early is not None:
        raise Missed(f"errors were said to drift before anything had changed: {early['summary']}")
    before = tally.accuracy(FIRST, least_labels=0) or 0.0
    stage.screen.say(
        "Phishers get certificates: pages with https turn out to be phishing. They look as before, so only "
        "labels can tell, and these come late."
    )
    stage.sender.world = World.CERTIFIED
    event = stage.wait_for(
        lambda: tally.find("drift.detected", drift__signal="error", model_version=FIRST),
        "no drift.detected event told of more errors",
    )
    labels, detector = tally.labelled - labelled, event["drift"]["detector"]
    delay_s = tally.accuracies[FIRST][-1].delay_ms / 1000
    now = stage.wait_for(
        lambda: tally.newest_accuracy(FIRST, below=before - _LEAST_FALL),
        f"accuracy was {before:.1%}, and no window is clearly below that",
    )
    outcome = (
        f"{detector} saw it after {labels:,} labels, which come {delay_s:.1f} s after their pages: accuracy "
        f"fell from {before:.1%} to {now:.1%}."
    )
    return outcome, {
        "detector": detector,
        "accuracy_before": before,
        "accuracy_now": now,
        "labels": labels,
        "label_delay_s": delay_s,
    }


def challenger_takes_over(stage: DemoRun) -> tuple[str, Facts]:
    """Promote a model that knows what is phishing now, while pages keep coming."""
    tally = stage.tally
    stage.screen.say(f"A challenger learns what is phishing now, is packaged as {CHALLENGER}, and promoted.")
    package = phishing.build_package(stage.data, stage.folder, world=World.CERTIFIED, version=CHALLENGER)
    stage.store.promote(package, Request("demo", "accuracy fell"))
    event = stage.wait_for(
        lambda: tally.find("model.activated", model_version=CHALLENGER), f"{CHALLENGER} was not activated"
    )
    accuracy = stage.wait_for(
        lambda: tally.accuracy(CHALLENGER, least_labels=_NEW_LABELS),
        f"no accuracy of {CHALLENGER} on {_NEW_LABELS:,} labels was published",
    )
    fell_to = tally.newest_accuracy(FIRST, below=1.0) or 0.0
    if accuracy - fell_to < _LEAST_FALL:
        raise Missed(f"accuracy of {FIRST} was {fell_to:.1%}, that of {CHALLENGER} is {accuracy:.1%}.")
    partitions = _switched_where_announced(tally, event)
    outcome = (
        f"Accuracy is {accuracy:.1%} again. In each of {partitions} partitions the predictions change from "
        f"{FIRST} to {CHALLENGER} at the offset that the event names; the worker never stopped."
    )
    return outcome, {"accuracy_before": fell_to, "accuracy_now": accuracy, "partitions": partitions}


def tampered_is_rejected(stage: DemoRun) -> tuple[str, Facts]:
    """Put a package with one flipped byte into the store, past `promote`, which would refuse it."""
    tally = stage.tally
    stage.screen.say(
        f"Somebody flips one byte of the model in package {TAMPERED}, puts it into the store and points "
        "CURRENT at it."
    )
    _desire(stage.store, _tampered(stage))
    event = stage.wait_for(
        lambda: tally.find("model.rejected", model_version=TAMPERED), f"{TAMPERED} was not rejected"
    )
    goal = tally.answered + _SERVES_ON_PAGES
    stage.wait_for(lambda: True if tally.answered >= goal else None, "pages were not answered any more")
    if tally.versions[TAMPERED] or tally.serving != CHALLENGER:
        raise Missed(f"{TAMPERED} has made {tally.versions[TAMPERED]} predictions.")
    change = event["model"]
    outcome = (
        f"It was rejected before anything in it was loaded ({change['reason_code']}), and {CHALLENGER} has "
        f"answered {_SERVES_ON_PAGES:,} pages since."
    )
    return outcome, {
        "reason_code": change["reason_code"],
        "reason": change["reason"],
        "serving": tally.serving,
    }


CHAPTERS = (
    Chapter("usual_traffic", "Usual traffic", usual_traffic),
    Chapter("inputs_shift", "The inputs shift", inputs_shift),
    Chapter("concept_changes", "What is phishing changes", concept_changes),
    Chapter("challenger_takes_over", "A challenger takes over", challenger_takes_over),
    Chapter("tampered_is_rejected", "A tampered package", tampered_is_rejected),
)


def _nothing_drifts(tally: Tally) -> None:
    event = tally.find("drift.detected")
    if event is not None:
        raise Missed(f"there was a drift event before anything had changed: {event['summary']}")


def _switched_where_announced(tally: Tally, event: Event) -> int:
    """Return in how many partitions the answers change models exactly where `event` says. Raises `Missed`."""
    for announced in event["ranges"]:
        partition, first = announced["partition"], announced["first_offset"]
        last_of_old = tally.last.get((FIRST, partition), -1)
        first_of_new = tally.first.get((CHALLENGER, partition), first)
        if not last_of_old < first <= first_of_new:
            raise Missed(
                f"partition {partition} was announced to change at {first}, and {FIRST} answers up to "
                f"{last_of_old}, {CHALLENGER} from {first_of_new}."
            )
    return len(event["ranges"])


def _tampered(stage: DemoRun) -> PackageRef:
    """Make a package, put it into the store, and flip one byte of its model there."""
    package = phishing.build_package(stage.data, stage.folder, world=World.CERTIFIED, version=TAMPERED)
    digest = verify(package).digest
    inside = package.rename(stage.store.folder / package.name)
    model = inside / "model.joblib"
    spoilt = bytearray(model.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    model.write_bytes(spoilt)
    return PackageRef("phishing", TAMPERED, digest, inside.name)


def _desire(store: ModelStore, package: PackageRef) -> None:
    current = store.current()
    if not isinstance(current, Deployment):
        raise Missed(f"the store cannot be read: {current.reason}.")
    store.adopt(
        Deployment(
            pipeline=store.pipeline,
            generation=current.generation + 1,
            package=package,
            previous=current.package,
            requested_by="somebody",
            requested_at=unix_ms(),
        )
    )
