"""JSON schemas of the Open Inference Protocol's requests and answers, for one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_infer.serving.tensors import ELEMENTS

Json = dict[str, Any]

_PARAMETERS: Json = {"type": "object"}
_SHAPE: Json = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2}


def inference_request(metadata: Mapping[str, Any]) -> Json:
    """Return the schema of a request to the model that `metadata` describes."""
    outputs = [one["name"] for one in metadata["outputs"]]
    wanted = {
        "type": "object",
        "properties": {"name": {"enum": outputs}, "parameters": _PARAMETERS},
        "required": ["name"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object", "properties": {"partial": {"type": "boolean"}}},
            "inputs": {
                "type": "array",
                "items": {"anyOf": [_tensor(one["name"], one["datatype"]) for one in metadata["inputs"]]},
                "minItems": 1,
            },
            "outputs": {"type": "array", "items": wanted},
        },
        "required": ["inputs"],
    }


def inference_answer(metadata: Mapping[str, Any]) -> Json:
    """Return the schema of an answer of the model that `metadata` describes."""
    tensors = [_tensor(one["name"], one["datatype"], nullable=True) for one in metadata["outputs"]]
    return {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "outputs": {"type": "array", "items": {"anyOf": tensors}},
        },
        "required": ["model_name", "model_version", "outputs"],
    }


def _tensor(name: str, datatype: str, *, nullable: bool = False) -> Json:
    element = {"type": [ELEMENTS[datatype], "null"]} if nullable else {"type": ELEMENTS[datatype]}
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": _SHAPE,
            "parameters": _PARAMETERS,
            "data": {"type": "array", "items": element},
        },
        "required": ["name", "datatype", "shape", "data"],
    }
