"""Fixtures of the tests of packaging."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.packaging.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return an empty workshop."""
    return Workshop(tmp_path)
