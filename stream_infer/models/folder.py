"""The folder form of a package: regular files with plain names, and nothing else.

Files are read once, into memory, and the hash is of these bytes: a file that changes later, or a folder that
is swapped while it is read, has no effect.
"""

from __future__ import annotations

import os
from pathlib import Path

from stream_infer.common.durable import write_synced
from stream_infer.common.regular_files import UnusableFile, open_regular
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.contents import Contents, ContentsGuard, PackageLimits

_CODE = RefusalCode.UNSAFE_FILE
_MAX_DEPTH = 16


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
    try:
        stream = open_regular(path, follow_links=False)
    except UnusableFile as error:
        raise Refused(_CODE, f"{name!r} {error.strerror}") from error
    with stream:
        size = os.fstat(stream.fileno()).st_size
        guard.admit(name, size)
        return stream.read(size)


def write_folder(path: Path, contents: Contents) -> None:
    """Write `contents` below `path`, which must not exist, and make them durable."""
    path.mkdir()
    for name, data in contents.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, [data])
