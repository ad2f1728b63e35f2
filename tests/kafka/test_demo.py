"""`stream-infer demo --once`: the whole story as a machine reads it, on the mock broker and a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.broker import Broker
from tests.support.clients import admin

WITHIN_S = 300


def story(*options: str) -> dict[str, Any]:
    """Run the demo in a process of its own, and return its report."""
    command = [sys.executable, "-m", "stream_infer.cli.main", "demo", "--once", "--json", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def judge(report: dict[str, Any]) -> None:
    """Hold the report against what must have happened."""
    assert report["ok"]
    assert report["problems"] == report["untold"] == []
    chapters = {one["name"]: one["facts"] for one in report["chapters"]}
    assert all(one["happened"] for one in report["chapters"])
    assert list(chapters) == [
        "usual_traffic",
        "inputs_shift",
        "concept_changes",
        "challenger_takes_over",
        "tampered_is_rejected",
    ]
    usual, shift, change, swap, tampered = chapters.values()
    assert usual["accuracy"] > 0.8
    assert shift["feature"] == "is_popular"
    assert shift["mean_now"] > shift["mean_before"] + 0.2
    assert shift["pages"] < 40_000
    assert change["label_delay_s"] >= 2.0
    assert change["accuracy_before"] > change["accuracy_now"] + 0.1
    assert swap["accuracy_now"] > 0.8
    assert swap["partitions"] == 4
    assert tampered["reason_code"] == "digest"
    assert tampered["serving"] == "1.1.0"
    assert set(report["predictions"]) == {"1.0.0", "1.1.0"}
    dead = sum(report["dead_letters"].values())
    assert dead == report["pages_sent"] // 100
    assert sum(report["predictions"].values()) + dead == report["pages_sent"]
    assert report["unanswered"] == report["answered_twice"] == 0


def test_the_whole_story_is_told_without_a_broker() -> None:
    report = story()

    judge(report)
    assert report["delivery"].startswith("no guarantee")


def test_the_whole_story_is_told_on_a_real_broker_which_is_left_as_it_was(broker: Broker) -> None:
    report = story("--broker", broker.bootstrap, "--seed", "7")

    judge(report)
    assert report["delivery"] == "exactly once"
    left = admin(broker.bootstrap).list_topics(timeout=10).topics
    assert [topic for topic in left if "demo." in topic] == []
