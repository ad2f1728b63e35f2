"""The workers of a pipeline on the command line: a table, and waiting for them to serve a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from stream_infer.app.fleet import Convergence, RolloutState, WorkerStatus, converging, read_fleet
from stream_infer.cli.output import say
from stream_infer.cli.printing import Row, table
from stream_infer.common.printable import printable
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import StreamInferError
from stream_infer.rollout.deployment import Deployment
from stream_infer.steps.monitoring.event_time import format_time

_HEADER = ("worker", "state", "serves", "generation", "since", "partitions", "problem")


class WaitResult(StrEnum):
    """How a wait ended."""

    SERVING = "serving"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    TIMEOUT = "timeout"


EXIT_CODES: Mapping[WaitResult, int] = {
    WaitResult.SERVING: 0,
    WaitResult.REJECTED: 3,
    WaitResult.SUPERSEDED: 1,
    WaitResult.TIMEOUT: 1,
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers, or the reason why they are unknown; neither without a worker.toml."""

    workers: tuple[WorkerStatus, ...] | None = None
    problem: str | None = None

    def document(self) -> dict[str, object]:
        """Return both as JSON values."""
        workers = None if self.workers is None else [asdict(worker) for worker in self.workers]
        return {"workers": workers, "workers_problem": self.problem}

    def show(self) -> None:
        """Print the workers, or why they are unknown."""
        if self.problem is not None:
            say(f"workers: unknown: {self.problem}", "")
        elif self.workers:
            table("workers", _HEADER, [_row(worker) for worker in self.workers])
        elif self.workers is not None:
            say("workers: none has posted a status", "")


def ask_fleet(settings: Settings | None) -> Fleet:
    """Return the workers by the status topic."""
    if settings is None:
        return Fleet()
    try:
        return Fleet(tuple(read_fleet(settings)))
    except StreamInferError as failure:
        return Fleet(problem=str(failure))


def wait(settings: Settings, deployment: Deployment, *, timeout_s: float, as_json: bool) -> Convergence:
    """Wait until every worker serves or has refused `deployment`, at most `timeout_s`; print each change."""
    last = Convergence(deployment, ())
    for now in converging(settings, deployment, timeout_s=timeout_s):
        if not as_json:
            for line in progress_lines(last, now):
                say(line)
        last = now
    if not as_json:
        say(convergence_text(last, timeout_s))
    return last


def wait_result(ended: Convergence) -> WaitResult:
    """Return how a wait ended, by its last state."""
    if ended.of(RolloutState.SUPERSEDED):
        return WaitResult.SUPERSEDED
    if not ended.complete:
        return WaitResult.TIMEOUT
    return WaitResult.REJECTED if ended.of(RolloutState.REJECTED) else WaitResult.SERVING


def convergence_document(ended: Convergence) -> dict[str, object]:
    """Return the deployment, the result of the wait and each worker as JSON values."""
    workers = [{**asdict(worker), "stand": str(state)} for worker, state in ended.workers]
    return {**asdict(ended.deployment), "outcome": str(wait_result(ended)), "workers": workers}


def progress_lines(before: Convergence, now: Convergence) -> Iterable[str]:
    """Yield a line for each worker that has reached a final state since `before`."""
    known = {worker.instance: state for worker, state in before.workers}
    for worker, state in now.workers:
        if state is not RolloutState.AWAITED and known.get(worker.instance) is not state:
            yield printable(f"{worker.instance} {_state_text(worker, state, now.deployment)}")


def convergence_text(ended: Convergence, timeout_s: float) -> str:
    """Return the last line: the result, with the workers that are missing."""
    deployment = ended.deployment
    named = f"{deployment.package.name} {deployment.package.version}, generation {deployment.generation}"
    counts = f"{len(ended.of(RolloutState.SERVES))} of {len(ended.workers)} workers serve {named}"
    match wait_result(ended):
        case WaitResult.SERVING:
            return counts
        case WaitResult.REJECTED:
            return f"{counts}; {len(ended.of(RolloutState.REJECTED))} refused it"
        case WaitResult.SUPERSEDED:
            return f"{counts}; superseded by a newer deployment"
    if not ended.workers:
        return f"no worker has posted a status within {timeout_s:g} s"
    missing = "; ".join(
        _missing_text(worker) for worker in ended.of(RolloutState.AWAITED) or ended.of(RolloutState.AWAY)
    )
    return printable(f"{counts}; not within {timeout_s:g} s: {missing}")


def _state_text(worker: WorkerStatus, state: RolloutState, deployment: Deployment) -> str:
    if state is RolloutState.REJECTED and worker.rejected is not None:
        serving = f"; {worker.model_version} keeps serving" if worker.model_version else ""
        return f"refused it ({worker.rejected.reason_code}): {worker.rejected.reason}{serving}"
    updated_at = format_time(worker.updated_at)
    texts = {
        RolloutState.SERVES: f"serves {deployment.package.name} {deployment.package.version}",
        RolloutState.SUPERSEDED: "follows a newer generation",
        RolloutState.AWAY: f"is not in the group, last status at {updated_at}: not waited for",
    }
    return texts[state]


def _missing_text(worker: WorkerStatus) -> str:
    serves = f"serves {worker.model_version}" if worker.model_version else "serves no model"
    reason = f" ({worker.reason})" if worker.reason else ""
    updated_at = format_time(worker.updated_at)
    return f"{worker.instance} is {worker.state}{reason}, {serves}, last status at {updated_at}"


def _row(worker: WorkerStatus) -> Row:
    rejected = worker.rejected
    problems = [worker.reason] if worker.reason else []
    if rejected is not None:
        problems.insert(
            0, f"refused generation {rejected.generation} ({rejected.reason_code}): {rejected.reason}"
        )
    return (
        worker.instance,
        "not in the group" if worker.member is False else worker.state,
        worker.model_version or "none",
        "" if worker.generation is None else str(worker.generation),
        "" if worker.serves_since is None else format_time(worker.serves_since),
        ", ".join(map(str, worker.partitions)),
        "; ".join(problems),
    )
