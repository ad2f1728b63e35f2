"""Write, then rename: a reader sees all of it or nothing, and a crash leaves no more than a draft behind."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Yield an unused hidden path beside `path`, to write and rename; a draft that is left is removed.

    It ends as `path` does, so that a suffix keeps its meaning.
    """
    draft = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield draft
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_synced(path: Path, parts: Iterable[bytes]) -> None:
    """Write `parts` to `path`, which must not exist, and wait until the disk has them."""
    with path.open("xb") as stream:
        stream.writelines(parts)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, durably: a reader sees the old bytes or the new ones."""
    with draft_of(path) as draft:
        write_synced(draft, [data])
        draft.replace(path)
    sync_folder(path.parent)


def claim_folder(path: Path, name: str, data: bytes) -> bool:
    """Make the folder `path`, with one file of `data` in it, durably; return whether it was not there before.

    Of any number of writers, one gets True. Renaming a folder onto one that is not empty fails on every file
    system, local or shared; a hard link or `O_EXCL` would do as well, but not all shared volumes have the
    first, and the second shows others a file that is still being written.
    """
    with draft_of(path) as draft:
        draft.mkdir()
        try:
            write_synced(draft / name, [data])
            sync_folder(draft)
            draft.rename(path)
        except OSError:
            # Over a network the rename may be done and its answer lost: then there is no draft any more.
            if draft.exists():
                if path.exists():
                    return False
                raise
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in `path` durable, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
