"""From a package reference to a model that may serve: fetch, verify, admit, rehearse, load, replay.

One package, once, on the calling thread. `reconcile` decides which one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stream_infer.common.foreign_code import error_text
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.load import Model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.guarded_load import GuardedLoad, Trial
from stream_infer.rollout.reconcile import Gates


class DesiredSource(Protocol):
    """A source of the desired deployment and of packages. One thread asks at a time."""

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        """Return the desired deployment or a problem, when it differs from the last answer, else None.

        Blocks for up to `timeout_s` while there is nothing new. Raises nothing.
        """

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        """Return the path of `package`, unverified. Raises `Refused` when there is no such package."""


class Rehearse(Protocol):
    """Tries a package where it can do no harm: `rehearsal.Rehearsal`."""

    def __call__(
        self, path: Path, digest: str, /, *, gates: Gates, cancelled: Callable[[], bool]
    ) -> object | None:
        """Return a value when the package may serve, None when the rehearsal was `cancelled`.

        Blocks, and calls `cancelled` several times a second. Raises `Refused`, and `OSError` when the package
        cannot be tried now.
        """


def admit_all(_verified: Verified) -> None:
    """Admit every package."""


@dataclass(frozen=True, slots=True)
class CandidateLoader:
    """Loads a candidate. `admit` sees a verified package before any of its code runs.

    It raises `Refused` where the pipeline cannot feed the package.
    """

    desired: DesiredSource
    rehearse: Rehearse
    admit: Callable[[Verified], object] = admit_all
    load: GuardedLoad = field(default_factory=GuardedLoad)

    def __call__(self, trial: Trial) -> Model | StoreProblem | None:
        """Return the loaded model, a temporary problem, or None when it was `cancelled`.

        1. fetch, and verify every file's SHA-256 and the package's own digest; 2. admit; 3. rehearse in
        another process, which reads and verifies for itself; 4. load, here, from the bytes of step 1: a file
        that changes meanwhile changes nothing; 5. replay the golden rows, here: a model may answer otherwise
        than in its rehearsal, because of an environment variable or a file, for one. A package whose load
        has ended earlier processes is refused before the first step.

        Raises `Refused`, with the code `INTERNAL` for an unexpected error.
        """
        package = trial.package
        try:
            self.load.check(trial)
            path = self.desired.fetch(package)
            if isinstance(path, StoreProblem):
                return path
            verified = self._verified(path, package)
            if isinstance(verified, StoreProblem):
                return verified
            self.admit(verified)
            rehearsed = self.rehearse(path, package.digest, gates=trial.gates, cancelled=trial.cancelled)
            return None if rehearsed is None else self.load(verified, trial)
        except Refused:
            raise
        except (OSError, MemoryError) as error:
            return StoreProblem(RefusalCode.BUSY, f"cannot be tried now: {error_text(error)}")
        except Exception as error:
            raise Refused(RefusalCode.INTERNAL, error_text(error)) from error

    def _verified(self, path: Path, package: PackageRef) -> Verified | StoreProblem:
        try:
            return verify(path, package.digest)
        except Refused:
            # A store that disappears while it is read looks like a broken package: ask whether it is there.
            again = self.desired.fetch(package)
            if isinstance(again, StoreProblem):
                return again
            raise
