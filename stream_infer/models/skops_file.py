"""A model in the format of skops: data, and types that its maker approved when the package was made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.optional_library import importing, reading


def untrusted_types(data: bytes) -> list[str]:
    """Return the types in `data` that skops does not trust by itself. Raises `Refused` as `open_skops`."""
    io = _skops()
    with reading("skops"):
        return sorted(io.get_untrusted_types(data=data))


def open_skops(data: bytes, approved: Collection[str]) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator in `data`.

    Raises `Refused`: `runtime` when skops is not installed, `load` for a type that is neither trusted by
    skops nor `approved`, and for whatever reading raises.
    """
    io = _skops()
    unapproved = [one for one in untrusted_types(data) if one not in approved]
    if unapproved:
        raise Refused(RefusalCode.LOAD, f"skops: types that nobody approved: {', '.join(unapproved)}")
    with reading("skops"):
        return io.loads(data, trusted=sorted(approved))


def _skops() -> Any:  # noqa: ANN401 - skops has no types
    with importing("the model is in the format of skops", "pip install skops"):
        import skops.io  # noqa: PLC0415 - optional
    return skops.io
