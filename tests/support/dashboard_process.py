"""`stream-infer dashboard` as a process, and what its page is given."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.worker_process import until

_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class DashboardProcess:
    """A dashboard that answers at `url`."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        """Return a document."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def state(self) -> Mapping[str, Any]:
        """Return all sections."""
        found: Mapping[str, Any] = self.get("v1/state")
        return found

    def columns(self) -> Mapping[str, Any]:
        """Return the lines of all columns by name."""
        return {one["name"]: one for one in self.state()["columns"]["columns"]}

    def shows(self, what: str, holds: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Return the state once it holds."""
        until(what, lambda: holds(self.state()), within_s=_WITHIN_S)
        return self.state()


@contextmanager
def dashboard(config: Path, *options: str) -> Iterator[DashboardProcess]:
    """Run a dashboard on a free port while the block runs."""
    log = config.with_suffix(".dashboard.log")
    command = [sys.executable, "-m", "stream_infer.cli.main", "dashboard", "-c", str(config), "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, *options], stdout=file, stderr=subprocess.STDOUT)

    def address() -> str | None:
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text("utf-8"))
        return found[0] if found else None

    try:
        until("the dashboard says where it is", lambda: address() is not None, within_s=_WITHIN_S)
        running = DashboardProcess(address() or "", process)
        running.shows("a page", lambda state: "head" in state)
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text("utf-8")
    finally:
        process.kill()
        process.wait()
