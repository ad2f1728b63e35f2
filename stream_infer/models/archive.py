"""The zip form of a package: the same contents always give the same bytes, and no other zip is read.

A zip repeats its facts (local header, central directory) and can hide bytes (comments, extra fields, gaps);
readers disagree on which to trust. This reader trusts none: it rebuilds, from names and bytes, the zip that
`pack_archive` writes, and refuses a file that differs anywhere.

Entries are stored, not deflated. Deflated bytes depend on the library that made them (zlib and zlib-ng
differ, and Python ships either), so they could not be rebuilt for comparison. A stored entry cannot be a
bomb: reading never takes more memory than the size of the file. joblib can compress the model itself. No
entry is written to disk.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stream_infer.common.regular_files import open_regular
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.contents import Contents, ContentsGuard, PackageLimits

SIGNATURE = b"PK\x03\x04"
_CODE = RefusalCode.UNSAFE_ARCHIVE
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION_NEEDED = 10
_MADE_BY_UNIX = 0x0314
_NEW_YEAR_1980 = 0x0021  # the earliest date that a zip can hold; a package has no dates
_REGULAR_FILE = 0o100644 << 16


class _Entry(NamedTuple):
    name: bytes
    crc: int
    size: int

    def local(self) -> bytes:
        fields = (SIGNATURE, _VERSION_NEEDED, 0, 0, 0, _NEW_YEAR_1980, self.crc, self.size, self.size)
        return _LOCAL.pack(*fields, len(self.name), 0) + self.name

    def central(self, offset: int) -> bytes:
        fields = (b"PK\x01\x02", _MADE_BY_UNIX, _VERSION_NEEDED, 0, 0, 0, _NEW_YEAR_1980, self.crc)
        sizes = (self.size, self.size, len(self.name), 0, 0, 0, 0, _REGULAR_FILE, offset)
        return _CENTRAL.pack(*fields, *sizes) + self.name


def pack_archive(contents: Contents) -> Iterator[bytes]:
    """Yield the bytes of the zip that holds `contents`: the same for the same contents, everywhere."""
    entries = []
    for name in sorted(contents, key=_place):
        data = contents[name]
        entry = _Entry(name.encode("ascii"), zlib.crc32(data), len(data))
        entries.append(entry)
        yield entry.local()
        yield data
    yield _tail(entries)


def read_archive(path: Path, limits: PackageLimits) -> Contents:
    """Return name -> bytes of the zip at `path`; raise `Refused` unless `pack_archive` makes the same zip."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.total_bytes:
            raise Refused(RefusalCode.TOO_LARGE, f"more than {limits.total_bytes} bytes")
        return _unpack(stream, size, ContentsGuard(_CODE, limits))


def _unpack(stream: BinaryIO, size: int, guard: ContentsGuard) -> Contents:
    contents: dict[str, bytes] = {}
    entries: list[_Entry] = []
    head = stream.read(_LOCAL.size)
    while head.startswith(SIGNATURE):
        entry, name = _announced(head, stream, size)
        guard.admit(name, entry.size)
        if entries and _place(name) <= _place(entries[-1].name.decode("ascii")):
            raise Refused(_CODE, f"{name!r} is out of order")
        contents[name] = _body(entry, name, stream)
        entries.append(entry)
        head = stream.read(_LOCAL.size)
    tail = _tail(entries)
    if head + stream.read(len(tail) + 1) != tail:
        raise Refused(_CODE, "the central directory is not that of the entries, or bytes follow it")
    return contents


def _announced(head: bytes, stream: BinaryIO, size: int) -> tuple[_Entry, str]:
    """Return the entry of a local header; raise `Refused` unless `pack_archive` writes that header."""
    if len(head) < _LOCAL.size:
        raise Refused(_CODE, "the file ends within a header")
    _, _, flags, method, _, _, crc, stored, _, name_length, _ = _LOCAL.unpack(head)
    name = stream.read(name_length)
    shown = ascii(name.decode("utf-8", "replace"))
    if flags & 1:
        raise Refused(_CODE, f"{shown} is encrypted")
    if method != 0:
        raise Refused(
            _CODE, f"{shown} is compressed (method {method}); a package stores its files as they are"
        )
    entry = _Entry(name, crc, stored)
    if not name.isascii() or entry.local() != head + name:
        raise Refused(_CODE, f"the header of {shown} is not one that `stream-infer package create` writes")
    if stored > size - stream.tell():
        raise Refused(_CODE, f"{shown} is longer than the file that holds it")
    return entry, name.decode("ascii")


def _body(entry: _Entry, name: str, stream: BinaryIO) -> bytes:
    data = stream.read(entry.size)
    if len(data) != entry.size:
        raise Refused(_CODE, f"the file ends within {name!r}")
    if zlib.crc32(data) != entry.crc:
        raise Refused(RefusalCode.DIGEST, f"{name}: CRC-32 does not match the zip entry")
    return data


def _place(name: str) -> tuple[bool, str]:
    """Return the sort key: by name, the manifest first, so that the first kilobyte identifies the package."""
    return (name != "manifest.json", name)


def _tail(entries: list[_Entry]) -> bytes:
    central, offset = [], 0
    for entry in entries:
        central.append(entry.central(offset))
        offset += len(entry.local()) + entry.size
    directory = b"".join(central)
    count = len(entries)
    return directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), offset, 0)
