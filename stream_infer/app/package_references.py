"""Facts from packages for the monitor, by digest: the reference data, and the meaning of outputs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from stream_infer.config.settings import Settings
from stream_infer.drift.model_metrics import OutputMeaning
from stream_infer.drift.reference import Reference, parse_reference
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.deployment import Deployment
from stream_infer.store.model_store import ModelStore

_REFERENCE = "reference.json"
_log = logging.getLogger("stream_infer.monitoring")


class PackagedReferences:
    """Finds references by digest and caches them. None for a package without reference."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[str, Reference | None] = {}

    def __call__(self, digest: str) -> Reference | None:
        if digest not in self._found:
            self._found[digest] = self._find(digest)
        return self._found[digest]

    def _find(self, digest: str) -> Reference | None:
        for package in _packages(self._settings, digest):
            try:
                data = package.files.get(_REFERENCE)
                return None if data is None else parse_reference(data)
            except ValueError as error:
                fields = {"package": package.manifest.name, "reason": str(error)}
                _log.warning(LogEvent.REFERENCE_UNAVAILABLE, extra=fields)
        return None


class PackagedOutputMeanings:
    """Finds the meaning of a model's labels and scores. Empty for a package that is gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._references = PackagedReferences(settings)
        self._found: dict[str, OutputMeaning] = {}

    def __call__(self, digest: str) -> OutputMeaning:
        if digest not in self._found:
            package = next(_packages(self._settings, digest), None)
            self._found[digest] = OutputMeaning() if package is None else self._answers(package, digest)
        return self._found[digest]

    def _answers(self, package: Verified, digest: str) -> OutputMeaning:
        output, reference = package.manifest.output, self._references(digest)
        promise = None if reference is None else reference.promise
        return OutputMeaning(output.classes, output.score == "probability", promise)


def _packages(settings: Settings, digest: str) -> Iterator[Verified]:
    for path in _candidates(settings, digest):
        try:
            yield verify(path, digest)
        except (Refused, OSError) as error:
            fields = {"package": path.name, "reason": str(error)}
            _log.warning(LogEvent.REFERENCE_UNAVAILABLE, extra=fields)


def _candidates(settings: Settings, digest: str) -> Iterator[Path]:
    model = settings.model
    if model.package is not None:
        yield model.package
    if model.store is not None:
        store = ModelStore(model.store, settings.pipeline)
        known = [
            ref for deployment in _history(store) for ref in (deployment.package, deployment.previous) if ref
        ]
        names = dict.fromkeys(ref.uri for ref in known if ref.digest == digest)
        yield from (store.folder / name for name in names)


def _history(store: ModelStore) -> list[Deployment]:
    """Return the deployments of the store; none, and a line, when they cannot be read."""
    try:
        return store.history()
    except Misconfigured as error:
        _log.warning(
            LogEvent.REFERENCE_UNAVAILABLE, extra={"package": store.folder.name, "reason": str(error)}
        )
        return []
