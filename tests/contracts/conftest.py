from __future__ import annotations

import pytest

from tests.contracts.memory_rig import MemoryRig
from tests.contracts.rigs import Rig


@pytest.fixture
def rig() -> Rig:
    return MemoryRig()
