"""Compatibility of a package with the events of a pipeline, this Python and the installed libraries.

Checked before anything of the package runs. The pipeline chooses what becomes of a difference that may be
harmless (`OnDifference`); one that leaves a feature without its values is never harmless.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stream_infer.avro.schemas import NO_DEFAULT, Leaf, Schema, leaves, other_fields
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import Feature, Manifest, Policy
from stream_infer.models.versions import VersionOf, installed_version, library_differences
from stream_infer.steps.options import OnDifference, Pickles
from stream_infer.steps.scoring.plan import Events, check_feature, check_shared_sources

_SCHEMA, _LIBRARY = RefusalCode.SCHEMA, RefusalCode.LIBRARY_VERSION


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: the code of its refusal, a sentence, and whether it may be harmless.

    `source` is the event field that it is about, if any.
    """

    code: RefusalCode
    reason: str
    tolerable: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """The installed versions: of Python ("3.11"), and of a library by its name, None when it is missing."""

    python: str
    version: VersionOf


@dataclass(frozen=True, slots=True)
class Compatibility:
    """The differences of a package: those that refuse it, and those that are only warned of."""

    refused: Sequence[Difference]
    warned: Sequence[Difference]

    def admit(self) -> Sequence[Difference]:
        """Return the warnings; raise `Refused`, with the code of the first, when a difference refuses it."""
        if self.refused:
            raise Refused(self.refused[0].code, "; ".join(one.reason for one in self.refused))
        return self.warned


def assess(manifest: Manifest, events: Events, here: Installed, policy: OnDifference) -> Compatibility:
    """Return the differences between the package of `manifest`, `events` and the installed versions."""
    found = differences(manifest, events, here)
    tolerated = policy is OnDifference.WARN
    refused = [one for one in found if not (one.tolerable and tolerated)]
    return Compatibility(refused, [one for one in found if one.tolerable and tolerated])


def assess_here(manifest: Manifest, events: Events, policy: OnDifference) -> Compatibility:
    """Return the same, with the versions of this process."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return assess(manifest, events, Installed(python, installed_version), policy)


def check_code(manifest: Manifest, pickles: Pickles) -> None:
    """Raise `Refused` when loading the package would run code that is in it, and that is refused."""
    if manifest.runs_code and pickles is Pickles.REFUSE:
        what = f"{manifest.original} is a pickle" if manifest.form.pickled else "it has modules in code/"
        instead = "package the model from a file that is data, such as XGBoost's"
        raise Refused(RefusalCode.PICKLE, f"{what}, and [model] pickles refuses those; {instead}")


def tolerated_differences(manifest: Manifest, events: Events, policy: OnDifference) -> Sequence[str]:
    """Return a sentence for each difference that the pipeline tolerates in this process."""
    return [one.reason for one in assess_here(manifest, events, policy).warned]


def differences(manifest: Manifest, events: Events, here: Installed) -> Sequence[Difference]:
    """Return every difference once: fields in the order of the features, then Python and libraries."""
    found = [
        *_of_fields(manifest.features, events),
        *_of_shared_sources(manifest.features),
        *_of_python(manifest, here),
        *_of_libraries(manifest, here),
    ]
    return list(dict.fromkeys(found))


def _of_fields(features: Iterable[Feature], events: Events) -> Iterator[Difference]:
    """Yield each feature that a writer's schema lacks, or has with another type.

    A default of the reader's schema fills a field that a writer lacks.
    """
    known = events.writers or ([events.reader] if events.reader else [])
    reader = events.reader or next(iter(known), None)
    defaults = leaves(reader) if reader else {}
    for schema in known:
        fields, others = leaves(schema), other_fields(schema)
        for feature in features:
            leaf = fields.get(feature.source)
            absent = leaf is None and feature.source not in others
            if not (absent and _has_default(defaults.get(feature.source))):
                yield from _of_field(feature, leaf, schema)


def _of_field(feature: Feature, leaf: Leaf | None, schema: Schema) -> Iterator[Difference]:
    try:
        check_feature(feature, leaf, schema)
    except Refused as refused:
        yield Difference(refused.code, refused.reason, tolerable=False, source=feature.source)
        return
    if leaf is None:
        return
    where = f"feature '{feature.name}' reads '{feature.source}'"
    if leaf.kind != feature.type:
        reason = f"{where}, which was {feature.type} and is {leaf.kind} in {schema.name}"
        yield Difference(_SCHEMA, reason, tolerable=True, source=feature.source)
    if leaf.nullable and not feature.nullable and feature.missing is Policy.REJECT:
        reason = f"{where}, which was never null and may be in {schema.name}: such an event is rejected"
        yield Difference(_SCHEMA, reason, tolerable=True, source=feature.source)


def _of_shared_sources(features: Sequence[Feature]) -> Iterator[Difference]:
    try:
        check_shared_sources(features)
    except Refused as refused:
        yield Difference(refused.code, refused.reason, tolerable=False)


def _of_python(manifest: Manifest, here: Installed) -> Iterator[Difference]:
    if manifest.python != here.python:
        reason = f"made with Python {manifest.python}, this is {here.python}"
        yield Difference(_LIBRARY, reason, tolerable=True)


def _of_libraries(manifest: Manifest, here: Installed) -> Iterator[Difference]:
    for one in library_differences(manifest.libraries, here.version, estimators=manifest.form.estimators):
        yield Difference(_LIBRARY, one.reason, tolerable=one.promised)


def _has_default(leaf: Leaf | None) -> bool:
    return leaf is not None and leaf.default is not NO_DEFAULT
