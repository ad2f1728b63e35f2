"""A label names the class of its text, else the one class of its value."""

from __future__ import annotations

import pytest

from stream_infer.drift.label_values import matching_class, same_label


@pytest.mark.parametrize(
    ("label", "classes", "named"),
    [
        ("1", ("0.0", "1.0"), "1.0"),
        ("1", ("1", "1.0"), "1"),
        ("1e0", ("1", "1.0"), "1e0"),
        ("-1", ("-1", "1"), "-1"),
        ("True", ("-1", "1"), "True"),
        ("true", ("False", "True"), "True"),
        ("01", ("0", "1"), "01"),
        ("1", ("01", "02"), "1"),
        ("yes", ("no", "yes"), "yes"),
        ("Yes", ("no", "yes"), "Yes"),
        ("inf", ("0", "1"), "inf"),
        ("1_0", ("10", "11"), "1_0"),
        ("9007199254740993", ("9007199254740992", "9007199254740993.0"), "9007199254740993.0"),
        ("", ("0", "1"), ""),
    ],
)
def test_a_class_is_named_by_text_or_value(label: str, classes: tuple[str, ...], named: str) -> None:
    assert matching_class(label, classes) == named


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1", 1.0, True),
        ("1", "2", False),
        ("a", "a", True),
        ("01", "1", False),
        (None, "1", False),
        (None, None, True),
        (0.5, 0.5, True),
    ],
)
def test_two_labels_of_one_prediction_agree_by_value(
    one: str | float | None, other: str | float | None, *, same: bool
) -> None:
    assert same_label(one, other) is same
