"""Whether the package that is wanted fits the pipeline, and what is installed here.

What is compared, and what becomes of a difference, is in `rollout.compatibility`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from stream_infer.models.manifest import Manifest
from stream_infer.rollout.compatibility import Compatibility, Installed, assess
from stream_infer.steps.options import OnDifference
from stream_infer.steps.scoring.plan import Events


def assess_here(manifest: Manifest, events: Events, policy: OnDifference) -> Compatibility:
    """Return how the package of `manifest` differs from the events and from this process."""
    return assess(
        manifest, events, Installed(f"{sys.version_info.major}.{sys.version_info.minor}", _version), policy
    )


def tolerated_differences(manifest: Manifest, events: Events, policy: OnDifference) -> Sequence[str]:
    """Return the differences with which the package serves all the same."""
    return [one.reason for one in assess_here(manifest, events, policy).warned]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
