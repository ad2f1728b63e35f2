"""What `stream-infer model` does and prints, given its options. Which options there are is in `model`.

How workers are waited for and shown is in `convergence`.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from stream_infer.app.event_text import format_time
from stream_infer.cli.printing import Row, table
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings, load_settings
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Fatal, Misconfigured, Problem, StreamInferError
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.store.model_store import ModelStore, Request


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """Where what is desired is kept: the store, and the settings, where a worker.toml was read."""

    store: ModelStore
    settings: Settings | None


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How long to wait for the workers, and where they are asked about."""

    settings: Settings
    timeout_s: float


def find_package(config: Path, folder: Path | None, pipeline: str | None) -> DeploymentTarget:
    """Return the store that the options name, or else the one in the worker.toml at `config`."""
    if folder is not None and pipeline is not None:
        return DeploymentTarget(ModelStore(folder, pipeline), None)
    settings = load_settings(config, os.environ)
    found = folder or settings.model.store
    if found is None:
        fix = "write `store = DIR` in place of `package`, or give --store and --pipeline"
        raise Misconfigured([Problem("model.store", "", "there is no model store", fix)])
    named = pipeline or settings.pipeline
    return DeploymentTarget(ModelStore(found, named), settings if named == settings.pipeline else None)


def wait_options(place: DeploymentTarget, wait: bool, timeout_s: float) -> WaitOptions | None:  # noqa: FBT001 - the option itself
    """Return how long to wait; None when nobody asked to. Raises `Misconfigured` without a broker."""
    if not wait:
        return None
    if place.settings is None:
        fix = "name the worker.toml with -c, in place of --store and --pipeline"
        raise Misconfigured([Problem("--wait", "", "without a worker.toml there is no broker to ask", fix)])
    return WaitOptions(place.settings, timeout_s)


def make_request(by: str | None, reason: str | None) -> Request:
    """Return who asks and why; without a name, the user and the machine."""
    return Request(by or _myself(), reason)


def promote(place: DeploymentTarget, package: Path, wanted: Request) -> Deployment:
    """Make `package` desired: in the store, then on the control topic where that is followed."""
    return _carry_out(place, lambda served: place.store.promote(package, wanted, served))


def rollback(place: DeploymentTarget, wanted: Request) -> Deployment:
    """Make the package before the desired one desired, and say so on the monitoring topic.

    A rollback that nobody could be told of is one all the same: the broker may be why it is needed.
    """
    done = _carry_out(place, lambda served: place.store.rollback(wanted, served))
    if place.settings is not None:
        from stream_infer.app.deployments import announce_rollback  # noqa: PLC0415 - imports fastavro

        try:
            announce_rollback(place.settings, done, _before(place.store, done))
        except StreamInferError as failure:
            typer.echo(f"warning: rolled back, but no event says so: {failure}", err=True)
    return done


def report_result(title: str, wish: Deployment, waiting: WaitOptions | None, *, as_json: bool) -> int:
    """Print what is desired, wait for the workers where that was asked for, and return the exit code."""
    if not as_json:
        table(f"{wish.pipeline}: {title}", (), _facts(wish))
    elif waiting is None:
        typer.echo(json.dumps(asdict(wish)))
    if waiting is None:
        return 0
    from stream_infer.cli import convergence  # noqa: PLC0415 - imports fastavro

    ended = convergence.wait(waiting.settings, wish, timeout_s=waiting.timeout_s, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(convergence.convergence_document(ended)))
    return convergence.EXIT_CODES[convergence.wait_result(ended)]


def show_status(place: DeploymentTarget, *, last: int, as_json: bool) -> None:
    """Print what is desired, or why that is not known, the workers, and the `last` generations."""
    from stream_infer.cli import convergence  # noqa: PLC0415 - imports fastavro

    found, history, topic = place.store.current(), place.store.history()[:last], _followed(place)
    said = None if topic is None else _on_topic(topic)
    fleet = convergence.ask_fleet(place.settings)
    if as_json:
        document = {
            "pipeline": place.store.pipeline,
            "desired": asdict(found) if isinstance(found, Deployment) else None,
            "problem": asdict(found) if isinstance(found, StoreProblem) else None,
            "control_topic": None if said is None else asdict(said),
            **fleet.document(),
            "history": [asdict(one) for one in history],
        }
        typer.echo(json.dumps(document))
        return
    _show_desired(f"{place.store.pipeline}: ", found)
    if said is not None:
        _show_desired("on the control topic, which workers follow: ", said)
    fleet.show()
    if history:
        table("history", ("generation", "package", "at", "by", "reason"), [_past(one) for one in history])


def desired_document(place: DeploymentTarget) -> Deployment:
    """Return what workers are to come to. Raises `Fatal` where that is not known."""
    topic = _followed(place)
    found = place.store.current() if topic is None else _on_topic(topic)
    if isinstance(found, StoreProblem):
        raise Fatal(f"there is nothing to wait for: {found.reason}")
    return found


def _carry_out(place: DeploymentTarget, claim: Callable[[frozenset[str]], Deployment]) -> Deployment:
    """Claim a generation, given the digests that are known to have served; publish it where that counts."""
    topic, served = _followed(place), cache_in_store(place.store.folder).served
    if topic is None:
        return claim(served)
    from stream_infer.app.deployments import catch_up, publish, serving_now  # noqa: PLC0415 - imports fastavro

    catch_up(topic, place.store)
    claimed = claim(served | serving_now(topic))
    publish(topic, claimed)
    return claimed


def _followed(place: DeploymentTarget) -> Settings | None:
    """Return the settings where workers follow the control topic; None where they follow the store."""
    settings = place.settings
    return settings if settings is not None and settings.model.follow is Follow.TOPIC else None


def _on_topic(settings: Settings) -> Deployment | StoreProblem:
    from stream_infer.app.deployments import desired_on_topic  # noqa: PLC0415 - imports fastavro

    try:
        found = desired_on_topic(settings)
    except Fatal as failure:
        return StoreProblem(RefusalCode.GONE, str(failure))
    return found or StoreProblem(RefusalCode.EMPTY, "nothing was promoted there yet")


def _show_desired(where: str, found: Deployment | StoreProblem) -> None:
    if isinstance(found, StoreProblem):
        table(f"{where}what is desired is not known", (), [(found.code, found.reason)])
    else:
        table(f"{where}desired", (), _facts(found))


def _before(store: ModelStore, wish: Deployment) -> PackageRef | None:
    """Return what was desired before `wish`."""
    return next((one.package for one in store.history() if one.generation < wish.generation), None)


def _myself() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"


def _facts(deployment: Deployment) -> list[Row]:
    previous = deployment.previous
    return [
        ("package", _named(deployment.package)),
        ("digest", deployment.package.digest),
        ("in the store as", deployment.package.uri),
        ("generation", str(deployment.generation)),
        ("at", format_time(deployment.requested_at)),
        ("by", deployment.requested_by),
        ("reason", deployment.reason or ""),
        ("where it cannot serve", _named(previous) if previous is not None else "nothing"),
    ]


def _past(one: Deployment) -> Row:
    at = format_time(one.requested_at)
    return str(one.generation), _named(one.package), at, one.requested_by, one.reason or ""


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
