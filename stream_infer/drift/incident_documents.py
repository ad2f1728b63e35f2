"""Incidents as JSON values, for the state of the monitor. The keys are those of every release so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.cooldown import Cooling
from stream_infer.drift.incident import Incident, Nature, Track
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.records import Partition


def stream_to_document(stream: StreamKey) -> list[object]:
    """Return topic, partition and digest."""
    return [stream.source.topic, stream.source.index, stream.digest]


def stream_from_document(document: Sequence[Any]) -> StreamKey:
    """Return the stream that `stream_to_document` wrote."""
    topic, index, digest = document
    return StreamKey(Partition(topic, index), digest)


def incident_to_document(incident: Incident) -> dict[str, object]:
    """Return an incident as JSON values."""
    return {
        "id": incident.id,
        "nature": incident.nature.value,
        "alarm": _alarm_to_document(incident.alarm),
        "raised_by": incident.raised_by,
        "version": incident.version,
        "digest": incident.digest,
        "members": [list(group) for group in incident.members],
        "tracks": [
            [*stream_to_document(stream), _track_to_document(track)]
            for stream, track in incident.tracks.items()
        ],
    }


def incident_from_document(document: Mapping[str, Any]) -> Incident:
    """Return the incident that `incident_to_document` wrote."""
    return Incident(
        document["id"],
        Nature(document["nature"]),
        _alarm_from_document(document["alarm"]),
        document["raised_by"],
        document["version"],
        document["digest"],
        [(nature, kind, name) for nature, kind, name in document["members"]],
        {stream_from_document(stream): _track_from_document(track) for *stream, track in document["tracks"]},
    )


def cooling_to_document(column: Cooling) -> dict[str, object]:
    """Return a column that cools down as JSON values."""
    return {
        "lane": stream_to_document(column.stream),
        "group": list(column.group),
        "signal": list(column.signal),
        "level": column.level,
        "until_look": column.until_window,
        "waiting": None if column.waiting is None else _alarm_to_document(column.waiting),
    }


def cooling_from_document(document: Mapping[str, Any]) -> Cooling:
    """Return the column that `cooling_to_document` wrote."""
    nature, kind, name = document["group"]
    waiting = document["waiting"]
    return Cooling(
        stream_from_document(document["lane"]),
        (nature, kind, name),
        _signal(document["signal"]),
        document["level"],
        document["until_look"],
        None if waiting is None else _alarm_from_document(waiting),
    )


def _track_to_document(track: Track) -> dict[str, object]:
    return {
        "signal": list(track.signal),
        "usual": track.baseline,
        "since_offset": track.since_offset,
        "opened_look": track.opened_window,
        "alarmed_look": track.alarmed_window,
        "calm": track.calm,
        "ended": track.ended,
    }


def _track_from_document(document: Mapping[str, Any]) -> Track:
    return Track(
        _signal(document["signal"]),
        document["usual"],
        document["since_offset"],
        document["opened_look"],
        document["alarmed_look"],
        document["calm"],
        document["ended"],
    )


def _alarm_to_document(alarm: Alarm) -> dict[str, object]:
    return {
        "signal": list(alarm.signal),
        "detector": alarm.detector,
        "parameters": dict(alarm.parameters),
        "statistic": alarm.statistic,
        "threshold": alarm.threshold,
        "value": alarm.value,
        "usual": alarm.baseline,
        "since_offset": alarm.since_offset,
    }


def _alarm_from_document(document: Mapping[str, Any]) -> Alarm:
    return Alarm(
        _signal(document["signal"]),
        document["detector"],
        document["parameters"],
        document["statistic"],
        document["threshold"],
        document["value"],
        document["usual"],
        document["since_offset"],
    )


def _signal(document: Sequence[str]) -> Signal:
    kind, name, aspect = document
    return Signal(kind, name, Aspect(aspect))
