"""Changing the model while it runs, from the command line: what is desired, who serves it, who refuses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured
from tests.conftest import Topics
from tests.support.access import denied
from tests.support.events import Framing
from tests.support.models import of_version, reading_nothing, said, write_config
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

MakePipeline = Callable[[Framing], Pipeline]
StartWorker = Callable[[Path], Worker]
Configs = Callable[..., list[Path]]

WAITING = ("--wait", "--timeout", "60")


@pytest.fixture
def packages(package: Package, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a package, another version of it, and a third that no worker can feed."""
    two = of_version(package.path, tmp_path / "two", "2.0.0")
    bad = of_version(package.path, tmp_path / "bad", "3.0.0", reading_nothing)
    return package.path, two, bad


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def monitoring_topics(topics: Topics) -> dict[str, str]:
    return {"topic": topics("monitoring", 1), "observations_topic": topics("observations", 1)}


def test_a_group_is_seen_to_come_along_or_to_refuse(
    pipeline: MakePipeline,
    topics: Topics,
    start_worker: StartWorker,
    packages: tuple[Path, Path, Path],
    store: Path,
) -> None:
    one, two, bad = packages
    line = pipeline(Framing.NONE)
    shared = {"store": str(store), "status_topic": topics("model-status", 1)}
    monitoring = monitoring_topics(topics)
    first, second = (write_config(line, slot, monitoring, shared) for slot in ("w-0", "w-1"))
    assert said("model", "promote", one, "-c", first).exit_code == 0
    alone = start_worker(first)
    assert said("model", "status", "-c", first, *WAITING).exit_code == 0
    other = start_worker(second)
    group = Group(line)
    until("both are members", lambda: sorted(group.members().values()) == [2, 2], alone, other)

    promoted = said("model", "promote", two, "-c", first, *WAITING, "--json")

    assert promoted.exit_code == 0
    document = promoted.document
    assert document["outcome"] == "serving"
    assert [
        (w["instance"], w["model_version"], w["generation"], w["stand"]) for w in document["workers"]
    ] == [
        ("w-0", "2.0.0", 2, "serves"),
        ("w-1", "2.0.0", 2, "serves"),
    ]

    refused = said("model", "promote", bad, "-c", first, *WAITING)

    assert refused.exit_code == 3
    for name in ("w-0", "w-1"):
        assert f"{name} refused it (schema): feature" in refused.out
    assert "'nowhere', which is not a field" in refused.out
    shown = said("model", "status", "-c", first, "--json").document
    assert [w["rejected"]["reason_code"] for w in shown["workers"]] == ["schema", "schema"]
    assert sorted(p for w in shown["workers"] for p in w["partitions"]) == [0, 1, 2, 3]
    assert shown["workers_problem"] is None
    promoted_at = document["requested_at"]
    assert all(promoted_at <= w["serves_since"] <= w["updated_at"] for w in shown["workers"])

    other.kill()
    back = said("model", "rollback", "-c", first, *WAITING, "--reason", "it reads nothing", "--by", "ada")

    assert back.exit_code == 0, back.out
    assert "w-0 serves picky 2.0.0" in back.out
    assert "w-1 is not in the group" in back.out
    [event] = said("events", "-c", first, "--json", "--type", "model.rolled_back").documents
    assert event["model"] | {"to_digest": ""} == {
        "generation": 4,
        "from_version": "3.0.0",
        "to_version": "2.0.0",
        "to_digest": "",
        "reason_code": None,
        "reason": "it reads nothing",
    }
    assert event["attributes"]["requested_by"] == "ada"
    types = [one["type"] for one in said("events", "-c", first, "--json").documents]
    assert types.count("model.rejected") == 2
    assert alone.terminate() == 0
    assert [w["instance"] for w in said("model", "status", "-c", first, "--json").document["workers"]] == [
        "w-1"
    ]


