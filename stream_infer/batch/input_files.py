"""The files of an input: a file, a folder, or a folder partitioned as Hive does it (`day=2026-01-31/`).

Names that begin with `_` or `.` are left out, as Spark and pyarrow do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pyarrow import fs

from stream_infer.batch.locations import Location, locate
from stream_infer.flow.errors import Misconfigured, Problem

SUFFIXES = (".parquet", ".avro", ".csv", ".jsonl", ".ndjson", ".arrow", ".arrows", ".feather")
_HIVE = re.compile(r"^([^=/]+)=([^/]*)$")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input: its size and time of change tell whether it is still the same.

    `partition` are the columns that its folders name; their values are text.
    """

    location: Location
    bytes: int
    changed_ns: int
    partition: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The path, as the user began it."""
        return self.location.shown

    @property
    def suffix(self) -> str:
        """The suffix of the name, in lower case."""
        return "." + self.name.rpartition(".")[2].lower()

    @property
    def identity(self) -> str:
        """What changes when the file does."""
        return f"{self.bytes}/{self.changed_ns}"


def find_files(inputs: Sequence[str]) -> list[InputFile]:
    """Return the files of `inputs` (paths or URIs), by name. Raises `Misconfigured` where there is none."""
    found: dict[str, InputFile] = {}
    for text in inputs:
        for file in _files(text):
            found[file.name] = file
    files = [found[name] for name in sorted(found)]
    if not files:
        what = "the folder has no data file"
        raise Misconfigured(
            [Problem("INPUT", ", ".join(inputs), what, f"give files of {', '.join(SUFFIXES)}")]
        )
    suffixes = sorted({file.suffix for file in files})
    if len(suffixes) > 1:
        what = f"files of several kinds: {', '.join(suffixes)}"
        raise Misconfigured(
            [Problem("INPUT", ", ".join(inputs), what, "score each kind in a run of its own")]
        )
    return files


def fingerprint(files: Sequence[InputFile]) -> str:
    """Return the digest of names, sizes and times of change: another one says that the input is another."""
    listed = json.dumps([[file.name, file.identity] for file in files])
    return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()


def _files(text: str) -> Iterator[InputFile]:
    place = locate("INPUT", text)
    try:
        info = place.filesystem.get_file_info(place.path)
        if info.type is fs.FileType.NotFound:
            raise Misconfigured([Problem("INPUT", text, "there is no such file or folder", "check the path")])
        if info.type is fs.FileType.File:
            yield _file(place, info, {})
            return
        inside = place.filesystem.get_file_info(fs.FileSelector(place.path, recursive=True))
    except OSError as error:
        raise Misconfigured(
            [Problem("INPUT", text, f"cannot be read: {error}", "check path and rights")]
        ) from error
    base = place.path.rstrip("/")
    for one in inside:
        below = one.path[len(base) :].lstrip("/")
        parts = below.split("/")
        if one.type is not fs.FileType.File or any(part[:1] in {"_", "."} for part in parts):
            continue
        if below.lower().endswith(SUFFIXES):
            yield _file(place.child(below), one, _partition(parts[:-1]))


def _file(place: Location, info: fs.FileInfo, partition: Mapping[str, str | None]) -> InputFile:
    if not place.shown.lower().endswith(SUFFIXES):
        fix = f"give a file of {', '.join(SUFFIXES)}"
        raise Misconfigured(
            [Problem("INPUT", place.shown, "is of no kind that can be read, by its name", fix)]
        )
    return InputFile(place, info.size, info.mtime_ns or 0, partition)


def _partition(folders: Sequence[str]) -> Mapping[str, str | None]:
    named = (match for folder in folders if (match := _HIVE.match(folder)))
    return {match[1]: None if match[2] == _HIVE_NULL else unquote(match[2]) for match in named}
