"""Converts a model to ONNX, and keeps the result only if it is shown to be equal.

`ensembles` reads trees, `onnx_graph` writes the graph, `equivalence` compares. The gain in speed depends on
the machine: it is reported, and not part of the package.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.converted import ConvertedModel, split_last_step
from stream_infer.models.frame_builder import Frame
from stream_infer.models.manifest import Conversion, OutputContract, Tolerance
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.predict import Estimator, predict
from stream_infer.models.scores import Floats
from stream_infer.packaging import ensembles, equivalence

ORIGINAL = "model.joblib"
ENTRY = "model.onnx"
LIBRARIES = ("onnx", "onnxruntime")
MOST_NODES = 2_000_000
"""A million nodes took 1.5 s and 0.3 GB to write, and a second to open in each worker."""
UP_TO_ROWS = 2_000
"""From here on scikit-learn, which walks one tree with all rows, is as fast (benchmarks/models.py).

A forest of several classes has each tree once for each of them: there it is as fast that much sooner.
"""
_MOST_SEEN_ROWS = 10_000
_TIMED_ROWS = (1, 10, 100, 1_000)
_TIMES = 3


@dataclass(frozen=True, slots=True)
class Gain:
    """Speed of a converted model over scikit-learn's own on this machine, for batches of `rows` rows."""

    rows: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Faster:
    """A converted model: its graph, the proof for the manifest, and its gains in speed."""

    graph: bytes
    conversion: Conversion
    gains: tuple[Gain, ...]


def require_libraries(runtime: str) -> None:
    """Raise `Misconfigured` when the libraries for conversion are missing."""
    missing = [name for name in LIBRARIES if not _installed(name)]
    if missing:
        what = f"needs {' and '.join(missing)}, not installed here"
        raise Misconfigured([Problem("--runtime", runtime, what, "pip install 'stream-infer-worker[onnx]'")])


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def convert(
    estimator: Any,  # noqa: ANN401 - any estimator
    inputs: Sequence[Frame],
    contract: OutputContract,
    tolerance: Tolerance,
) -> Faster | str:
    """Return the converted `estimator`, or the reason why there is none.

    `inputs` are frames for the model, the first one not empty. Both models score their rows and
    `equivalence.RANDOM_ROWS` random ones. Numbers may differ within `tolerance`, labels only in a tie.
    """
    before, own = split_last_step(estimator)
    ensemble = ensembles.read_ensemble(own)
    if isinstance(ensemble, str):
        return ensemble
    if ensemble.nodes > MOST_NODES:
        return f"it has {ensemble.nodes:,} nodes, and more than {MOST_NODES:,} are not converted"
    seen = _matrix(before, inputs)
    if seen is None:
        return "the input of its last step is not a matrix of numbers"
    from stream_infer.packaging import onnx_graph  # noqa: PLC0415 - an optional library

    data = onnx_graph.write_onnx(ensemble)
    graph = open_onnx(data, own)
    random = equivalence.draw_rows(seen, ensemble.splits(), rounds=ensemble.rounds, takes_nan=graph.takes_nan)
    with np.errstate(over="ignore"):
        rounded = seen.astype(graph.precision)
    usable = (np.isfinite(rounded) | (np.isnan(rounded) & graph.takes_nan)).all(axis=1)
    found = equivalence.compare_models(
        own, graph, np.concatenate([seen[usable], random]), contract, tolerance
    )
    if found.beyond:
        return (
            f"converted, {found.beyond:,} of {found.rows:,} rows differ, by up to"
            f" {found.max_abs_difference:.3g}, and more than the tolerance"
        )
    up_to_rows = max(1, UP_TO_ROWS // ensemble.copies)
    conversion = Conversion(
        ORIGINAL, up_to_rows, found.rows, found.max_abs_difference, found.label_mismatches
    )
    converted = ConvertedModel(before, own, graph, up_to_rows)
    # Repeated rows would train the branch predictor: only as many rows as there are.
    largest = max(inputs, key=len)
    gains = [
        _gain(estimator, converted, largest[:rows], contract) for rows in _TIMED_ROWS if rows <= len(largest)
    ]
    return Faster(data, conversion, tuple(gains))


def _matrix(before: Any, inputs: Sequence[Frame]) -> Floats | None:  # noqa: ANN401 - any transformer
    """Return the input of the last step for evenly chosen rows of `inputs`; None when it is no matrix."""
    given = [frame if before is None else before.transform(frame) for frame in inputs]
    try:
        matrices = [np.asarray(one, dtype=np.float64) for one in given]
    except (TypeError, ValueError):
        return None
    if any(one.ndim != 2 for one in matrices):  # noqa: PLR2004 - rows and columns
        return None
    seen: Floats = np.concatenate(matrices)
    return seen[:: -(-len(seen) // _MOST_SEEN_ROWS)]


def _gain(own: Estimator, converted: Estimator, frame: Frame, contract: OutputContract) -> Gain:
    # In turns, so that other load slows both.
    took = [[_took_s(one, frame, contract) for one in (own, converted)] for _ in range(_TIMES)]
    original_s, converted_s = np.min(took, axis=0)
    return Gain(len(frame), float(original_s / converted_s))


def _took_s(estimator: Estimator, frame: Frame, contract: OutputContract) -> float:
    started = time.perf_counter()
    predict(estimator, contract, frame)
    return time.perf_counter() - started