def test_a_fleet_without_a_shared_volume_follows_the_control_topic(
    pipeline: MakePipeline,
    topics: Topics,
    start_worker: StartWorker,
    packages: tuple[Path, Path, Path],
    store: Path,
    tmp_path: Path,
) -> None:
    one, two, _ = packages
    line = pipeline(Framing.SINGLE_OBJECT)
    shared = {
        "follow": "topic",
        "status_topic": topics("model-status", 1),
        "control_topic": topics("model-control", 1),
    }
    monitoring = monitoring_topics(topics)
    (tmp_path / "elsewhere").mkdir()
    here = write_config(line, "w-0", monitoring, {**shared, "store": str(store)})
    there = write_config(line, "w-1", monitoring, {**shared, "store": str(tmp_path / "elsewhere")})
    for config in (here, there):  # so that both machines have it
        assert said("model", "promote", one, "-c", config).exit_code == 0
    workers = [start_worker(here), start_worker(there)]
    group = Group(line)
    until("both are members", lambda: sorted(group.members().values()) == [2, 2], *workers)

    absent = said("model", "promote", two, "-c", there, *WAITING, "--json")

    assert absent.exit_code == 3
    assert (absent.document["generation"], absent.document["previous"]["version"]) == (3, "1.0.0")
    assert [w["stand"] for w in absent.document["workers"]] == ["rejected", "serves"]
    assert absent.document["workers"][0]["rejected"]["reason_code"] == "not_in_store"

    checked = said("check", "-c", here, "--json").document
    assert "desired: picky 2.0.0, generation 3" in checked["passed"]
    assert any("(not_in_store)" in line for line in checked["warnings"])

    present = said("model", "promote", two, "-c", here, *WAITING)

    assert present.exit_code == 0
    assert "2 of 2 workers serve picky 2.0.0, generation 4" in present.out
    shown = said("model", "status", "-c", there, "--json").document
    assert shown["control_topic"]["generation"] == 4
    assert [w["model_version"] for w in shown["workers"]] == ["2.0.0", "2.0.0"]
    [rejected] = said("events", "-c", here, "--json", "--type", "model.rejected").documents
    assert (rejected["instance"], rejected["model"]["reason_code"]) == ("w-0", "not_in_store")
    for running in workers:
        running.check_alive()


def test_no_generation_is_claimed_that_could_not_be_published(
    pipeline: MakePipeline, topics: Topics, packages: tuple[Path, Path, Path], store: Path, tmp_path: Path
) -> None:
    one, two, _ = packages
    control = topics("model-control", 1)
    model = {"follow": "topic", "status_topic": topics("model-status", 1), "control_topic": control}
    config = write_config(
        pipeline(Framing.NONE), "w-0", monitoring_topics(topics), {**model, "store": str(store)}
    )
    for package in (one, two):
        assert said("model", "promote", package, "-c", config).exit_code == 0
    before = sorted((store / "history").iterdir())

    with denied(pipeline(Framing.NONE).bootstrap, [control]):
        with pytest.raises(Misconfigured) as promoting:
            said("model", "promote", one, "-c", config)
        with pytest.raises(Misconfigured) as rolling_back:
            said("model", "rollback", "-c", config)

    for failed in (promoting, rolling_back):
        [problem] = failed.value.problems
        assert (problem.key, problem.value) == ("model.control_topic", f'"{control}"')
        assert "may not write it" in problem.message
        assert "WRITE" in problem.fix
    assert sorted((store / "history").iterdir()) == before
    shown = said("model", "status", "-c", config, "--json").document
    assert shown["desired"]["generation"] == shown["control_topic"]["generation"] == 2
    assert said("model", "rollback", "-c", config, "--json").document["generation"] == 3


def test_nobody_answers_in_time_is_exit_code_1(
    pipeline: MakePipeline, topics: Topics, packages: tuple[Path, Path, Path], store: Path
) -> None:
    model = {"store": str(store), "status_topic": topics("model-status", 1)}
    config = write_config(pipeline(Framing.NONE), "w-0", monitoring_topics(topics), model)

    lonely = said("model", "promote", packages[0], "-c", config, "--wait", "--timeout", "2")

    assert lonely.exit_code == 1
    assert "no worker has posted a status within 2 s" in lonely.out
