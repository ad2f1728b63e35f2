"""Reads and writes model packages, folder or zip.

Nothing here unpickles, and `load` takes only the result of `verify`: a model is never loaded from bytes whose
digests were not checked. A digest does not say who made the package: `expected_digest` does, when it came
from a trusted source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from stream_infer.common.durable import draft_of, write_synced
from stream_infer.common.regular_files import open_regular
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models import archive, folder
from stream_infer.models.contents import DEFAULT_LIMITS, Contents, PackageLimits, check_contents
from stream_infer.models.manifest import FileEntry, Manifest

MANIFEST = "manifest.json"
# The digest of the manifest, in the form of `sha256sum -c`: a flipped byte in the manifest is detected even
# without an expected digest.
CHECKSUM = "manifest.sha256"
REQUIRED = ("golden.avro", "input.avsc", "requirements.txt")
_MAX_MANIFEST_BYTES = 16 * 2**20
_PROOF = object()


@dataclass(frozen=True, slots=True)
class Verified:
    """A package whose digests were all checked. `files` are the hashed bytes.

    Only `verify` makes one; the constructor raises `TypeError` otherwise.
    """

    manifest: Manifest
    digest: str
    files: Mapping[str, bytes]
    _proof: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._proof is not _PROOF:
            raise TypeError("only stream_infer.models.package.verify makes a Verified")


def verify(
    path: Path, expected_digest: str | None = None, *, limits: PackageLimits = DEFAULT_LIMITS
) -> Verified:
    """Read the folder or zip at `path` into memory and check all of it.

    1. its form: plain names, no links, sizes within `limits`, and a zip exactly as `write_package` makes it;
    2. the manifest against its checksum, and against `expected_digest` ("sha256:<hex>") when there is one;
    3. the manifest's own form: every key known, and its bytes the canonical ones;
    4. every file against the manifest, none missing, none more.

    Raises `Refused` with the code of the first that fails: `not_a_package`, `unsafe_archive`, `unsafe_file`,
    `too_large`, `digest`, `manifest`, `format`, `missing_file`, `extra_file`. Writes nothing.
    """
    contents = _read(path, limits)
    manifest = _manifest(contents, expected_digest)
    _match(contents, manifest)
    files = {name: contents[name] for name in manifest.files}
    return Verified(manifest, manifest.digest, MappingProxyType(files), _PROOF)


def write_package(path: Path, manifest: Manifest, files: Contents) -> Manifest:
    """Write a package of `files` and return its manifest, with their digests.

    A zip when `path` ends in `.zip`, else a folder. The same input gives the same bytes and the same digest,
    which both forms share. The package appears whole, by a rename, or not at all. Raises `FileExistsError`
    when `path` exists (a package never changes) and `Refused` for contents that `verify` would refuse.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; a package is written once")
    entries = {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    sealed = Manifest.parse(replace(manifest, files=dict(sorted(entries.items()))).canonical())
    text = sealed.canonical()
    contents = {**files, MANIFEST: text, CHECKSUM: _checksum(text)}
    check_contents(contents, DEFAULT_LIMITS)
    _match(contents, sealed)
    _publish(path, contents)
    return sealed


def _read(path: Path, limits: PackageLimits) -> Contents:
    try:
        if path.is_dir():
            return folder.read_folder(path, limits)
        if path.is_file():
            with open_regular(path) as stream:
                signature = stream.read(len(archive.SIGNATURE))
            if signature == archive.SIGNATURE:
                return archive.read_archive(path, limits)
    except OSError as error:
        raise Refused(RefusalCode.NOT_A_PACKAGE, f"{path} cannot be read: {error.strerror}") from error
    raise Refused(RefusalCode.NOT_A_PACKAGE, f"{path} is neither a folder nor a zip")


def _manifest(contents: Contents, expected_digest: str | None) -> Manifest:
    for name in (MANIFEST, CHECKSUM):
        if name not in contents:
            code = RefusalCode.NOT_A_PACKAGE if name == MANIFEST else RefusalCode.MISSING_FILE
            raise Refused(code, f"{name} is missing")
    text = contents[MANIFEST]
    if len(text) > _MAX_MANIFEST_BYTES:
        raise Refused(RefusalCode.TOO_LARGE, f"{MANIFEST} has more than {_MAX_MANIFEST_BYTES} bytes")
    if contents[CHECKSUM] != _checksum(text):
        raise Refused(RefusalCode.DIGEST, f"{MANIFEST}: SHA-256 does not match {CHECKSUM}")
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    if expected_digest is not None and digest != expected_digest:
        raise Refused(RefusalCode.DIGEST, f"the package is {digest}, not {expected_digest}")
    manifest = Manifest.parse(text)
    if manifest.canonical() != text:
        raise Refused(RefusalCode.MANIFEST, f"{MANIFEST} is not in canonical form")
    return manifest


def _match(contents: Contents, manifest: Manifest) -> None:
    found = contents.keys() - {MANIFEST, CHECKSUM}
    required = {*REQUIRED, manifest.entry, manifest.original}
    for name in sorted((manifest.files.keys() | required) - found):
        raise Refused(RefusalCode.MISSING_FILE, f"{name} is missing")
    for name in sorted(found - manifest.files.keys()):
        raise Refused(RefusalCode.EXTRA_FILE, f"{name} is not in the manifest")
    for name in sorted(required - manifest.files.keys()):
        raise Refused(RefusalCode.MANIFEST, f"files: {name} is missing")
    for name, entry in sorted(manifest.files.items()):
        data = contents[name]
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise Refused(RefusalCode.DIGEST, f"{name}: SHA-256 or size does not match the manifest")


def _checksum(manifest: bytes) -> bytes:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode("ascii")


def _publish(path: Path, contents: Contents) -> None:
    with draft_of(path) as draft:
        if path.suffix == ".zip":
            write_synced(draft, archive.pack_archive(contents))
        else:
            folder.write_folder(draft, contents)
        draft.rename(path)
