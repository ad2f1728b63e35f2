"""The backlog of frames is bounded, and every record stays counted."""

from __future__ import annotations

from benchmarks.drift_streams import Stream, frames, reference
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader
from stream_infer.drift.frames import ObservationFrame
from stream_infer.flow.records import Channel, Headers, Output
from stream_infer.steps.observing.backlog import WaitingEvents, WaitingFrames, frame_output
from stream_infer.steps.observing.frame_record import from_record

SCHEMA = topic_schemas.topic_schema("ObservationFrame")
READER, ENCODER = RecordReader(SCHEMA, Framing.NONE), Encoder(SCHEMA, Framing.NONE)


def kept(stream: Stream, limit_bytes: int) -> tuple[list[ObservationFrame], list[ObservationFrame]]:
    """Return the frames of `stream`, and those that wait after all of them were kept."""
    waiting = WaitingFrames("bench", READER, ENCODER, limit_bytes=limit_bytes)
    given = list(frames(stream, known=reference()))
    for frame in given:
        waiting.keep(frame_output("bench", [frame], ENCODER))
        assert sum(len(value or b"") for value in waiting.output().values) <= limit_bytes
    return given, [from_record(READER.read(value or b"")) for value in waiting.output().values]


def test_below_the_bound_frames_wait_as_they_are() -> None:
    given, waiting = kept(Stream(5_000, 1, batch=500), 10_000_000)

    assert waiting == given


def test_over_the_bound_windows_become_wider_and_every_record_stays_counted() -> None:
    given, waiting = kept(Stream(60_000, 2, batch=500, partitions=2), 100_000)

    assert len(waiting) < len(given) / 4
    assert sum(f.records for f in waiting) == 60_000
    assert sum(f.sampled for f in waiting) == sum(f.sampled for f in given)
    assert sum(f.signals[0].count for f in waiting) == sum(f.signals[0].count for f in given)
    for source in {f.source for f in given}:
        places = [(f.window_first_offset, f.window_last_offset) for f in waiting if f.source == source]
        assert places == sorted(places)


def test_the_backlog_is_cleared_once_it_is_written() -> None:
    waiting = WaitingFrames("bench", READER, ENCODER)
    waiting.keep(frame_output("bench", list(frames(Stream(100, 3), known=reference())), ENCODER))
    waiting.clear()

    assert len(waiting) == 0


def test_the_newest_events_wait_with_their_headers() -> None:
    headers: list[Headers | None] = [(("ce_type", b"x"),)]
    waiting = WaitingEvents(limit=2)
    for number in range(3):
        waiting.keep(Output(Channel.EVENTS, [], [b"k"], [b"%d" % number], headers))

    assert waiting.output().values == (b"1", b"2")
    assert waiting.output().headers == (headers[0], headers[0])
