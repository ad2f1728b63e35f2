"""A thread that asks the broker something when it is woken, and again after a pause of its choice."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class WokenThread(ABC):
    """Calls `look` on a daemon thread between `start()` and `close()`.

    The first time at once, then when it is woken, or after the seconds that `look` returned, if any. `close`
    waits `leaves_within_s` for a `look` that waits for an answer.
    """

    def __init__(self, name: str, *, leaves_within_s: float) -> None:
        self._leaves_within_s = leaves_within_s
        self._stopped = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @abstractmethod
    def look(self) -> float | None:
        """Do the work; return the seconds until the next time, None where only `wake` leads to it."""

    def wake(self) -> None:
        """Let `look` be called now."""
        self._woken.set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stopped = True
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(self._leaves_within_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stopped:
            self._woken.wait(self.look())
            self._woken.clear()
