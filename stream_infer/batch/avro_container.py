"""The frame of an Avro object container file (Avro 1.12, "Object Container Files"): header and blocks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
_HEADER_PIECES = 10_000


@dataclass(frozen=True, slots=True)
class ContainerHeader:
    """The header: the writer's schema, the codec, the marker between blocks; `size` is where blocks begin."""

    schema: str
    codec: str
    sync: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ContainerBlock:
    """The place of a block: its data take `bytes` bytes from `data_at` on, and hold `rows` records."""

    data_at: int
    bytes: int
    rows: int

    @property
    def end(self) -> int:
        """Where the next block begins."""
        return self.data_at + self.bytes + SYNC_BYTES


def write_header(schema: str, codec: str, sync: bytes) -> bytes:
    """Return the header of a container file."""
    metadata = {b"avro.codec": codec.encode(), b"avro.schema": schema.encode()}
    parts = [MAGIC, write_long(len(metadata))]
    parts += [write_long(len(piece)) + piece for item in metadata.items() for piece in item]
    return b"".join([*parts, write_long(0), sync])


def read_header(opened: pa.NativeFile) -> ContainerHeader:
    """Return the header of the file. Raises `ValueError` when it is none."""
    opened.seek(0)
    if opened.read(len(MAGIC)) != MAGIC:
        raise ValueError("the file does not begin as an Avro object container file does")
    metadata: dict[str, bytes] = {}
    while count := read_long(opened):
        if count < 0:  # a block of a map may say how many bytes it has
            count = -count
            read_long(opened)
        if count > _HEADER_PIECES:
            raise ValueError("the header cannot be read")
        for _ in range(count):
            name = _exactly(opened, read_long(opened)).decode()
            metadata[name] = _exactly(opened, read_long(opened))
    sync = _exactly(opened, SYNC_BYTES)
    if "avro.schema" not in metadata:
        raise ValueError("the header has no schema")
    codec = metadata.get("avro.codec", b"null").decode()
    return ContainerHeader(metadata["avro.schema"].decode(), codec, sync, opened.tell())


def blocks(opened: pa.NativeFile, header: ContainerHeader) -> Iterator[ContainerBlock]:
    """Yield the place of each block; only their heads are read. Raises `ValueError` for a damaged file."""
    at, size = header.size, opened.size()
    while at < size:
        opened.seek(at)
        rows, length = read_long(opened), read_long(opened)
        block = ContainerBlock(opened.tell(), length, rows)
        if rows < 0 or length < 0 or block.end > size:
            raise ValueError(f"the block at byte {at} is cut off, or its size is damaged")
        yield block
        at = block.end


def read_block(opened: pa.NativeFile, header: ContainerHeader, block: ContainerBlock) -> bytes:
    """Return the records of `block`, without the codec. Raises `ValueError` for a damaged block."""
    opened.seek(block.data_at)
    data = _exactly(opened, block.bytes)
    if _exactly(opened, SYNC_BYTES) != header.sync:
        raise ValueError(
            f"the block of data at byte {block.data_at} is damaged: its end is not where it says"
        )
    unpack = _CODECS.get(header.codec)
    if unpack is None:
        raise ValueError(f"the codec {header.codec} is none of {', '.join(_CODECS)}")
    try:
        return unpack(data)
    except (zlib.error, OSError, pa.ArrowException) as error:
        raise ValueError(f"the block of data at byte {block.data_at} is damaged: {error}") from error


def write_long(number: int) -> bytes:
    """Return `number` (>= 0) as Avro writes a long."""
    number <<= 1
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def read_long(opened: pa.NativeFile) -> int:
    """Return the long that comes next. Raises `ValueError` at the end of the file."""
    value = shift = 0
    while True:
        [byte] = _exactly(opened, 1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - seven bits a byte
            return value >> 1 ^ -(value & 1)
        shift += 7
        if shift > 63:  # noqa: PLR2004 - a long has 64 bits
            raise ValueError("a length cannot be read")


def _exactly(opened: pa.NativeFile, count: int) -> bytes:
    data: bytes = opened.read(count) if count >= 0 else b""
    if len(data) != count or count < 0:
        raise ValueError("the file ends too early, or a length in it is damaged")
    return data


def _snappy(data: bytes) -> bytes:
    packed, checksum = data[:-4], data[-4:]
    size = shift = 0
    for byte in packed:  # the size that it will have comes first
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - seven bits a byte
            break
    unpacked: bytes = pa.decompress(packed, size, codec="snappy", asbytes=True)
    if zlib.crc32(unpacked).to_bytes(4, "big") != checksum:
        raise OSError("its checksum differs")
    return unpacked


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return bytes(stream.read())


_CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": lambda data: data,
    "deflate": lambda data: zlib.decompress(data, -zlib.MAX_WBITS),
    "snappy": _snappy,
    "zstandard": _zstandard,
}
