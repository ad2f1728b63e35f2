"""The backlog while the monitoring topics take no records: frames, which merge, and a few events.

Bounded in bytes and in number. Frames are never dropped: over the bound the frames of one window become one,
then those of neighbouring windows. Each record stays counted, only the resolution in time becomes coarser.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import groupby

from stream_infer.avro.encode import Encoder
from stream_infer.avro.record import RecordReader
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.flow.records import Channel, Headers, Output, Partition
from stream_infer.steps.observing.frame_record import frame_columns, from_record

_FRAMES_BYTES = 8 * 2**20
_MANY_EVENTS = 1_000


class WaitingFrames:
    """Observation frames in the order of arrival, at most `limit_bytes` and one frame for each stream."""

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
        no_headers: list[Headers | None] = [None] * len(self)
        return Output(Channel.OBSERVATIONS, [], self._keys, self._values, no_headers)

    def clear(self) -> None:
        self._values, self._keys, self._bytes = [], [], 0

    def _merge(self) -> None:
        """Merge frames until half of the bound is free again, or there is one for each stream."""
        frames = _merge_windows([from_record(self._reader.read(value)) for value in self._values])
        self._write(frames)
        while self._bytes > self._limit_bytes // 2:
            fewer = _merge_neighbours(frames)
            if len(fewer) == len(frames):
                break
            frames = fewer
            self._write(frames)

    def _write(self, frames: Sequence[ObservationFrame]) -> None:
        output = frame_output(self._pipeline, frames, self._encoder)
        self._values, self._keys = [value or b"" for value in output.values], list(output.keys)
        self._bytes = sum(map(len, self._values))


class WaitingEvents:
    """The newest monitoring events of a worker, which are few."""

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
    no_headers: list[Headers | None] = [None] * len(values)
    return Output(
        channel=Channel.OBSERVATIONS,
        rows=[],
        keys=[f"{pipeline}/{source.topic}/{source.index}".encode() for source in sources],
        values=values,
        headers=no_headers,
    )


def _merge_windows(frames: Iterable[ObservationFrame]) -> list[ObservationFrame]:
    """Return one frame for each stream and window, in order of streams and windows."""
    windows = groupby(sorted(frames, key=_window), key=_window)
    return [reduce(merge_frames, of_window) for _, of_window in windows]


def _merge_neighbours(frames: Sequence[ObservationFrame]) -> list[ObservationFrame]:
    """Return the frames with two neighbours of a stream as one."""
    merged: list[ObservationFrame] = []
    for _, group in groupby(frames, key=_stream):
        of_stream = list(group)
        pairs = zip(of_stream[::2], of_stream[1::2], strict=False)
        merged += [merge_frames(one, other) for one, other in pairs]
        merged += of_stream[len(of_stream) - len(of_stream) % 2 :]
    return merged


def _stream(frame: ObservationFrame) -> tuple[str, int, str]:
    return (frame.source.topic, frame.source.index, frame.digest)


def _window(frame: ObservationFrame) -> tuple[tuple[str, int, str], int, int]:
    return (_stream(frame), frame.window_first_offset, frame.window_last_offset)
