"""What a check says about the package that is desired, in a store or on the control topic.

Whatever is wrong with it is no reason to stop: a worker serves the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stream_infer.app.admission import judged
from stream_infer.app.deployments import desired_on_topic
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.files.store import ModelStore
from stream_infer.flow.errors import Fatal, Problem, Refused
from stream_infer.models.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.models.package import verify
from stream_infer.steps.plan import Events


@dataclass(frozen=True, slots=True)
class Said:
    """What is right, what should be known, what could not be looked at, what keeps a worker from starting."""

    passed: Sequence[str] = ()
    warned: Sequence[str] = ()
    skipped: Sequence[str] = ()
    problems: Sequence[Problem] = ()


def shown(settings: Settings) -> Said:
    """Say what the store desires. That nobody ever desired anything there keeps a worker from starting."""
    model = settings.model
    if model.store is None or model.follow is not Follow.STORE:
        return Said()
    desired = ModelStore(model.store, settings.pipeline).current()
    if isinstance(desired, Deployment):
        return Said(passed=[_desired(desired)])
    if desired.code == "empty":
        fix = "promote a package with `stream-infer model promote`"
        return Said(problems=[Problem("model.store", f'"{model.store}"', desired.reason, fix)])
    return Said(skipped=[f"desired: {desired.reason}; a worker waits for it, or serves what was before"])


def audition(settings: Settings, events: Events | None, *, answers: bool) -> Said:
    """Warn of what will become of the desired package, as far as that can be told without loading it.

    A control topic is read where the broker `answers`, and what it desires is said, too.
    """
    model = settings.model
    if model.store is None:
        return Said()
    store = ModelStore(model.store, settings.pipeline)
    if model.follow is Follow.STORE:
        desired = store.current()
        return _judged(store, desired, settings, events) if isinstance(desired, Deployment) else Said()
    return _on_topic(store, settings, events) if answers else Said()


def _on_topic(store: ModelStore, settings: Settings, events: Events | None) -> Said:
    try:
        desired = desired_on_topic(settings)
    except Fatal as failure:
        return Said(skipped=[f"desired: {failure}"])
    if desired is None:
        return Said(skipped=["desired: nothing on the control topic yet; a worker waits for it"])
    return replace(_judged(store, desired, settings, events), passed=[_desired(desired)])


def _judged(store: ModelStore, desired: Deployment, settings: Settings, events: Events | None) -> Said:
    try:
        path = store.locate(desired.package)
        if isinstance(path, StoreProblem):
            return Said(skipped=[f"desired: {path.reason}"])
        manifest = verify(path, desired.package.digest).manifest
        if events is None:
            return Said()
        warned = judged(manifest, events, settings.model.on_difference).admit()
        return Said(warned=[f"desired: {one.reason}" for one in warned])
    except Refused as refused:
        before = f"{_named(desired.previous)} serves" if desired.previous else "nothing serves"
        told = f"it is refused ({refused.code}): {refused.reason}"
        return Said(warned=[f"desired: {told}; {before} in its place"])


def _desired(wish: Deployment) -> str:
    return f"desired: {_named(wish.package)}, generation {wish.generation}"


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
