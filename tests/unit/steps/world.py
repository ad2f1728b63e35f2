"""Events of one schema, a model that misbehaves for certain amounts, and a batch, for tests of steps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.flow.records import Batch, Channel, Cursor, Headers, Outcome, Output, Partition, Span
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import Model
from stream_infer.models.manifest import Feature, InputColumn, Manifest, ModelInput, OutputContract, Policy
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.steps.scoring.isolate import Expired, untimed
from stream_infer.steps.scoring.plan import Events, plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings

EVENT = parse_schema(
    """{"type": "record", "name": "Transaction", "namespace": "test", "fields": [
      {"name": "id", "type": "string"},
      {"name": "amount", "type": "double"},
      {"name": "items", "type": ["null", "long"], "default": null},
      {"name": "known", "type": ["null", "boolean"], "default": null},
      {"name": "ratio", "type": "float", "default": 0.5},
      {"name": "ts", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": null},
      {"name": "ts_us", "type": {"type": "long", "logicalType": "timestamp-micros"}, "default": 0},
      {"name": "day", "type": {"type": "int", "logicalType": "date"}, "default": 0},
      {"name": "device", "type": ["null", {"type": "record", "name": "Device", "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["PHONE", "DESK"]}}
      ]}], "default": null},
      {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}
    ]}"""
)
SOURCE = Partition("payments.events", 3)
RECEIVED_MS = 1_800_000_000_000
RAISES, GIVES_NAN, GIVES_TWO, GIVES_LABEL = 666.0, 777.0, 888.0, 999.0


@dataclass
class Estimator:
    """P(yes) is 1 / (1 + amount); some amounts make it misbehave. It writes into its input, as some do."""

    classes_: NDArray[Any] = field(default_factory=lambda: np.array(["no", "yes"]))
    calls: int = 0

    def predict_proba(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        self.calls += 1
        amount = matrix[:, 0].copy()
        matrix[:] = 0.0
        if (amount == RAISES).any():
            raise ValueError(f"cannot take {amount}")
        yes = 1.0 / (1.0 + amount)
        yes[amount == GIVES_NAN] = np.nan
        yes[amount == GIVES_TWO] = 2.0
        return np.column_stack([1.0 - yes, yes])


def feature(name: str, kind: Any, **changes: Any) -> Feature:
    strict = Feature(
        name, name, kind, nullable=False, missing=Policy.REJECT, nan=Policy.REJECT, infinite=Policy.REJECT
    )
    return replace(strict, **changes)


FEATURES = (
    feature("amount", "double"),
    feature("items", "long", nullable=True, missing=Policy.IMPUTE, impute=1),
)


def manifest(features: Sequence[Feature] = FEATURES, **changes: Any) -> Manifest:
    whole = Manifest(
        name="fraud",
        version="1.2.0",
        python="3.11",
        libraries={"scikit-learn": "1.9.1"},
        container=ModelInput("ndarray", tuple(InputColumn(f.name, "float64", null="nan") for f in features)),
        features=tuple(features),
        output=OutputContract("classifier", ("no", "yes"), score="probability", label_from="proba"),
        schema_name="test.Transaction",
    )
    return replace(whole, **changes)


def model(estimator: Any = None, **changes: Any) -> Model:
    kept = manifest(**changes)
    asked: Any = estimator or Estimator()
    return Model(kept, kept.digest, asked)


def datum(event: Mapping[str, Any], schema: Schema = EVENT) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, dict(schema.parsed), event)
    return file.getvalue()


def event(amount: float = 1.0, **fields: Any) -> bytes:
    return datum({"id": "t-1", "amount": amount, **fields})


def batch(values: Sequence[bytes | None], **changes: Any) -> Batch:
    count = len(values)
    headers: list[Headers | None] = [None] * count
    whole = Batch(
        cursor=Cursor({SOURCE: Span(100, 100 + count)}, lease="lease"),
        partitions=[SOURCE],
        partition=[0] * count,
        offset=list(range(100, 100 + count)),
        timestamp_ms=[1_700_000_000_000 + row for row in range(count)],
        keys=[f"k{row}".encode() for row in range(count)],
        values=list(values),
        headers=headers,
        received_ms=RECEIVED_MS,
    )
    return replace(whole, **changes)


SETTINGS = ScoreSettings(pipeline="payments.fraud", group_id="payments.fraud.score")
EVENTS = Events(Framing.NONE, [EVENT])


def score(
    served: Model | ActiveModel | None = None,
    *,
    events: Events = EVENTS,
    settings: ScoreSettings = SETTINGS,
    expired: Expired = untimed,
    announcer: Announcer | None = None,
    observe: Observe | None = None,
) -> Score:
    active = served if isinstance(served, ActiveModel) else ActiveModel(ServingModel(served or model(), 1))
    encoder = Encoder(topic_schemas.topic_schema("Prediction"), Framing.NONE)
    return Score(
        active,
        partial(plan_scoring, events=events),
        encoder,
        settings,
        deadline=lambda: expired,
        announcer=announcer,
        observe=observe,
    )


def output(outcome: Outcome, channel: Channel) -> Output:
    found = [output for output in outcome.outputs if output.channel is channel]
    return found[0] if found else Output(channel, [], [], [], [])


def predictions(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the predictions of an outcome as a consumer reads them, times in milliseconds."""
    return [prediction(value) for value in output(outcome, Channel.PREDICTIONS).values]


def prediction(value: bytes | None) -> dict[str, Any]:
    """Return the prediction in `value`, times in milliseconds."""
    read: Any = fastavro.schemaless_reader(io.BytesIO(value or b""), _PREDICTION, None)
    return dict(read)


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: _plain(value)
            for key, value in node.items()
            if key != "logicalType" and not key.startswith("__")
        }
    return [_plain(item) for item in node] if isinstance(node, list) else node


_PREDICTION = fastavro.schema.parse_schema(_plain(topic_schemas.topic_schema("Prediction").parsed))
