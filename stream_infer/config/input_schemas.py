"""The Avro schemas of events and labels, read from the files that `[input]` and `[labels]` name.

With the Confluent framing the file has the reader's schema; without, those of the writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, SchemaRefused, parse_schema
from stream_infer.config.monitoring_sections import LabelsSection
from stream_infer.config.sections import InputSection
from stream_infer.flow.errors import Problem

KEY = "input.schema"
LABELS_KEY = "labels.schema"
_SUFFIX = ".avsc"


def read_input_schemas(settings: InputSection) -> tuple[Sequence[Schema], Sequence[Problem]]:
    """Return the schemas in the order of their file names, and a problem for each bad file."""
    path = settings.schema_path
    if path is None:
        return [], []
    if not path.exists():
        fix = "correct the path: it is relative to the folder of the configuration file"
        return [], [_problem(path, "does not exist", fix)]
    if path.is_dir() and settings.framing is Framing.NONE:
        message = "is a folder: without framing an event does not name its schema"
        return [], [_problem(path, message, 'name one .avsc file, or use framing = "single-object"')]
    if path.is_dir() and settings.framing is Framing.CONFLUENT:
        message = "is a folder: with the Confluent framing one schema reads the events of all writers"
        fix = "name one .avsc file, or remove the key: the schema of the model counts then"
        return [], [_problem(path, message, fix)]
    files = sorted(path.rglob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    if not files:
        return [], [_problem(path, f"contains no {_SUFFIX} file", "put the schemas of the writers there")]
    read = [_read_one(file) for file in files]
    return [s for s in read if isinstance(s, Schema)], [p for p in read if isinstance(p, Problem)]


def read_label_schema(settings: LabelsSection) -> Schema | Problem | None:
    """Return the schema of labels, or the problem of its file; None where no file is named."""
    path = settings.schema_path
    if path is None:
        return None
    if not path.is_file():
        fix = "name one .avsc file: the path is relative to the folder of the configuration file"
        return _problem(path, "does not exist", fix, LABELS_KEY)
    return _read_one(path, LABELS_KEY)


def _read_one(file: Path, key: str = KEY) -> Schema | Problem:
    try:
        return parse_schema(file.read_text("utf-8"))
    except SchemaRefused as refused:
        return _problem(file, str(refused), "correct the schema; it must be a record of bounded shape", key)
    except OSError as error:
        return _problem(file, f"cannot be read: {error.strerror}", "make it readable", key)
    except UnicodeDecodeError:
        return _problem(file, "is not UTF-8 text", "save it as UTF-8", key)


def _problem(path: Path, message: str, fix: str, key: str = KEY) -> Problem:
    return Problem(key, f'"{path}"', message, fix)
