"""Sentences about drift: what moved, from where to where, and since which offset."""

from __future__ import annotations

from collections.abc import Sequence

from stream_infer.drift.alarms import Alarm, Place
from stream_infer.drift.aspects import RATES, RECORDS, Aspect, Signal
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.drift.incident import Incident, IncidentUpdated, feature_of
from stream_infer.drift.pipeline_levels import LEVEL, LIMIT
from stream_infer.drift.reference import ReferenceColumn
from stream_infer.steps.monitoring.event_context import EventContext, stddev, summary_of

_ASPECTS = {
    Aspect.SPREAD: "standard deviation",
    Aspect.CATEGORIES: "mix of categories",
    Aspect.UNSEEN: "share of unseen categories",
    Aspect.OUT_OF_RANGE: "share out of the reference's range",
}
_LIMITS = {Aspect.UNSEEN: "unseen_rate", Aspect.OUT_OF_RANGE: "out_of_range_rate"}
_SHOWN = 5
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
    if alarm.detector == LIMIT and alarm.threshold is not None:
        key = _LIMITS.get(signal.aspect, signal.aspect.value)
        limit = f"the limit of {_percent(alarm.threshold, 1)} ([monitoring.limits] {key})"
        return f"{subject(signal)}: {now}, over {limit}"
    if alarm.detector == LEVEL:
        if signal.aspect in RATES and alarm.threshold is not None:
            before = _percent(alarm.threshold, 1)
        where = "in training" if context.column(signal) is not None else "at first"
        return f"{subject(signal)}: {now}, {where} {before.removesuffix(' in training')}"
    by_rank = _change_by_rank(alarm, frame, context)
    if by_rank is None:
        return f"{subject(signal)} went from {before} to {now}"
    return f"{subject(signal)} {by_rank}; {_ASPECTS.get(signal.aspect, 'mean')} from {before} to {now}"


def advice(signal: Signal) -> str:
    """Return what to look at next."""
    if signal.kind == RECORDS:
        return "Look at the dead letters: the header streaminfer.error.class says why"
    if not feature_of(signal):
        return "Look at the model that serves, and at what it was given: no feature moved as far"
    match signal.aspect:
        case Aspect.NULLS | Aspect.NON_FINITE:
            return "Look at the producer of this field, and at what was deployed there"
        case Aspect.UNSEEN | Aspect.CATEGORIES:
            return "Look at which values are new, and at who sends them"
    return "Look at where this feature comes from: a deployment, a unit, a season"


def compared_text(alarm: Alarm, context: EventContext) -> str:
    """Return what a signal is compared with."""
    column, first = context.column(alarm.signal), context.first_records(alarm.signal)
    if alarm.detector == LIMIT:
        return "a limit of the settings"
    if column is not None:
        return f"the training data ({column.rows:,} rows)"
    return f"the first {first:,} events of the pipeline" if first else "the windows before"


def level_text(signal: Signal, frame: ObservationFrame, context: EventContext) -> str:
    """Return the value of a signal in `frame` and before, in the units of its column."""
    before, now = _before_and_now(signal, frame, context)
    return f"{now}, before {before}"


def update_text(change: IncidentUpdated, context: EventContext) -> str:
    """Return what joined an incident and what moved further, each with its value now and before."""
    parts = [
        f"{subject(signal)} {said}: {level_text(signal, change.frame, context)}"
        for signals, said in ((change.joined, "changed too"), (change.moved, "moved further"))
        for signal in signals[:_SHOWN]
    ]
    more = len(change.joined) + len(change.moved) - len(parts)
    return "; ".join(parts) + (f"; {more} more" if more else "")


def onset_text(incident: Incident, frame: ObservationFrame) -> str:
    """Return where an incident began in the partition of `frame`, or in the partitions of the pipeline."""
    track = next(track for key, track in incident.tracks.items() if key.stream.source == frame.source)
    if not track.places:
        return f"{frame.source.topic}/{frame.source.index} offset {track.since_offset}"
    first, *others = track.places
    more = f" and in {len(others)} more partitions" if others else ""
    return f"{first.topic}/{first.partition} offset {first.first_offset}{more}"


