"""The serving lineup, and the one cell that holds it. Loading and checking a model is not here."""

from __future__ import annotations

from dataclasses import dataclass

from stream_infer.models.load import Model


@dataclass(frozen=True, slots=True)
class Lineup:
    """What serves: a model, and the generation of the deployment that asked for it."""

    model: Model
    generation: int


class Slot:
    """One reference to the serving lineup, replaced whole, by one writer, between two batches.

    A reader takes `current` once per batch: reading and replacing one attribute are atomic in Python, so no
    lock is needed and no batch sees two lineups.
    """

    __slots__ = ("_lineup",)

    def __init__(self, lineup: Lineup) -> None:
        self._lineup = lineup

    @property
    def current(self) -> Lineup:
        """The lineup that serves now."""
        return self._lineup

    def swap(self, new: Lineup) -> Lineup:
        """Serve `new` from the next batch on; return the lineup before."""
        old, self._lineup = self._lineup, new
        return old
