"""The model that serves now, in one cell that is replaced between two batches."""

from __future__ import annotations

from dataclasses import dataclass

from stream_infer.models.load import Model


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A model, and the generation of the deployment that activated it."""

    model: Model
    generation: int


class ActiveModel:
    """One reference to the serving model, replaced whole, by one writer, between two batches.

    A reader takes `current` once per batch. Reading and replacing one attribute are atomic in Python: no lock
    is needed, and no batch sees two models.
    """

    __slots__ = ("_serving",)

    def __init__(self, serving: ServingModel) -> None:
        self._serving = serving

    @property
    def current(self) -> ServingModel:
        """The model that serves now."""
        return self._serving

    def swap(self, new: ServingModel) -> ServingModel:
        """Serve `new` from the next batch on; return the model that served before."""
        old, self._serving = self._serving, new
        return old
