"""Paths and URIs of data sets to file systems: local ones, and all that pyarrow or fsspec know.

`s3://`, `gs://`, `abfs://` and `hdfs://` are pyarrow's own; any other scheme is asked of fsspec. Credentials
are taken where these libraries take them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from stream_infer.flow.errors import Misconfigured, Problem

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file system. `shown` is how the user writes it, `path` how the file system does."""

    filesystem: fs.FileSystem
    path: str
    shown: str

    @property
    def local(self) -> Path | None:
        """The path where it is on this machine's own file system."""
        return Path(self.path) if isinstance(self.filesystem, fs.LocalFileSystem) else None

    def child(self, name: str) -> Location:
        """Return the place `name` in this folder."""
        return Location(
            self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.shown.rstrip('/')}/{name}"
        )


def locate(option: str, text: str) -> Location:
    """Return the place that `text`, a path or a URI, names. Raises `Misconfigured`, naming `option`."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Location(fs.LocalFileSystem(), str(Path(text).absolute()), text)
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        filesystem, path = _of_fsspec(option, text, error)
    except (OSError, ValueError) as error:
        raise _unusable(option, text, str(error)) from error
    return Location(filesystem, path, text)


def _of_fsspec(option: str, text: str, error: Exception) -> tuple[fs.FileSystem, str]:
    try:
        import fsspec  # noqa: PLC0415 - not a dependency: whoever uses such a scheme has it
    except ImportError:
        raise _unusable(
            option, text, f"pyarrow does not know it, and fsspec is not installed: {error}"
        ) from error
    try:
        made, path = fsspec.url_to_fs(text)
    except (ImportError, ValueError, OSError) as unknown:
        raise _unusable(option, text, str(unknown)) from unknown
    return fs.PyFileSystem(fs.FSSpecHandler(made)), path


def _unusable(option: str, text: str, what: str) -> Misconfigured:
    fix = "give a path, or a URI of a file system that pyarrow or fsspec knows"
    return Misconfigured([Problem(option, text, f"cannot be used: {what}", fix)])
