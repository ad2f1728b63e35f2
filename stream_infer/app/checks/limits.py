"""The limits of the monitor against the package: features that it has, and data to compare with."""

from __future__ import annotations

from collections.abc import Iterator

from stream_infer.config.limits_section import LimitsSection
from stream_infer.config.problems import nearest
from stream_infer.config.settings import LIMITS
from stream_infer.flow.errors import Problem
from stream_infer.models.package import Verified

_REFERENCE = "reference.json"
_COMPARED = ("unseen_rate", "out_of_range_rate")


def limit_problems(limits: LimitsSection, package: Verified) -> Iterator[Problem]:
    """Yield every limit that can never be exceeded with this package."""
    names = [feature.name for feature in package.manifest.features]
    for feature in limits.features or {}:
        if feature not in names:
            match = nearest(feature, names)
            fix = f"did you mean {match}?" if match else f"use one of: {', '.join(sorted(names))}"
            yield Problem(f"{LIMITS}.features.{feature}", "", "is no feature of the package", fix)
    if _REFERENCE in package.files:
        return
    fix = "make the package with `package create --reference`, or remove the limit"
    message = "needs the training data, and the package has none"
    for name in _COMPARED:
        if getattr(limits, name) is not None:
            yield Problem(f"{LIMITS}.{name}", f"{getattr(limits, name):g}", message, fix)
    for feature, rates in (limits.features or {}).items():
        for name in _COMPARED:
            if name in rates:
                yield Problem(f"{LIMITS}.features.{feature}.{name}", f"{rates[name]:g}", message, fix)
