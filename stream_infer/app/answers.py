"""The answer of a worker to an event: a prediction or a dead letter, read from the pipeline's topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import HEAD_SIZE, Framing
from stream_infer.avro.record import RecordReader
from stream_infer.flow.records import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPrediction:
    """The prediction for one event; `id` is `<topic>/<partition>/<offset>` of the event."""

    id: str
    label: str | None
    score: float | None
    value: float | None
    values: Mapping[str, float] | None
    model_name: str
    model_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRejection:
    """The dead letter of one event; `error_class` names the kind of problem, `stage` where it was found."""

    id: str
    stage: str
    error_class: str
    message: str


Answer = EventPrediction | EventRejection


class AnswerReader:
    """Reads predictions of one framing."""

    def __init__(self, framing: Framing) -> None:
        self._head_bytes = HEAD_SIZE[framing]
        earlier = topic_schemas.earlier_schemas("Prediction")
        self._record = RecordReader(topic_schemas.topic_schema("Prediction"), Framing.NONE, earlier=earlier)

    def prediction(self, value: bytes) -> EventPrediction:
        """Return the prediction in a record's value. Raises `ValueError` when there is none in it."""
        record = self._record.read(value[self._head_bytes :])
        return EventPrediction(
            id=record["id"],
            label=record["label"],
            score=record["score"],
            value=record["value"],
            values=record["values"],
            model_name=record["model_name"],
            model_version=record["model_version"],
        )


def read_dead_letter(headers: Headers) -> EventRejection:
    """Return why an event was rejected. Raises `ValueError` when the headers do not say."""
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    try:
        place = (texts[f"__dlq.errors.{name}"] for name in ("topic", "partition", "offset"))
        return EventRejection(
            id="/".join(place),
            stage=texts["streaminfer.error.stage"],
            error_class=texts["streaminfer.error.class"],
            message=texts["__dlq.errors.message"],
        )
    except KeyError as error:
        raise ValueError(f"a dead letter without the header {error}") from error
