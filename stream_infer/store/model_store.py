"""The model store: a folder of packages, and which of them should serve.

    models/
      CURRENT                                  the desired deployment
      history/000000000007/deployment.json     what generation 7 desired; the newest is the desired one, too
      fraud-1.2.0-0a1b2c3d4e5f/                a package; or one in .zip, under any plain name

**Two writers at once.** A generation belongs to whoever first makes its folder in `history`, and with that
folder it is desired: there is no second step that could be lost. `CURRENT` follows; a slow writer may put an
older generation there for a moment (a rename cannot be made conditional), so what counts is the newer of
`CURRENT` and `history`, and a reader never goes back. A `promote` that finds its generation taken takes the
next one: it is an absolute wish, and comes out as if it had been made a moment later. A `rollback` is
relative to what its author saw, so it is refused instead (`Superseded`).

`CURRENT` may also be written by other tools, with a generation that is greater than every one before.
Nothing here looks at the time of a file.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stream_infer.common.durable import claim_folder, replace_file
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused, StreamInferError
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import (
    Deployment,
    DeploymentInvalid,
    PackageRef,
    StoreProblem,
    format_deployment,
    parse_deployment,
)
from stream_infer.store.package_names import import_package, is_name

CURRENT = "CURRENT"
HISTORY = "history"
_ENTRY = "deployment.json"
_GENERATION = re.compile(r"[0-9]{12,19}")
_MOST_BYTES = 2**16


class Superseded(StreamInferError):
    """Something else was promoted meanwhile, so this rollback is not the one that was meant."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants something, and why."""

    requested_by: str
    reason: str | None = None


