"""A store with pipes, folders or devices as its files: it is told, nothing waits, a promotion repairs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured
from stream_infer.rollout.deployment import StoreProblem, format_deployment
from stream_infer.store.desired import StoreDesired
from stream_infer.store.history import CURRENT, HISTORY
from stream_infer.store.model_store import ModelStore
from tests.support.special_files import SPECIAL, needs_pipes
from tests.unit.store.shop import ME, store

ENTRY = "deployment.json"


def problem(models: ModelStore) -> StoreProblem:
    found = models.current()
    assert isinstance(found, StoreProblem)
    return found


@needs_pipes
@pytest.mark.parametrize("kind", SPECIAL)
def test_something_else_as_current_is_told_and_a_start_serves_the_last_promotion(
    models: ModelStore, kind: str
) -> None:
    (models.folder / CURRENT).unlink()
    SPECIAL[kind](models.folder / CURRENT)
    desired = StoreDesired(models, wait=lambda _: None)

    assert problem(models).code == "invalid"
    assert problem(models).reason.endswith("CURRENT is not a deployment: it is not a regular file")
    assert [desired.poll(0.0), desired.poll(0.0)] == [models.promoted_last(), problem(models)]
    assert [one.generation for one in models.history()] == [1]


@needs_pipes
@pytest.mark.parametrize("kind", SPECIAL)
def test_something_else_as_the_newest_deployment_is_told_until_the_next_promotion(
    models: ModelStore, tmp_path: Path, kind: str
) -> None:
    newest = models.folder / HISTORY / "000000000002"
    newest.mkdir()
    SPECIAL[kind](newest / ENTRY)

    assert problem(models).code == "invalid"
    assert problem(models).reason.startswith(f"{newest / ENTRY} is not a deployment")
    last = models.promoted_last()
    assert last is not None
    assert last.generation == 1

    repaired = models.promote(tmp_path / "1", ME)

    assert (repaired.generation, models.current()) == (3, repaired)


def test_a_newer_current_counts_though_the_history_is_broken(models: ModelStore) -> None:
    newest = models.folder / HISTORY / "000000000002"
    newest.write_text("not a folder")
    last = models.promoted_last()
    assert last is not None
    (models.folder / CURRENT).write_bytes(
        format_deployment(last).replace(b'"generation": 1', b'"generation": 2')
    )

    found = models.current()

    assert not isinstance(found, StoreProblem)
    assert found.generation == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_history_that_may_not_be_read_is_no_empty_history(models: ModelStore) -> None:
    entry = models.folder / HISTORY / "000000000001" / ENTRY
    entry.chmod(0)
    try:
        with pytest.raises(Misconfigured, match=r"deployment\.json cannot be read: Permission denied"):
            models.history()
        assert problem(models).code == "gone"
    finally:
        entry.chmod(0o600)


def test_a_history_that_cannot_be_listed_is_no_empty_history(models: ModelStore) -> None:
    (models.folder / HISTORY).rename(models.folder / "elsewhere")
    (models.folder / HISTORY).write_text("a file in the way")

    with pytest.raises(Misconfigured, match="history cannot be read: Not a directory"):
        models.history()
    assert problem(models).code == "gone"


def test_a_store_without_a_history_has_an_empty_one(tmp_path: Path) -> None:
    assert store(tmp_path / "models").history() == []
