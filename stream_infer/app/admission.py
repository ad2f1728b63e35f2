"""Whether the package that is wanted fits the pipeline, and what is installed here.

What is compared, and what becomes of a difference, is in `steps.admission`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from stream_infer.models.manifest import Manifest
from stream_infer.steps.admission import Installed, Judgement, judge
from stream_infer.steps.choices import OnDifference
from stream_infer.steps.plan import Events


def judged(manifest: Manifest, events: Events, policy: OnDifference) -> Judgement:
    """Return how the package of `manifest` differs from the events and from this process."""
    return judge(
        manifest, events, Installed(f"{sys.version_info.major}.{sys.version_info.minor}", _version), policy
    )


def tolerated(manifest: Manifest, events: Events, policy: OnDifference) -> Sequence[str]:
    """Return the differences with which the package serves all the same."""
    return [one.reason for one in judged(manifest, events, policy).warned]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
