"""A worker's deployer and a store on disk: what is done to the store, and what serves meanwhile."""

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
    """A deployer that follows a store in the background, and what it reports."""

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
    """Return a store in which generation 1 desires the line of slope 1; two and three are beside it."""
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


def test_what_is_promoted_serves_and_what_is_rolled_back_does_again(
    tmp_path: Path, models: ModelStore, worker: Worker
) -> None:
    assert worker.slope == 1.0

    models.promote(tmp_path / "2", ME)
    worker.wait_for(serving(2))
    assert worker.slope == 2.0

    models.rollback(ME)
    worker.wait_for(serving(3))
    assert worker.slope == 1.0


def test_of_two_that_promote_at_once_the_later_generation_serves_in_the_end(
    tmp_path: Path, models: ModelStore, worker: Worker
) -> None:
    with ThreadPoolExecutor(2) as pool:
        promoted = list(pool.map(lambda slope: models.promote(tmp_path / slope, Request(slope)), ["2", "3"]))
    last = max(promoted, key=lambda one: one.generation)

    worker.wait_for(serving(3))

    assert {one.generation for one in promoted} == {2, 3}
    assert worker.slope == float(last.package.version)


def test_half_of_a_current_and_a_store_that_is_gone_stop_nothing(
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


def test_a_worker_that_starts_while_current_is_half_written_serves_what_was_promoted_last(
    models: ModelStore,
) -> None:
    (models.folder / CURRENT).write_text("{")
    worker = Worker(models)

    with worker.deployer.following(worker.active):
        worker.wait_for(waiting("invalid"))

    assert worker.slope == 1.0
