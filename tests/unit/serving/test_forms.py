"""Events in Avro and Arrow, and answers in both, are those of JSON: the same values, the same refusals."""

from __future__ import annotations

import datetime as dt
import io
import struct
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro.framing import Framing, head
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.answer_forms import AVRO_CONTAINER, JSON, answer_form
from stream_infer.serving.arrow_events import ARROW_STREAM, events_in_stream
from stream_infer.serving.requests import BadRequest
from stream_infer.serving.row_scorer import RequestLimits
from tests.unit.packaging.workshop import TRIP
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Answer, Client, serving

PATH = "/v1/predictions"
Rows = list[dict[str, Any]]
# Without the fields that may be left out and are no scalars: these columns are taken whole.
FLAT = [{key: value for key, value in event.items() if key not in ("driver", "tags")} for event in EVENTS]
TRIP_TYPES = {"trip_id": pa.string(), "stops": pa.int32(), "started": pa.int64()}


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def rows_of(answer: Answer) -> Rows:
    """Return the rows of an answer in any form."""
    kind = answer.headers["content-type"]
    if kind == ARROW_STREAM:
        rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
        for name in ("class_scores", "values"):
            for row in rows:
                row[name] = None if row[name] is None else dict(row[name])
    elif kind == AVRO_CONTAINER:
        rows = list(fastavro.reader(io.BytesIO(answer.content)))
    else:
        rows = answer.document.get("predictions", [answer.document])
    absent = {
        "label": None,
        "score": None,
        "value": None,
        "class_scores": None,
        "values": None,
        "error": None,
    }
    return [absent | row for row in rows]


@pytest.mark.parametrize("form", [JSON, AVRO_CONTAINER, ARROW_STREAM])
@pytest.mark.parametrize("single", [True, False], ids=["one", "list"])
def test_answers_are_the_same_in_each_form(client: Client, form: str, *, single: bool) -> None:
    bad: dict[str, Any] = {**EVENTS[1], "city": "Rome"}
    asked: Sequence[object] = [bad, EVENTS[0]] if single else [[*EVENTS[:5], bad, {"stops": 1}]]
    for document in asked:
        plain = client.post(PATH, document)

        answer = client.post(PATH, document, {"accept": form})

        assert answer.headers["content-type"] == form
        assert (answer.status, rows_of(answer)) == (plain.status, rows_of(plain))


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*;q=0.5, text/html", JSON),
        (f"application/json;q=0.1, {ARROW_STREAM}", ARROW_STREAM),
        (f"text/html, {AVRO_CONTAINER} ; q=0.9, */*;q=0.1", AVRO_CONTAINER),
    ],
)
def test_the_form_is_the_one_that_is_preferred(accept: str, form: str) -> None:
    assert answer_form(accept) == form


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/json;q=x"])
def test_another_form_is_not_acceptable(client: Client, accept: str) -> None:
    answer = client.post(PATH, EVENTS[0], {"accept": accept})

    assert answer.status == 406
    assert ARROW_STREAM in answer.document["error"]


def table_of(events: Rows, types: dict[str, pa.DataType] | None = None) -> pa.Table:
    known = types or {}
    return pa.table({name: pa.array([e[name] for e in events], known.get(name)) for name in events[0]})


@pytest.fixture
def flat(served: Scorer) -> Callable[[pa.Table], bool]:
    """Return whether the columns of a table are taken whole."""

    def is_whole(table: pa.Table) -> bool:
        found = events_in_stream(stream(table), served.schema, served.model.manifest, 1000)
        return found.columns is not None

    return is_whole


@pytest.mark.parametrize(
    "types",
    [
        {},
        TRIP_TYPES,
        {"city": pa.large_string(), "distance": pa.float64(), "stops": pa.int8()},
        {"city": pa.dictionary(pa.int8(), pa.string()), "colour": pa.dictionary(pa.int32(), pa.string())},
        {"started": pa.timestamp("ms", "UTC")},
        {"started": pa.timestamp("us", "Europe/Berlin")},
        {"stops": pa.float64()},
    ],
)
def test_arrow_columns_get_the_answers_of_json(
    client: Client, flat: Callable[[pa.Table], bool], types: dict[str, pa.DataType]
) -> None:
    events: Rows = FLAT[:30]
    if "timestamp" in str(types.get("started")):
        events = [{**e, "started": dt.datetime.fromtimestamp(e["started"] / 1000, dt.UTC)} for e in events]
    listed = [{**e, "tags": []} for e in FLAT[:30]]
    table = table_of(events, types).append_column("tags", pa.array([[]] * 30, pa.list_(pa.string())))

    answer = client.post(PATH, stream(table), {"content-type": ARROW_STREAM})

    assert answer.status == 200
    assert flat(table) is not ({"stops": pa.float64()} == types or "us" in str(types.get("started")))
    assert answer.document == client.post(PATH, listed).document


def bad_events() -> Rows:
    changes: list[dict[str, Any]] = [
        {"city": "Rome"},
        {"distance": None},
        {"stops": None},
        {"colour": "PINK"},
        {"night": None},
    ]
    return [{**event, **change} for event, change in zip(FLAT, changes, strict=False)]


