"""Reading and writing model packages. Nothing here unpickles: `load` takes only what `verify` returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stream_infer.models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Verified:
    """A package whose every byte was checked. `files` are the very bytes that were hashed."""

    manifest: Manifest
    digest: str
    files: Mapping[str, bytes]


def verify(path: Path, expected_digest: str | None = None) -> Verified:
    """Read the folder or zip at `path` into memory and check all of it; raise `Refused` otherwise."""
    raise NotImplementedError


def write(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write `files` as a zip (`path` ends in .zip) or folder; return the manifest with its file entries."""
    raise NotImplementedError
