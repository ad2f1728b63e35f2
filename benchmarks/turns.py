"""How often contestants take turns: a number of rounds, and no longer than a given time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Turns:
    """Iterates over at most `rounds`; after the first, none is begun that would not end by `deadline`.

    `deadline` is in seconds of the monotonic clock; a round is expected to take as long as the longest.
    """

    rounds: int
    deadline: float

    @classmethod
    def asked_for(cls, options: argparse.Namespace) -> Self:
        """Return what `--rounds` and `--within` ask for, from now on."""
        return cls(options.rounds, time.monotonic() + options.within)

    def for_one_of(self, left: int) -> Self:
        """Return what the next of `left` parts of equal length may take."""
        now = time.monotonic()
        return replace(self, deadline=now + (self.deadline - now) / left)

    def __iter__(self) -> Iterator[int]:
        longest = 0.0
        for turn in range(self.rounds):
            began = time.monotonic()
            if turn and began + longest > self.deadline:
                return
            yield turn
            longest = max(longest, time.monotonic() - began)
