"""The contents of an announcement; `tests/properties/test_activation.py` tests when there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.flow.records import Channel, Partition
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.steps.scoring.activation import Announcer
from tests.unit.steps.world import Estimator, batch, datum, event, model, output, predictions, score

SCHEMA = topic_schemas.topic_schema("MonitoringEvent")


def announced(*differences: str) -> dict[str, Any]:
    writer = RecordWriter(SCHEMA, Framing.NONE)
    announcer = Announcer("p", "w-0", writer, differences=lambda _manifest: differences)
    step = score(ActiveModel(ServingModel(model(version="2.0.0"), 7)), announcer=announcer)
    places = {Partition("t", 0): 4, Partition("t", 1): 9}
    [value] = output(step(batch([event()], positions=places)), Channel.EVENTS).values
    return RecordReader(SCHEMA, Framing.NONE).read(value or b"")


def test_it_names_the_model_and_the_next_offset_of_every_partition() -> None:
    announcement = announced()

    assert (announcement["model_version"], announcement["model"]["generation"]) == ("2.0.0", 7)
    assert [(r["partition"], r["first_offset"], r["last_offset"]) for r in announcement["ranges"]] == [
        (0, 4, None),
        (1, 9, None),
    ]
    assert announcement["summary"].endswith(" 2.0.0 serves on w-0, in 2 partitions")
    assert announcement["attributes"] == {}


@pytest.mark.parametrize("differences", [("numpy is another one",), ("x was a double", "y was none")])
def test_it_lists_the_tolerated_differences_of_the_package(differences: tuple[str, ...]) -> None:
    announcement = announced(*differences)

    assert announcement["attributes"] == {"differences": "; ".join(differences)}
    assert announcement["summary"].endswith(f", in 2 partitions, although {'; '.join(differences)}")


def test_a_model_that_is_replaced_amid_a_batch_answers_all_of_it() -> None:
    class Replaced(Estimator):
        def predict_proba(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
            active.swap(ServingModel(model(version="3.0.0"), 8))
            return super().predict_proba(matrix)

    active = ActiveModel(ServingModel(model(Replaced(), version="2.0.0"), 7))
    announcer = Announcer("p", "w-0", RecordWriter(SCHEMA, Framing.NONE))
    step = score(active, announcer=announcer)
    unreadable = datum({"id": "t-1", "amount": 1.0})[:-3]

    first, second = step(batch([event(), unreadable])), step(batch([event()]))

    for outcome, version, generation in ((first, "2.0.0", 7), (second, "3.0.0", 8)):
        [value] = output(outcome, Channel.EVENTS).values
        announcement = RecordReader(SCHEMA, Framing.NONE).read(value or b"")
        assert (announcement["model"]["to_version"], announcement["model"]["generation"]) == (
            version,
            generation,
        )
        assert [one["model_version"] for one in predictions(outcome)] == [version]
        assert outcome.model_version == version
    [letter] = output(first, Channel.DEAD_LETTERS).headers
    assert ("streaminfer.model.version", b"2.0.0") in (letter or ())
