"""The check of the desired package, in a store or on the control topic.

A problem with it does not keep a worker from starting: the previous package serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from stream_infer.app.checks.findings import Findings
from stream_infer.app.deployments import desired_on_topic
from stream_infer.app.label_format import class_problem, label_format
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Fatal, Misconfigured, Problem, Refused
from stream_infer.models.manifest import Manifest
from stream_infer.models.package import verify
from stream_infer.rollout.compatibility import assess_here, check_code
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.steps.scoring.plan import Events
from stream_infer.store.model_store import ModelStore


def store_findings(settings: Settings) -> Findings:
    """Return the desired deployment of the store. An empty store keeps a worker from starting."""
    model = settings.model
    if model.store is None or model.follow is not Follow.STORE:
        return Findings()
    desired = ModelStore(model.store, settings.pipeline).current()
    if isinstance(desired, Deployment):
        return Findings(passed=[_desired(desired)])
    if desired.code == "empty":
        fix = "promote a package with `stream-infer model promote`"
        empty = Findings()
        empty.add([Problem("model.store", f'"{model.store}"', desired.reason, fix)])
        return empty
    waits = "a worker waits for it, or serves the previous package"
    return Findings(skipped=[f"desired: {desired.reason}; {waits}"])


def desired_findings(settings: Settings, events: Events | None, *, broker_answers: bool) -> Findings:
    """Return why the desired package would be refused, as far as that shows without loading it.

    With a control topic, also its desired deployment, where the broker answers.
    """
    model = settings.model
    if model.store is None:
        return Findings()
    store = ModelStore(model.store, settings.pipeline)
    if model.follow is Follow.STORE:
        desired = store.current()
        return _assessed(store, desired, settings, events) if isinstance(desired, Deployment) else Findings()
    return _on_topic(store, settings, events) if broker_answers else Findings()


def _on_topic(store: ModelStore, settings: Settings, events: Events | None) -> Findings:
    try:
        desired = desired_on_topic(settings)
    except Fatal as failure:
        return Findings(skipped=[f"desired: {failure}"])
    if desired is None:
        return Findings(skipped=["desired: nothing on the control topic yet; a worker waits for it"])
    findings = _assessed(store, desired, settings, events)
    findings.passed.append(_desired(desired))
    return findings


def _assessed(store: ModelStore, desired: Deployment, settings: Settings, events: Events | None) -> Findings:
    try:
        path = store.locate(desired.package)
        if isinstance(path, StoreProblem):
            return Findings(skipped=[f"desired: {path.reason}"])
        manifest = verify(path, desired.package.digest).manifest
        check_code(manifest, settings.model.pickles)
        if events is None:
            return Findings()
        warned = [one.reason for one in assess_here(manifest, events, settings.model.on_difference).admit()]
        warned += _unfit_labels(settings, manifest)
        return Findings(warned=[f"desired: {reason}" for reason in warned])
    except Refused as refused:
        instead = f"{_named(desired.previous)} serves" if desired.previous else "nothing serves"
        return Findings(
            warned=[f"desired: refused ({refused.code}): {refused.reason}; {instead} in its place"]
        )


def _unfit_labels(settings: Settings, manifest: Manifest) -> Iterator[str]:
    """Yield why no label can be an answer of the desired model; problems of the format are told elsewhere."""
    if settings.labels.topic is None:
        return
    with suppress(Misconfigured):
        unfit = class_problem(label_format(settings.labels), manifest.output)
        if unfit is not None:
            yield f"{unfit.key} {unfit.value} {unfit.message}"


def _desired(deployment: Deployment) -> str:
    return f"desired: {_named(deployment.package)}, generation {deployment.generation}"


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
