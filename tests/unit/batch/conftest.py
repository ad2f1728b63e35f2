from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_infer.app import score as app_score
from tests.support.package import Package

NOW_MS = 1_800_000_000_000


@pytest.fixture
def fraud(package: Package) -> Path:
    """Return the package of the tests: it raises for one amount, and breaks at another."""
    return package.path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Return a setter of the time at which runs begin."""

    def at(now_ms: int) -> None:
        monkeypatch.setattr(app_score, "unix_ms", lambda: now_ms)

    at(NOW_MS)
    return at
