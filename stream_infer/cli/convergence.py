"""The workers of a pipeline on the command line: a table of them, and waiting until they have come along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import typer

from stream_infer.app.event_text import format_time, printable
from stream_infer.app.fleet import Convergence, RolloutState, WorkerStatus, converging, read_fleet
from stream_infer.cli.printing import Row, table
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import StreamInferError
from stream_infer.rollout.deployment import Deployment

_HEADER = ("worker", "state", "serves", "generation", "since", "partitions", "refused, or waits for")


class WaitResult(StrEnum):
    """What came of waiting."""

    SERVING = "serving"
    REJECTED = "rejected"
    OVERTAKEN = "overtaken"
    TIMEOUT = "timeout"


EXIT_CODES: Mapping[WaitResult, int] = {
    WaitResult.SERVING: 0,
    WaitResult.REJECTED: 3,
    WaitResult.OVERTAKEN: 1,
    WaitResult.TIMEOUT: 1,
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers, or why they are not known; neither without a worker.toml."""

    workers: tuple[WorkerStatus, ...] | None = None
    problem: str | None = None

    def document(self) -> dict[str, object]:
        """Return both as JSON takes them."""
        workers = None if self.workers is None else [asdict(worker) for worker in self.workers]
        return {"workers": workers, "workers_problem": self.problem}

    def show(self) -> None:
        """Print the workers, or why not."""
        if self.problem is not None:
            typer.echo(f"workers: not known: {printable(self.problem)}\n")
        elif self.workers:
            table("workers", _HEADER, [_row(worker) for worker in self.workers])
        elif self.workers is not None:
            typer.echo("workers: none has said anything\n")


def ask_fleet(settings: Settings | None) -> Fleet:
    """Return the workers as the status topic has them."""
    if settings is None:
        return Fleet()
    try:
        return Fleet(tuple(read_fleet(settings)))
    except StreamInferError as failure:
        return Fleet(problem=str(failure))


def wait(settings: Settings, wish: Deployment, *, timeout_s: float, as_json: bool) -> Convergence:
    """Wait until every worker serves `wish` or has refused it, saying each that has; or for `timeout_s`."""
    last = Convergence(wish, ())
    for now in converging(settings, wish, timeout_s=timeout_s):
        if not as_json:
            for line in progress_lines(last, now):
                typer.echo(line)
        last = now
    if not as_json:
        typer.echo(convergence_text(last, timeout_s))
    return last


def wait_result(ended: Convergence) -> WaitResult:
    """Return what came of waiting, once it has ended."""
    if ended.of(RolloutState.OVERTAKEN):
        return WaitResult.OVERTAKEN
    if not ended.over:
        return WaitResult.TIMEOUT
    return WaitResult.REJECTED if ended.of(RolloutState.REJECTED) else WaitResult.SERVING


def convergence_document(ended: Convergence) -> dict[str, object]:
    """Return the deployment, what came of it, and each worker, as JSON takes them."""
    workers = [{**asdict(worker), "stand": str(stand)} for worker, stand in ended.workers]
    return {**asdict(ended.wish), "outcome": str(wait_result(ended)), "workers": workers}


def progress_lines(before: Convergence, now: Convergence) -> Iterable[str]:
    """Yield a line for each worker that has come to an end with the deployment since `before`."""
    known = {worker.instance: stand for worker, stand in before.workers}
    for worker, stand in now.workers:
        if stand is not RolloutState.AWAITED and known.get(worker.instance) is not stand:
            yield printable(f"{worker.instance} {_says(worker, stand, now.wish)}")


def convergence_text(ended: Convergence, timeout_s: float) -> str:
    """Return the last line: how it ended, and who is missing."""
    wish = ended.wish
    named = f"{wish.package.name} {wish.package.version}, generation {wish.generation}"
    counts = f"{len(ended.of(RolloutState.SERVES))} of {len(ended.workers)} workers serve {named}"
    match wait_result(ended):
        case WaitResult.SERVING:
            return counts
        case WaitResult.REJECTED:
            return f"{counts}; {len(ended.of(RolloutState.REJECTED))} refused it"
        case WaitResult.OVERTAKEN:
            return f"{counts}; meanwhile something else was promoted"
    if not ended.workers:
        return f"no worker has said anything within {timeout_s:g} s"
    missing = "; ".join(
        _missing(worker) for worker in ended.of(RolloutState.AWAITED) or ended.of(RolloutState.AWAY)
    )
    return printable(f"{counts}; not within {timeout_s:g} s: {missing}")


def _says(worker: WorkerStatus, stand: RolloutState, wish: Deployment) -> str:
    seen_at = format_time(worker.updated_at)
    if stand is RolloutState.REJECTED and worker.rejected is not None:
        on = f"; {worker.model_version} serves on" if worker.model_version else ""
        return f"refused it ({worker.rejected.reason_code}): {worker.rejected.reason}{on}"
    said = {
        RolloutState.SERVES: f"serves {wish.package.name} {wish.package.version}",
        RolloutState.OVERTAKEN: "follows a newer generation",
        RolloutState.AWAY: f"is not in the group, last heard of at {seen_at}: not waited for",
    }
    return said[stand]


def _missing(worker: WorkerStatus) -> str:
    serves = f"serves {worker.model_version}" if worker.model_version else "serves nothing"
    why = f" ({worker.reason})" if worker.reason else ""
    seen_at = format_time(worker.updated_at)
    return f"{worker.instance} is {worker.state}{why}, {serves}, last heard of at {seen_at}"


def _row(worker: WorkerStatus) -> Row:
    rejected = worker.rejected
    trouble = (
        [f"generation {rejected.generation} ({rejected.reason_code}): {rejected.reason}"] if rejected else []
    )
    trouble += [worker.reason] if worker.reason else []
    return (
        worker.instance,
        "not in the group" if worker.member is False else worker.state,
        worker.model_version or "nothing",
        "" if worker.generation is None else str(worker.generation),
        "" if worker.serves_since is None else format_time(worker.serves_since),
        ", ".join(map(str, worker.partitions)),
        "; ".join(trouble),
    )
