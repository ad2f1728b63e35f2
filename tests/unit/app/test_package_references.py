"""The monitor goes on without the reference data of a package that it cannot read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stream_infer.app.package_references import PackagedOutputMeanings, PackagedReferences
from stream_infer.config.settings import parse_settings
from stream_infer.drift.model_metrics import OutputMeaning
from stream_infer.store.history import HISTORY
from tests.unit.store.shop import ME, package, store


def test_a_history_that_cannot_be_read_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = store(tmp_path / "models")
    digest = package(tmp_path / "1", "1")
    models.promote(tmp_path / "1", ME)
    document = {
        "pipeline": models.pipeline,
        "kafka": {"bootstrap.servers": "localhost:9092"},
        "input": {"topics": ["events"], "framing": "confluent"},
        "schema_registry": {"url": "http://localhost:8081"},
        "model": {"store": "models"},
    }
    settings = parse_settings(document, {}, folder=tmp_path).settings
    assert settings is not None
    (models.folder / HISTORY).rename(tmp_path / "elsewhere")
    (models.folder / HISTORY).write_text("a file in the way")

    with caplog.at_level(logging.WARNING):
        found = PackagedReferences(settings)(digest), PackagedOutputMeanings(settings)(digest)

    assert found == (None, OutputMeaning())
    [told, again] = caplog.records
    assert told.message == again.message == "reference unavailable"
    assert "history cannot be read: Not a directory" in told.__dict__["reason"]
