from __future__ import annotations

import pytest

from stream_infer.avro.topic_schemas import topic_schema


@pytest.mark.parametrize(
    "name", ["Prediction", "MonitoringEvent", "Label", "ObservationFrame", "Deployment", "WorkerStatus"]
)
def test_our_own_record_types_are_found(name: str) -> None:
    assert topic_schema(name).name == f"io.streaminfer.v1.{name}"


def test_an_unknown_name_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no schema named Nonesuch"):
        topic_schema("Nonesuch")
