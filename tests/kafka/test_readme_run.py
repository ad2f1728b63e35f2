"""The README, typed by a stranger in a new folder, on a broker without a topic: it ends with predictions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, fenced
from tests.support.broker import Broker
from tests.support.clients import topics_removed
from tests.support.ports import free_ports
from tests.support.typist import Typist, typist

README = (ROOT / "README.md").read_text("utf-8")
SERVERS = "localhost:9092"
HTTP_PORT = "8080"
IDENTITY = r"lab\.cells\.events\.v1/[01]/\d+"


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def stranger(tmp_path: Path, broker: Broker) -> Iterator[Typist]:
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    with typist(tmp_path, broker.bootstrap) as typing, topics_removed(broker.bootstrap, "lab.cells."):
        yield typing


def test_a_model_a_worker_and_a_reader_work_as_they_stand(
    stranger: Typist, broker: Broker, tmp_path: Path
) -> None:
    own = section("Your own model")
    [train], [config] = fenced(own, "python"), fenced(own, "toml")
    *commands, send = fenced(own, "bash")
    [reader] = fenced(section("Read predictions"), "python")
    assert SERVERS in config
    assert SERVERS in reader

    stranger.run(train)
    (tmp_path / "worker.toml").write_text(config, "utf-8")
    for block in commands:
        stranger.type(block)
    sent = stranger.type(send)
    identity, label, score, version = stranger.first_line(reader.replace(SERVERS, broker.bootstrap)).split()
    stranger.leave()
    asked = ask_over_http(stranger)

    assert len(re.findall(IDENTITY, sent)) == 5
    assert re.fullmatch(IDENTITY, identity)
    assert label in {"0", "1"}
    assert 0 <= float(score) <= 1
    assert version == "1.0.0"
    assert asked["label"] in {"0", "1"}
    assert asked["model_name"] == "cells"


def ask_over_http(stranger: Typist) -> dict[str, object]:
    """Serve the package and ask it, on another port than the page names: that may be taken here."""
    [port] = free_ports(1)
    serve, ask = (block.replace(HTTP_PORT, str(port)) for block in fenced(section("Ask over HTTP"), "bash"))
    stranger.type(serve)
    stranger.wait_for('"event": "serving"')
    answer: dict[str, object] = json.loads(stranger.type(ask))
    stranger.leave()
    return answer
