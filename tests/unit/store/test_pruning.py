"""The history keeps the newest deployments, the young ones, and all that anyone still needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.rollout.deployment import Deployment
from stream_infer.store import pruning
from stream_infer.store.history import CURRENT, HISTORY
from stream_infer.store.model_store import ModelStore
from stream_infer.store.pruning import Pruned, Retention, prune
from tests.unit.store.shop import ME, package, store

NOW_MS = 1_800_000_000_000  # the time of all promotions
DAY_MS = 86_400_000
TWO = Retention(2, DAY_MS)
LATER = NOW_MS + DAY_MS + 1


@pytest.fixture
def promote(tmp_path: Path) -> Callable[[str], Deployment]:
    """Return a function that promotes a version in the store `models`."""

    def promoted(version: str) -> Deployment:
        if not (tmp_path / version).exists():
            package(tmp_path / version, version)
        return store(tmp_path / "models").promote(tmp_path / version, ME)

    return promoted


@pytest.fixture
def models(tmp_path: Path, promote: Callable[[str], Deployment]) -> ModelStore:
    """Return a store with generations 1 to 6: versions 1 to 6."""
    for version in "123456":
        promote(version)
    return store(tmp_path / "models")


def generations(models: ModelStore) -> list[int]:
    return [one.generation for one in models.history()]


def versions(models: ModelStore) -> list[str]:
    """Return the versions whose packages are in the store."""
    return sorted(path.name.split("-")[1] for path in models.folder.glob("fraud-*"))


def digest(models: ModelStore, generation: int) -> str:
    return next(one.package.digest for one in models.history() if one.generation == generation)


def test_old_deployments_go_with_the_packages_that_only_they_named(models: ModelStore) -> None:
    pruned = prune(models, TWO, [], now_ms=LATER)

    assert pruned.generations == (1, 2, 3, 4)
    assert [name.split("-")[1] for name in pruned.packages] == ["3", "2", "1"]
    assert generations(models) == [6, 5]
    assert versions(models) == ["4", "5", "6"]  # 4 is the fallback of 5
    assert list(models.folder.rglob(".*")) == []


@pytest.mark.parametrize(
    ("retention", "now_ms"),
    [(Retention(6, 0), LATER), (TWO, NOW_MS + DAY_MS), (TWO, NOW_MS - 1)],
    ids=["few", "young", "a clock that went back"],
)
def test_few_or_young_deployments_stay(models: ModelStore, retention: Retention, now_ms: int) -> None:
    assert prune(models, retention, [], now_ms=now_ms) == Pruned()
    assert generations(models) == [6, 5, 4, 3, 2, 1]


def test_what_serves_stays_with_the_newest_deployment_that_names_it(
    models: ModelStore, promote: Callable[[str], Deployment]
) -> None:
    serving = digest(models, 2)
    promote("2")
    promote("7")
    promote("8")

    prune(models, Retention(1, 0), [serving], now_ms=LATER)

    assert generations(models) == [9, 8, 7]  # 8 is the fallback of 9, 7 names what serves
    assert versions(models) == ["2", "6", "7", "8"]  # 6 is the fallback of 7


def test_what_the_control_topic_wants_stays(models: ModelStore) -> None:
    one, two, *_ = reversed(models.history())
    models.adopt(replace(one, generation=90, previous=two.package))

    prune(models, Retention(1, 0), [], now_ms=LATER)

    assert generations(models) == [6, 2, 1]
    assert versions(models) == ["1", "2", "5", "6"]


def test_the_next_generation_and_the_next_rollback_are_as_before(
    models: ModelStore, promote: Callable[[str], Deployment]
) -> None:
    prune(models, Retention(1, 0), [], now_ms=LATER)

    back = models.rollback(ME)

    assert (back.generation, back.package.version) == (7, "5")
    assert promote("9").generation == 8


def test_a_package_under_a_name_of_its_owner_stays(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine", "0")
    package(models.folder / "fraud-not-promoted", "0.1")
    models.promote(Path("mine"), ME)
    for version in "123":
        package(tmp_path / f"{version}.zip", version)
        models.promote(tmp_path / f"{version}.zip", ME)

    pruned = prune(models, Retention(1, 0), [], now_ms=LATER)

    assert pruned.generations == (1, 2)
    assert [name.split("-")[1] for name in pruned.packages] == []  # 1 is the fallback of generation 3
    models.promote(Path("mine"), ME)
    assert [name.split("-")[1] for name in prune(models, Retention(1, 0), [], now_ms=LATER).packages] == ["1"]
    assert {"mine", "fraud-not-promoted"} <= {path.name for path in models.folder.iterdir()}


def test_a_package_that_is_promoted_meanwhile_is_put_back(
    models: ModelStore, promote: Callable[[str], Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    is_named = pruning._is_named

    def promoted_between(*arguments: object) -> bool:
        asked.append(str(arguments[1]))
        if asked.count(asked[-1]) == 2 and asked[-1].startswith("fraud-1-"):
            one = next(one for one in models.history() if one.generation == 1)
            models.adopt(replace(one, generation=50))
        return is_named(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pruning, "_is_named", promoted_between)

    prune(models, TWO, [], now_ms=LATER)

    assert "1" in versions(models)
    assert list(models.folder.rglob(".*")) == []


def test_where_the_desired_deployment_is_unknown_nothing_is_removed(models: ModelStore) -> None:
    (models.folder / CURRENT).write_text("{")

    assert prune(models, TWO, [], now_ms=LATER) == Pruned()
    assert len(generations(models)) == 6


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_an_error_and_loses_nothing(models: ModelStore) -> None:
    (models.folder / HISTORY).chmod(0o500)
    models.folder.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            prune(models, TWO, [], now_ms=LATER)
    finally:
        models.folder.chmod(0o700)
        (models.folder / HISTORY).chmod(0o700)
    assert len(generations(models)) == 6
