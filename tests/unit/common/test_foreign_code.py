"""Errors of code that is not ours are told, whatever they do when they are asked for their text."""

from __future__ import annotations

import pytest

from stream_infer.common.foreign_code import error_text


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit(7)


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such column"), "ValueError: no such column"),
        (Odd("out"), "Odd: out"),
        (Mute(), "Mute (its text cannot be had: SystemExit)"),
    ],
)
def test_an_error_is_told_with_its_class_also_where_its_text_raises(error: BaseException, text: str) -> None:
    assert error_text(error) == text


def test_a_text_without_end_is_cut() -> None:
    assert len(error_text(ValueError("x" * 10**6))) == 1_003
