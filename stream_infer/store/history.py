"""The deployments of a store on disk: `CURRENT`, and one folder a generation in `history/`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stream_infer.common.durable import claim_folder, replace_file
from stream_infer.common.regular_files import UnusableFile, read_regular
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.rollout.deployment import (
    LAST_GENERATION,
    Deployment,
    DeploymentInvalid,
    StoreProblem,
    format_deployment,
    parse_deployment,
)

CURRENT = "CURRENT"
HISTORY = "history"
_ENTRY = "deployment.json"
_GENERATION = re.compile(r"[0-9]{12,19}")
_MAX_BYTES = 2**16


class StoreState(NamedTuple):
    """The desired deployment, or why it is unknown; the first generation that is free; the last promotion.

    `promoted_last` is the newest deployment of the history that can be read, whatever CURRENT holds.
    """

    found: Deployment | StoreProblem
    next_generation: int
    promoted_last: Deployment | None = None


class _Broken(NamedTuple):
    """A generation of the history that cannot be read."""

    generation: int
    problem: StoreProblem


def entry_folder(store: Path, generation: int) -> Path:
    """Return the folder of the deployment of `generation`."""
    return store / HISTORY / f"{generation:012d}"


class DeploymentHistory:
    """Reads and writes the deployments of one store. Nothing is kept open; `OSError` goes through."""

    def __init__(self, folder: Path, pipeline: str) -> None:
        self._folder = folder
        self._pipeline = pipeline

    def state(self) -> StoreState:
        """Return what is desired now: the newer of CURRENT and the history. Raises nothing.

        The history is read before CURRENT, so that the next generation is after both.
        """
        folder = self._folder
        try:
            names = self._generations()
            claimed, broken = self._newest(names)
            written = self._current()
        except OSError as error:
            reason = f"{error.filename or folder} cannot be read: {error.strerror or error}"
            return StoreState(StoreProblem(RefusalCode.GONE, reason), 1)
        newest = max((int(name) for name in names), default=0)
        if isinstance(written, StoreProblem):
            return StoreState(written, newest + 1, self._mine(claimed))
        known = [one for one in (written, claimed) if one is not None]
        desired = max(known, key=lambda one: one.generation, default=None)
        if broken is not None and (desired is None or desired.generation < broken.generation):
            return StoreState(broken.problem, newest + 1, self._mine(claimed))
        if desired is None:
            problem = StoreProblem(RefusalCode.EMPTY, f"nothing was promoted in {folder} yet")
            return StoreState(problem, newest + 1)
        if desired.pipeline != self._pipeline:
            reason = f"{folder} is the store of {desired.pipeline}, not of {self._pipeline}"
            return StoreState(StoreProblem(RefusalCode.PIPELINE, reason), newest + 1)
        return StoreState(desired, max(newest, desired.generation) + 1, self._mine(claimed))

    def entries(self) -> Iterator[Deployment]:
        """Yield the deployments of the history, newest first, without those that cannot be parsed."""
        for name in self._generations():
            with contextlib.suppress(DeploymentInvalid, FileNotFoundError):
                yield self._entry(name)

    def claim(self, deployment: Deployment) -> bool:
        """Add `deployment` under its generation; return False when another writer has that generation.

        Raises `Misconfigured` for a deployment that could not be read back.
        """
        folder, data = entry_folder(self._folder, deployment.generation), _readable(deployment)
        folder.parent.mkdir(exist_ok=True)
        return claim_folder(folder, _ENTRY, data)

    def write_current(self, deployment: Deployment) -> None:
        """Replace CURRENT."""
        replace_file(self._folder / CURRENT, format_deployment(deployment))

    def update_current(self) -> None:
        """Write the newest generation to CURRENT, until no newer one was claimed meanwhile."""
        newest = None
        while (newer := next(self.entries(), None)) is not None and newer != newest:
            newest = newer
            self.write_current(newest)

    def _mine(self, claimed: Deployment | None) -> Deployment | None:
        return claimed if claimed is not None and claimed.pipeline == self._pipeline else None

    def _newest(self, names: list[str]) -> tuple[Deployment | None, _Broken | None]:
        """Return the newest deployment of `names` that can be read, and the newest one that cannot."""
        broken: _Broken | None = None
        for name in names:
            try:
                return self._entry(name), broken
            except FileNotFoundError:  # pruned meanwhile, or being copied
                continue
            except DeploymentInvalid as error:
                path = self._folder / HISTORY / name / _ENTRY
                problem = StoreProblem(RefusalCode.INVALID, f"{path} is not a deployment: {error}")
                broken = broken or _Broken(int(name), problem)
        return None, broken

    def _entry(self, name: str) -> Deployment:
        try:
            found = _read(self._folder / HISTORY / name / _ENTRY)
        except NotADirectoryError as error:
            raise DeploymentInvalid(f"{name} is not a folder") from error
        if found.generation != int(name):
            raise DeploymentInvalid(f"generation: {found.generation} is not that of its folder")
        return found

    def _current(self) -> Deployment | StoreProblem | None:
        """Return the deployment in CURRENT; None when there is no such file."""
        path = self._folder / CURRENT
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except DeploymentInvalid as error:
            return StoreProblem(RefusalCode.INVALID, f"{path} is not a deployment: {error}")

    def _generations(self) -> list[str]:
        """Return the folder names of all generations, newest first. Raises `OSError` without a store.

        Numbers after `LAST_GENERATION` are left out: they are of no promotion.
        """
        history = self._folder / HISTORY
        try:
            names = [path.name for path in history.iterdir() if _GENERATION.fullmatch(path.name)]
        except FileNotFoundError:
            self._folder.stat()  # a store without a history is a store; a folder that is missing is not
            return []
        return sorted((name for name in names if int(name) <= LAST_GENERATION), key=int, reverse=True)


def _read(path: Path) -> Deployment:
    try:
        data = read_regular(path, most_bytes=_MAX_BYTES)
    except UnusableFile as error:
        raise DeploymentInvalid(f"it {error.strerror}") from error
    return parse_deployment(data)


def _parsed(data: bytes) -> Deployment:
    if len(data) > _MAX_BYTES:
        raise DeploymentInvalid(f"more than {_MAX_BYTES} bytes")
    return parse_deployment(data)


def _readable(deployment: Deployment) -> bytes:
    """Return the JSON of `deployment`. Raises `Misconfigured` when no worker could read it."""
    data = format_deployment(deployment)
    try:
        _parsed(data)
    except DeploymentInvalid as error:
        fix = "shorten the reason and the names"
        raise Misconfigured([Problem("deployment", "", str(error), fix)]) from None
    return data
