"""Fixtures of the tests of packaging."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.packaging.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return an empty workshop."""
    return Workshop(tmp_path)


@pytest.fixture(autouse=True)
def _untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read model files at once: the process that tries them first costs seconds, and has tests of its own."""
    monkeypatch.setattr("stream_infer.packaging.inputs.require_readable", lambda *_: None)
