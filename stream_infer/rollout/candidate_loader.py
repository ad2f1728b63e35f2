"""From a package that is wanted to a model that may serve: fetch, verify, admit, rehearse, load.

One package, once, on the calling thread. Which one and why is in `deployer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.reconcile import Gates


class DesiredSource(Protocol):
    """Where the desired state is kept. One thread asks at a time. Raises nothing but what is said here."""

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        """Return what is known now, when it is other than what was returned last, or None.

        May block for `timeout_s`, and only while there is nothing new.
        """

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        """Return where the bytes of `package` are, unverified; raise `Refused` when there are none."""


class Rehearse(Protocol):
    """Tries a package where it can do no harm."""

    def __call__(
        self, path: Path, digest: str, /, *, gates: Gates, cancelled: Callable[[], bool]
    ) -> object | None:
        """Return something when the package may serve, None when it was `cancelled`; raise `Refused`.

        Blocks, and calls `cancelled` several times a second. Raises `OSError` when it cannot be tried now.
        """


def admit_all(_verified: Verified) -> None:
    """Admit every package."""


@dataclass(frozen=True, slots=True)
class CandidateLoader:
    """What it takes. `admit` looks at a verified package of which nothing was run yet.

    It raises `Refused` where the pipeline cannot feed the package.
    """

    desired: DesiredSource
    rehearse: Rehearse
    admit: Callable[[Verified], object] = admit_all

    def __call__(
        self, package: PackageRef, gates: Gates, cancelled: Callable[[], bool]
    ) -> Model | StoreProblem | None:
        """Return the loaded model, what stands in the way for now, or None when it was `cancelled`.

        1. fetch, and read every byte against its digest, the package's own against the one desired;
        2. admit; 3. rehearse in another process, which reads and verifies for itself;
        4. load, here, from the very bytes of step 1: what happens to the files meanwhile changes nothing.

        Raises `Refused`, with the code `internal` for what nobody thought of.
        """
        try:
            path = self.desired.fetch(package)
            if isinstance(path, StoreProblem):
                return path
            verified = self._verified(path, package)
            if isinstance(verified, StoreProblem):
                return verified
            self.admit(verified)
            rehearsed = self.rehearse(path, package.digest, gates=gates, cancelled=cancelled)
            return None if rehearsed is None else load_model(verified)
        except Refused:
            raise
        except (OSError, MemoryError) as error:
            return StoreProblem(RefusalCode.BUSY, f"it cannot be tried now: {type(error).__name__}: {error}")
        except Exception as error:
            raise Refused(RefusalCode.INTERNAL, f"{type(error).__name__}: {error}") from error

    def _verified(self, path: Path, package: PackageRef) -> Verified | StoreProblem:
        try:
            return verify(path, package.digest)
        except Refused:
            # A store that goes away while it is read looks like a broken package. Is it still there?
            again = self.desired.fetch(package)
            if isinstance(again, StoreProblem):
                return again
            raise
