"""Parsing of the options of `package create`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.errors import Misconfigured
from stream_infer.models.manifest import Policy
from stream_infer.packaging.options import PolicyOption, listed, parse_pairs, parse_policies

NAMES = st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1)
PATHS = st.from_regex(r"[a-z_]{1,5}(\.[a-z_]{1,5}){0,2}", fullmatch=True)


@given(st.dictionaries(NAMES, PATHS))
def test_pairs_survive_a_round_trip_even_when_a_column_has_an_equals_sign(pairs: dict[str, str]) -> None:
    assert parse_pairs("--map", [f"{column} = {field}" for column, field in pairs.items()], "C=F") == pairs


def test_a_column_is_mapped_only_once() -> None:
    with pytest.raises(Misconfigured, match="'a' a second time"):
        parse_pairs("--map", ["a=x", "a=y"], "C=F")


def test_each_policy_is_parsed_from_its_name() -> None:
    read = parse_policies(
        "--missing", ["a=reject", "b = pass", "c=impute:-1.5", "d=impute:x=y", "e=f=impute:0"]
    )

    assert read == {
        "a": PolicyOption(Policy.REJECT),
        "b": PolicyOption(Policy.PASS),
        "c": PolicyOption(Policy.IMPUTE, "-1.5"),
        "d": PolicyOption(Policy.IMPUTE, "x=y"),
        "e=f": PolicyOption(Policy.IMPUTE, "0"),
    }


@pytest.mark.parametrize(
    "text", ["a", "a=", "a=drop", "a=impute", "a=impute:", "a=reject:1", "=pass", "a=PASS"]
)
def test_an_unknown_policy_is_refused_with_the_valid_form(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_policies("--nan", [text])

    [problem] = caught.value.problems
    assert (problem.key, problem.value) == ("--nan", text)
    assert "FEATURE=reject|pass|impute:VALUE" in problem.fix


def test_long_lists_of_names_are_cut_and_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(20)), limit=2) == "0, 1, ... (20 in all)"
