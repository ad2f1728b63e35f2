"""The folder form of a package: regular files with plain names, and nothing else.

Files are read once, into memory, and the hash is of these bytes: a file that changes later, or a folder that
is swapped while it is read, has no effect.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stream_infer.common.durable import write_synced
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.contents import Contents, ContentsGuard, PackageLimits

_CODE = RefusalCode.UNSAFE_FILE
_MAX_DEPTH = 16
# Never follow a link, never wait for a writer of a pipe; the flags that a platform lacks are 0.
_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def read_folder(path: Path, limits: PackageLimits) -> Contents:
    """Return name -> bytes of the folder at `path`; raise `Refused` for anything but plain files."""
    contents: dict[str, bytes] = {}
    _read_into(contents, path, "", ContentsGuard(_CODE, limits))
    return contents


def _read_into(contents: dict[str, bytes], path: Path, prefix: str, guard: ContentsGuard) -> None:
    with os.scandir(path) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    if prefix and not entries:
        raise Refused(RefusalCode.EXTRA_FILE, f"{prefix} is an empty folder")
    if prefix.count("/") > _MAX_DEPTH:
        raise Refused(_CODE, f"{prefix} is nested too deeply")
    for entry in entries:
        name = prefix + entry.name
        if entry.is_symlink():
            raise Refused(_CODE, f"{name!r} is a link")
        if entry.is_dir(follow_symlinks=False):
            _read_into(contents, Path(entry.path), name + "/", guard)
            continue
        if not entry.is_file(follow_symlinks=False):
            raise Refused(_CODE, f"{name!r} is neither a file nor a folder")
        contents[name] = _read_file(entry.path, name, guard)


def _read_file(path: str, name: str, guard: ContentsGuard) -> bytes:
    with open(os.open(path, _OPEN_FLAGS), "rb") as stream:  # noqa: PTH123 - pathlib cannot open a descriptor
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refused(_CODE, f"{name!r} is not a regular file")
        guard.admit(name, status.st_size)
        return stream.read(status.st_size)


def write_folder(path: Path, contents: Contents) -> None:
    """Write `contents` below `path`, which must not exist, and make them durable."""
    path.mkdir()
    for name, data in contents.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, [data])
