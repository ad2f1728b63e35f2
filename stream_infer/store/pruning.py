"""Removes old deployments from a store, and the copies of packages that only they named.

Packages that a user put into the store under a name of his own stay. Each folder is renamed first and then
removed: a reader sees all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stream_infer.common.durable import draft_of
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.store.history import entry_folder
from stream_infer.store.model_store import ModelStore
from stream_infer.store.package_names import is_copy


@dataclass(frozen=True, slots=True)
class Retention:
    """A deployment stays while it is among the newest `generations` (>= 1), or at most `age_ms` old."""

    generations: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """The generations and the packages that were removed."""

    generations: tuple[int, ...] = ()
    packages: tuple[str, ...] = ()


def prune(store: ModelStore, retention: Retention, in_use: Collection[str], *, now_ms: int) -> Pruned:
    """Remove what `retention` does not keep; `in_use` are the digests that serve, or served last.

    Kept in any case: the desired deployment, and the newest deployment of each package that is desired,
    previous or in use. Removes nothing where the desired deployment is unknown. Raises `OSError`, and
    `Misconfigured` when the history cannot be read.
    """
    desired = store.current()
    if isinstance(desired, StoreProblem):
        return Pruned()
    history = store.history()
    needed = {*in_use, *(ref.digest for ref in _packages([desired]))}
    old = list(_unneeded(history, needed, retention, now_ms))
    gone = frozenset(one.generation for one in old)
    copies = {ref.uri: ref.digest for ref in _packages(old) if is_copy(ref) and ref.digest not in needed}
    # Packages first: what is left when this is cut short is still named, and goes with the next promotion.
    unnamed = [uri for uri in copies if not _is_named(store, uri, gone)]
    packages = [uri for uri in unnamed if _remove(store.folder / uri, partial(_is_named, store, uri, gone))]
    removed = [generation for generation in gone if _remove(entry_folder(store.folder, generation))]
    return Pruned(tuple(sorted(removed)), tuple(packages))


def _is_named(store: ModelStore, uri: str, gone: Collection[int]) -> bool:
    """Return whether a deployment names the package `uri`, other than those of the generations in `gone`."""
    desired = store.current()
    if isinstance(desired, StoreProblem):
        return True
    kept = [one for one in store.history() if one.generation not in gone]
    return any(ref.uri == uri for ref in _packages([desired, *kept]))


def _unneeded(
    history: Sequence[Deployment], needed: Collection[str], retention: Retention, now_ms: int
) -> Iterator[Deployment]:
    """Yield the deployments of `history`, newest first, that neither retention nor need keeps."""
    seen: set[str] = set()
    for position, one in enumerate(history):
        newest_of_needed = one.package.digest in needed and one.package.digest not in seen
        seen.add(one.package.digest)
        young = now_ms - one.requested_at <= retention.age_ms
        if position >= retention.generations and not young and not newest_of_needed:
            yield one


def _packages(deployments: Collection[Deployment]) -> Iterator[PackageRef]:
    for one in deployments:
        yield from (ref for ref in (one.package, one.previous) if ref is not None)


def _remove(path: Path, keeps: Callable[[], bool] = lambda: False) -> bool:
    """Remove the folder or file at `path` as a whole; put it back if it `keeps`. False where it stays."""
    with suppress(FileNotFoundError), draft_of(path) as draft:
        path.rename(draft)
        if not keeps():
            return True
        draft.rename(path)
    return False
