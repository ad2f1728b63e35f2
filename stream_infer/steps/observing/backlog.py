"""What waits while the monitoring topics take nothing: frames, which merge, and a few events.

Bounded in bytes and in number. Frames are never dropped: over the bound those of one window become one, then
those of neighbouring windows, so each record stays counted, and only how finely is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

from stream_infer.avro.encode import Encoder
from stream_infer.avro.record import RecordReader
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.flow.records import Channel, Headers, Output, Partition
from stream_infer.steps.observing.frame_record import frame_columns, from_record

_FRAMES_BYTES = 8 * 2**20
_MANY_EVENTS = 1_000


class WaitingFrames:
    """Observation frames in the order they came in, at most `limit_bytes` and a frame for each lane."""

    def __init__(
        self, pipeline: str, reader: RecordReader, encoder: Encoder, *, limit_bytes: int = _FRAMES_BYTES
    ) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._encoder = encoder
        self._limit_bytes = limit_bytes
        self._values: list[bytes] = []
        self._keys: list[bytes | None] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def keep(self, output: Output) -> None:
        self._values += [value or b"" for value in output.values]
        self._keys += output.keys
        self._bytes = sum(map(len, self._values))
        if self._bytes > self._limit_bytes:
            self._merge()

    def output(self) -> Output:
        nothing: list[Headers | None] = [None] * len(self)
        return Output(Channel.OBSERVATIONS, [], self._keys, self._values, nothing)

    def clear(self) -> None:
        self._values, self._keys, self._bytes = [], [], 0

    def _merge(self) -> None:
        """Make the frames fewer until half of the bound is free again, or there is one for each lane."""
        frames = _by_window([from_record(self._reader.read(value)) for value in self._values])
        self._write(frames)
        while self._bytes > self._limit_bytes // 2:
            fewer = _in_pairs(frames)
            if len(fewer) == len(frames):
                break
            frames = fewer
            self._write(frames)

    def _write(self, frames: Sequence[ObservationFrame]) -> None:
        written = frame_output(self._pipeline, frames, self._encoder)
        self._values, self._keys = [value or b"" for value in written.values], list(written.keys)
        self._bytes = sum(map(len, self._values))


class WaitingEvents:
    """The newest monitoring events of a scorer: a few at most, for it has little to tell."""

    def __init__(self, *, limit: int = _MANY_EVENTS) -> None:
        self._waiting: deque[tuple[bytes | None, bytes | None, Headers | None]] = deque(maxlen=limit)

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, output: Output) -> None:
        self._waiting.extend(zip(output.keys, output.values, output.headers, strict=True))

    def output(self) -> Output:
        keys, values, headers = zip(*self._waiting, strict=True)
        return Output(Channel.EVENTS, [], keys, values, headers)

    def clear(self) -> None:
        self._waiting.clear()


def frame_output(pipeline: str, frames: Sequence[ObservationFrame], encoder: Encoder) -> Output:
    """Return `frames` as an output, one record each."""
    values = encoder.encode(frame_columns(pipeline, frames))
    return observations(pipeline, [frame.source for frame in frames], values)


def observations(pipeline: str, sources: Sequence[Partition], values: Sequence[bytes]) -> Output:
    """Return the `values` of frames as an output, all of one source partition under one key."""
    nothing: list[Headers | None] = [None] * len(values)
    return Output(
        channel=Channel.OBSERVATIONS,
        rows=[],
        keys=[f"{pipeline}/{source.topic}/{source.index}".encode() for source in sources],
        values=values,
        headers=nothing,
    )


def _by_window(frames: Iterable[ObservationFrame]) -> list[ObservationFrame]:
    """Return one frame for each lane and window, in order of lanes and windows."""
    merged: list[ObservationFrame] = []
    for _, alike in groupby(sorted(frames, key=_place), key=_place):
        first, *others = alike
        for other in others:
            first = merge_frames(first, other)
        merged.append(first)
    return merged


def _in_pairs(frames: Sequence[ObservationFrame]) -> list[ObservationFrame]:
    """Return the frames with two neighbours of a lane as one."""
    paired: list[ObservationFrame] = []
    for _, of_lane in groupby(frames, key=_lane):
        lane = list(of_lane)
        paired += [merge_frames(one, other) for one, other in zip(lane[::2], lane[1::2], strict=False)]
        paired += lane[len(lane) - len(lane) % 2 :]
    return paired


def _lane(frame: ObservationFrame) -> tuple[str, int, str]:
    return (frame.source.topic, frame.source.index, frame.digest)


def _place(frame: ObservationFrame) -> tuple[tuple[str, int, str], int, int]:
    return (_lane(frame), frame.window_first_offset, frame.window_last_offset)
