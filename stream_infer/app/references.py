"""What a model's training data looked like, by the digest of its package: read from the package."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from stream_infer.config.settings import Settings
from stream_infer.drift.reference import Reference, parse
from stream_infer.files.store import ModelStore
from stream_infer.flow.errors import Refused
from stream_infer.models.package import verify

_REFERENCE = "reference.json"
_log = logging.getLogger("stream_infer.monitoring")


class PackagedReferences:
    """Finds references by digest, and remembers what it found. A package that has none gives None."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[str, Reference | None] = {}

    def __call__(self, digest: str) -> Reference | None:
        if digest not in self._found:
            self._found[digest] = self._find(digest)
        return self._found[digest]

    def _find(self, digest: str) -> Reference | None:
        for path in self._candidates(digest):
            try:
                data = verify(path, digest).files.get(_REFERENCE)
                return None if data is None else parse(data)
            except (Refused, OSError, ValueError) as error:
                _log.warning("no reference from %s: %s", path.name, error)
        return None

    def _candidates(self, digest: str) -> Iterator[Path]:
        model = self._settings.model
        if model.package is not None:
            yield model.package
        if model.store is not None:
            store = ModelStore(model.store, self._settings.pipeline)
            wished = [ref for wish in store.history() for ref in (wish.package, wish.previous) if ref]
            names = dict.fromkeys(ref.uri for ref in wished if ref.digest == digest)
            yield from (store.folder / name for name in names)
