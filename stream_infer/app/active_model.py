"""The composition of the active model: a fixed package, or the desired deployment followed by the deployer.

What to do about a desired deployment is in `rollout.reconcile`, how it is done in `rollout.deployer`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from stream_infer.app.checks.check import Checked
from stream_infer.app.status_reporter import DeploymentLog, DeploymentReporter
from stream_infer.config.sections import Follow, ModelSection
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Fatal
from stream_infer.flow.events import Event
from stream_infer.kafka import client
from stream_infer.kafka.control import ControlTopic
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import load_model
from stream_infer.models.package import Verified
from stream_infer.ops.metrics import Metrics, ModelLabels
from stream_infer.ops.progress import ProgressCell
from stream_infer.rollout.candidate_loader import CandidateLoader, DesiredSource
from stream_infer.rollout.compatibility import assess_here, check_code
from stream_infer.rollout.deployer import Deployer
from stream_infer.rollout.golden_check import with_golden
from stream_infer.rollout.guarded_load import GuardedLoad
from stream_infer.rollout.last_served import last_served_in_store
from stream_infer.rollout.load_marks import load_marks_in_store
from stream_infer.rollout.rehearsal import Rehearsal
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RunChild
from stream_infer.rollout.status import DeployerStatus
from stream_infer.rollout.watched_source import WatchedSource
from stream_infer.store.desired import StoreDesired
from stream_infer.store.model_store import ModelStore

_LOG = logging.getLogger("stream_infer")
_STANDS_S = 10.0


@contextmanager
def desired_source(settings: Settings) -> Iterator[WatchedSource | None]:
    """Hold the source of the desired deployment; None where the package is fixed."""
    if settings.model.store is None:
        yield None
        return
    store = ModelStore(settings.model.store, settings.pipeline)
    if settings.model.follow is Follow.STORE:
        yield WatchedSource(StoreDesired(store))
        return
    with ControlTopic(
        client.admin(settings.kafka), settings.model.control_topic, settings.pipeline, fetch=store.locate
    ) as control:
        yield WatchedSource(control)


@contextmanager
def follow_active_model(
    ready: Checked,
    desired: DesiredSource | None,
    reporters: Sequence[DeploymentReporter],
    run_child: RunChild,
) -> Iterator[ActiveModel]:
    """Load the model that serves first; while the block runs, the deployer replaces it.

    Raises `Refused` when neither the desired package nor the previous one can serve.
    """
    if ready.package is not None:
        _warn(ready.package, ready.warnings)
        yield ActiveModel(ServingModel(with_golden(load_model(ready.package), ready.package), generation=0))
        return
    model = ready.settings.model
    if model.store is None or desired is None:
        raise Fatal("no model: neither package nor store")

    log = DeploymentLog()

    def report(status: DeployerStatus) -> None:
        log(status)
        for reporter in reporters:
            reporter.deployed(status)

    def admit(verified: Verified) -> None:
        check_code(verified.manifest, model.pickles)
        warned = assess_here(verified.manifest, ready.events, model.on_difference).admit()
        _warn(verified, [one.reason for one in warned])

    cache = cache_in_store(model.store)
    rehearsal = Rehearsal(_limits(model), cache, run_child)
    last_served = last_served_in_store(model.store, ready.settings.pipeline)
    load = GuardedLoad(load_marks_in_store(model.store, ready.settings.worker.slot), _limits(model).timeout_s)
    loader = CandidateLoader(desired, rehearsal, admit, load)
    deployer = Deployer(loader, cache, report=report, last_served=last_served)
    active = ActiveModel(deployer.start())
    with deployer.following(active):
        yield active


class ModelInfoObserver:
    """An observer that shows the serving model in metrics and probes: after every read, also an empty one."""

    def __init__(self, active: ActiveModel, metrics: Metrics, progress: ProgressCell) -> None:
        self._active = active
        self._metrics = metrics
        self._progress = progress
        self._shown = ""

    def __call__(self, _event: Event, /) -> None:
        self.show()

    def show(self) -> None:
        """Show the serving model, if it is not shown yet."""
        model = self._active.current.model
        if model.digest != self._shown:
            self._shown = model.digest
            manifest = model.manifest
            self._metrics.serve(ModelLabels(manifest.name, manifest.version, model.digest, manifest.runtime))
            self._progress.serve(manifest.version)


class FollowingObserver:
    """An observer that shows since when the deployer has not asked for the desired deployment, if it stands.

    It stands while it loads a package or waits for a store that does not answer.
    """

    def __init__(
        self,
        source: WatchedSource,
        metrics: Metrics,
        progress: ProgressCell,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._progress = progress
        self._clock = clock
        self._shown: str | None = None

    def __call__(self, _event: Event, /) -> None:
        polled_at = self._source.polled_at
        self._metrics.follow(polled_at)
        stands = self._clock() - polled_at > _STANDS_S
        since = datetime.fromtimestamp(polled_at, UTC).isoformat(timespec="seconds") if stands else None
        if since != self._shown:
            self._shown = since
            self._progress.follow(since)
            if since is None:
                _LOG.info(LogEvent.FOLLOWING)
            else:
                _LOG.warning(LogEvent.NOT_FOLLOWING, extra={"since": since})


def _limits(model: ModelSection) -> RehearsalLimits:
    return RehearsalLimits(
        timeout_s=model.rehearsal_timeout_ms / 1000,
        memory_bytes=model.rehearsal_memory_bytes,
        batch_p50_s=model.rehearsal_batch_ms / 1000,
    )


def _warn(package: Verified, differences: Sequence[str]) -> None:
    for reason in differences:
        fields = {"model": package.manifest.name, "model_version": package.manifest.version}
        _LOG.warning(LogEvent.PACKAGE_DIFFERENCE, extra={**fields, "difference": reason})
