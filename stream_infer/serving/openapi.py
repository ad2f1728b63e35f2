"""The OpenAPI 3.1 document of a served model: paths, and the schema of its events and answers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import stream_infer
from stream_infer.models.manifest import Manifest
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.answer_forms import AVRO_CONTAINER, JSON
from stream_infer.serving.arrow_events import ARROW_STREAM
from stream_infer.serving.event_schema import event_json_schema
from stream_infer.serving.golden_events import golden_events, golden_tensors
from stream_infer.serving.inference import model_metadata
from stream_infer.serving.tensor_schema import inference_answer, inference_request

Json = dict[str, Any]

_BYTES: Mapping[str, Any] = {"schema": {"type": "string", "format": "binary"}}

_PROBLEMS: Mapping[str, str] = {
    "400": "The request is not what this document says; `error` names it.",
    "404": "Another model or version serves.",
    "406": "The answer has none of the forms asked for.",
    "408": "The request came too slowly.",
    "413": "A limit of bytes or rows is passed.",
    "503": "Too much waits, or the model is broken. `Retry-After` has seconds where trying again helps.",
    "504": "The answer took too long.",
}


def openapi_document(served: Scorer, row_limit: int) -> Json:
    """Return the document that describes the API of `served`. A request has at most `row_limit` rows."""
    manifest = served.model.manifest
    samples = [one.event for one in golden_events(served.model, served.schema, 1)]
    example = samples[0] if samples else None
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Model {manifest.name}",
            "version": manifest.version,
            "description": f"{served.model.digest}, served by stream_infer {stream_infer.__version__}",
        },
        "paths": {
            "/v1/predictions": {"post": _predictions(row_limit, example)},
            "/v1/model": {"get": _get("describeModel", "The model, its features and golden samples.")},
            **_protocol_paths(manifest, golden_tensors(served.model, 2)),
            **{path: {"get": _get(name, says)} for path, name, says in _PROBES},
        },
        "components": {"schemas": _schemas(served, example)},
    }


_PROBES = (
    ("/v2", "describeServer", "The server and its extensions."),
    ("/v2/health/live", "isLive", "The server is alive."),
    ("/v2/health/ready", "isReady", "A model serves."),
)


def _predictions(row_limit: int, example: Mapping[str, Any] | None) -> Json:
    event = {"$ref": "#/components/schemas/event"}
    body: Json = {"schema": {"anyOf": [event, {"type": "array", "items": event, "maxItems": row_limit}]}}
    if example is not None:
        body["example"] = example
    answers = _json_content(
        {
            "anyOf": [
                {"$ref": "#/components/schemas/prediction"},
                {
                    "type": "object",
                    "properties": {
                        "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/row"}}
                    },
                    "required": ["predictions"],
                },
            ]
        }
    )
    return {
        "operationId": "predict",
        "summary": "Answer one event, or a list of events in its order.",
        "requestBody": {
            "required": True,
            "content": {JSON: body, AVRO_CONTAINER: _BYTES, ARROW_STREAM: _BYTES},
        },
        "responses": {
            "200": {
                "description": "The answers, in the form that `Accept` asks for.",
                "content": {**answers["content"], AVRO_CONTAINER: _BYTES, ARROW_STREAM: _BYTES},
            },
            "422": {
                "description": "The one event is refused, as a worker would refuse it.",
                **_json_content({"$ref": "#/components/schemas/refusal"}),
            },
            **_problems("400", "406", "408", "413", "503", "504"),
        },
    }


def _protocol_paths(manifest: Manifest, example: Json | None) -> Json:
    """Return the paths of the Open Inference Protocol, by model and by version."""
    paths: Json = {}
    model = f"/v2/models/{manifest.name}"
    body = _json_content({"$ref": "#/components/schemas/inference-request"})
    if example is not None:
        body["content"]["application/json"]["example"] = example
    for path, suffix in ((model, ""), (f"{model}/versions/{manifest.version}", "OfVersion")):
        paths[path] = {"get": _get(f"describeTensors{suffix}", "The tensors of the model.", "404")}
        paths[f"{path}/ready"] = {"get": _get(f"isModelReady{suffix}", "The model serves.", "404")}
        paths[f"{path}/infer"] = {
            "post": {
                "operationId": f"infer{suffix}",
                "summary": "Answer tensors (Open Inference Protocol).",
                "requestBody": {"required": True, **body},
                "responses": {
                    "200": {
                        "description": "The answers.",
                        **_json_content({"$ref": "#/components/schemas/inference-answer"}),
                    },
                    **_problems("400", "404", "408", "413", "503", "504"),
                },
            }
        }
    return paths


def _get(name: str, says: str, *problems: str) -> Json:
    done = {"description": "It is so.", **_json_content({"type": "object"})}
    return {"operationId": name, "summary": says, "responses": {"200": done, **_problems(*problems)}}


def _problems(*statuses: str) -> Json:
    problem = _json_content({"$ref": "#/components/schemas/problem"})
    # A limit of the connection answers without a body.
    return {
        status: {
            "description": _PROBLEMS[status],
            **({} if int(status) == HTTPStatus.REQUEST_TIMEOUT else problem),
        }
        for status in statuses
    }


def _json_content(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


def _schemas(served: Scorer, example: Mapping[str, Any] | None) -> Json:
    manifest = served.model.manifest
    text = {"type": "string"}
    named = {"model_name": text, "model_version": text, "model_digest": text}
    error = {
        "type": "object",
        "properties": {"stage": text, "class": text, "message": text},
        "required": ["stage", "class", "message"],
    }
    refusal = {"type": "object", "properties": {"error": error, **named}, "required": ["error", *named]}
    return {
        "event": event_json_schema(served.schema, manifest, example),
        "prediction": _prediction(manifest, named),
        "refusal": refusal,
        "row": {"anyOf": [{"$ref": f"#/components/schemas/{one}"} for one in ("prediction", "refusal")]},
        "problem": {"type": "object", "properties": {"error": text}, "required": ["error"]},
        "inference-request": inference_request(model_metadata(manifest)),
        "inference-answer": inference_answer(model_metadata(manifest)),
    }


def _prediction(manifest: Manifest, named: Json) -> Json:
    output = manifest.output
    nothing: Json = {"type": "null"}
    number: Json = {"type": "number"}
    label: Json = {"type": "string", "enum": list(output.classes)} if output.classes else nothing
    properties: Json = {
        "label": label,
        "score": nothing if output.score is None else number,
        "value": number if output.has_value else nothing,
        "class_scores": _numbers(output.classes) if output.class_scores else nothing,
        "values": _numbers(output.values) if output.values else nothing,
        **named,
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _numbers(names: tuple[str, ...]) -> Json:
    return {
        "type": "object",
        "properties": {name: {"type": "number"} for name in names},
        "required": list(names),
    }
