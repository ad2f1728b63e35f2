"""What a package was made for and is not here: listed at once, refused or warned of as the pipeline says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import InputColumn, Manifest, ModelInput, Policy
from stream_infer.models.versions import INSTALL
from stream_infer.rollout.compatibility import Difference, Installed, assess, differences
from stream_infer.steps.options import OnDifference
from stream_infer.steps.scoring.plan import Events
from tests.unit.models.builders import feature, manifest

MADE_WITH = {"numpy": "2.5.0", "scikit-learn": "1.9.1"}


def here(**others: str | None) -> Installed:
    versions = {**MADE_WITH, **{name.replace("_", "-"): version for name, version in others.items()}}
    return Installed("3.11", versions.get)


def schema(**fields: object) -> Schema:
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return parse_schema(json.dumps({"type": "record", "name": "Event", "fields": listed}))


def made_for(**kinds: str) -> Manifest:
    """Return the manifest of a package whose features are fields of these kinds, never null."""
    features = [
        feature(name, kind, source=name, nullable=False, missing=Policy.REJECT)
        for name, kind in kinds.items()
    ]
    columns = tuple(InputColumn(name, "float64", "nan") for name in kinds)
    container = ModelInput("ndarray", columns)
    return manifest(libraries=MADE_WITH, features=tuple(features), container=container)


def events(*writers: Schema, **more: Any) -> Events:
    return Events(Framing.SINGLE_OBJECT, writers, **more)


def reasons(found: Any) -> list[str]:
    return [one.reason for one in found]


def test_a_package_that_fits_differs_in_nothing() -> None:
    assert not differences(made_for(x="double"), events(schema(x="double")), here())


def test_everything_that_is_missing_is_listed_at_once() -> None:
    package = made_for(x="double", y="double", z="long")

    judgement = assess(package, events(schema(x="string")), here(scikit_learn="1.8.0"), OnDifference.WARN)

    assert reasons(judgement.refused) == [
        "feature 'x' reads 'x' as double; in Event it is string",
        "feature 'y' reads 'y', which is not a field in Event",
        "feature 'z' reads 'z', which is not a field in Event",
        f"made with scikit-learn 1.9.1, this is 1.8.0: {INSTALL}",
    ]
    with pytest.raises(Refused, match=r"'y', which is not a field in Event; feature 'z'") as refused:
        judgement.admit()
    assert refused.value.code == "schema"


@pytest.mark.parametrize(
    ("fields", "installed", "difference"),
    [
        (
            {"x": "int"},
            here(),
            Difference("schema", "feature 'x' reads 'x', which was double and is int in Event", True, "x"),
        ),
        (
            {"x": ["null", "double"]},
            here(),
            Difference(
                "schema",
                "feature 'x' reads 'x', which was never null and may be in Event: such an event is rejected",
                True,
                "x",
            ),
        ),
        (
            {"x": "double"},
            here(numpy="2.4.0"),
            Difference("library_version", "made with numpy 2.5.0, this is 2.4.0", True),
        ),
        (
            {"x": "double"},
            here(scikit_learn="1.9.2"),
            Difference("library_version", "made with scikit-learn 1.9.1, this is 1.9.2", True),
        ),
        (
            {"x": "double"},
            Installed("3.12", MADE_WITH.get),
            Difference("library_version", "made with Python 3.11, this is 3.12", True),
        ),
    ],
)
def test_what_may_be_harmless_is_warned_of_or_refused_as_the_pipeline_says(
    fields: dict[str, object], installed: Installed, difference: Difference
) -> None:
    package, known = made_for(x="double"), events(schema(**fields))

    assert assess(package, known, installed, OnDifference.WARN).admit() == [difference]
    with pytest.raises(Refused) as refused:
        assess(package, known, installed, OnDifference.REFUSE).admit()
    assert (refused.value.code, refused.value.reason) == (difference.code, difference.reason)


def test_a_library_that_is_not_here_is_never_harmless() -> None:
    package, known = made_for(x="double"), events(schema(x="double"))

    with pytest.raises(Refused, match=r"numpy 2\.5\.0, which is not installed: pip install numpy==2\.5\.0"):
        assess(package, known, here(numpy=None), OnDifference.WARN).admit()


def test_a_writer_may_lack_a_field_that_the_reader_has_a_default_for() -> None:
    reader = parse_schema(
        '{"type": "record", "name": "Event", "fields": [{"name": "x", "type": "double", "default": 0.0}]}'
    )
    package, old = made_for(x="double"), schema(y="double")

    assert not differences(package, events(schema(x="double"), old, reader=reader), here())
    assert reasons(differences(package, events(schema(x="double"), old), here())) == [
        "feature 'x' reads 'x', which is not a field in Event"
    ]


def test_features_of_one_field_that_impute_it_differently_are_refused() -> None:
    one = feature("a", source="x", missing=Policy.IMPUTE, impute=0.0)
    two = feature("b", source="x", missing=Policy.IMPUTE, impute=1.0)
    columns = (InputColumn("a", "float64", "nan"), InputColumn("b", "float64", "nan"))
    package = manifest(libraries={}, features=(one, two), container=ModelInput("ndarray", columns))

    [found] = differences(package, events(schema(x=["null", "double"])), here())

    assert (found.code, found.tolerable) == ("schema", False)
