"""The model store: a folder of packages, and which of them should serve.

    models/
      CURRENT                                  the desired deployment
      history/000000000007/deployment.json     the deployment of generation 7
      fraud-1.2.0-0a1b2c3d4e5f/                a package; or one in .zip, under any plain name

**Two writers at once.** A generation belongs to the writer that first makes its folder in `history`, and with
that folder it is desired: there is no second step that could be lost. `CURRENT` follows; a slow writer may
put an older generation there for a moment (a rename cannot be made conditional), so the newer of `CURRENT`
and `history` counts, and a reader never goes back. A `promote` that finds its generation taken takes the next
one: it is absolute, and comes out as if it had been made a moment later. A `rollback` is relative to the
deployment that its author saw, so it is refused instead (`Superseded`).

Other tools may write `CURRENT` too, with a generation that is greater than every earlier one. File times are
ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from stream_infer.common.clock import unix_ms
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused, StreamInferError
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import LAST_GENERATION, Deployment, PackageRef, StoreProblem
from stream_infer.store.history import CURRENT, DeploymentHistory
from stream_infer.store.package_names import import_package, is_name

_WRITABLE = "promote as a user who may write there, on a disk that is not full"
_READABLE = "run this as a user who may read it; the volume must be mounted and sound"
_NO_LATER = "find who wrote it, then begin again as `Foreign generations` in docs/operations.md says"
_FIXES = {
    RefusalCode.GONE: "name a folder that exists, or create it (a shared volume: mount it)",
    RefusalCode.PIPELINE: "give each pipeline a store of its own",
}


class Superseded(StreamInferError):
    """Another package was promoted at the same time: the rollback would undo that one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a deployment, and the reason."""

    requested_by: str
    reason: str | None = None


class ModelStore:
    """The store of one pipeline at `folder`. Any number of processes may have one; nothing is kept open."""

    def __init__(self, folder: Path, pipeline: str, *, now_ms: Callable[[], int] = unix_ms) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self._now_ms = now_ms
        self._deployments = DeploymentHistory(folder, pipeline)

    def current(self) -> Deployment | StoreProblem:
        """Return the desired deployment, or why it is unknown: `GONE`, `EMPTY`, `INVALID` or `PIPELINE`."""
        return self._deployments.state().found

    def history(self) -> list[Deployment]:
        """Return all deployments, newest first, without those that cannot be parsed; none without a store.

        Raises `Misconfigured` when the history is there and cannot be read.
        """
        try:
            return list(self._deployments.entries())
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = f"{error.filename or self.folder} cannot be read: {error.strerror or error}"
            raise _misconfigured(self.folder, reason, _READABLE) from error

    def promoted_last(self) -> Deployment | None:
        """Return the newest deployment of the history that can be read, whatever CURRENT holds."""
        return self._deployments.state().promoted_last

    def locate(self, package: PackageRef) -> Path | StoreProblem:
        """Return the path of `package`, unverified; raise `Refused` when the store does not have it."""
        if not is_name(package.uri):
            reason = f"'{package.uri}' is not the name of a package in the store"
            raise Refused(RefusalCode.NOT_IN_STORE, reason)
        path = self.folder / package.uri
        if path.exists():
            return path
        found = self.current()
        if isinstance(found, StoreProblem) and found.code is RefusalCode.GONE:
            return found
        raise Refused(RefusalCode.NOT_IN_STORE, f"there is no '{package.uri}' in the store")

    def promote(
        self, package: Path, request: Request, served: Collection[str] = frozenset(), *, after: int = 0
    ) -> Deployment:
        """Make `package` the desired one: a path, or the name of a package in the store.

        1. Read every byte of it against its digest. 2. Copy it into the store, unless it is there. 3. Claim
        the next generation, greater than `after`. Its `previous` serves where the package cannot: the package
        desired before, or where that never served, the newest one whose digest is in `served`.

        Raises `Refused` for what `verify` refuses, `Misconfigured` when the store cannot be used.
        """
        self._usable()
        path = package if package.exists() or not is_name(str(package)) else self.folder / package
        verified = verify(path)
        try:
            name = import_package(self.folder, path, verified)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        manifest = verified.manifest
        desired = PackageRef(manifest.name, manifest.version, verified.digest, name)
        while True:
            before, generation = self._usable(after)
            claimed = self._claim(generation, desired, self._fallback(before, desired, served), request)
            if claimed is not None:
                return claimed

    def rollback(
        self, request: Request, served: Collection[str] = frozenset(), *, after: int = 0
    ) -> Deployment:
        """Make the `previous` of the desired deployment the desired package; a second rollback undoes that.

        Its generation is greater than `after`.
        Raises `Refused` when the store does not have it unchanged, `Misconfigured` when there is none before
        or the store cannot be used, `Superseded` when something was promoted at the same time.
        """
        before, generation = self._usable(after)
        if before is None or before.previous is None:
            raise _misconfigured(
                self.folder, "there is no earlier deployment", "promote a package by its name"
            )
        path = self.locate(before.previous)
        if isinstance(path, StoreProblem):
            raise _misconfigured(self.folder, path.reason, _FIXES[path.code])
        verify(path, before.previous.digest)
        previous = self._fallback(before, before.previous, served)
        claimed = self._claim(generation, before.previous, previous, request)
        if claimed is None:
            raise Superseded(f"generation {generation} was promoted meanwhile: check the status, then retry")
        return claimed

    def adopt(self, elsewhere: Deployment) -> None:
        """Write a deployment of the control topic to CURRENT, unless the store has a newer one.

        So the next generation is after it, and a rollback goes back from it. Raises `Misconfigured`.
        """
        before, generation = self._usable()
        if elsewhere == before or elsewhere.generation < generation - 1:
            return
        try:
            self._deployments.write_current(elsewhere)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _usable(self, after: int = 0) -> tuple[Deployment | None, int]:
        """Return the desired deployment and the next generation, greater than a possible one of `after`.

        Raises `Misconfigured` for an unusable store. A broken CURRENT or history is usable: the next
        promotion repairs it.
        """
        found, free, promoted_last = self._deployments.state()
        generation = max(free, after + 1) if after <= LAST_GENERATION else free
        if generation > LAST_GENERATION:
            reason = f"generation {generation - 1} is in use: there is no later one"
            raise _misconfigured(self.folder, reason, _NO_LATER)
        if isinstance(found, Deployment):
            return found, generation
        if found.code in _FIXES:
            raise _misconfigured(self.folder, found.reason, _FIXES[found.code])
        return promoted_last, generation

    def _fallback(
        self, before: Deployment | None, desired: PackageRef, served: Collection[str]
    ) -> PackageRef | None:
        """Return the package that serves where `desired` cannot: never `desired` itself."""
        first: PackageRef | None = None
        for ref in _past_packages([*([before] if before else []), *self.history()], self.pipeline):
            if ref.digest == desired.digest:
                continue
            if ref.digest in served and (self.folder / ref.uri).exists():
                return ref
            first = first or ref
        return first

    def _claim(
        self, generation: int, package: PackageRef, previous: PackageRef | None, request: Request
    ) -> Deployment | None:
        """Make `package` desired as of `generation`; None when another writer has that generation."""
        deployment = Deployment(
            pipeline=self.pipeline,
            generation=generation,
            package=package,
            previous=previous,
            requested_by=request.requested_by,
            requested_at=self._now_ms(),
            reason=request.reason,
        )
        try:
            if not self._deployments.claim(deployment):
                return None
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            self._deployments.update_current()
        except OSError as error:
            reason = f"generation {generation} is promoted, but {CURRENT} cannot be written: {error}"
            raise _misconfigured(self.folder, reason, _WRITABLE) from error
        return deployment


def _past_packages(deployments: Collection[Deployment], pipeline: str) -> Iterator[PackageRef]:
    """Yield every package of `deployments`, desired or previous, in their order, some of them twice."""
    for one in deployments:
        if one.pipeline == pipeline:
            yield one.package
            if one.previous is not None:
                yield one.previous


def _unwritable(folder: Path, error: OSError) -> Misconfigured:
    return _misconfigured(folder, f"{folder} cannot be written: {error.strerror or error}", _WRITABLE)


def _misconfigured(folder: Path, message: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem("model.store", str(folder), message, fix)])
