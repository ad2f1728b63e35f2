"""The Open Inference Protocol (v2) over REST: what a model is, whether it is ready, and its answers.

A bad row is an error of the request that names it; with the parameter `partial` the other rows are answered,
its numbers are NaN, its label is empty, and the parameter `errors` of the answer says why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import stream_infer
from stream_infer.flow.records import Rejected
from stream_infer.models.frame_builder import Columns
from stream_infer.models.manifest import Manifest
from stream_infer.serving.requests import BadRequest
from stream_infer.serving.tensors import (
    DATATYPES,
    Tensor,
    parameters_of,
    read_tensor,
    tensor_columns,
    to_binary,
)
from stream_infer.steps.scoring.answers import RowAnswer, Scored, answer_document

HEADER_LENGTH = "Inference-Header-Content-Length"
_SHOWN_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Inference:
    """A request: columns to score, and how its answer is wanted."""

    columns: Columns
    id: str | None
    outputs: Sequence[Any] | None
    partial: bool
    binary: bool


@dataclass(frozen=True, slots=True)
class OutputTensors:
    """The wanted outputs, each with whether it is wanted in binary; `errors` are those of rows, as JSON."""

    tensors: Sequence[tuple[Tensor, bool]]
    errors: str | None


def server_metadata() -> Mapping[str, Any]:
    """Return the document that describes the server."""
    return {
        "name": "stream-infer",
        "version": stream_infer.__version__,
        "extensions": ["binary_tensor_data"],
    }


def require_named(manifest: Manifest, name: str, version: str | None) -> None:
    """Raise `BadRequest` (404) unless the model that serves is `name`, of `version` if there is one."""
    if name != manifest.name or version not in (None, manifest.version):
        asked = name if version is None else f"{name} {version}"
        raise BadRequest(
            f"there is no model {asked}; {manifest.name} {manifest.version} serves", HTTPStatus.NOT_FOUND
        )


def model_metadata(manifest: Manifest) -> dict[str, Any]:
    """Return the document that describes the model: its tensors, named as the features."""
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": f"stream_infer_{manifest.runtime}",
        "inputs": [
            {"name": feature.name, "datatype": DATATYPES[feature.type], "shape": [-1]}
            for feature in manifest.features
        ],
        "outputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": [-1, *tensor.shape[1:]]}
            for tensor in output_tensors([], manifest)
        ],
    }


def read_inference(body: bytes, header_length: str | None, manifest: Manifest) -> Inference:
    """Return the request in `body`; `header_length` is the size of its JSON, where binary data follows it.

    Raises `BadRequest`.
    """
    head, binary = _split_body(body, header_length)
    try:
        document = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the request is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise BadRequest("the request is no object with a list of inputs")
    id_, outputs = document.get("id"), document.get("outputs")
    if id_ is not None and not isinstance(id_, str):
        raise BadRequest("the id is no text")
    if outputs is not None and not isinstance(outputs, list):
        raise BadRequest("the outputs are no list")
    parameters = parameters_of(document, "the request")
    return Inference(
        tensor_columns(_tensors(document["inputs"], binary), manifest),
        id_,
        outputs,
        bool(parameters.get("partial")),
        bool(parameters.get("binary_data_output")),
    )


def _tensors(inputs: Sequence[object], binary: bytes) -> list[Tensor]:
    """Return the tensors that `inputs` describe; `binary` has the bytes of those that have any, in order."""
    tensors, at = [], 0
    for one in inputs:
        if not isinstance(one, Mapping):
            raise BadRequest("an input is not an object")
        size = parameters_of(one, f"input '{one.get('name')}'").get("binary_data_size")
        if size is not None and (type(size) is not int or size < 0 or at + size > len(binary)):
            raise BadRequest(f"input '{one.get('name')}': binary_data_size {size!r} is not in the body")
        tensors.append(read_tensor(one, None if size is None else binary[at : at + size]))
        at += size or 0
    return tensors


def wanted_tensors(asked: Inference, answers: Sequence[RowAnswer], manifest: Manifest) -> OutputTensors:
    """Return the outputs that `asked` wants. Raises `BadRequest` for bad rows, unless `partial` was asked."""
    errors = [answer for answer in answers if isinstance(answer, Rejected)]
    if errors and not asked.partial:
        shown = "; ".join(f"row {one.row}: {one.message}" for one in errors[:_SHOWN_ERRORS])
        more = len(errors) - _SHOWN_ERRORS
        raise BadRequest(shown + (f"; and {more} more rows" if more > 0 else ""))
    listed = [{"row": one.row, **answer_document(one)["error"]} for one in errors]
    tensors = _wanted(asked, output_tensors(answers, manifest))
    return OutputTensors(tensors, json.dumps(listed) if listed else None)


def write_inference(
    asked: Inference, answers: Sequence[RowAnswer], manifest: Manifest
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the answer. Raises `BadRequest` as `wanted_tensors` does."""
    found = wanted_tensors(asked, answers, manifest)
    parts, binaries = [], []
    for tensor, binary in found.tensors:
        part: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if binary:
            data = to_binary(tensor)
            part["parameters"] = {"binary_data_size": len(data)}
            binaries.append(data)
        else:
            part["data"] = [_json_number(value) for value in tensor.data]
        parts.append(part)
    document: dict[str, Any] = {
        "model_name": manifest.name,
        "model_version": manifest.version,
        "outputs": parts,
    }
    if asked.id is not None:
        document["id"] = asked.id
    if found.errors is not None:
        document["parameters"] = {"errors": found.errors}
    head = json.dumps(document).encode()
    headers = {"content-type": "application/json"}
    if binaries:
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return b"".join([head, *binaries]), headers