def test_bad_rows_of_arrow_get_the_errors_of_json(client: Client) -> None:
    events = [{**event, "tags": ["x"]} for event in [FLAT[9], *bad_events()]]
    events = [{**event, "more": 1} for event in events[:2]] + events[2:]
    columns = {name: pa.array([event.get(name) for event in events[2:]]) for name in events[2]}
    more = {name: pa.array([event[name] for event in events[:2]]) for name in events[0]}

    for part, given_events in ((columns, events[2:]), (more, events[:2])):
        answer = client.post(PATH, stream(pa.table(part)))

        assert answer.document == client.post(PATH, given_events).document


def test_columns_are_not_taken_whole_where_a_row_could_be_bad(flat: Callable[[pa.Table], bool]) -> None:
    good = [{**event, "tags": ["x"]} for event in FLAT[:3]]
    changes: list[dict[str, Any]] = [{"tags": [None]}, {"stops": 2**31}, {"colour": "PINK"}]

    assert flat(table_of(good))
    assert [flat(table_of([good[0] | one, *good[1:]])) for one in changes] == [False] * 3
    assert not flat(table_of([{**event, "driver": EVENTS[0]["driver"]} for event in good]))
    assert not flat(table_of([{**good[0], "stops": None}, *good[1:]]))
    assert not flat(table_of(FLAT[:3]))


def test_a_stream_of_no_rows_has_no_answers(client: Client) -> None:
    assert client.post(PATH, stream(table_of(FLAT[:3]).slice(0, 0))).document == {"predictions": []}


def test_a_stream_beyond_the_row_limit_is_refused(served: Scorer) -> None:
    with serving(lambda: served, limits=RequestLimits(rows=3)) as client:
        assert client.post(PATH, stream(table_of(FLAT[:4]))).status == 413


TEXT = pa.array(["x" * 10_000_000])
HOSTILE = {
    "compressed": (table_of(FLAT[:9]), {"compression": "zstd"}, "compressed"),
    "dictionary": (
        pa.table({"city": pa.DictionaryArray.from_arrays(pa.array([0] * 900, pa.int32()), TEXT)}),
        {},
        "column 'city' has more than",
    ),
    "list of nulls": (pa.table({"tags": pa.array([[None] * 9])}), {}, "column 'tags' has the type"),
    "run ends": (
        pa.table({"stops": pa.RunEndEncodedArray.from_arrays([1000], pa.array([1]))}),
        {},
        "column 'stops' has the type",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_be_larger_than_it_is_gets_refused(client: Client, name: str) -> None:
    table, options, reason = HOSTILE[name]

    answer = client.post(PATH, stream(table, **options))

    assert answer.status == 400
    assert reason in answer.document["error"]


def test_a_time_that_python_cannot_hold_is_refused(client: Client) -> None:
    table = pa.table({"started": pa.array([2**62], pa.timestamp("us", "UTC"))})

    answer = client.post(PATH, stream(table))

    assert answer.status == 400
    assert "a value of the Arrow stream" in answer.document["error"]


def test_a_column_that_stands_twice_is_refused(client: Client) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["stops", "stops"])

    assert "twice" in client.post(PATH, stream(table)).document["error"]


GOOD = stream(table_of(FLAT[:9], TRIP_TYPES))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(8, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_stream_is_answered_or_refused(served: Scorer, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(GOOD)
    for place, value in changes:
        damaged[place] = value
    try:
        found = events_in_stream(bytes(damaged), served.schema, served.model.manifest, 1000)
    except BadRequest:
        return
    assert found.columns is not None or len(found.rows) <= 1000


def container(events: Rows, schema: object = TRIP, **options: Any) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, schema, events, **options)
    return file.getvalue()


def test_a_container_of_another_schema_or_compressed_is_refused(client: Client) -> None:
    other = {**TRIP, "fields": TRIP["fields"][:1]}

    for body, reason in (
        (container([{"trip_id": "x"}], other), "not written with test.Trip"),
        (container(EVENTS[:9], codec="deflate"), "compressed (deflate)"),
        (container(EVENTS[:9])[:-40], "cannot be read"),
    ):
        answer = client.post(PATH, body)
        assert answer.status == 400
        assert reason in answer.document["error"]


def test_a_container_beyond_the_row_limit_is_refused(served: Scorer) -> None:
    with serving(lambda: served, limits=RequestLimits(rows=3)) as client:
        assert client.post(PATH, container(EVENTS[:4])).status == 413


def test_one_datum_is_answered_in_each_form(client: Client, served: Scorer) -> None:
    body = head(Framing.SINGLE_OBJECT, served.schema) + encode_datum(served.schema, EVENTS[0])
    plain = client.post(PATH, body)

    assert plain.document["label"] in {"0", "1"}
    for form in (AVRO_CONTAINER, ARROW_STREAM):
        assert rows_of(client.post(PATH, body, {"accept": form})) == rows_of(plain)


def test_a_stream_that_only_begins_is_refused(client: Client) -> None:
    for body in (
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff" + struct.pack("<i", 2**30),
        GOOD[:100],
        GOOD[:-100],
    ):
        assert client.post(PATH, body).status == 400
