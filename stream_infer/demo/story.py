"""The five chapters of the demo."""

from __future__ import annotations

from stream_infer.common.clock import unix_ms
from stream_infer.demo import phishing
from stream_infer.demo.chapters import Chapter, DemoRun, Facts, NotObserved
from stream_infer.demo.phishing import SHIFTED, World
from stream_infer.demo.tally import Event, Tally
from stream_infer.demo.traffic import BROKEN_EVERY, LABEL_DELAY_S, LABELLED_EVERY, RATE
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import Deployment, PackageRef
from stream_infer.store.model_store import ModelStore, Request

FIRST, CHALLENGER, TAMPERED = "1.0.0", "1.1.0", "1.2.0"

# Four monitor windows in each of four partitions, and the start of a fifth: the baseline needs them.
_BASELINE_PAGES = 28_000
# The usual error rate is learned from 1,000 labels and compared with 800 more.
_BASELINE_LABELS = 2_000
_NEW_LABELS = 300
_PAGES_AFTER_REFUSAL = 3_000
_LEAST_FALL = 0.2


def usual_traffic(run: DemoRun) -> tuple[str, Facts]:
    """Let the monitor learn its baseline; nothing drifts yet."""
    tally = run.tally
    run.screen.say(
        f"{RATE:,} pages per second, one in {BROKEN_EVERY} of them truncated. For one page in "
        f"{LABELLED_EVERY}, a label with the truth follows {LABEL_DELAY_S:g} s later."
    )
    run.wait_for(
        lambda: True if tally.answered >= _BASELINE_PAGES else None,
        f"{_BASELINE_PAGES:,} pages were not answered",
    )
    accuracy = run.wait_for(
        lambda: tally.accuracy(FIRST, least_labels=_BASELINE_LABELS),
        f"no accuracy on {_BASELINE_LABELS:,} labels was published",
    )
    early = tally.find("drift.detected")
    if early is not None:
        raise NotObserved(f"there was a drift event before any change: {early['summary']}")
    letters = tally.dead_letters.total()
    outcome = (
        f"{tally.answered:,} pages are answered, {letters:,} of them with a dead letter. Accuracy is "
        f"{accuracy:.1%} on pages that the model was not trained on. No drift event."
    )
    return outcome, {"answered": tally.answered, "accuracy": accuracy, "dead_letters": letters}


def inputs_shift(run: DemoRun) -> tuple[str, Facts]:
    """Send mostly popular pages until the monitor names that feature."""
    tally, sent = run.tally, run.tally.sent
    run.screen.say(
        "From now on nine in ten pages come from popular sites. The worker is not told; no label is needed."
    )
    run.sender.world = World.POPULAR
    event = run.wait_for(
        lambda: tally.find("drift.detected", drift__feature=SHIFTED),
        f"no drift.detected event named the feature {SHIFTED}",
    )
    run.sender.world = World.USUAL
    pages, drift = tally.sent - sent, event["drift"]
    before, now = drift["reference"]["mean"], drift["current"]["mean"]
    outcome = (
        f"{drift['detector']} named {SHIFTED} after {pages:,} pages: its mean went from {before:.2f} to "
        f"{now:.2f}. The shift ends now."
    )
    return outcome, {
        "feature": drift["feature"],
        "detector": drift["detector"],
        "mean_before": before,
        "mean_now": now,
        "pages": pages,
    }


def concept_drifts(run: DemoRun) -> tuple[str, Facts]:
    """Change which pages are phishing, with the same features, until the monitor finds it by the labels."""
    tally, labelled = run.tally, run.tally.labelled
    early = tally.find("drift.detected", drift__signal="error")
    if early is not None:
        raise NotObserved(f"there was a drift event about errors before any change: {early['summary']}")
    before = tally.accuracy(FIRST, least_labels=0) or 0.0
    run.screen.say(
        "Phishers get certificates: pages with https are phishing now. The features look the same, so only "
        "the labels can show it, and they are late."
    )
    run.sender.world = World.CERTIFIED
    event = run.wait_for(
        lambda: tally.find("drift.detected", drift__signal="error", model_version=FIRST),
        "no drift.detected event reported more errors",
    )
    labels, detector = tally.labelled - labelled, event["drift"]["detector"]
    delay_s = tally.accuracies[FIRST][-1].delay_ms / 1000
    now = run.wait_for(
        lambda: tally.newest_accuracy(FIRST, below=before - _LEAST_FALL),
        f"accuracy was {before:.1%}, and no window was clearly below",
    )
    outcome = (
        f"{detector} found it after {labels:,} labels, which arrive {delay_s:.1f} s after their pages. "
        f"Accuracy fell from {before:.1%} to {now:.1%}."
    )
    return outcome, {
        "detector": detector,
        "accuracy_before": before,
        "accuracy_now": now,
        "labels": labels,
        "label_delay_s": delay_s,
    }


