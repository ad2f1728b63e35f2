"""What a package was made for, against what is here: the fields of the events, Python, the libraries.

Found before anything of the package is run. What becomes of a difference that may be harmless is the
pipeline's choice (`OnDifference`); one that leaves a feature without its values is never harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from stream_infer.avro.schemas import NO_DEFAULT, Leaf, Schema, leaves, other_fields
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import Feature, Manifest, Policy
from stream_infer.steps.options import OnDifference
from stream_infer.steps.scoring.plan import Events, check_feature, check_shared_sources

_SCHEMA, _LIBRARY = RefusalCode.SCHEMA, RefusalCode.LIBRARY_VERSION
_PICKLED_WITH = "scikit-learn"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: the code of a refusal for it, a sentence, and whether it may be harmless.

    `source` is the field that it is about, if any.
    """

    code: RefusalCode
    reason: str
    tolerable: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed here: the version of Python ("3.11"), and of a library, None where there is none."""

    python: str
    version: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Compatibility:
    """The differences of a package by what becomes of them."""

    refused: Sequence[Difference]
    warned: Sequence[Difference]

    def admit(self) -> Sequence[Difference]:
        """Return what is only warned of; raise `Refused` with everything else, the code of the first."""
        if self.refused:
            raise Refused(self.refused[0].code, "; ".join(one.reason for one in self.refused))
        return self.warned


def assess(manifest: Manifest, events: Events, here: Installed, policy: OnDifference) -> Compatibility:
    """Return what keeps the package of `manifest` from serving, and what is only worth a warning."""
    found = differences(manifest, events, here)
    tolerated = policy is OnDifference.WARN
    refused = [one for one in found if not (one.tolerable and tolerated)]
    return Compatibility(refused, [one for one in found if one.tolerable and tolerated])


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
    """Yield each feature that some writer's events do not have, or have as something else.

    A reader's default stands in for a field that a writer does not have.
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
    """Yield each library of another version. Pickles of scikit-learn are for one series: 1.9 is not 1.8."""
    for name, made_with in sorted(manifest.libraries.items()):
        found = here.version(name)
        if found is None:
            yield Difference(_LIBRARY, f"made with {name} {made_with}, which is not here", tolerable=False)
        elif found != made_with:
            harmless = name != _PICKLED_WITH or _series(found) == _series(made_with)
            reason = f"made with {name} {made_with}, this is {found}"
            yield Difference(_LIBRARY, reason, tolerable=harmless)


def _series(version: str) -> list[str]:
    return version.split(".")[:2]


def _has_default(leaf: Leaf | None) -> bool:
    return leaf is not None and leaf.default is not NO_DEFAULT
