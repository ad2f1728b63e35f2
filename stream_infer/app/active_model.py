"""Which model serves: the fixed one of the settings, or whichever is desired, through the deployer.

Composition only. What to do about a wish is in `rollout.reconcile`, how it is done in `rollout.deployer`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stream_infer.app.checks.check import Checked
from stream_infer.app.status_reporter import DeploymentLog, StatusReporter
from stream_infer.config.sections import ModelSection
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Fatal
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import load_model
from stream_infer.models.package import Verified
from stream_infer.rollout.admission import assess_here
from stream_infer.rollout.candidate_loader import CandidateLoader, DesiredSource
from stream_infer.rollout.deployer import Deployer
from stream_infer.rollout.rehearsal import Rehearsal, RunChild
from stream_infer.rollout.rehearsal_cache import RehearsalLimits, cache_in_store
from stream_infer.rollout.status import DeployerStatus

_LOG = logging.getLogger("stream_infer")


@contextmanager
def follow_active_model(
    ready: Checked, desired: DesiredSource | None, reporters: Sequence[StatusReporter], rehearsing: RunChild
) -> Iterator[ActiveModel]:
    """Hold the active of the serving serving model while the block runs, and let the deployer replace it.

    Raises `Refused` when neither the desired package nor the one before it can serve.
    """
    if ready.package is not None:
        _warn(ready.package, ready.warnings)
        yield ActiveModel(ServingModel(load_model(ready.package), generation=0))
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
        warned = assess_here(verified.manifest, ready.events, model.on_difference).admit()
        _warn(verified, [one.reason for one in warned])

    cache = cache_in_store(model.store)
    rehearsal = Rehearsal(_limits(model), cache, rehearsing)
    deployer = Deployer(CandidateLoader(desired, rehearsal, admit), cache, report=report)
    active = ActiveModel(deployer.start())
    with deployer.following(active):
        yield active


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
