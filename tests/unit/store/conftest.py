from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.store.model_store import ModelStore
from tests.unit.store.shop import ME, package, store


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    """Return a store with one promotion of `1`, generation 1."""
    made = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    made.promote(tmp_path / "1", ME)
    return made
