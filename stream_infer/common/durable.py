"""Writing so that a reader sees all of it or nothing, and a crash leaves no more than a draft behind."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, durably: whoever reads sees the old bytes or the new ones."""
    draft = _draft(path)
    try:
        _write(draft, data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def claim_folder(path: Path, name: str, data: bytes) -> bool:
    """Make the folder `path`, with one file of `data` in it, durably; return whether it was not there before.

    Of any number of writers, one gets True. A folder that is renamed onto one with something in it fails, on
    every file system, local or shared; a hard link or `O_EXCL` would do as well, but not all shared volumes
    have the first, and the second lets others see a file that is still being written.
    """
    draft = _draft(path)
    draft.mkdir()
    try:
        _write(draft / name, data)
        sync_folder(draft)
        draft.rename(path)
    except OSError:
        # Over a network the rename may have been done and its answer lost: then there is no draft any more.
        if draft.exists():
            if path.exists():
                return False
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
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


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