class _State(NamedTuple):
    found: Deployment | StoreProblem
    next_generation: int


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class ModelStore:
    """The store of one pipeline at `folder`. Any number of processes may have one; nothing is kept open."""

    def __init__(self, folder: Path, pipeline: str, *, now_ms: Callable[[], int] = _unix_ms) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self._now_ms = now_ms

    def current(self) -> Deployment | StoreProblem:
        """Return what is desired, or why nobody can tell: `gone`, `empty`, `invalid` or `pipeline`."""
        return self._state().found

    def history(self) -> list[Deployment]:
        """Return what was desired, newest first; without what cannot be read."""
        try:
            return list(self._history())
        except OSError:
            return []

    def promoted_last(self) -> Deployment | None:
        """Return what was promoted last, whatever CURRENT says."""
        return next((one for one in self.history() if one.pipeline == self.pipeline), None)

    def locate(self, package: PackageRef) -> Path | StoreProblem:
        """Return where `package` is, unverified; raise `Refused` when it is not there."""
        if not is_name(package.uri):
            raise Refused(
                RefusalCode.NOT_IN_STORE, f"'{package.uri}' is not the name of a package in the store"
            )
        path = self.folder / package.uri
        if path.exists():
            return path
        found = self.current()
        if isinstance(found, StoreProblem) and found.code == "gone":
            return found
        raise Refused(RefusalCode.NOT_IN_STORE, f"there is no '{package.uri}' in the store")

    def promote(self, package: Path, request: Request, served: Collection[str] = frozenset()) -> Deployment:
        """Make `package` the desired one: a path, or the name of one that is in the store.

        1. read every byte of it against its digest; 2. copy it into the store, when it is elsewhere; 3. claim
        the next generation, with what is to serve where this one cannot as `previous`: what was desired
        before, or where that never did, the newest that is known to have `served` (digests).

        Raises `Refused` for what `verify` refuses, `Misconfigured` when the store cannot be used.
        """
        self._usable()
        path = package if package.exists() or not is_name(str(package)) else self.folder / package
        verified = verify(path)
        try:
            name = import_package(self.folder, path, verified)
        except OSError as error:
            raise self._unwritable(error) from error
        manifest = verified.manifest
        wanted = PackageRef(manifest.name, manifest.version, verified.digest, name)
        while True:
            before, generation = self._usable()
            claimed = self._claim(generation, wanted, self._fallback(before, wanted, served), request)
            if claimed is not None:
                return claimed

    def rollback(self, request: Request, served: Collection[str] = frozenset()) -> Deployment:
        """Make the package before the desired one the desired one; a second time, that is the first again.

        That is the `previous` of what is desired: nothing that never `served`, as far as that was known.

        Raises `Refused` when it is not there any more as it was, `Misconfigured` when there is none before or
        the store cannot be used, `Superseded` when something was promoted at the same time.
        """
        before, generation = self._usable()
        if before is None or before.previous is None:
            raise self._misconfigured("nothing was desired before", "promote a package by its name")
        path = self.locate(before.previous)
        if isinstance(path, StoreProblem):
            raise self._misconfigured(path.reason, _FIXES[path.code])
        verify(path, before.previous.digest)
        previous = self._fallback(before, before.previous, served)
        claimed = self._claim(generation, before.previous, previous, request)
        if claimed is None:
            raise Superseded(f"generation {generation} was promoted meanwhile; look again, then roll it back")
        return claimed

    def adopt(self, elsewhere: Deployment) -> None:
        """Take note of what is desired elsewhere (on the control topic), unless what is known here is newer.

        So the next generation is after it, and a rollback goes back from it. Raises `Misconfigured`.
        """
        before, generation = self._usable()
        if elsewhere == before or elsewhere.generation < generation - 1:
            return
        try:
            replace_file(self.folder / CURRENT, format_deployment(elsewhere))
        except OSError as error:
            raise self._unwritable(error) from error

    def _state(self) -> _State:
        """Read the history before CURRENT, so that the next generation is after both."""
        try:
            names = self._claims()
            claimed = next(self._history(), None)
            written = self._written()
        except OSError as error:
            reason = f"{self.folder} cannot be read: {error.strerror or error}"
            return _State(StoreProblem(RefusalCode.GONE, reason), 1)
        newest = max((int(name) for name in names), default=0)
        if isinstance(written, StoreProblem):
            return _State(written, newest + 1)
        known = [one for one in (written, claimed) if one is not None]
        if not known:
            return _State(
                StoreProblem(RefusalCode.EMPTY, f"nothing was promoted in {self.folder} yet"), newest + 1
            )
        desired = max(known, key=lambda one: one.generation)
        if desired.pipeline != self.pipeline:
            reason = f"{self.folder} is the store of {desired.pipeline}, not of {self.pipeline}"
            return _State(StoreProblem(RefusalCode.PIPELINE, reason), newest + 1)
        return _State(desired, max(newest, desired.generation) + 1)

    def _written(self) -> Deployment | StoreProblem | None:
        """Return what is in CURRENT; None when there is none."""
        try:
            return _read(self.folder / CURRENT)
        except FileNotFoundError:
            return None
        except DeploymentInvalid as error:
            return StoreProblem(RefusalCode.INVALID, f"{self.folder / CURRENT} is no deployment: {error}")

    def _history(self) -> Iterator[Deployment]:
        for name in self._claims():
            with contextlib.suppress(DeploymentInvalid, FileNotFoundError, NotADirectoryError):
                yield _read(self.folder / HISTORY / name / _ENTRY)

    def _claims(self) -> list[str]:
        """Return the names of all generations, newest first. Raises `OSError` when the store is not there."""
        history = self.folder / HISTORY
        try:
            names = [path.name for path in history.iterdir() if _GENERATION.fullmatch(path.name)]
        except FileNotFoundError:
            self.folder.stat()  # a store without a history is one; no store is none
            return []
        return sorted(names, key=int, reverse=True)

    def _usable(self) -> tuple[Deployment | None, int]:
        """Return what is desired and the next generation; raise `Misconfigured` when nobody may write here.

        A CURRENT that is broken is no reason: the next promotion mends it.
        """
        found, generation = self._state()
        if isinstance(found, Deployment):
            return found, generation
        if found.code in _FIXES:
            raise self._misconfigured(found.reason, _FIXES[found.code])
        return self.promoted_last(), generation

    def _fallback(
        self, before: Deployment | None, wanted: PackageRef, served: Collection[str]
    ) -> PackageRef | None:
        """Return what is to serve where `wanted` cannot.

        Never itself, or asking twice would forget the other.
        """
        first: PackageRef | None = None
        for ref in self._past(before):
            if ref.digest == wanted.digest:
                continue
            if ref.digest in served and (self.folder / ref.uri).exists():
                return ref
            first = first or ref
        return first

    def _past(self, before: Deployment | None) -> Iterator[PackageRef]:
        """Yield every package that was desired or to serve in its place, newest first, some of them twice."""
        for one in [*([before] if before else []), *self.history()]:
            if one.pipeline == self.pipeline:
                yield one.package
                if one.previous is not None:
                    yield one.previous

    def _claim(
        self, generation: int, package: PackageRef, previous: PackageRef | None, request: Request
    ) -> Deployment | None:
        """Make `package` desired as of `generation`; None when that generation is another's."""
        deployment = Deployment(
            pipeline=self.pipeline,
            generation=generation,
            package=package,
            previous=previous,
            requested_by=request.requested_by,
            requested_at=self._now_ms(),
            reason=request.reason,
        )
        history, data = self.folder / HISTORY, _readable(deployment)
        try:
            history.mkdir(exist_ok=True)
            if not claim_folder(history / f"{generation:012d}", _ENTRY, data):
                return None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._point()
        except OSError as error:
            reason = f"generation {generation} is promoted, but {CURRENT} cannot be written: {error}"
            raise self._misconfigured(reason, _WRITABLE) from error
        return deployment

    def _point(self) -> None:
        """Make CURRENT the newest generation, until none is newer than the one that was put there."""
        newest = None
        while (newer := next(self._history(), None)) is not None and newer != newest:
            newest = newer
            replace_file(self.folder / CURRENT, format_deployment(newest))

    def _unwritable(self, error: OSError) -> Misconfigured:
        return self._misconfigured(f"{self.folder} cannot be written: {error.strerror or error}", _WRITABLE)

    def _misconfigured(self, message: str, fix: str) -> Misconfigured:
        return Misconfigured([Problem("model.store", str(self.folder), message, fix)])


_WRITABLE = "promote as a user who may write there, on a disk that is not full"
_FIXES = {
    "gone": "name a folder that is there, or make it (where it is a shared volume: mount it)",
    "pipeline": "give each pipeline a store of its own",
}


def _read(path: Path) -> Deployment:
    with path.open("rb") as stream:
        return _parsed(stream.read(_MOST_BYTES + 1))


def _parsed(data: bytes) -> Deployment:
    if len(data) > _MOST_BYTES:
        raise DeploymentInvalid(f"more than {_MOST_BYTES} bytes")
    return parse_deployment(data)


def _readable(deployment: Deployment) -> bytes:
    """Return the JSON of `deployment`, when it can be read again: nobody follows what nobody can read."""
    data = format_deployment(deployment)
    try:
        _parsed(data)
    except DeploymentInvalid as error:
        raise Misconfigured([Problem("deployment", "", str(error), "say it in fewer words")]) from None
    return data
