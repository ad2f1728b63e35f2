"""Tensors of the Open Inference Protocol (v2) to the columns of a model, and its answers to tensors.

One tensor for each feature, of shape [n] or [n, 1], or one of shape [n, k] for a model whose k features are
all numbers. The protocol has no null: NaN is one in a tensor of a nullable number; elsewhere those elements
are that equal the tensor's parameter `null_value`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_infer.avro.resolve import ARROW
from stream_infer.models.frame_builder import Columns
from stream_infer.models.manifest import Feature, Manifest
from stream_infer.serving.requests import BadRequest

DATATYPES: Mapping[str, str] = {
    "int": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "boolean": "BOOL",
    "string": "BYTES",
    "enum": "BYTES",
}
ELEMENTS: Mapping[str, str] = {
    "INT32": "integer",
    "INT64": "integer",
    "FP32": "number",
    "FP64": "number",
    "BOOL": "boolean",
    "BYTES": "string",
}
"""Datatype -> the type of its elements in JSON."""

_NUMPY: Mapping[str, str] = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "FP32": "<f4",
    "FP64": "<f8",
}
_SMALL = frozenset({"INT8", "INT16", "UINT8", "UINT16"})
_WHOLE = _SMALL | {"INT32"}
# Kind of a feature -> the datatypes whose every value it holds.
_TAKES: Mapping[str, frozenset[str]] = {
    "int": _WHOLE,
    "long": _WHOLE | {"UINT32", "INT64"},
    "float": _SMALL | {"FP32"},
    "double": _WHOLE | {"UINT32", "INT64", "FP32", "FP64"},
    "boolean": frozenset({"BOOL"}),
    "string": frozenset({"BYTES"}),
    "enum": frozenset({"BYTES"}),
}
_NUMBERS = frozenset({"int", "long", "float", "double"})
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its elements row by row, in `data`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] | npt.NDArray[Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_tensor(document: Mapping[str, Any], binary: bytes | None) -> Tensor:
    """Return the tensor that an input of a request describes; `binary` are its bytes, if it has any.

    Raises `BadRequest`.
    """
    name, datatype, shape = (document.get(key) for key in ("name", "datatype", "shape"))
    if not isinstance(name, str):
        raise BadRequest("an input has no name")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadRequest(f"input '{name}': shape {shape!r} is no list of whole numbers")
    parameters = parameters_of(document, f"input '{name}'")
    data = _flat(document.get("data")) if binary is None else binary
    return make_tensor(name, datatype, tuple(shape), data, parameters)


def make_tensor(
    name: str,
    datatype: object,
    shape: tuple[int, ...],
    data: Sequence[Any] | bytes,
    parameters: Mapping[str, Any],
) -> Tensor:
    """Return a tensor of `data`: its elements, or their bytes in the protocol's binary form.

    Raises `BadRequest`.
    """
    if datatype not in (*_NUMPY, "BYTES"):
        raise BadRequest(f"input '{name}': datatype {datatype!r} is none of {', '.join((*_NUMPY, 'BYTES'))}")
    kind = str(datatype)
    elements = _from_binary(name, kind, data) if isinstance(data, bytes) else data
    if len(elements) != math.prod(shape):
        raise BadRequest(f"input '{name}': {len(elements)} elements do not fill the shape {list(shape)}")
    return Tensor(name, kind, shape, elements, parameters)


def parameters_of(document: Mapping[str, Any], owner: str) -> Mapping[str, Any]:
    """Return the parameters of a request, an input or an output; `owner` names it. Raises `BadRequest`."""
    parameters = document.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise BadRequest(f"{owner}: the parameters are no object")
    return parameters


def tensor_columns(tensors: Sequence[Tensor], manifest: Manifest) -> Columns:
    """Return the columns of the features' sources. Raises `BadRequest`."""
    features = {feature.name: feature for feature in manifest.features}
    given = {tensor.name: tensor for tensor in tensors}
    if len(given) < len(tensors):
        raise BadRequest("an input is given twice")
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] == len(features) > 1:  # noqa: PLR2004 - a matrix
        given = _split_matrix(tensors[0], features)
    unknown = given.keys() - features.keys()
    missing = [name for name in features if name not in given]
    if unknown or missing:
        says = [f"there is no input '{name}'" for name in sorted(unknown)]
        says += [f"input '{name}' is missing" for name in missing]
        raise BadRequest(f"{'; '.join(says)}; the inputs are {', '.join(features)}")
    rows = {_rows_of(tensor) for tensor in given.values()}
    if len(rows) > 1:
        raise BadRequest(f"the inputs have different numbers of rows: {', '.join(map(str, sorted(rows)))}")
    return {feature.source: _column(given[name], feature) for name, feature in features.items()}


