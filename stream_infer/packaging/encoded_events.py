"""Plain events to data of a schema: those that are none are rejected in their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream_infer.avro.schemas import Schema
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Rejected, Stage
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.strict_event import strict_event
from stream_infer.steps.scoring.answers import RowAnswer


@dataclass(frozen=True, slots=True)
class EncodedEvents:
    """`data` without framing; `places[i]` is the event of datum i, and the others are `rejected`."""

    data: Sequence[bytes]
    places: Sequence[int]
    rejected: Sequence[Rejected]

    def in_order(self, answers: Sequence[RowAnswer]) -> list[RowAnswer]:
        """Return the answer to each event, given those to the data."""
        found = dict(zip(self.places, answers, strict=True)) | {one.row: one for one in self.rejected}
        return [found[place] for place in sorted(found)]


def encode_events(schema: Schema, events: Iterable[object]) -> EncodedEvents:
    """Return `events` as data of `schema`."""
    data, places, rejected = [], [], []
    for place, event in enumerate(events):
        try:
            data.append(encode_datum(schema, strict_event(schema, event)))
        except ValueError as error:
            rejected.append(Rejected(place, Stage.DECODE, DeadLetterClass.INVALID, str(error)))
        else:
            places.append(place)
    return EncodedEvents(data, places, rejected)
