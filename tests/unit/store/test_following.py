"""A deployer that follows a store on disk: which model serves after each change of the store."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stream_infer.models.active import ActiveModel
from stream_infer.rollout.candidate_loader import CandidateLoader
from stream_infer.rollout.deployer import Deployer, DeployerTiming
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.status import DeployerState, DeployerStatus
from stream_infer.store.desired import StoreDesired
from stream_infer.store.history import CURRENT
from stream_infer.store.model_store import ModelStore, Request
from tests.unit.rollout.following import ANSWERS_WITHIN_S, passes
from tests.unit.rollout.packages import package
from tests.unit.store.shop import ME


class Worker:
    """A deployer that follows a store in the background, with its reported statuses."""

    def __init__(self, models: ModelStore) -> None:
        self._reports: queue.Queue[DeployerStatus] = queue.Queue()
        self.deployer = Deployer(
            CandidateLoader(StoreDesired(models), passes),
            RehearsalCache(),
            report=self._reports.put,
            timing=DeployerTiming(poll_s=0.01, patience_s=0.05),
        )
        self.active = ActiveModel(self.deployer.start())

    def wait_for(self, true: Callable[[DeployerStatus], bool]) -> DeployerStatus:
        while True:
            status = self._reports.get(timeout=ANSWERS_WITHIN_S)
            if true(status):
                return status

    @property
    def slope(self) -> float:
        value = self.active.current.model.predict(np.array([[1.0]])).value
        assert value is not None
        return float(value[0])


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    """Return a store with three packages; generation 1 desires the model of slope 1."""
    (tmp_path / "models").mkdir()
    store = ModelStore(tmp_path / "models", "p")
    for slope in (1, 2, 3):
        package(tmp_path / str(slope), float(slope), version=str(slope))
    store.promote(tmp_path / "1", ME)
    return store


@pytest.fixture
def worker(models: ModelStore) -> Iterator[Worker]:
    """Return a worker that follows the store."""
    one = Worker(models)
    with one.deployer.following(one.active):
        yield one


def serving(generation: int) -> Callable[[DeployerStatus], bool]:
    return lambda status: (
        status.state is DeployerState.SERVING
        and status.served is not None
        and status.served.generation == generation
    )


def waiting(code: str) -> Callable[[DeployerStatus], bool]:
    return lambda status: (
        status.state is DeployerState.WAITING and status.problem is not None and status.problem.code == code
    )


def test_a_promoted_package_serves_and_the_previous_one_serves_after_a_rollback(
    tmp_path: Path, models: ModelStore, worker: Worker
) -> None:
    assert worker.slope == 1.0

    models.promote(tmp_path / "2", ME)
    worker.wait_for(serving(2))
    assert worker.slope == 2.0

    models.rollback(ME)
    worker.wait_for(serving(3))
    assert worker.slope == 1.0


def test_after_two_promotions_at_once_the_later_generation_serves(
    tmp_path: Path, models: ModelStore, worker: Worker
) -> None:
    with ThreadPoolExecutor(2) as pool:
        promoted = list(pool.map(lambda slope: models.promote(tmp_path / slope, Request(slope)), ["2", "3"]))
    last = max(promoted, key=lambda one: one.generation)

    worker.wait_for(serving(3))

    assert {one.generation for one in promoted} == {2, 3}
    assert worker.slope == float(last.package.version)


def test_a_broken_current_and_a_missing_store_do_not_stop_scoring(
    tmp_path: Path, models: ModelStore, worker: Worker
) -> None:
    whole = (models.folder / CURRENT).read_bytes()
    (models.folder / CURRENT).write_bytes(whole[:50])
    worker.wait_for(waiting("invalid"))
    assert worker.slope == 1.0

    (models.folder / CURRENT).write_bytes(whole)
    worker.wait_for(serving(1))

    models.folder.rename(tmp_path / "elsewhere")
    worker.wait_for(waiting("gone"))
    assert worker.slope == 1.0

    (tmp_path / "elsewhere").rename(models.folder)
    models.promote(tmp_path / "2", ME)
    worker.wait_for(serving(2))
    assert worker.slope == 2.0


def test_a_worker_that_starts_with_a_partial_current_serves_the_last_promotion(
    models: ModelStore,
) -> None:
    (models.folder / CURRENT).write_text("{")
    worker = Worker(models)

    with worker.deployer.following(worker.active):
        worker.wait_for(waiting("invalid"))

    assert worker.slope == 1.0