def _split_matrix(tensor: Tensor, features: Mapping[str, Feature]) -> dict[str, Tensor]:
    texts = [name for name, feature in features.items() if feature.type not in _NUMBERS]
    if texts:
        raise BadRequest(f"input '{tensor.name}': a matrix has no place for {', '.join(texts)}")
    width = len(features)
    return {
        name: Tensor(name, tensor.datatype, tensor.shape[:1], tensor.data[at::width], tensor.parameters)
        for at, name in enumerate(features)
    }


def _rows_of(tensor: Tensor) -> int:
    if len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1):  # noqa: PLR2004 - a column
        return tensor.shape[0]
    raise BadRequest(f"input '{tensor.name}': shape {list(tensor.shape)} is neither [n] nor [n, 1]")


def _column(tensor: Tensor, feature: Feature) -> pa.Array:
    if tensor.datatype not in _TAKES[feature.type]:
        takes = ", ".join(sorted(_TAKES[feature.type]))
        raise BadRequest(f"input '{tensor.name}': {tensor.datatype} does not fit {feature.type}; use {takes}")
    null = tensor.parameters.get("null_value")
    data: Sequence[Any] | npt.NDArray[Any] = tensor.data
    try:
        if tensor.datatype == "BYTES":
            data = [_text(value) for value in data]
        if null is not None:
            data = [None if value == null else value for value in _listed(data)]
        return pa.array(data, ARROW[feature.type], from_pandas=feature.nullable)
    except (pa.ArrowException, OverflowError, TypeError, UnicodeError) as error:
        raise BadRequest(f"input '{tensor.name}': {error}") from error


def _text(value: object) -> str | None:
    return value.decode() if isinstance(value, bytes) else value  # type: ignore[return-value]  # Arrow checks it


def _listed(data: Sequence[Any] | npt.NDArray[Any]) -> list[Any]:
    return data.tolist() if isinstance(data, np.ndarray) else list(data)


def _flat(data: object) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequest("an input has no data")
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise BadRequest("the data of an input is nested unevenly")
        data = [value for part in data for value in part]
    return data


def _from_binary(name: str, datatype: str, binary: bytes) -> Sequence[Any] | npt.NDArray[Any]:
    if datatype != "BYTES":
        dtype = np.dtype(_NUMPY[datatype])
        if len(binary) % dtype.itemsize:
            raise BadRequest(f"input '{name}': {len(binary)} bytes are no whole number of {datatype}")
        return np.frombuffer(binary, dtype)
    found, at = [], 0
    while at < len(binary):
        end = at + _LENGTH.size
        size = _LENGTH.unpack_from(binary, at)[0] if end <= len(binary) else len(binary)
        if end + size > len(binary):
            raise BadRequest(f"input '{name}': the binary data ends inside an element")
        found.append(binary[end : end + size])
        at = end + size
    return found


def to_binary(tensor: Tensor) -> bytes:
    """Return the elements of `tensor` in the protocol's binary form."""
    if tensor.datatype != "BYTES":
        return np.asarray(tensor.data, dtype=_NUMPY[tensor.datatype]).tobytes()
    texts = [str(value).encode() for value in tensor.data]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
