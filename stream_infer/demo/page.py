"""The page of the demo: its address comes before the first prediction; a browser opens it where one is."""

from __future__ import annotations

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from stream_infer.app.dashboard import DashboardOptions, PreparedPage
from stream_infer.config.settings import load_settings
from stream_infer.demo.screen import Screen
from stream_infer.flow.errors import Misconfigured
from stream_infer.ops.http import Listening
from stream_infer.runtime.stop import Stop

_PORT = 8090
_SHOWN_WITHIN_S = 20.0


@contextmanager
def demo_page(config: Path, screen: Screen, *, opens_browser: bool) -> Iterator[None]:
    """Show the pipeline of `config` on a page while the block runs, and say where.

    It runs beside the worker: without it, and without its charts, the demo is told all the same.
    """
    where = Listening(port=free_port(_PORT))
    page = PreparedPage(load_settings(config, {}), DashboardOptions(where=where, history_ms=None))
    stop, answers = Stop(), threading.Event()
    thread = threading.Thread(target=_show, args=(page, stop, answers), name="demo-page")
    thread.start()
    try:
        if not answers.wait(_SHOWN_WITHIN_S):
            screen.say("The page of the pipeline does not answer. The demo goes on without it.")
        else:
            screen.say(f"The pipeline is on a page: {page.url}")
            if not page.has_charts:
                screen.say("Its charts need the extra: pip install -c constraints.txt '.[dashboard]'")
            if opens_browser and has_browser(os.environ):
                webbrowser.open(page.url)
        yield
    finally:
        stop.request()
        thread.join(_SHOWN_WITHIN_S)


def _show(page: PreparedPage, stop: Stop, answers: threading.Event) -> None:
    # A port that somebody took in between is no reason to end the demo.
    with suppress(Misconfigured):
        page.show(stop, answers.set)


def has_browser(environ: Mapping[str, str]) -> bool:
    """Whether somebody looks: at a terminal, on a machine with a graphical display.

    Elsewhere `webbrowser` would start a browser of texts in the terminal that the demo writes to.
    """
    if not sys.stdout.isatty():
        return False
    if sys.platform in {"darwin", "win32"}:
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def free_port(preferred: int) -> int:
    """Return `preferred`; when it is busy, a port that the system chooses."""
    with suppress(OSError), socket.create_server(("127.0.0.1", preferred)):
        return preferred
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
