"""How often monitoring may be wrong, and the thresholds that follow from it.

The user states false alarms over a time for everything together. Each signal gets an equal part, as the
number of looks (closed windows) from one false alarm to the next. The formulas were fitted on independent
standard normal looks (`benchmarks/drift.py` prints the check), and hold for any distribution because
`standard` makes looks of any column like these. Looks that depend on each other (a daily cycle) come with
more alarms than the budget; those are changes of the data, but not the ones that most people ask for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.drift.detectors import Kind, Spec

_DAY_S = 86_400.0
_LEAST_RUN = 10_000.0


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """At most about `alarms` false incidents in `days` over all signals, at `events_per_s` in all partitions.

    A stream ten times as fast has ten times as many looks, so its thresholds are for it to state.
    """

    alarms: float = 1.0
    days: float = 30.0
    events_per_s: float = 100.0

    def run_length(self, *, signals: int, look_events: int) -> float:
        """Return how many looks one signal may take to its next false alarm; partitions do not matter."""
        looks = self.days * _DAY_S * self.events_per_s / look_events
        return max(_LEAST_RUN, looks * signals / self.alarms)


def change_detectors(run_length: float) -> Sequence[Spec]:
    """Return the detectors of one signal, which together keep `run_length`.

    PageHinkley with a tolerance of 1.5 answers to a look that is far off, at once; ADWIN to a small change
    that lasts. Fitted: with delta 1.5 and 4 first looks PageHinkley runs exp(3 (h - 4)) 5e5 looks; ADWIN
    1 / (1.2e-5 (delta / 0.02)^1.66).
    """
    each = 2 * run_length
    threshold = max(4.0, 4.0 + math.log(each / 5e5) / 3) + 0.5
    confidence = min(0.02, 0.02 * (1 / (1.2e-5 * each)) ** (1 / 1.66))
    return (
        Spec(
            Kind.PAGE_HINKLEY,
            {"delta": 1.5, "threshold": round(threshold, 2), "alpha": 1.0, "min_instances": 4},
        ),
        Spec(
            Kind.ADWIN,
            {"delta": float(f"{confidence:.1e}"), "clock": 1, "grace_period": 4, "min_window_length": 1},
        ),
    )
