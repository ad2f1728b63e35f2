"""Fixtures of the tests of serving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from stream_infer.app.serve import load_served
from stream_infer.packaging.scorer import Scorer
from tests.unit.packaging.workshop import Workshop, frame_of, target, trips
from tests.unit.serving.served import Client, serving

EVENTS = [event for event in trips(60) if event["distance"] is not None and event["city"] is not None]
COLUMNS = ["distance", "stops", "city"]


@pytest.fixture(scope="session")
def trip_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package whose model reads a nullable number, a whole number and a text."""
    frame = frame_of(EVENTS, COLUMNS)
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    shop = Workshop(tmp_path_factory.mktemp("serving"))
    shop.create(
        make_pipeline(encoder, LogisticRegression()).fit(frame, target(EVENTS)), frame, class_scores=True
    )
    return shop.package


@pytest.fixture(scope="session")
def served(trip_package: Path) -> Scorer:
    return load_served(trip_package)


@pytest.fixture
def client(served: Scorer) -> Iterator[Client]:
    with serving(lambda: served) as client:
        yield client
