"""The serving serving_model, and the one cell that holds it. Loading and checking a model is not here."""

from __future__ import annotations

from dataclasses import dataclass

from stream_infer.models.load import Model


@dataclass(frozen=True, slots=True)
class ServingModel:
    """What serves: a model, and the generation of the deployment that asked for it."""

    model: Model
    generation: int


class ActiveModel:
    """One reference to the serving serving_model, replaced whole, by one writer, between two batches.

    A reader takes `current` once per batch: reading and replacing one attribute are atomic in Python, so no
    lock is needed and no batch sees two lineups.
    """

    __slots__ = ("_serving_model",)

    def __init__(self, serving_model: ServingModel) -> None:
        self._serving_model = serving_model

    @property
    def current(self) -> ServingModel:
        """The serving model that serves now."""
        return self._serving_model

    def swap(self, new: ServingModel) -> ServingModel:
        """Serve `new` from the next batch on; return the serving model before."""
        old, self._serving_model = self._serving_model, new
        return old
