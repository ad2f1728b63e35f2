"""The signal that names an incident: the feature that moved most, and its mean before its other aspects."""

from __future__ import annotations

from collections.abc import Sequence

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import Aspect
from stream_infer.drift.incident import Nature, feature_of, group_of
from stream_infer.drift.pipeline_levels import LIMIT
from stream_infer.drift.series import CLIP

_NOTABLE = 4.0
_FOLLOWS = 0.7
"""An output moves about as far as the feature that it follows from, in standard errors, hardly further."""
_SAME_TIME_WINDOWS = 3
CONSEQUENCES = frozenset({Aspect.SPREAD, Aspect.OUT_OF_RANGE, Aspect.DISTRIBUTION})
"""What a shift of the mean moves too."""


def naming_alarm(alarms: Sequence[Alarm], result: WindowResult, nature: Nature) -> tuple[Alarm, str]:
    """Return the alarm that names an incident, and the detector that raised it.

    A feature before an output, the one that moved most before others. Where only an output alarms while a
    feature has moved as far at the same time, the incident is that feature's.
    """
    features = [alarm for alarm in alarms if feature_of(alarm.signal)]
    if features:
        most = max(features, key=_rank)
        return _mean_first(most, features, result), most.detector
    raised = _mean_first(max(alarms, key=_rank), alarms, result)
    least = max(_NOTABLE, _FOLLOWS * _seen(raised))
    window = max(1, result.frame.window_last_offset - result.frame.window_first_offset + 1)
    candidates = [
        one
        for one in result.candidates
        if feature_of(one.signal)
        and _seen(one) >= least
        and group_of(one.signal)[0] == nature
        and abs(one.since_offset - raised.since_offset) <= _SAME_TIME_WINDOWS * window
    ]
    naming = max(candidates, key=_seen, default=raised)
    return naming, f"{raised.detector} on {raised.signal.name or 'records'}"


def with_means(result: WindowResult) -> Sequence[Alarm]:
    """Return the alarms of a window; the mean, where it moved, is before what it moves too."""
    alarms: list[Alarm] = []
    for alarm in result.alarms:
        mean = _mean_first(alarm, result.alarms, result)
        alarms += [mean, alarm] if mean.signal not in {one.signal for one in result.alarms} else [alarm]
    return alarms


def _mean_first(most: Alarm, alarms: Sequence[Alarm], result: WindowResult) -> Alarm:
    """Return the mean of the column of `most` where it moved too, else `most`; a limit is told as such."""
    if most.signal.aspect not in CONSEQUENCES or most.detector == LIMIT:
        return most
    signal = most.signal._replace(aspect=Aspect.MEAN)
    own = [alarm for alarm in alarms if alarm.signal == signal]
    candidates = [one for one in result.candidates if one.signal == signal and _seen(one) >= _NOTABLE]
    return next(iter([*own, *candidates]), most)


def _seen(alarm: Alarm) -> float:
    """Return how far a signal moved, as detectors see it: like compared with like."""
    value, baseline = (max(-CLIP, min(CLIP, one)) for one in (alarm.value, alarm.baseline))
    return abs(value - baseline)


def _rank(alarm: Alarm) -> tuple[bool, float]:
    """Order alarms: "the mean went up" says more than "the distribution is another"."""
    return alarm.signal.aspect is not Aspect.DISTRIBUTION, alarm.deviation
