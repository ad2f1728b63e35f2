"""Every number of a frame is what plain numpy makes of the same rows, one partition and window at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.drift_streams import in_name_only
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_CATEGORY,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.reference import LABEL, Reference, ReferenceColumn
from stream_infer.flow.records import Batch, Cursor, Partition, Rejected, Stage
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores, named_values
from stream_infer.steps.observing.frame_check import check_frame
from stream_infer.steps.observing.layout import MOST_NUMBERS
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from stream_infer.steps.observing.scored import ScoredRows

PLACES = [Partition("events", 4), Partition("events", 0), Partition("other", 1)]
WINDOW = 50
TOO_LARGE = 1e100
CITIES = ("berlin", "cairo", "delhi")
TYPES = {"amount": "double", "ratio": "float", "items": "long", "plain": "double", "city": "string"}
ARROW = {"double": pa.float64(), "float": pa.float32(), "long": pa.int64(), "string": pa.string()}
EDGES = {"amount": (-1.0, -0.5, 0.0, 0.5, 1.0), "ratio": (0.0, 1.0), "items": (0.0, 2.0, 4.0, 8.0)}
SCORE_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]


def numeric(name: str, edges: Sequence[float], kind: str = FEATURE_NUMBER) -> ReferenceColumn:
    shares = (0.0, *[1 / (len(edges) - 1)] * (len(edges) - 1), 0.0)
    return ReferenceColumn(name, kind, 1_000, low=edges[0], high=edges[-1], edges=tuple(edges), shares=shares)


REFERENCE = Reference(
    1_000,
    {
        **{(FEATURE_NUMBER, name): numeric(name, edges) for name, edges in EDGES.items()},
        (FEATURE_CATEGORY, "city"): ReferenceColumn(
            "city", FEATURE_CATEGORY, 1_000, categories=CITIES[:2], shares=(0.5, 0.4, 0.1)
        ),
        (OUTPUT_NUMBER, "score"): numeric("score", SCORE_EDGES, OUTPUT_NUMBER),
        (OUTPUT_CATEGORY, LABEL): ReferenceColumn(
            LABEL, OUTPUT_CATEGORY, 1_000, categories=("no", "yes"), shares=(0.7, 0.3, 0.0)
        ),
    },
)
CLASSIFIER = in_name_only("fraud", "1.0.0", TYPES, schema="test.Event")
_REGRESSION = replace(CLASSIFIER.manifest, output=OutputContract("regressor", (), score=None))
REGRESSOR = Model(_REGRESSION, _REGRESSION.digest, CLASSIFIER.estimator)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch row by row: what is known of each, whether it could be decoded, and whether it was scored."""

    place: NDArray[np.int64]
    offset: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    readable: Mask
    scored: Mask
    values: Mapping[str, NDArray[Any]]
    nulls: Mapping[str, Mask]
    answer: Reals
    label: NDArray[Any]


