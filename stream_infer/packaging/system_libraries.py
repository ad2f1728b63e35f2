"""The shared libraries of the system that installed wheels need: LightGBM's needs libgomp, for one."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

from stream_infer.packaging.libraries import module_owners

_MAPS = Path("/proc/self/maps")
_INSTALLED = "site-packages"
# What a wheel for Linux may take for granted (PEP 600), and what Python itself is linked to.
_EVERYWHERE = frozenset(
    {
        "ld",
        "libc",
        "libdl",
        "libgcc_s",
        "libm",
        "libnsl",
        "libpthread",
        "librt",
        "libstdc++",
        "libutil",
        "libz",
    }
)
DEBIAN = {
    "libgfortran.so.5": "libgfortran5",
    "libgomp.so.1": "libgomp1",
    "libomp.so.5": "libomp5",
    "libopenblas.so.0": "libopenblas0",
}
"""Library -> the Debian package that has it."""

# ELF of 64 bits, little-endian (System V ABI): header, kinds of segments, tags of the dynamic section.
_ELF, _PHOFF, _PHENTSIZE = b"\x7fELF\x02\x01", 0x20, 0x36
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5


def system_libraries(libraries: Collection[str]) -> Sequence[str]:
    """Return the names of the system's shared libraries that `libraries`, loaded here, are linked to.

    Empty where the system does not tell (other than Linux).
    """
    if not _MAPS.exists():
        return ()
    loaded = {Path(line.split(maxsplit=5)[5]) for line in _MAPS.read_text().splitlines() if ".so" in line}
    system = [path.name for path in loaded if path.is_relative_to("/usr/lib") or path.is_relative_to("/lib")]
    needed = {name for path in loaded if _owned(path, libraries) for name in _linked(path)}
    return sorted(
        name
        for name in needed
        if re.split(r"[.-]", name)[0] not in _EVERYWHERE
        and any(file == name or file.startswith(f"{name}.") for file in system)
    )


def _owned(path: Path, libraries: Collection[str]) -> bool:
    """Return whether one of `libraries` has the file."""
    if _INSTALLED not in path.parts:
        return False
    first = path.parts[path.parts.index(_INSTALLED) + 1].partition(".")[0]
    return not set(module_owners().get(first, ())).isdisjoint(libraries)


@cache
def _linked(path: Path) -> Sequence[str]:
    """Return the libraries that the file is linked to, by its dynamic section; none for another format."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return list(_dynamic_names(data)) if data[: len(_ELF)] == _ELF else []


def _dynamic_names(data: mmap.mmap) -> Iterator[str]:
    [start] = struct.unpack_from("<Q", data, _PHOFF)
    size, count = struct.unpack_from("<HH", data, _PHENTSIZE)
    segments = [struct.unpack_from("<IIQQQQ", data, start + size * index) for index in range(count)]
    loads = [(address, offset, length) for kind, _, offset, address, _, length in segments if kind == _LOAD]
    for kind, _, offset, _, _, length in segments:
        if kind != _DYNAMIC:
            continue
        tags = list(struct.iter_unpack("<qQ", data[offset : offset + length // 16 * 16]))
        table = next(value for tag, value in tags if tag == _STRTAB)
        [begin] = [at + table - address for address, at, long in loads if address <= table < address + long]
        for tag, value in tags:
            if tag == _NEEDED:
                yield data[begin + value : data.find(b"\0", begin + value)].decode()
