"""One browser for all tests here. Without one they are skipped, or fail where CI requires one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, axe_core, running_browser
from tests.support.errors import Unavailable

REQUIRED = "STREAM_INFER_REQUIRE_BROWSER"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        axe_core()
        with running_browser() as running:
            yield running
    except Unavailable as reason:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"no browser: {reason}")
        pytest.skip(f"no browser: {reason}")
