"""Types the commands of a page as a new user does: in order, in one folder, on one broker."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_WITHIN_S = 120.0
_PROGRAMS: Mapping[str, Sequence[str]] = {
    "stream-infer": (sys.executable, "-m", "stream_infer.cli.main"),
    "python": (sys.executable,),
}
_GIVEN = frozenset({"docker", "pip", "cd"})
"""Commands that the tests replace: they provide the broker, the installation and the folder."""
_ENDLESS = frozenset({"run", "serve"})


class Typist:
    """Types commands in `folder`. The broker at `bootstrap` replaces the one that the page names."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STREAM_INFER_")},
            "STREAM_INFER_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "STREAM_INFER_HTTP__PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def type(self, block: str) -> str:
        """Run each command of `block` to its end, and those that run until Ctrl-C in the background.

        Returns the printed text.
        """
        printed = []
        for line in block.replace("\\\n", " ").splitlines():
            name, *rest = shlex.split(line, comments=True) or [""]
            if name in _GIVEN or not name:
                continue
            if name == "stream-infer" and rest[0] in _ENDLESS:
                self._start([*_PROGRAMS[name], *rest])
            else:
                printed.append(self._end([*_PROGRAMS.get(name, (name,)), *rest]))
        return "".join(printed)

    def run(self, python: str) -> str:
        """Run a block of Python code; return its printed text."""
        return self._end([sys.executable, "-c", python])

    def listen(self, command: str, shown: str) -> str:
        """Type a command that runs until Ctrl-C; return its first line that contains `shown`."""
        name, *rest = shlex.split(command)
        return self._line([*_PROGRAMS[name], *rest], shown)

    def first_line(self, python: str) -> str:
        """Run Python code that never ends by itself; return its first line."""
        return self._line([sys.executable, "-c", python], "")

    def log(self) -> str:
        """Return the printed text of the background processes."""
        return (self._folder / "run.log").read_text("utf-8", "replace")

    def wait_for(self, shown: str) -> None:
        """Return when a background process has printed `shown`."""
        deadline, tick = time.monotonic() + _WITHIN_S, threading.Event()
        while shown not in self.log():
            assert time.monotonic() < deadline, f"no {shown!r} in\n{self.log()}"
            tick.wait(0.05)

    def leave(self) -> None:
        """Stop the background processes as Ctrl-C does, and check their exit code."""
        while self._running:
            process = self._running.pop()
            process.send_signal(signal.SIGINT)
            assert process.wait(_WITHIN_S) == 130, self.log()

    def kill(self) -> None:
        """Kill the background processes."""
        for process in self._running:
            process.kill()
            process.wait()

    def _start(self, command: Sequence[str]) -> None:
        with (self._folder / "run.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._running.append(process)

    def _line(self, command: Sequence[str], shown: str) -> str:
        """Run `command` until it has printed a line with `shown` in it, and return that line."""
        process = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        too_late = threading.Timer(_WITHIN_S, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            return next(line for line in process.stdout if shown in line)
        except StopIteration:
            raise AssertionError(f"no {shown!r} from {shlex.join(command)}\n{self.log()}") from None
        finally:
            too_late.cancel()
            process.kill()
            process.communicate()

    def _end(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def typist(folder: Path, bootstrap: str) -> Iterator[Typist]:
    """Yield a typist; end its running processes at the end of the block."""
    typing = Typist(folder, bootstrap)
    try:
        yield typing
    finally:
        typing.kill()