def end_offset_text(frame: ObservationFrame, places: Sequence[Place]) -> str:
    """Return where `frame` ends, a window of a partition or, in `places`, of the pipeline."""
    if not places:
        return f"{frame.source.topic}/{frame.source.index} offset {frame.last_offset}"
    first, *others = places
    more = f" and in {len(others)} more partitions" if others else ""
    return f"{first.topic}/{first.partition} offset {first.last_offset}{more}"


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
    if column is None or not column.edges or now is None or not sum(now.bins) or not _fits(now, column):
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
    now, learned, column = summary_of(frame, signal), context.learned, context.column(signal)
    binned = now if now is not None and column is not None and _fits(now, column) else None
    match signal.aspect:
        case Aspect.DEAD_LETTERS:
            first = None if learned is None else learned.frame
            before = "none" if first is None else _percent(first.dead_letters, first.records)
            return before, _percent(frame.dead_letters, frame.records)
        case Aspect.NULLS | Aspect.NON_FINITE:
            return _missing_values(signal, frame, context)
        case Aspect.OUT_OF_RANGE:
            outside = _percent(binned.bins[0] + binned.bins[-1], binned.count) if binned else _UNKNOWN
            return "none in training", outside
        case Aspect.UNSEEN if column is not None and binned is not None:
            return _percent(column.shares[-1], 1), _percent(binned.bins[-1], binned.count)
        case Aspect.CATEGORIES if column is not None and binned is not None:
            return _category(column, binned)
        case Aspect.CATEGORIES:
            return "that of the first events", _other_mix(now, context.first_windows(signal))
        case Aspect.DISTRIBUTION:
            return _distributions(column, binned, now)
        case Aspect.SPREAD:
            known = column.stddev if column is not None else stddev(context.first_windows(signal))
            return _number(known), _number(stddev(now))
        case _:
            usual = column or context.first_windows(signal)
            return _number(usual.mean if usual is not None else None), _number(now.mean if now else None)


def _distributions(
    column: ReferenceColumn | None, binned: ColumnSummary | None, now: ColumnSummary | None
) -> tuple[str, str]:
    """Return a distribution before and now: categories gained and lost, or quantiles."""
    if column is not None and column.categories and binned is not None:
        return _gained_and_lost(column, binned)
    if column is not None and column.edges and binned is not None and sum(binned.bins):
        return _quantiles(column.shares, column), _quantiles(binned.bins, column)
    return "that of training", f"another (mean {_number(now.mean if now else None)})"


def _quantiles(shares: Sequence[float], column: ReferenceColumn) -> str:
    """Return tenth, half and nine tenths of a distribution, which say in which direction it moved."""
    low, middle, high = (_number(quantile(shares, column.edges, part)) for part in (0.1, 0.5, 0.9))
    return f"median {middle} (10 to 90 %: {low} to {high})"


def _fits(now: ColumnSummary, column: ReferenceColumn) -> bool:
    """Whether `now` was counted in the bins of `column`; a worker without the reference counts in none."""
    return bool(now.bins) and len(now.bins) == len(column.shares)


def _missing_values(signal: Signal, frame: ObservationFrame, context: EventContext) -> tuple[str, str]:
    count = "nulls" if signal.aspect is Aspect.NULLS else "non_finite"
    column, first, now = context.column(signal), context.first_windows(signal), summary_of(frame, signal)
    before = _UNKNOWN
    if column is not None:
        before = _percent(getattr(column, count), column.rows)
    elif first is not None:
        before = _percent(getattr(first, count), context.first_records(signal))
    return before, _percent(getattr(now, count), frame.records) if now else _UNKNOWN


def _other_mix(now: ColumnSummary | None, first: ColumnSummary | None) -> str:
    """Return how much of the values is in other bins than at first; texts are hashed into them."""
    if now is None or first is None or not now.count or not first.count or len(now.bins) != len(first.bins):
        return "another"
    pairs = zip(now.bins, first.bins, strict=True)
    moved = sum(max(0.0, n / now.count - before / first.count) for n, before in pairs)
    return f"another: at least {_percent(moved, 1)} of the values are others"


def _gained_and_lost(column: ReferenceColumn, now: ColumnSummary) -> tuple[str, str]:
    """Return the shares of the categories that gained and lost most, before and now."""
    names = (*column.categories, "other values")
    moves = [now.bins[at] / max(1, now.count) - column.shares[at] for at in range(len(names))]
    ends = max(range(len(names)), key=moves.__getitem__), min(range(len(names)), key=moves.__getitem__)
    before = ", ".join(f"{names[at]} {_percent(column.shares[at], 1)}" for at in ends)
    return before, ", ".join(f"{names[at]} {_percent(now.bins[at], now.count)}" for at in ends)


def _category(column: ReferenceColumn, now: ColumnSummary) -> tuple[str, str]:
    """Return the share of the category that moved most, before and now."""
    names = (*column.categories, "other values")
    moved = max(range(len(names)), key=lambda at: abs(now.bins[at] / max(1, now.count) - column.shares[at]))
    return f"{names[moved]} {_percent(column.shares[moved], 1)}", _percent(now.bins[moved], now.count)


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4g}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else _UNKNOWN
