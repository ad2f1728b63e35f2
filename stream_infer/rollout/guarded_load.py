"""The load of a package in the worker itself: under a mark, on a thread of its own, within a deadline.

A package that passes its rehearsal may still end the worker that loads it next, or hang there. A thread
cannot be ended: one that hangs is left behind, without its turn at `sys.modules`, and the worker goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from stream_infer.common.foreign_code import error_text
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.code import abandon_turn
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.golden_check import check_golden, with_golden
from stream_infer.rollout.load_marks import LoadMarks
from stream_infer.rollout.reconcile import Gates

_Answer = queue.SimpleQueue[Model | BaseException]
_Request = tuple[Verified, _Answer]

_POLL_S = 0.05
_MOST_UNFINISHED = {Gates.ALL: 1, Gates.WITHOUT_LATENCY: 3}
"""So many loads may end the worker before the package is refused: more of one that has served, or has to."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial of `package`; a refusal counts for `generation`.

    `cancelled`: the package is not wanted any more, or the worker stops. `stopping`: the worker stops.
    """

    package: PackageRef
    generation: int
    gates: Gates
    cancelled: Callable[[], bool]
    stopping: Callable[[], bool]


class GuardedLoad:
    """Loads verified packages, each within `within_s`; `marks` tell the next process what did not end."""

    def __init__(self, marks: LoadMarks | None = None, within_s: float = 60.0) -> None:
        self._marks = marks or LoadMarks()
        self._within_s = within_s
        self._requests: queue.SimpleQueue[_Request] | None = None
        self._thread: threading.Thread | None = None

    def check(self, trial: Trial) -> None:
        """Raise `Refused(RefusalCode.UNFINISHED_LOAD)` when earlier processes did not end the load."""
        unfinished = self._marks.unfinished(trial.generation, trial.package.digest)
        if unfinished >= _MOST_UNFINISHED[trial.gates]:
            times = "" if unfinished == 1 else f" {unfinished} times"
            reason = f"the worker ended{times} while it loaded the package, which had passed its rehearsal"
            raise Refused(RefusalCode.UNFINISHED_LOAD, reason)

    def __call__(self, verified: Verified, trial: Trial) -> Model | None:
        """Load, replay the golden rows, and return the model; None when the worker stops.

        Raises `Refused`: what `load_model` and `check_golden` raise, `LOAD` for whatever else the package
        raises, `UNFINISHED_LOAD` after `within_s`; the mark stays then. Raises `OSError` and `MemoryError`.
        """
        marked = trial.generation, trial.package.digest
        self._marks.begin(*marked)
        found = self._wait(self._request(verified), trial.stopping)
        self._marks.end(*marked)
        if isinstance(found, BaseException):
            raise found
        return found

    def _request(self, verified: Verified) -> _Answer:
        """Let the thread load `verified`: the thread of the load before, since each keeps memory."""
        if self._requests is None:
            self._requests = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=_serve, args=(self._requests,), name="model-load", daemon=True
            )
            self._thread.start()
        answer: _Answer = queue.SimpleQueue()
        self._requests.put((verified, answer))
        return answer

    def _wait(self, answer: _Answer, stopping: Callable[[], bool]) -> Model | BaseException | None:
        deadline = time.monotonic() + self._within_s
        while not stopping():
            try:
                return answer.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() > deadline:
                    self._leave_behind()
                    reason = f"its load in the worker took longer than {self._within_s:g} s"
                    raise Refused(RefusalCode.UNFINISHED_LOAD, reason) from None
        return None

    def _leave_behind(self) -> None:
        self._requests = None
        if self._thread is not None and self._thread.ident is not None:
            abandon_turn(self._thread.ident)


def _serve(requests: queue.SimpleQueue[_Request]) -> None:
    while True:
        verified, answer = requests.get()
        answer.put(_loaded(verified))
        del verified, answer  # the next request may be long in coming


def _loaded(verified: Verified) -> Model | BaseException:
    try:
        model = load_model(verified)
        check_golden(model, verified, "in the worker, unlike in its rehearsal, ")
        return with_golden(model, verified)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        return error
    except BaseException as error:  # noqa: BLE001 - code of the package may raise anything: SystemExit, for one
        return Refused(RefusalCode.LOAD, error_text(error))
