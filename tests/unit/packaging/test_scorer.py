"""`open_package` scores dicts as a worker scores events: each one, in order."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import stream_infer
from stream_infer.flow.errors import ModelFailed, Refused
from stream_infer.packaging.verify import verify_package
from tests.unit.packaging.workshop import Workshop, assert_close, frame_of, target, trips

EVENTS = trips(40)
COLUMNS = ["distance", "stops"]


@pytest.fixture
def package(workshop: Workshop) -> Path:
    frame = frame_of(EVENTS, COLUMNS).dropna()
    workshop.create(LogisticRegression().fit(frame, target(EVENTS)[frame.index]), frame, class_scores=True)
    return workshop.package


def test_each_event_gets_a_result_in_order(package: Path) -> None:
    good, null = EVENTS[0], {**EVENTS[1], "distance": None}
    nan, odd = {**EVENTS[1], "distance": float("nan")}, {"trip_id": "only"}

    answers = stream_infer.open_package(package).predict([odd, good, null, nan, good])

    errors = [answer.get("error", {}) for answer in answers]
    assert [(error.get("stage"), error.get("class")) for error in errors] == [
        ("decode", "invalid"),
        (None, None),
        ("validate", "missing"),
        ("validate", "nan"),
        (None, None),
    ]
    assert answers[1] == answers[4]
    assert answers[1].keys() == {"label", "score", "value", "class_scores", "values"}
    assert answers[1]["score"] == answers[1]["class_scores"]["1"]


def test_any_iterable_of_events_is_accepted_even_an_empty_one(package: Path) -> None:
    scorer = stream_infer.open_package(str(package))

    assert scorer.predict([]) == []
    assert scorer.predict(iter(EVENTS[:2])) == scorer.predict(EVENTS[:2])
    assert all("error" in answer for answer in scorer.predict([{}, {"distance": "x"}]))


def test_a_batch_is_scored_as_each_of_its_events_alone(package: Path) -> None:
    scorer = stream_infer.open_package(package)
    events = [event for event in EVENTS if event["distance"] is not None]

    together = [answer["score"] for answer in scorer.predict(events)]
    alone = [scorer.predict([event])[0]["score"] for event in events]

    assert_close(together, alone)


@pytest.mark.parametrize("share", [1, 5])
def test_unseen_values_of_a_default_encoder_are_rejected_by_name_at_any_share(
    workshop: Workshop, share: int
) -> None:
    frame = frame_of(EVENTS, ["city", "stops"]).dropna()
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, target(EVENTS)[frame.index])
    workshop.create(model, frame)
    known = [event for event in EVENTS if event["city"] is not None]
    events = [{**one, "city": "Ulm"} if row % share == 0 else one for row, one in enumerate(known)]

    answers = stream_infer.open_package(workshop.package).predict(events)

    message = "feature 'city' has a value that the model does not know"
    error = {"stage": "validate", "class": "unseen_category", "message": message}
    assert [answer.get("error") for answer in answers] == [
        error if event["city"] == "Ulm" else None for event in events
    ]


class FailsOnDemand:
    """Raises on demand, by a class attribute that its pickle does not hold."""

    raises = False
    n_features_in_ = 1

    def __sklearn_tags__(self) -> object:
        return LogisticRegression().__sklearn_tags__()

    classes_ = np.array([0, 1])

    def predict(self, frame: np.ndarray) -> np.ndarray:
        if FailsOnDemand.raises:
            raise RuntimeError("no answer")
        return np.zeros(len(frame), dtype=int)


def test_a_model_that_raises_on_every_event_is_an_error(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.create(FailsOnDemand(), frame_of(EVENTS, ["stops"]))
    scorer = stream_infer.open_package(workshop.package)
    monkeypatch.setattr(FailsOnDemand, "raises", True)

    with pytest.raises(ModelFailed):
        scorer.predict(EVENTS)


def test_a_changed_byte_is_refused_before_anything_is_loaded(package: Path) -> None:
    model = package / "model.joblib"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))

    for use in (stream_infer.open_package, verify_package):
        with pytest.raises(Refused) as caught:
            use(package)
        assert caught.value.code == "digest"


def test_verification_reports_the_package_and_its_largest_difference(package: Path) -> None:
    report = verify_package(package)

    assert (report.name, report.version, report.path) == ("trips", "1.2.0", package)
    assert report.digest.startswith("sha256:")
    assert report.rows == sum(event["distance"] is not None for event in EVENTS)
    assert 0 <= report.max_abs_difference <= 1e-9
    assert set(asdict(report)) == {"path", "name", "version", "digest", "rows", "max_abs_difference"}