def challenger_takes_over(run: DemoRun) -> tuple[str, Facts]:
    """Promote a model that was trained on the new truth, while the traffic continues."""
    tally = run.tally
    run.screen.say(f"A challenger is trained on the new truth, packaged as {CHALLENGER} and promoted.")
    package = phishing.build_package(run.data, run.folder, world=World.CERTIFIED, version=CHALLENGER)
    run.store.promote(package, Request("demo", "accuracy fell"))
    event = run.wait_for(
        lambda: tally.find("model.activated", model_version=CHALLENGER), f"{CHALLENGER} was not activated"
    )
    accuracy = run.wait_for(
        lambda: tally.accuracy(CHALLENGER, least_labels=_NEW_LABELS),
        f"no accuracy of {CHALLENGER} on {_NEW_LABELS:,} labels was published",
    )
    fell_to = tally.newest_accuracy(FIRST, below=1.0) or 0.0
    if accuracy - fell_to < _LEAST_FALL:
        raise NotObserved(f"accuracy of {FIRST} was {fell_to:.1%}, that of {CHALLENGER} is {accuracy:.1%}.")
    partitions = check_switch(tally, event)
    outcome = (
        f"Accuracy is {accuracy:.1%} again. In each of {partitions} partitions, predictions change from "
        f"{FIRST} to {CHALLENGER} at the offset that the event names. The worker did not stop."
    )
    return outcome, {"accuracy_before": fell_to, "accuracy_now": accuracy, "partitions": partitions}


def tampered_is_refused(run: DemoRun) -> tuple[str, Facts]:
    """Put a package with one flipped byte into the store, past `promote`, which would refuse it."""
    tally = run.tally
    run.screen.say(
        f"One byte of the model in package {TAMPERED} is flipped. The package is put into the store, and "
        "CURRENT points to it."
    )
    _desire(run.store, _tampered_package(run))
    event = run.wait_for(
        lambda: tally.find("model.rejected", model_version=TAMPERED), f"{TAMPERED} was not refused"
    )
    goal = tally.answered + _PAGES_AFTER_REFUSAL
    run.wait_for(lambda: True if tally.answered >= goal else None, "no more pages were answered")
    if tally.versions[TAMPERED] or tally.serving != CHALLENGER:
        raise NotObserved(f"{TAMPERED} has made {tally.versions[TAMPERED]} predictions.")
    change = event["model"]
    outcome = (
        f"The worker refused it before it loaded anything ({change['reason_code']}). {CHALLENGER} has "
        f"answered {_PAGES_AFTER_REFUSAL:,} pages since."
    )
    return outcome, {
        "reason_code": change["reason_code"],
        "reason": change["reason"],
        "serving": tally.serving,
    }


CHAPTERS = (
    Chapter("usual_traffic", "Usual traffic", usual_traffic),
    Chapter("inputs_shift", "The inputs shift", inputs_shift),
    Chapter("concept_changes", "The concept drifts", concept_drifts),
    Chapter("challenger_takes_over", "A challenger takes over", challenger_takes_over),
    Chapter("tampered_is_rejected", "A tampered package is refused", tampered_is_refused),
)


def check_switch(tally: Tally, event: Event) -> int:
    """Return the number of partitions whose predictions change models exactly where `event` says.

    Raises `NotObserved` where one does not.
    """
    for announced in event["ranges"]:
        partition, first = announced["partition"], announced["first_offset"]
        last_of_old = tally.last.get((FIRST, partition), -1)
        first_of_new = tally.first.get((CHALLENGER, partition), first)
        if not last_of_old < first <= first_of_new:
            raise NotObserved(
                f"the event names offset {first} of partition {partition}, and {FIRST} answers up to "
                f"{last_of_old}, {CHALLENGER} from {first_of_new}."
            )
    return len(event["ranges"])


def _tampered_package(run: DemoRun) -> PackageRef:
    """Create a package, move it into the store, and flip one byte of its model there."""
    package = phishing.build_package(run.data, run.folder, world=World.CERTIFIED, version=TAMPERED)
    digest = verify(package).digest
    inside = package.rename(run.store.folder / package.name)
    model = inside / "model.joblib"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    return PackageRef("phishing", TAMPERED, digest, inside.name)


def _desire(store: ModelStore, package: PackageRef) -> None:
    current = store.current()
    if not isinstance(current, Deployment):
        raise NotObserved(f"the store cannot be read: {current.reason}.")
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