def output_tensors(answers: Sequence[RowAnswer], manifest: Manifest) -> list[Tensor]:
    """Return the outputs that the model has: label, score, value, each named value, class_scores."""
    output, count = manifest.output, len(answers)
    scored = [answer if isinstance(answer, Scored) else None for answer in answers]
    tensors = []
    if output.classes:
        labels = ["" if one is None else one.label for one in scored]
        tensors.append(Tensor("label", "BYTES", (count,), labels))
    if output.score is not None:
        numbers = [math.nan if one is None else one.score for one in scored]
        tensors.append(Tensor("score", "FP64", (count,), numbers))
    if output.has_value:
        values = [math.nan if one is None else one.value for one in scored]
        tensors.append(Tensor("value", "FP64", (count,), values))
    for name in output.values:
        column = [math.nan if one is None or one.values is None else one.values[name] for one in scored]
        tensors.append(Tensor(name, "FP64", (count,), column))
    if output.class_scores:
        rows = [
            [
                math.nan if one is None or one.class_scores is None else one.class_scores[name]
                for one in scored
            ]
            for name in output.classes
        ]
        flat = [row[at] for at in range(count) for row in rows]
        tensors.append(Tensor("class_scores", "FP64", (count, len(output.classes)), flat))
    return tensors


def _wanted(asked: Inference, tensors: Sequence[Tensor]) -> list[tuple[Tensor, bool]]:
    if asked.outputs is None:
        return [(tensor, asked.binary) for tensor in tensors]
    known = {tensor.name: tensor for tensor in tensors}
    wanted = []
    for one in asked.outputs:
        name = one.get("name") if isinstance(one, Mapping) else None
        if not isinstance(name, str) or name not in known:
            raise BadRequest(f"there is no output '{name}'; the outputs are {', '.join(known)}")
        binary = parameters_of(one, f"output '{name}'").get("binary_data", asked.binary)
        wanted.append((known[name], bool(binary)))
    return wanted


def _json_number(value: object) -> object:
    """Return `value` as JSON has it: there is no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _split_body(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isdecimal() or int(header_length) > len(body):
        raise BadRequest(f"{HEADER_LENGTH}: {header_length!r} is no size within the body")
    return body[: int(header_length)], body[int(header_length) :]