def rows(seed: int, count: int) -> Rows:
    """Return rows of up to three partitions, read in runs, with nulls and numbers that are none."""
    draw = np.random.default_rng(seed)
    place = np.repeat(draw.integers(0, len(PLACES), count // 7 + 1), 7)[:count]
    following = draw.integers(0, 3 * WINDOW, len(PLACES))
    offset = np.empty(count, np.int64)
    for row, at in enumerate(place):
        offset[row] = following[at]
        following[at] += draw.integers(1, 4)
    wild = np.array([np.nan, np.inf, -np.inf, 1e100, -3e200, 1e99, 50.0, -1.0, 1.0])
    amount = draw.normal(size=count)
    amount[::5] = draw.choice(wild, len(amount[::5]))
    ratio = draw.normal(0.5, 0.3, count).astype(np.float32)
    ratio[::11] = draw.choice(np.array([np.nan, np.inf, 3e38, 1.0], np.float32), len(ratio[::11]))
    readable = draw.random(count) < 0.9
    answer = draw.random(count)
    return Rows(
        place,
        offset,
        np.where(draw.random(count) < 0.2, -1, draw.integers(0, 1_000_000, count)),
        readable,
        readable & (draw.random(count) < 0.95),
        {
            "amount": amount,
            "ratio": ratio,
            "items": draw.integers(-2, 12, count),
            "plain": draw.lognormal(3, 2, count),
            "city": draw.choice(np.array(CITIES, dtype=object), count),
        },
        {name: draw.random(count) < share for name, share in zip(TYPES, (0.1, 0, 0.3, 0, 0.2), strict=True)},
        answer,
        np.where(answer >= 0.5, "yes", "no"),
    )


def observed(what: Rows, model: Model, bits: int, *, winners: bool = False) -> list[ObservationFrame]:
    """Return the frames that the product makes of `what`."""
    count = len(what.offset)
    columns = {
        name: pa.array(values, ARROW[TYPES[name]], mask=what.nulls[name]).filter(pa.array(what.readable))
        for name, values in what.values.items()
    }
    readable = np.flatnonzero(what.readable)
    answer, label = what.answer[what.scored], what.label[what.scored].astype(object)
    contract = model.manifest.output
    if model is REGRESSOR:
        scores = Scores(value=answer)
    elif contract.kind == "regressor":
        scores = named_values(answer[:, None] + np.arange(len(contract.numbers)), contract)
    elif winners:
        scores = Scores(score=answer, winner=(answer >= 0.5).astype(np.intp))
    else:
        scores = Scores(score=answer, label=label)
    if not len(answer):
        scores = Scores()
    rejected = [Rejected(int(row), Stage.VALIDATE, "x", "x") for row in np.flatnonzero(~what.scored)]
    batch = Batch(
        cursor=Cursor({}),
        partitions=PLACES,
        partition=what.place.tolist(),
        offset=what.offset.tolist(),
        timestamp_ms=what.time_ms.tolist(),
        keys=[None] * count,
        values=[None] * count,
        headers=[None] * count,
        received_ms=5_000_000,
    )
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    observe = Observe("p", encoder, lambda _: REFERENCE, ObserveSettings(WINDOW, bits))
    seen = ScoredRows(columns, readable, np.flatnonzero(what.scored[readable]), scores, rejected)
    frames = list(observe.frames(batch, model, seen))
    for frame in frames:
        check_frame(frame)
    return frames


def expected(what: Rows, model: Model, bits: int) -> list[ObservationFrame]:
    """Return the same, worked out one partition and window after the other."""
    windows = sorted({(int(p), int(o) // WINDOW) for p, o in zip(what.place, what.offset, strict=True)})
    return [expected_frame(what, model, bits, place, window) for place, window in windows]


def expected_frame(what: Rows, model: Model, bits: int, place: int, window: int) -> ObservationFrame:
    here = (what.place == place) & (what.offset // WINDOW == window)
    drawn = [in_sample(PLACES[place].index, int(offset), bits) for offset in what.offset]
    sampled = here & what.readable & np.array(drawn)
    times = np.where(what.time_ms < 0, 5_000_000, np.minimum(what.time_ms, 5_000_000))[here]
    output = "value" if model is REGRESSOR else "score"
    answers = [of_numbers(output, OUTPUT_NUMBER, what.answer[sampled & what.scored])]
    if model is not REGRESSOR:
        answers.append(of_texts(LABEL, OUTPUT_CATEGORY, what.label[sampled & what.scored]))
    return ObservationFrame(
        version="1.0.0",
        digest=model.digest,
        source=PLACES[place],
        first_offset=int(what.offset[here].min()),
        last_offset=int(what.offset[here].max()),
        window_first_offset=window * WINDOW,
        window_last_offset=window * WINDOW + WINDOW - 1,
        first_time_ms=int(times.min()),
        last_time_ms=int(times.max()),
        records=int(here.sum()),
        dead_letters=int((here & ~what.scored).sum()),
        sampled=int(sampled.sum()),
        signals=(
            *(
                counted(of_numbers(name, FEATURE_NUMBER, present(what, name, sampled)), what, name, here)
                for name, kind in TYPES.items()
                if kind != "string"
            ),
            counted(of_texts("city", FEATURE_CATEGORY, present(what, "city", sampled)), what, "city", here),
            *answers,
        ),
    )


def present(what: Rows, name: str, where: Mask) -> NDArray[Any]:
    return what.values[name][where & ~what.nulls[name]]


def counted(one: ColumnSummary, what: Rows, name: str, here: Mask) -> ColumnSummary:
    """Return `one` with what is counted of every row that could be decoded, sampled or not."""
    nulls = int((here & what.readable & what.nulls[name]).sum())
    values = present(what, name, here & what.readable)
    if values.dtype == np.float64:
        return replace(one, nulls=nulls, non_finite=int((~(np.abs(values) < TOO_LARGE)).sum()))
    wild = int((~np.isfinite(values)).sum()) if values.dtype == np.float32 else 0
    return replace(one, nulls=nulls, non_finite=wild)


def of_numbers(name: str, kind: str, values: NDArray[Any]) -> ColumnSummary:
    numbers = values.astype(np.float64)
    numbers = numbers[np.abs(numbers) < TOO_LARGE]
    column = REFERENCE.column(kind, name)
    edges = np.array(() if column is None else column.edges)
    bins: tuple[int, ...] = ()
    if len(edges):
        inside, _ = np.histogram(numbers, edges)
        bins = (int((numbers < edges[0]).sum()), *inside.tolist(), int((numbers > edges[-1]).sum()))
    if not len(numbers):
        return ColumnSummary(name, kind, bins=bins)
    cut = numbers
    if column is not None:
        width = column.high - column.low
        cut = np.clip(numbers, column.low - width, column.high + width)
    return ColumnSummary(
        name,
        kind,
        count=len(numbers),
        mean=pytest.approx(float(np.mean(cut)), rel=1e-12, abs=1e-12),
        m2=pytest.approx(float(np.var(cut) * len(cut)), rel=1e-9, abs=1e-9),
        low=float(numbers.min()),
        high=float(numbers.max()),
        bins=bins,
    )


def of_texts(name: str, kind: str, values: NDArray[Any]) -> ColumnSummary:
    column = REFERENCE.column(kind, name)
    assert column is not None
    known = [int((values == category).sum()) for category in column.categories]
    return ColumnSummary(name, kind, count=len(values), bins=(*known, len(values) - sum(known)))


def in_sample(index: int, offset: int, bits: int) -> bool:
    """Whether the hash of a row begins with `bits` zeros: SplitMix64 (Steele, Lea and Flood 2014)."""
    word = 2**64 - 1
    mixed = (offset * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03) & word
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & word
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & word
    return (mixed ^ (mixed >> 31)) >> (64 - bits) == 0


@pytest.mark.filterwarnings("error")
@given(seed=st.integers(0, 10**6), count=st.integers(1, 600), bits=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_frames_of_a_classifier_are_those_of_plain_numpy(seed: int, count: int, bits: int) -> None:
    what = rows(seed, count)

    assert observed(what, CLASSIFIER, bits) == expected(what, CLASSIFIER, bits)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_labels_by_the_index_of_the_winner_are_counted_alike(seed: int) -> None:
    what = rows(seed, 400)

    assert observed(what, CLASSIFIER, 1, winners=True) == expected(what, CLASSIFIER, 1)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_frames_of_a_regressor_are_those_of_plain_numpy(seed: int) -> None:
    what = rows(seed, 400)

    assert observed(what, REGRESSOR, 1) == expected(what, REGRESSOR, 1)


def test_each_value_of_a_model_is_watched_and_the_primary_one_once() -> None:
    names = tuple(f"v{number}" for number in range(MOST_NUMBERS + 5))
    contract = OutputContract("regressor", values=names, primary=names[-1])
    several = replace(REGRESSOR, manifest=replace(REGRESSOR.manifest, output=contract))
    what = rows(3, 300)

    frames = observed(what, several, 0)

    of_one = observed(what, REGRESSOR, 0)
    for frame, one in zip(frames, of_one, strict=True):
        outputs = [signal for signal in frame.signals if signal.kind == OUTPUT_NUMBER]
        assert [signal.name for signal in outputs] == [*names[: MOST_NUMBERS - 1], names[-1]]
        assert outputs[1].mean == pytest.approx(one.signals[-1].mean + 1.0)
        assert outputs[1].count == one.signals[-1].count


def test_without_a_single_answer_inputs_are_counted_and_outputs_are_empty() -> None:
    what = rows(1, 300)
    what = replace(what, scored=np.zeros(300, np.bool_))
    frames = observed(what, CLASSIFIER, 0)

    assert frames == expected(what, CLASSIFIER, 0)
    assert {one.count for frame in frames for one in frame.signals[-2:]} == {0}


def test_the_variance_of_a_sample_is_that_of_numpy() -> None:
    values = np.random.default_rng(2).normal(3.0, 2.0, 100)
    one = ColumnSummary("x", FEATURE_NUMBER, count=100, m2=float(np.var(values) * 100))

    assert one.variance == pytest.approx(np.var(values, ddof=1))
    assert ColumnSummary("x", FEATURE_NUMBER, count=1).variance == 0.0
