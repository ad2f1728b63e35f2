"""What the model that serves is, as JSON for programs and for the page: `GET /v1/model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stream_infer
from stream_infer.avro.schemas import Schema, leaves
from stream_infer.avro.types import Enum, Record, Type, without_null
from stream_infer.models.manifest import Feature
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.event_schema import UNITS
from stream_infer.serving.golden_events import empty_event, golden_events
from stream_infer.serving.instants import EXAMPLES
from stream_infer.steps.scoring.answers import answer_document, answer_requests

_SAMPLES = 5


def model_card(served: Scorer) -> Mapping[str, Any]:
    """Return the document of a model: its package, its features, and golden samples with their answers."""
    manifest, model = served.model.manifest, served.model
    return {
        "name": manifest.name,
        "version": manifest.version,
        "digest": model.digest,
        "runtime": manifest.runtime,
        "format": manifest.form.title,
        "python": manifest.python,
        "libraries": dict(manifest.libraries),
        "server": f"stream_infer {stream_infer.__version__}",
        "event": served.schema.name,
        "output": {
            "kind": manifest.output.kind,
            "classes": list(manifest.output.classes),
            "score": manifest.output.score,
            "threshold": manifest.output.threshold,
            "values": list(manifest.output.values),
            "primary": manifest.output.primary,
        },
        "features": [_feature(served, feature) for feature in manifest.features],
        "empty_event": empty_event(served.schema),
        "samples": _samples(served),
    }


def _feature(served: Scorer, feature: Feature) -> Mapping[str, Any]:
    leaf = leaves(served.schema)[feature.source]
    known = served.model.accepted.get(feature.name)
    choices = _symbols(served.schema, feature.source)
    if known is not None and feature.type in ("string", "enum"):
        choices = [str(value) for value in known.to_pylist() if value is not None]
    return {
        "name": feature.name,
        "source": feature.source,
        "type": feature.type,
        "logical": feature.logical,
        "unit": UNITS.get(feature.logical or ""),
        "decimals": None if leaf.decimal is None else leaf.decimal.scale,
        "hint": EXAMPLES.get(feature.logical or ""),
        "nullable": feature.nullable,
        "missing": feature.missing.value,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "choices": choices,
    }


def _symbols(schema: Schema, path: str) -> list[str] | None:
    kind: Type = schema.root
    for step in path.split("."):
        kind = without_null(kind)[0]
        if not isinstance(kind, Record):
            return None
        kind = next(field.type for field in kind.fields if field.name == step)
    kind = without_null(kind)[0]
    return list(kind.symbols) if isinstance(kind, Enum) else None


def _samples(served: Scorer) -> list[Mapping[str, Any]]:
    found = golden_events(served.model, served.schema, _SAMPLES)
    if not found:
        return []
    golden = {
        source: column.take([one.row for one in found]) for source, column in served.model.golden.items()
    }
    [answers] = answer_requests(served.model, served.plan, [golden])
    return [
        {"event": one.event, "inputs": one.inputs, "answer": answer_document(answer)}
        for one, answer in zip(found, answers, strict=True)
    ]
