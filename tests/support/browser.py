"""A headless Chromium, driven over the WebDriver protocol by the chromedriver that Debian ships beside it.

A client of its own, of one file: selenium's needs newer libraries than the lowest that the project supports.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.errors import Unavailable
from tests.support.ports import free_ports
from tests.support.worker_process import until

AXE = "STREAM_INFER_TEST_AXE"
_WITHIN_S = 60.0
_KEYS = {"Tab": "\ue004", "Enter": "\ue007"}


class Browser:
    """One window. Scripts run as if typed into the console: the policy of the page binds the page alone."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session = ""
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options = {"args": arguments, "binary": _program("chromium")}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        opened = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{opened['sessionId']}"

    def close(self) -> None:
        """Close the window."""
        self._ask("DELETE", self._session)

    def open(self, url: str) -> None:
        """Load a page."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Return what the body of a function returns."""
        body = {"script": script, "args": list(arguments)}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def run_waiting(self, script: str) -> Any:
        """Return what a script gives to its last argument, a function."""
        return self._ask("POST", f"{self._session}/execute/async", {"script": script, "args": []})

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of the DevTools protocol."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def text(self, selector: str = "body") -> str:
        """Return the text of an element as it is shown."""
        found: str = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return found

    def count(self, selector: str) -> int:
        """Return how many elements there are."""
        found: int = self.run("return document.querySelectorAll(arguments[0]).length", selector)
        return found

    def press(self, key: str) -> None:
        """Press a key."""
        actions = [{"type": kind, "value": _KEYS.get(key, key)} for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", f"{self._session}/actions", {"actions": [keyboard]})

    def show_as(self, *, width: int, height: int, scheme: str = "light") -> None:
        """Have a window of this size, in pixels, and a light or dark scheme of colours."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

    def console_errors(self) -> list[str]:
        """Return the errors and warnings in the console since the last call."""
        lines = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] in {"SEVERE", "WARNING"}]

    def hosts_asked(self) -> set[str]:
        """Return the hosts (with their port) of all requests since the last call."""
        lines = self._ask("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(line["message"])["message"] for line in lines]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return {urlsplit(url).netloc for url in urls if not url.startswith(("data:", "about:", "chrome"))}

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_WITHIN_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer and "stacktrace" in answer:
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return answer


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a browser while the block does. Raises `Unavailable` where none is installed."""
    [port] = free_ports(1)
    driver = subprocess.Popen(
        [_program("chromedriver"), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until("chromedriver answers", lambda: _answers(port))
        browser = Browser(port)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(_WITHIN_S)


def axe_core() -> Path:
    """Return the file of axe-core. Raises `Unavailable` where nobody says where it is."""
    file = os.environ.get(AXE)
    if file is None:
        raise Unavailable(f"{AXE} does not name the file axe.min.js")
    return Path(file)


def violations(browser: Browser) -> list[str]:
    """Return what axe-core finds wrong with the page, a line each. Raises `Unavailable` without axe-core."""
    # Not by `execute`: a page with trusted types lets no script be made of a text.
    browser.command("Runtime.evaluate", expression=axe_core().read_text("utf-8"))
    found: list[str] = browser.run_waiting(
        "const done = arguments[0];"
        "axe.run(document).then((all) => done(all.violations.map("
        "(one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`)));"
    )
    return found


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/status")
        return bool(json.loads(connection.getresponse().read())["value"]["ready"])
    except OSError:
        return False
    finally:
        connection.close()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found
