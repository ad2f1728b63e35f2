"""`docker compose up` without an engine: each service with its own command and mounts, on a local broker.

A named volume is a folder, a mount the path that it stands for. A service runs after those it depends on.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.architecture.tree import ROOT
from tests.support.broker import Broker
from tests.support.clients import topics_removed
from tests.support.ports import free_ports
from tests.support.worker_process import until

SERVICES: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
IMAGE = SERVICES["worker"]["image"]
WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Container:
    """A service without its container: `texts` are paths and addresses of the container, and those here."""

    name: str
    folder: Path
    texts: Mapping[str, str]

    def here(self, text: str) -> str:
        longest_first = sorted(self.texts, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: self.texts[found[0]], text)

    @property
    def command(self) -> list[str]:
        service = SERVICES[self.name]
        entry = service.get("entrypoint", ["stream-infer"])
        return [self.here(word) for word in [*entry, *service["command"]]]

    @property
    def environment(self) -> dict[str, str]:
        own = {k: self.here(str(v)) for k, v in SERVICES[self.name].get("environment", {}).items()}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": tools, **own}

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def is_healthy(self) -> bool:
        _, *check = (self.here(word) for word in SERVICES[self.name]["healthcheck"]["test"])
        done = subprocess.run(check, env=self.environment, capture_output=True, check=False, timeout=30)
        return done.returncode == 0


class Composition:
    """The services that have run so far, in a folder with a clone of the tree's files."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def container(self, name: str) -> Container:
        mounts = {}
        for volume in SERVICES[name]["volumes"]:
            source, target = volume.split(":")[:2]
            here = self._folder / ("volumes" if not source.startswith("./") else name) / Path(source).name
            mounts[target] = str(here)
        port, page = free_ports(2)
        addresses = {"kafka:19092": self._bootstrap, "8900": str(port), "8090": str(page)}
        here = Container(name, self._folder, {**mounts, **addresses, "0.0.0.0": "127.0.0.1"})  # noqa: S104 - not listened on
        for volume in SERVICES[name]["volumes"]:
            source, target = volume.split(":")[:2]
            self._mount(source, Path(mounts[target]), here)
        return here

    @staticmethod
    def _mount(source: str, place: Path, of: Container) -> None:
        place.parent.mkdir(exist_ok=True)
        if not source.startswith("./"):
            place.mkdir(exist_ok=True)
        elif (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, dirs_exist_ok=True)
        else:
            place.write_text(of.here((ROOT / source).read_text("utf-8")), "utf-8")

    def runs_to_its_end(self, name: str) -> str:
        """Run a service that ends; return what it said."""
        of = self.container(name)
        done = subprocess.run(
            of.command, env=of.environment, capture_output=True, text=True, check=False, timeout=WITHIN_S
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def starts(self, name: str) -> Container:
        """Start a service that lasts; return once it is healthy."""
        of = self.container(name)
        with of.log.open("wb") as log:
            process = subprocess.Popen(of.command, env=of.environment, stdout=log, stderr=subprocess.STDOUT)
        self._running[name] = process

        def healthy() -> bool:
            assert process.poll() is None, of.log.read_text("utf-8")
            return of.is_healthy()

        until(f"{name} is healthy", healthy, within_s=WITHIN_S)
        return of

    def stop(self) -> Mapping[str, int]:
        """Stop what runs, as `docker compose down` does; return the exit codes."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        try:
            return {name: process.wait(20) for name, process in self._running.items()}
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
            self._running.clear()


@contextmanager
def composition(folder: Path, bootstrap: str) -> Iterator[Composition]:
    found = Composition(folder, bootstrap)
    try:
        yield found
    finally:
        found.stop()


def in_order() -> list[str]:
    """Return our services so that each comes after those that it depends on."""
    ordered: list[str] = []
    ours = {name for name, one in SERVICES.items() if one["image"] == IMAGE}
    while left := ours - set(ordered):
        ready = [n for n in left if (set(SERVICES[n].get("depends_on", ())) & ours) <= set(ordered)]
        assert ready, f"a circle: {left}"
        ordered += sorted(ready)
    return ordered


def state(of: Container, token: str | None) -> bytes:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{of.texts['8090']}/v1/state"
    with urlopen(Request(url, headers=headers), timeout=20) as answer:
        return bytes(answer.read())


def test_a_fresh_clone_comes_up_service_by_service(tmp_path: Path, broker: Broker) -> None:
    with topics_removed(broker.bootstrap, "shop.churn"), composition(tmp_path, broker.bootstrap) as composed:
        said, lasting = {}, {}
        for name in in_order():
            if "healthcheck" in SERVICES[name]:
                lasting[name] = composed.starts(name)
            else:
                said[name] = composed.runs_to_its_end(name)
        assert set(lasting) == {"worker", "monitor", "dashboard"}
        assert "answered 2000: 2000 predictions, 0 dead letters" in said["send"]

        token = (tmp_path / "volumes" / "example" / "dashboard.token").read_text("utf-8").strip()
        with pytest.raises(HTTPError, match="401"):
            state(lasting["dashboard"], None)
        until("the page has all", lambda: b'"records":2000,' in state(lasting["dashboard"], token))

        # A second `up` changes nothing and goes on.
        composed.runs_to_its_end("package")
        composed.runs_to_its_end("topics")
        composed.runs_to_its_end("send")
        assert (tmp_path / "volumes" / "example" / "dashboard.token").read_text("utf-8").strip() == token
        until("the page has more", lambda: b'"records":4000,' in state(lasting["dashboard"], token))
        assert set(composed.stop().values()) == {0}
