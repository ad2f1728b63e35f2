"""Incidents as JSON values, for the state of the monitor. The keys are those of every release so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infer.drift.alarms import Alarm, Place
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.incident import Incident, Nature, State, Track, TrackKey
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
            [*stream_to_document(key.stream), _track_to_document(key.signal, track)]
            for key, track in incident.tracks.items()
        ],
        "told": [[*signal, distance] for signal, distance in incident.told.items()],
        "state": incident.state.value,
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
        {
            TrackKey(stream_from_document(stream), _signal(track["signal"])): _track_from_document(track)
            for *stream, track in document["tracks"]
        },
        {_signal(signal): distance for *signal, distance in document.get("told", ())},
        State(document.get("state", State.OPEN)),
    )


def _track_to_document(signal: Signal, track: Track) -> dict[str, object]:
    return {
        "signal": list(signal),
        "usual": track.baseline,
        "since_offset": track.since_offset,
        "opened_look": track.opened_window,
        "alarmed_look": track.alarmed_window,
        "spread": track.spread,
        "recent": list(track.recent),
        "ended": track.ended,
        "places": [list(place) for place in track.places],
        "quiet": track.quiet,
        "since_ms": track.since_ms,
        "span_ms": track.span_ms,
    }


def _track_from_document(document: Mapping[str, Any]) -> Track:
    return Track(
        document["usual"],
        document["since_offset"],
        document["opened_look"],
        document["alarmed_look"],
        document.get("spread", 1.0),
        list(document.get("recent", ())),
        document["ended"],
        _places(document),
        document.get("quiet", False),
        document.get("since_ms"),
        document.get("span_ms", 0),
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
        "places": [list(place) for place in alarm.places],
        "spread": alarm.spread,
        "since_ms": alarm.since_ms,
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
        _places(document),
        document.get("spread", 1.0),
        document.get("since_ms"),
    )


def _places(document: Mapping[str, Any]) -> tuple[Place, ...]:
    return tuple(Place(*place) for place in document.get("places", ()))


def _signal(document: Sequence[str]) -> Signal:
    kind, name, aspect = document
    return Signal(kind, name, Aspect(aspect))
