"""How often monitoring may raise a false alarm, and the thresholds that follow from it.

The user states false alarms over a time for everything together. Each signal gets an equal part, as its run
length: the number of windows from one false alarm to the next. The formulas were fitted on independent
standard normal values (`benchmarks/drift.py` prints the check), and hold for any distribution because
`zscores` makes values of any column like these. Windows that depend on each other (a daily cycle) raise more
alarms than the budget; those are changes of the data, but not the ones that most people ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.drift.detectors import DetectorKind, DetectorSpec

_DAY_S = 86_400.0
_LEAST_RUN_LENGTH = 10_000.0


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """At most about `alarms` false incidents in `days` over all signals, at `events_per_s` in all partitions.

    A stream ten times as fast has ten times as many windows, so its thresholds follow from its speed.
    """

    alarms: float = 1.0
    days: float = 30.0
    events_per_s: float = 100.0

    def run_length(self, *, signals: int, window_events: int) -> float:
        """Return the windows that one signal may take to its next false alarm; partitions do not matter."""
        windows = self.days * _DAY_S * self.events_per_s / window_events
        return max(_LEAST_RUN_LENGTH, windows * signals / self.alarms)


def change_detectors(
    run_length: float, kinds: Sequence[DetectorKind] = (DetectorKind.PAGE_HINKLEY, DetectorKind.ADWIN)
) -> Sequence[DetectorSpec]:
    """Return the detectors of one signal, which together keep `run_length`."""
    return [_FITTED[kind](len(kinds) * run_length) for kind in kinds]


def _page_hinkley(run_length: float) -> DetectorSpec:
    """Return a detector that fires at once on a value that is far off: it tolerates 1.5.

    Fitted: with it and 4 first values a threshold of h runs exp(3 (h - 4)) 5e5 windows; 0.5 is to spare.
    """
    threshold = max(4.0, 4.0 + math.log(run_length / 5e5) / 3) + 0.5
    return DetectorSpec(
        DetectorKind.PAGE_HINKLEY,
        {"delta": 1.5, "threshold": round(threshold, 2), "alpha": 1.0, "min_instances": 4},
    )


def _adwin(run_length: float) -> DetectorSpec:
    """Return a detector that fires on a small change that lasts.

    Fitted: it runs 1 / (1.2e-5 (delta / 0.02)^1.66) windows.
    """
    confidence = min(0.02, 0.02 * (1 / (1.2e-5 * run_length)) ** (1 / 1.66))
    return DetectorSpec(
        DetectorKind.ADWIN,
        {"delta": float(f"{confidence:.1e}"), "clock": 1, "grace_period": 4, "min_window_length": 1},
    )


def _kswin(run_length: float) -> DetectorSpec:
    """Return a detector that fires on any change of the distribution, late: 20 windows after it.

    Its test at level alpha fires on one value of `run_length`; neighbouring tests share most values, so it
    fires less often. 20 against 20 values go down to 1e-11, far enough.
    """
    alpha = max(1e-10, 1 / run_length)
    return DetectorSpec(
        DetectorKind.KSWIN, {"alpha": float(f"{alpha:.1e}"), "window_size": 40, "stat_size": 20, "seed": 1}
    )


_FITTED: Mapping[DetectorKind, Callable[[float], DetectorSpec]] = {
    DetectorKind.PAGE_HINKLEY: _page_hinkley,
    DetectorKind.ADWIN: _adwin,
    DetectorKind.KSWIN: _kswin,
}
