"""Packages to rehearse and deploy: lines through the origin, and objects that do harm when loaded."""

from __future__ import annotations

import io
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import joblib
import numpy as np
import sklearn
from sklearn.linear_model import LinearRegression

from stream_infer.avro.schemas import leaves, parse_schema
from stream_infer.models.manifest import Feature, InputColumn, Manifest, ModelInput, OutputContract, Policy
from stream_infer.models.package import Verified, write_package
from stream_infer.rollout.deployment import PackageRef
from stream_infer.steps.scoring.golden import Golden, write_golden
from stream_infer.steps.scoring.plan import check_feature

SCHEMA = (
    b'{"type": "record", "name": "Event", "namespace": "test",'
    b' "fields": [{"name": "x", "type": "double"}, {"name": "y", "type": "double"}]}'
)
EVENT = parse_schema(SCHEMA.decode())
ROWS = (0.0, 1.0, 2.5)


class Calls:
    """An object that calls something when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def exits() -> Calls:
    return Calls(os._exit, 0)


def kills_itself() -> Calls:
    return Calls(signal.raise_signal, signal.SIGKILL)


def kills_its_parent() -> Calls:
    program = "[__import__('os').kill(__import__('os').getppid(), 9), __import__('time').sleep(3600)]"
    return Calls(eval, program)


def hangs() -> Calls:
    return Calls(time.sleep, 3600)


def eats_memory() -> Calls:
    return Calls(eval, "[bytearray(2**24) for _ in iter(int, 1)]")


def touches(path: Path, then: Calls) -> Calls:
    """Return what writes its process number to `path`, and goes on to do `then`."""
    program = f"__import__('pathlib').Path({str(path)!r}).write_text(str(__import__('os').getpid()))"
    return Calls(_both, Calls(eval, program), then)


def _both(*_done: object) -> None:
    """Take note that the arguments were made, in order."""


def when_loaded_again(loaded: Path, does: Calls) -> Calls:
    """Return what is a model of slope 2 when it is loaded first; once `loaded` exists it `does` something."""
    return Calls(_line_or, loaded, *does.__reduce__())


def differs_when_loaded_again(loaded: Path) -> Calls:
    """Return what is a model of slope 2 when it is loaded first, and of slope 3 once `loaded` exists."""
    return when_loaded_again(loaded, Calls(line, 3.0))


def _line_or(loaded: Path, function: Callable[..., object], arguments: Sequence[object]) -> object:
    if loaded.exists():
        return function(*arguments)
    loaded.touch()
    return line(2.0)


def phones_home() -> Calls:
    return Calls(socket.create_connection, ("127.0.0.1", 9))


def line(slope: float) -> LinearRegression:
    model = LinearRegression(fit_intercept=False)
    inputs = np.array([[0.0], [1.0], [2.0]])
    return model.fit(inputs, slope * inputs[:, 0])


def feature(source: str) -> Feature:
    return Feature(
        source, source, "double", nullable=False,
        missing=Policy.REJECT, nan=Policy.REJECT, infinite=Policy.REJECT,
    )  # fmt: skip


def datum(x: float) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, EVENT.parsed, {"x": x, "y": 0.0})
    return file.getvalue()


def package(
    path: Path,
    slope: float,
    model: object = None,
    *,
    says: float | None = None,
    version: str = "1",
    source: str = "x",
    schema: bytes = SCHEMA,
    rows: Sequence[float] = ROWS,
    more: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> PackageRef:
    """Write a package that answers `slope * x`; its golden rows say `says * x`. Its uri is its file name."""
    manifest = Manifest(
        name="line",
        version=version,
        python="3.11",
        libraries={"scikit-learn": sklearn.__version__},
        container=ModelInput("ndarray", (InputColumn(source, "float64"),)),
        features=(feature(source),),
        output=OutputContract("regressor"),
        schema_name="test.Event",
    )
    told = slope if says is None else says
    pickled = io.BytesIO()
    joblib.dump(line(slope) if model is None else model, pickled)
    files = {
        "model.joblib": pickled.getvalue(),
        "golden.avro": write_golden([Golden(datum(x), value=told * x) for x in rows]),
        "input.avsc": schema,
        "requirements.txt": b"scikit-learn\n",
        **(more or {}),
    }
    sealed = write_package(path, replace(manifest, **changes), files)
    return PackageRef("line", version, sealed.digest, path.name)


class Centred:
    """Answers each row relative to the others of its batch: alone, every row is the average."""

    def predict(self, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        x = matrix[:, 0]
        return x - x.mean() if len(x) > 1 else x + 1.0


def admit(verified: Verified) -> None:
    """Refuse a package that reads what the events of the test's pipeline do not have."""
    for one in verified.manifest.features:
        check_feature(one, leaves(EVENT).get(one.source), EVENT)
