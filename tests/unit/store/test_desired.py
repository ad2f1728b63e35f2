"""`StoreDesired` returns each new desired deployment, and each new problem, once."""

from __future__ import annotations

from pathlib import Path

from stream_infer.rollout.deployment import StoreProblem
from stream_infer.store.desired import StoreDesired
from stream_infer.store.history import CURRENT
from tests.unit.store.shop import ME, package, store


def test_a_deployment_is_returned_once_and_the_next_one_again(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    waits: list[float] = []
    desired = StoreDesired(models, wait=waits.append)

    assert [desired.poll(1.0), desired.poll(0.0), desired.poll(0.5)] == [one, None, None]
    assert waits == [0.5]

    two = models.promote(tmp_path / "1", ME)

    assert [desired.poll(1.0), desired.poll(0.0)] == [two, None]
    assert waits == [0.5]


def test_a_promotion_during_the_wait_is_returned_at_once(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    models.promote(tmp_path / "1", ME)
    desired = StoreDesired(models, wait=lambda _: models.promote(tmp_path / "1", ME))
    desired.poll(0.0)

    found = desired.poll(1.0)

    assert found == models.current()


def test_a_problem_is_returned_once_and_its_end_too(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    desired = StoreDesired(models, wait=lambda _: None)
    desired.poll(0.0)

    models.folder.rename(tmp_path / "away")
    gone, still = desired.poll(1.0), desired.poll(1.0)
    (tmp_path / "away").rename(models.folder)

    assert isinstance(gone, StoreProblem)
    assert (gone.code, still, desired.poll(1.0)) == ("gone", None, one)


def test_a_start_with_a_broken_current_returns_the_last_promotion_and_then_the_problem(
    tmp_path: Path,
) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    (models.folder / CURRENT).write_text("{")
    desired = StoreDesired(models, wait=lambda _: None)

    first, second = desired.poll(0.0), desired.poll(0.0)

    assert first == one
    assert isinstance(second, StoreProblem)
    assert second.code == "invalid"


def test_fetch_returns_the_path_in_the_store(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")
    one = models.promote(Path("mine"), ME)

    assert StoreDesired(models).fetch(one.package) == models.folder / "mine"
