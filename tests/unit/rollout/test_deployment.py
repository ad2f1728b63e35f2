"""A deployment is read as it was written, and what is none is named by its wrong key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.avro import topic_schemas
from stream_infer.rollout.deployment import (
    LAST_GENERATION,
    Deployment,
    DeploymentInvalid,
    PackageRef,
    format_deployment,
    parse_deployment,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
WHOLE = st.integers(0, 2**63 - 1)
REFS = st.builds(
    PackageRef, TEXT, TEXT, st.binary(min_size=32, max_size=32).map(lambda b: f"sha256:{b.hex()}"), TEXT
)
DEPLOYMENTS = st.builds(
    Deployment,
    pipeline=TEXT,
    generation=st.integers(1, LAST_GENERATION),
    package=REFS,
    previous=st.none() | REFS,
    requested_by=TEXT,
    requested_at=WHOLE,
    reason=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
REF = PackageRef("fraud", "1.2.0", "sha256:" + "a" * 64, "fraud-1.2.0-aaaaaaaaaaaa")
DEPLOYMENT = Deployment(
    pipeline="payments.fraud",
    generation=7,
    package=REF,
    requested_by="ada@desk",
    requested_at=1_800_000_000_000,
)


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(format_deployment(DEPLOYMENT)), **changes}).encode()


@given(DEPLOYMENTS)
def test_a_deployment_is_read_as_it_was_written(deployment: Deployment) -> None:
    assert parse_deployment(format_deployment(deployment)) == deployment


@given(DEPLOYMENTS, st.data())
def test_half_of_one_is_never_taken_for_a_whole(deployment: Deployment, data: st.DataObject) -> None:
    text = format_deployment(deployment).rstrip()
    half = text[: data.draw(st.integers(0, len(text) - 1))]

    with pytest.raises(DeploymentInvalid):
        parse_deployment(half)


def test_the_keys_are_the_fields_of_the_schema() -> None:
    schema: Any = topic_schemas.topic_schema("Deployment").parsed
    written = json.loads(format_deployment(DEPLOYMENT))
    package = next(field["type"] for field in schema["fields"] if field["name"] == "package")

    assert list(written) == [field["name"] for field in schema["fields"]]
    assert list(written["package"]) == [field["name"] for field in package["fields"]]


def test_what_may_be_left_out_is_null() -> None:
    minimal = json.loads(format_deployment(DEPLOYMENT))
    del minimal["previous"], minimal["reason"]

    assert parse_deployment(json.dumps(minimal).encode()) == DEPLOYMENT


def test_a_key_of_a_later_version_is_passed_over() -> None:
    assert parse_deployment(document(canary=0.1)) == DEPLOYMENT


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (document(generation=0), "generation"),
        (document(generation="7"), "generation"),
        (document(generation=2**63), "generation"),
        (document(requested_at=1.5), "requested_at"),
        (document(pipeline=""), "pipeline"),
        (document(reason=3), "reason"),
        (document(package=None), "package"),
        (document(previous={"name": "fraud"}), "previous.version"),
        (document(package={**json.loads(document())["package"], "digest": "md5:1"}), "package.digest"),
    ],
)
def test_what_is_none_is_told_by_its_key(data: bytes, named: str) -> None:
    with pytest.raises(DeploymentInvalid, match=named):
        parse_deployment(data)
