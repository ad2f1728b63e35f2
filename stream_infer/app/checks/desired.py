"""What a check says about the package that is desired, in a store or on the control topic.

Whatever is wrong with it is no reason to stop: a worker serves the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stream_infer.app.deployments import desired_on_topic
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Fatal, Problem, Refused
from stream_infer.models.package import verify
from stream_infer.rollout.compatibility import assess_here
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.steps.scoring.plan import Events
from stream_infer.store.model_store import ModelStore


@dataclass(frozen=True, slots=True)
class Findings:
    """What is right, what should be known, what could not be looked at, what keeps a worker from starting."""

    passed: Sequence[str] = ()
    warned: Sequence[str] = ()
    skipped: Sequence[str] = ()
    problems: Sequence[Problem] = ()


def store_findings(settings: Settings) -> Findings:
    """Say what the store desires. That nobody ever desired anything there keeps a worker from starting."""
    model = settings.model
    if model.store is None or model.follow is not Follow.STORE:
        return Findings()
    desired = ModelStore(model.store, settings.pipeline).current()
    if isinstance(desired, Deployment):
        return Findings(passed=[_desired(desired)])
    if desired.code == "empty":
        fix = "promote a package with `stream-infer model promote`"
        return Findings(problems=[Problem("model.store", f'"{model.store}"', desired.reason, fix)])
    return Findings(skipped=[f"desired: {desired.reason}; a worker waits for it, or serves what was before"])


def desired_findings(settings: Settings, events: Events | None, *, answers: bool) -> Findings:
    """Warn of what will become of the desired package, as far as that can be told without loading it.

    A control topic is read where the broker `answers`, and what it desires is said, too.
    """
    model = settings.model
    if model.store is None:
        return Findings()
    store = ModelStore(model.store, settings.pipeline)
    if model.follow is Follow.STORE:
        desired = store.current()
        return _judged(store, desired, settings, events) if isinstance(desired, Deployment) else Findings()
    return _on_topic(store, settings, events) if answers else Findings()


def _on_topic(store: ModelStore, settings: Settings, events: Events | None) -> Findings:
    try:
        desired = desired_on_topic(settings)
    except Fatal as failure:
        return Findings(skipped=[f"desired: {failure}"])
    if desired is None:
        return Findings(skipped=["desired: nothing on the control topic yet; a worker waits for it"])
    return replace(_judged(store, desired, settings, events), passed=[_desired(desired)])


def _judged(store: ModelStore, desired: Deployment, settings: Settings, events: Events | None) -> Findings:
    try:
        path = store.locate(desired.package)
        if isinstance(path, StoreProblem):
            return Findings(skipped=[f"desired: {path.reason}"])
        manifest = verify(path, desired.package.digest).manifest
        if events is None:
            return Findings()
        warned = assess_here(manifest, events, settings.model.on_difference).admit()
        return Findings(warned=[f"desired: {one.reason}" for one in warned])
    except Refused as refused:
        before = f"{_named(desired.previous)} serves" if desired.previous else "nothing serves"
        told = f"it is refused ({refused.code}): {refused.reason}"
        return Findings(warned=[f"desired: {told}; {before} in its place"])


def _desired(wish: Deployment) -> str:
    return f"desired: {_named(wish.package)}, generation {wish.generation}"


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
