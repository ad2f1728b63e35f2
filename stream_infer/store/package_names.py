"""Names of the packages in a store, and the import of a package into it."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from stream_infer.common.durable import sync_folder
from stream_infer.flow.errors import Refused
from stream_infer.models.package import Verified, verify, write_package
from stream_infer.rollout.deployment import PackageRef

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_COPIES = 10


def is_name(text: str) -> bool:
    """Return whether `text` may name a package in a store: one plain name, no path, nothing hidden."""
    return _NAME.fullmatch(text) is not None


def is_copy(package: PackageRef) -> bool:
    """Return whether `package` has the name that `import_package` gives to a copy."""
    stem = re.escape(_stem(package.name, package.version, package.digest))
    return is_name(package.uri) and re.fullmatch(rf"{stem}(-[0-9]+)?(\.zip)?", package.uri) is not None


def import_package(folder: Path, path: Path, verified: Verified) -> str:
    """Copy the package at `path` into `folder` unless it is there, and return its name.

    Writes the verified bytes, atomically, under a name made of name, version and digest. A valid package of
    that name is used as it is; a corrupt one is kept for analysis, and the copy gets another name. Raises
    `OSError`.
    """
    if path.resolve().parent == folder.resolve() and is_name(path.name):
        return path.name
    manifest, digest = verified.manifest, verified.digest
    stem = _stem(manifest.name, manifest.version, digest)
    suffix = ".zip" if path.is_file() else ""
    for copy in range(1, _COPIES + 1):
        target = folder / (stem + (f"-{copy}" if copy > 1 else "") + suffix)
        if not target.exists():
            _write(target, verified)
        with suppress(Refused):
            verify(target, digest)
            return target.name
    raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder / stem))


def _stem(name: str, version: str, digest: str) -> str:
    return f"{name}-{version}-{digest.removeprefix('sha256:')[:12]}"


def _write(target: Path, verified: Verified) -> None:
    try:
        write_package(target, verified.manifest, verified.files)
        sync_folder(target.parent)
    except OSError:
        if not target.exists():  # else another writer imported the same package first
            raise
