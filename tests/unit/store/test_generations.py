"""Generations that no promotion can have: they are told, passed over, and use nothing up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.common.durable import claim_folder
from stream_infer.flow.errors import Misconfigured
from stream_infer.rollout.deployment import LAST_GENERATION, Deployment, StoreProblem, format_deployment
from stream_infer.store.desired import StoreDesired
from stream_infer.store.history import CURRENT, HISTORY
from stream_infer.store.model_store import ModelStore
from tests.unit.store.shop import ME, package


def desired(models: ModelStore) -> Deployment:
    found = models.current()
    assert isinstance(found, Deployment)
    return found


@pytest.mark.parametrize("generation", [2**63 - 1, LAST_GENERATION + 1])
def test_a_number_after_the_last_generation_in_current_is_told_and_the_next_promotion_repairs_it(
    models: ModelStore, tmp_path: Path, generation: int
) -> None:
    one = desired(models)
    (models.folder / CURRENT).write_bytes(format_deployment(replace(one, generation=generation)))
    source = StoreDesired(models, wait=lambda _: None)

    found = models.current()

    assert isinstance(found, StoreProblem)
    assert (found.code, "less than or equal to 1000000000000000" in found.reason) == ("invalid", True)
    assert [source.poll(0.0), source.poll(0.0)] == [one, found]

    repaired = models.promote(tmp_path / "1", ME)

    assert (repaired.generation, desired(models)) == (2, repaired)


def test_a_number_after_the_last_generation_in_the_history_is_passed_over(
    models: ModelStore, tmp_path: Path
) -> None:
    for generation in (LAST_GENERATION + 1, 2**63 - 1):
        far = replace(desired(models), generation=generation)
        claim_folder(models.folder / HISTORY / str(generation), "deployment.json", format_deployment(far))

    assert [one.generation for one in models.history()] == [1]
    assert models.promote(tmp_path / "1", ME).generation == 2


def test_a_deployment_of_another_generation_than_its_folder_is_told(
    models: ModelStore, tmp_path: Path
) -> None:
    far = format_deployment(replace(desired(models), generation=5))
    claim_folder(models.folder / HISTORY / "000000000002", "deployment.json", far)

    found = models.current()

    assert isinstance(found, StoreProblem)
    assert found.code == "invalid"
    assert "is not that of its folder" in found.reason
    assert models.promote(tmp_path / "1", ME).generation == 3


def test_no_promotion_comes_after_the_last_generation(models: ModelStore, tmp_path: Path) -> None:
    models.adopt(replace(desired(models), generation=LAST_GENERATION))

    with pytest.raises(Misconfigured, match="generation 1000000000000000 is in use: there is no later one"):
        models.promote(tmp_path / "1", ME)

    assert [one.generation for one in models.history()] == [1]


def test_a_promotion_goes_past_what_workers_have_seen(models: ModelStore, tmp_path: Path) -> None:
    package(tmp_path / "2", "2")
    two = models.promote(tmp_path / "2", ME, after=900)
    back = models.rollback(ME, after=1_000)
    again = models.promote(tmp_path / "2", ME, after=5)

    assert [two.generation, back.generation, again.generation] == [901, 1_001, 1_002]
    assert models.promote(tmp_path / "1", ME, after=2**63 - 1).generation == 1_003
