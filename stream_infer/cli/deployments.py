"""The work and the output of `stream-infer model`. Options are in `model`, waiting is in `convergence`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from stream_infer.cli.model import ModelOptions, RollbackOptions
from stream_infer.cli.output import say, say_json
from stream_infer.cli.printing import Row, table
from stream_infer.cli.requester import user_at_host
from stream_infer.common.clock import unix_ms
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings, load_settings
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Fatal, Misconfigured, Problem, StreamInferError
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.last_served import last_served_in_store
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.steps.monitoring.event_time import format_time
from stream_infer.store.model_store import ModelStore, Request
from stream_infer.store.pruning import Retention, prune

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """The store that keeps the desired deployment, and the settings where a worker.toml was read."""

    store: ModelStore
    settings: Settings | None


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """The settings of the workers to wait for, and the longest wait in seconds."""

    settings: Settings
    timeout_s: float


def find_target(options: ModelOptions) -> DeploymentTarget:
    """Return the store that the options name, else that of worker.toml. Raises `Misconfigured`."""
    if options.store is not None and options.pipeline is not None:
        return DeploymentTarget(ModelStore(options.store, options.pipeline), None)
    settings = load_settings(options.config, os.environ)
    folder = options.store or settings.model.store
    if folder is None:
        fix = "set `store = DIR` instead of `package` in [model], or give --store and --pipeline"
        raise Misconfigured([Problem("model.store", "", "there is no model store", fix)])
    pipeline = options.pipeline or settings.pipeline
    store = ModelStore(folder, pipeline)
    return DeploymentTarget(store, settings if pipeline == settings.pipeline else None)


def wait_options(options: ModelOptions, target: DeploymentTarget) -> WaitOptions | None:
    """Return how long to wait, None without --wait. Raises `Misconfigured` where no broker is known."""
    if not options.wait:
        return None
    if target.settings is None:
        fix = "name the worker.toml with -c, instead of --store and --pipeline"
        raise Misconfigured([Problem("--wait", "", "needs the broker that a worker.toml names", fix)])
    return WaitOptions(target.settings, options.timeout)


def make_request(options: RollbackOptions) -> Request:
    """Return requester and reason; the default requester is USER@HOST."""
    return Request(options.by or user_at_host(), options.reason)


def promote(target: DeploymentTarget, package: Path, request: Request) -> Deployment:
    """Make `package` the desired one: in the store, and on the control topic where workers follow that."""
    return _deploy(target, lambda served, after: target.store.promote(package, request, served, after=after))


def rollback(target: DeploymentTarget, request: Request) -> Deployment:
    """Make the previous package the desired one, and publish an event on the monitoring topic.

    An event that cannot be published is a warning: the broker may be the reason for the rollback.
    """
    done = _deploy(target, lambda served, after: target.store.rollback(request, served, after=after))
    if target.settings is not None:
        from stream_infer.app.deployments import announce_rollback  # noqa: PLC0415 - imports fastavro

        try:
            announce_rollback(target.settings, done, _package_before(target.store, done))
        except StreamInferError as failure:
            say(f"warning: rolled back, but the event was not published: {failure}", err=True)
    return done


def report_result(title: str, deployment: Deployment, waiting: WaitOptions | None, *, as_json: bool) -> int:
    """Print `deployment`, wait for the workers where `waiting` is given, and return the exit code."""
    if not as_json:
        table(f"{deployment.pipeline}: {title}", (), _facts(deployment))
    elif waiting is None:
        say_json(asdict(deployment))
    if waiting is None:
        return 0
    from stream_infer.cli import convergence  # noqa: PLC0415 - imports fastavro

    ended = convergence.wait(waiting.settings, deployment, timeout_s=waiting.timeout_s, as_json=as_json)
    if as_json:
        say_json(convergence.convergence_document(ended))
    return convergence.EXIT_CODES[convergence.wait_result(ended)]


def show_status(target: DeploymentTarget, *, last: int, as_json: bool) -> None:
    """Print the desired deployment or why it is unknown, the workers, and the `last` generations."""
    from stream_infer.cli import convergence  # noqa: PLC0415 - imports fastavro

    store, followed = target.store, _followed_topic(target)
    in_store = store.current()
    away = isinstance(in_store, StoreProblem) and in_store.code is RefusalCode.GONE
    history = [] if away else store.history()[:last]
    on_topic = None if followed is None else _on_topic(followed)
    fleet = convergence.ask_fleet(target.settings)
    if as_json:
        document = {
            "pipeline": store.pipeline,
            "desired": asdict(in_store) if isinstance(in_store, Deployment) else None,
            "problem": asdict(in_store) if isinstance(in_store, StoreProblem) else None,
            "control_topic": None if on_topic is None else asdict(on_topic),
            **fleet.document(),
            "history": [asdict(one) for one in history],
        }
        say_json(document)
        return
    _show_desired(store.pipeline, in_store)
    if on_topic is not None:
        _show_desired("control topic, followed by the workers", on_topic)
    fleet.show()
    if history:
        rows = [_history_row(one) for one in history]
        table("history", ("generation", "package", "at", "by", "reason"), rows)


def desired_deployment(target: DeploymentTarget) -> Deployment:
    """Return the deployment that workers follow. Raises `Fatal` where it is unknown."""
    followed = _followed_topic(target)
    found = target.store.current() if followed is None else _on_topic(followed)
    if isinstance(found, StoreProblem):
        raise Fatal(f"no desired package to wait for: {found.reason}")
    return found


def _deploy(target: DeploymentTarget, claim: Callable[[frozenset[str], int], Deployment]) -> Deployment:
    """Claim a generation, given the digests that have served and the generation that workers have reached.

    Publishes it where workers follow the topic.
    """
    served, settings = cache_in_store(target.store.folder).served, target.settings
    if settings is None:
        return claim(served, 0)
    from stream_infer.app import deployments  # noqa: PLC0415 - imports fastavro

    followed = _followed_topic(target)
    if followed is not None:
        deployments.require_publishable(followed)
        deployments.catch_up(followed, target.store)
    fleet, before = deployments.ask_workers(settings), target.store.current()
    claimed = claim(served | fleet.serving, fleet.newest)
    if followed is not None:
        deployments.publish(followed, claimed)
    if fleet.problem is not None:
        say(f"warning: the generation of the workers is unknown: {fleet.problem}", err=True)
        return claimed
    if fleet.newest > (known := before.generation if isinstance(before, Deployment) else 0):
        say(_ahead_text(claimed.generation, fleet.newest, known), err=True)
    _prune(target.store, settings, fleet.serving)
    return claimed


def _prune(store: ModelStore, settings: Settings, serving: frozenset[str]) -> None:
    """Remove old deployments. The promotion counts without it, so a failure is a warning."""
    model, last = settings.model, last_served_in_store(store.folder, store.pipeline).find()
    in_use = serving | ({last.package.digest} if last else set())
    retention = Retention(model.history_generations, int(model.history_days * _DAY_MS))
    try:
        pruned = prune(store, retention, in_use, now_ms=unix_ms())
    except (OSError, Misconfigured) as failure:
        say(f"warning: old deployments were not removed: {failure}", err=True)
        return
    if pruned.generations:
        counts = f"deployments: {len(pruned.generations)}, packages: {len(pruned.packages)}"
        say(f"note: removed from the store ({counts}): nothing needs them any more", err=True)


def _ahead_text(generation: int, newest: int, known: int) -> str:
    seen = f"the workers have seen generation {newest}, the store {known}"
    if generation > newest:
        return f"note: {seen}: this deployment is generation {generation}, so that they follow it"
    return f"warning: {seen}: no promotion comes after that. Restart the workers to make them follow this one"


def _followed_topic(target: DeploymentTarget) -> Settings | None:
    """Return the settings where workers follow the control topic; None where they follow the store."""
    settings = target.settings
    return settings if settings is not None and settings.model.follow is Follow.TOPIC else None


def _on_topic(settings: Settings) -> Deployment | StoreProblem:
    from stream_infer.app.deployments import desired_on_topic  # noqa: PLC0415 - imports fastavro

    try:
        found = desired_on_topic(settings)
    except Fatal as failure:
        return StoreProblem(RefusalCode.GONE, str(failure))
    return found or StoreProblem(RefusalCode.EMPTY, "no deployment was published there yet")


def _show_desired(where: str, found: Deployment | StoreProblem) -> None:
    if isinstance(found, StoreProblem):
        table(f"{where}: desired package unknown", (), [(found.code, found.reason)])
    else:
        table(f"{where}: desired", (), _facts(found))


def _package_before(store: ModelStore, deployment: Deployment) -> PackageRef | None:
    """Return the package that was desired before `deployment`."""
    return next((one.package for one in store.history() if one.generation < deployment.generation), None)


def _facts(deployment: Deployment) -> list[Row]:
    previous = deployment.previous
    return [
        ("package", _title(deployment.package)),
        ("digest", deployment.package.digest),
        ("store entry", deployment.package.uri),
        ("generation", str(deployment.generation)),
        ("at", format_time(deployment.requested_at)),
        ("by", deployment.requested_by),
        ("reason", deployment.reason or ""),
        ("fallback", _title(previous) if previous is not None else "none"),
    ]


def _history_row(one: Deployment) -> Row:
    at = format_time(one.requested_at)
    return str(one.generation), _title(one.package), at, one.requested_by, one.reason or ""


def _title(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
