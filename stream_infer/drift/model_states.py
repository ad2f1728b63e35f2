"""The state that monitoring holds of each model of a pipeline over all partitions, the newest few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

Document = dict[str, object]


class ModelState(Protocol):
    """The state of one model; `seen_ms` is when its newest frame arrived."""

    @property
    def seen_ms(self) -> int: ...

    def to_document(self) -> Document: ...

    def restore(self, document: Mapping[str, Any], /) -> None: ...


S = TypeVar("S", bound=ModelState)


class ModelStates(Generic[S]):
    """The states of the newest `kept` models, each a document under `prefix` and the digest.

    `make` gets the digest of a new model and the state of the model before, if there is one.
    """

    def __init__(self, prefix: str, make: Callable[[str, S | None], S], kept: int) -> None:
        self.prefix = prefix
        self._make = make
        self._kept = kept
        self._models: dict[str, S] = {}
        self._changed: dict[str, Callable[[], Document | None]] = {}

    def of(self, digest: str) -> S:
        """Return the state of a model, a new one if there is none."""
        if digest not in self._models:
            self._models[digest] = self._make(digest, next(reversed(self._newest().values()), None))
        return self._models[digest]

    def mark_changed(self, digest: str) -> None:
        """Note that the state of a model has changed, and forget the oldest ones."""
        self._changed[self.prefix + digest] = self._models[digest].to_document
        for old in list(self._newest())[: -self._kept]:
            del self._models[old]
            self._changed[self.prefix + old] = lambda: None

    def changed(self) -> Mapping[str, Callable[[], Document | None]]:
        """Return makers of the documents that changed since the last call, by key; of None for one gone."""
        changed, self._changed = self._changed, {}
        return changed

    def restore(self, key: str, document: Mapping[str, Any]) -> None:
        """Take over the document of one model."""
        self.of(key.removeprefix(self.prefix)).restore(document)

    def _newest(self) -> dict[str, S]:
        """Return the states by digest, the newest last."""
        order = sorted(self._models, key=lambda digest: (self._models[digest].seen_ms, digest))
        return {digest: self._models[digest] for digest in order}
