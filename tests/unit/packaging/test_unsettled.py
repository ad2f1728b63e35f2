"""A type that nothing tells is asked of the model: does it matter?"""

from __future__ import annotations

from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from stream_infer.flow.errors import Misconfigured
from tests.unit.packaging.workshop import TIMESTAMP, Workshop, assert_close, column

EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [{"name": "at", "type": TIMESTAMP}, {"name": "vip", "type": ["null", "boolean"]}],
}
AT = pd.date_range("2026-01-05T07:00", periods=12, freq="17D16h")


def _integer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["at"]].astype("int64") / 1e9


def _hour(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"hour": frame["at"].dt.hour})


def _model(step: Any, frame: pd.DataFrame) -> Any:
    return make_pipeline(FunctionTransformer(step), LinearRegression()).fit(frame, np.arange(len(frame)))


def _times(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"at": values, "vip": True})


def _events(values: Any) -> list[dict[str, Any]]:
    return [{"at": int(value.timestamp() * 1000), "vip": True} for value in values]


def test_a_unit_that_matters_and_that_text_does_not_tell_is_refused(workshop: Workshop) -> None:
    frame = _times(AT.as_unit("ns"))
    model = _model(_integer, frame)

    with pytest.raises(Misconfigured, match="depend on the unit of the dates in column 'at'") as refused:
        workshop.create(model, frame, schema=EVENT)
    assert "--dtype 'at=datetime64[ns]'" in refused.value.problems[0].fix


@pytest.mark.parametrize("unit", ["ns", "ms"])
def test_the_unit_of_the_training_data_is_taken_from_the_option_or_from_parquet(
    workshop: Workshop, unit: str
) -> None:
    frame = _times(AT.as_unit(unit))
    model = _model(_integer, frame)
    parquet = workshop.folder / "golden.parquet"
    frame.to_parquet(parquet)

    workshop.create(model, frame, schema=EVENT, dtypes=(f"at=datetime64[{unit}]",))
    by_option = column(workshop.answers(_events(AT)), "value")
    workshop.create(model, parquet, schema=EVENT, output=workshop.folder / "other")

    assert_close(by_option, model.predict(frame))


def test_a_unit_that_does_not_matter_is_not_asked_for(workshop: Workshop) -> None:
    frame = _times(AT.as_unit("ns"))
    model = _model(_hour, frame)

    report = workshop.create(model, frame, schema=EVENT)

    assert_close(column(workshop.answers(_events(AT)), "value"), model.predict(frame))
    assert "column 'at' is read as dates, because its field is a timestamp" in report.notes
    assert not any("unit" in note.replace(__name__, "") for note in report.notes)


@pytest.mark.parametrize("rows", [12, 1])
def test_a_zone_with_summer_time_has_to_be_named(workshop: Workshop, rows: int) -> None:
    frame = _times(AT.tz_localize("Europe/Berlin"))
    model = _model(_hour, frame)
    text = frame.assign(at=frame["at"].map(lambda one: one.isoformat())).head(rows)

    with pytest.raises(Misconfigured, match="column 'at'") as refused:
        workshop.create(model, text, schema=EVENT)
    assert "--dtype 'at=datetime64" in refused.value.problems[0].fix
    workshop.create(model, text, schema=EVENT, dtypes=("at=datetime64[us, Europe/Berlin]",))

    assert_close(column(workshop.answers(_events(frame["at"])), "value"), model.predict(frame))


def test_times_in_utc_are_read_so_and_said(workshop: Workshop) -> None:
    frame = _times(AT.tz_localize("UTC"))
    model = _model(_hour, frame)

    report = workshop.create(model, frame, schema=EVENT)

    assert_close(column(workshop.answers(_events(frame["at"])), "value"), model.predict(frame))
    assert any("depend on the time zone of column 'at', which is taken to be UTC" in n for n in report.notes)


def test_dates_in_an_avro_sample_have_no_unit_either(workshop: Workshop) -> None:
    frame = _times(AT.as_unit("ns"))
    path = workshop.folder / "golden.avro"
    with path.open("wb") as file:
        fastavro.writer(file, EVENT, _events(AT))

    with pytest.raises(Misconfigured, match="depend on the unit of the dates"):
        workshop.create(_model(_integer, frame), path, schema=EVENT)


def test_text_that_is_no_date_is_refused(workshop: Workshop) -> None:
    frame = _times(AT)

    with pytest.raises(Misconfigured, match="'at' goes to a timestamp, and pandas cannot read it as one"):
        workshop.create(_model(_hour, frame), frame.assign(at="soon"), schema=EVENT)


class _Picky(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that takes no objects, as LightGBM and XGBoost."""

    feature_names_in_ = np.array(["vip"], dtype=object)

    def fit(self, frame: pd.DataFrame, target: Any) -> Any:
        del frame, target
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        if frame["vip"].dtype == object:
            raise ValueError("bad pandas dtypes: object")
        return frame["vip"].astype("float64").fillna(7.0).to_numpy(dtype=np.float64)


def test_booleans_with_empty_cells_get_a_dtype_that_the_model_takes(workshop: Workshop) -> None:
    sample = pd.DataFrame({"vip": [True, None, False], "row": 0})

    workshop.create(_Picky(), sample, schema=EVENT)

    answers = workshop.answers([{"at": 0, "vip": value} for value in (None, True, False)])
    assert column(answers, "value") == [7.0, 1.0, 0.0]


TIMED = {
    "type": "record",
    "name": "Timed",
    "fields": [{"name": "took", "type": {"type": "int", "logicalType": "time-millis"}}],
}
TOOK = pd.DataFrame({"took": pd.to_timedelta(np.arange(12) * 600, "s").astype("timedelta64[ns]")})


def _seconds(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["took"]].apply(lambda column: column.dt.total_seconds())


def _ticks(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["took"]].astype("int64") / 1e9


def test_durations_of_a_csv_are_read_and_said(workshop: Workshop) -> None:
    report = workshop.create(_model(_seconds, TOOK), TOOK.head(6), schema=TIMED)

    assert "column 'took' is read as durations, because its field is a time" in report.notes
    answers = workshop.answers([{"took": 600_000 * row} for row in range(12)])
    assert_close(column(answers, "value"), np.arange(12.0))


def test_a_unit_of_durations_that_matters_is_asked_for(workshop: Workshop) -> None:
    model = _model(_ticks, TOOK)
    with pytest.raises(Misconfigured, match="the unit of the durations in column 'took'") as refused:
        workshop.create(model, TOOK.head(6), schema=TIMED)
    assert "--dtype 'took=timedelta64[ns]'" in refused.value.problems[0].fix

    workshop.create(model, TOOK.head(6), schema=TIMED, dtypes=("took=timedelta64[ns]",))

    assert_close(column(workshop.answers([{"took": 600_000}]), "value"), [1.0])
