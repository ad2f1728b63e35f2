"""Opens a model file that is data: no pickle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from stream_infer.models.boosters import open_booster
from stream_infer.models.formats import ONNX, SKOPS, ModelFormat
from stream_infer.models.onnx_file import open_onnx_file
from stream_infer.models.skops_file import open_skops


def open_file(form: ModelFormat, data: bytes, classes: Sequence[str], approved: Collection[str]) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator in `data`.

    `classes` are those of an ONNX graph, `approved` the types of a skops file. Raises `Refused` (`runtime`,
    `load`, `container`, `output`).
    """
    if form is ONNX:
        return open_onnx_file(data, classes)
    if form is SKOPS:
        return open_skops(data, approved)
    return open_booster(form, data)
