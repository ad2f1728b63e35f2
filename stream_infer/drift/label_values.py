"""Which class of a model a label names: of the same text, or else of the same value.

A model's classes are text (`str(class)`): of floats "0.0" and "1.0", of booleans "False" and "True". Labels
are text, numbers or booleans of another topic. "01" is no number: it may be a code beside "1".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d{1,3})?")
_BOOLEANS = {"true": Decimal(1), "false": Decimal(0)}


@lru_cache(maxsize=4096)
def matching_class(label: str, classes: Sequence[str]) -> str:
    """Return the one of `classes` that `label` names; `label` itself where it names none."""
    if label in classes:
        return label
    value = label_value(label)
    if value is None or (label.lower() in _BOOLEANS and not _are_yes_and_no(classes)):
        return label
    same = [one for one in classes if label_value(one) == value]
    return same[0] if len(same) == 1 else label


def label_value(label: str) -> Decimal | None:
    """Return the number in `label`, 1 or 0 for a boolean, None for other text."""
    if _NUMBER.fullmatch(label):
        return Decimal(label)
    return _BOOLEANS.get(label.lower())


def same_label(one: str | float | None, other: str | float | None) -> bool:
    """Return whether two labels of one prediction say the same."""
    if one == other or one is None or other is None:
        return one == other
    value = label_value(str(one))
    return value is not None and value == label_value(str(other))


def _are_yes_and_no(classes: Sequence[str]) -> bool:
    """Return whether 0 and 1 are among `classes`. Those of an outlier detector, -1 and 1, are no booleans."""
    return {Decimal(0), Decimal(1)} <= {label_value(one) for one in classes}
