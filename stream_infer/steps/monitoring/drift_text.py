"""Sentences about drift: what moved, from where to where, and since which offset."""

from __future__ import annotations

from collections.abc import Sequence

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.drift.incident import Incident, feature_of
from stream_infer.drift.reference import ReferenceColumn
from stream_infer.steps.monitoring.event_context import EventContext, stddev, summary_of

_ASPECTS = {
    Aspect.SPREAD: "standard deviation",
    Aspect.CATEGORIES: "mix of categories",
    Aspect.UNSEEN: "share of unseen categories",
    Aspect.OUT_OF_RANGE: "share out of the reference's range",
}
_UNKNOWN = "?"


def subject(signal: Signal) -> str:
    """Return what a signal is about: "mean of feature 'amount'"."""
    if signal.kind == RECORDS:
        return "dead letters"
    aspect = _ASPECTS.get(signal.aspect, signal.aspect.value.replace("_", " "))
    if feature_of(signal):
        return f"{aspect} of feature '{signal.name}'"
    return f"{aspect} of the {signal.name}"


def change_text(alarm: Alarm, frame: ObservationFrame, context: EventContext) -> str:
    """Return what moved, from where to where."""
    signal = alarm.signal
    before, now = _before_and_now(signal, frame, context)
    by_rank = _change_by_rank(alarm, frame, context)
    if by_rank is None:
        return f"{subject(signal)} went from {before} to {now}"
    return f"{subject(signal)} {by_rank}; {_ASPECTS.get(signal.aspect, 'mean')} from {before} to {now}"


def current_text(signal: Signal, frame: ObservationFrame, context: EventContext) -> str:
    """Return the value of a signal in `frame`, in the units of its column."""
    return _before_and_now(signal, frame, context)[1]


def onset_text(incident: Incident, frame: ObservationFrame) -> str:
    """Return where an incident began in the partition of `frame`."""
    track = next(track for stream, track in incident.tracks.items() if stream.source == frame.source)
    return f"{frame.source.topic}/{frame.source.index} offset {track.since_offset}"


def end_offset_text(frame: ObservationFrame) -> str:
    """Return where `frame` ends."""
    return f"{frame.source.topic}/{frame.source.index} offset {frame.last_offset}"


def quantile(shares: Sequence[float], edges: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the binned values lie; within a bin, in proportion.

    `shares` has one item more than `edges`: the first and the last lie outside of the edges, at their ends.
    """
    left = part * sum(shares)
    bounds = zip((edges[0], *edges), (*edges, edges[-1]), strict=True)
    for share, (low, high) in zip(shares, bounds, strict=True):
        if left <= share and share:
            return low + (high - low) * left / share
        left -= share
    return edges[-1]


def _change_by_rank(alarm: Alarm, frame: ObservationFrame, context: EventContext) -> str | None:
    """Return the change in quantiles, where mean or standard deviation moved in the opposite direction.

    Detectors see ranks, which a few extreme values do not move; mean and standard deviation they do.
    """
    column, now = context.column(alarm.signal), summary_of(frame, alarm.signal)
    if column is None or not column.edges or now is None or not sum(now.bins):
        return None
    rose = alarm.value > alarm.baseline
    direction = "rose" if rose else "fell"
    if alarm.signal.aspect is Aspect.MEAN and (now.mean > column.mean) != rose:
        before, after = (quantile(shares, column.edges, 0.5) for shares in (column.shares, now.bins))
        return f"{direction}: median from {_number(before)} to {_number(after)}"
    if alarm.signal.aspect is Aspect.SPREAD and ((stddev(now) or 0.0) > column.stddev) != rose:
        before, after = (
            quantile(shares, column.edges, 0.75) - quantile(shares, column.edges, 0.25)
            for shares in (column.shares, now.bins)
        )
        return f"{direction}: quartiles from {_number(before)} to {_number(after)} apart"
    return None


def _before_and_now(signal: Signal, frame: ObservationFrame, context: EventContext) -> tuple[str, str]:
    """Return a signal's baseline and its value in `frame`."""
    now, first, column = summary_of(frame, signal), context.first_windows(signal), context.column(signal)
    match signal.aspect:
        case Aspect.DEAD_LETTERS:
            learned = context.learned
            before = "none" if learned is None else _percent(learned.dead_letters, learned.records)
            return before, _percent(frame.dead_letters, frame.records)
        case Aspect.NULLS | Aspect.NON_FINITE:
            return _missing_values(signal, frame, context)
        case Aspect.OUT_OF_RANGE:
            return "none in training", _percent(now.bins[0] + now.bins[-1], now.count) if now else _UNKNOWN
        case Aspect.UNSEEN if column is not None and now is not None:
            return _percent(column.shares[-1], 1), _percent(now.bins[-1], now.count)
        case Aspect.CATEGORIES if column is not None and now is not None:
            return _category(column, now)
        case Aspect.DISTRIBUTION:
            if column is not None and column.categories and now is not None:
                return _category(column, now)
            return "that of training", f"another (mean {_number(now.mean if now else None)})"
        case Aspect.SPREAD:
            return _number(column.stddev if column is not None else stddev(first)), _number(stddev(now))
        case _:
            mean = column.mean if column is not None else (first.mean if first else None)
            return _number(mean), _number(now.mean if now else None)


def _missing_values(signal: Signal, frame: ObservationFrame, context: EventContext) -> tuple[str, str]:
    count = "nulls" if signal.aspect is Aspect.NULLS else "non_finite"
    column, first, now = context.column(signal), context.first_windows(signal), summary_of(frame, signal)
    before = _UNKNOWN
    if column is not None:
        before = _percent(getattr(column, count), column.rows)
    elif first is not None and context.learned is not None:
        before = _percent(getattr(first, count), context.learned.records)
    return before, _percent(getattr(now, count), frame.records) if now else _UNKNOWN


def _category(column: ReferenceColumn, now: ColumnSummary) -> tuple[str, str]:
    """Return the share of the category that moved most, before and now."""
    names = (*column.categories, "other values")
    moved = max(range(len(names)), key=lambda at: abs(now.bins[at] / max(1, now.count) - column.shares[at]))
    return f"{names[moved]} {_percent(column.shares[moved], 1)}", _percent(now.bins[moved], now.count)


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4g}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else _UNKNOWN
