"""Which model serves: the fixed one of the settings, or whichever is desired, through the deployer.

Composition only. What to do about a wish is in `models.plan`, how it is done in `runtime.deployer`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stream_infer.app.admission import judged
from stream_infer.app.check import Checked
from stream_infer.app.reporting import DeploymentLog, Reporter
from stream_infer.config.sections import Model
from stream_infer.flow.errors import Fatal
from stream_infer.models.load import load
from stream_infer.models.package import Verified
from stream_infer.models.slot import Lineup, Slot
from stream_infer.runtime.audition import Audition, Desired
from stream_infer.runtime.deployed import DeployerStatus
from stream_infer.runtime.deployer import Deployer
from stream_infer.runtime.rehearsal import Rehearsal, Run
from stream_infer.runtime.verdicts import Limits, beside

_LOG = logging.getLogger("stream_infer")


@contextmanager
def serving(
    ready: Checked, desired: Desired | None, reporters: Sequence[Reporter], rehearsing: Run
) -> Iterator[Slot]:
    """Hold the slot of the serving lineup while the block runs, and let the deployer replace it.

    Raises `Refused` when neither the desired package nor the one before it can serve.
    """
    if ready.package is not None:
        _warn(ready.package, ready.warnings)
        yield Slot(Lineup(load(ready.package), generation=0))
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
        warned = judged(verified.manifest, ready.events, model.on_difference).admit()
        _warn(verified, [one.reason for one in warned])

    verdicts = beside(model.store)
    rehearsal = Rehearsal(_limits(model), verdicts, rehearsing)
    deployer = Deployer(Audition(desired, rehearsal, admit), verdicts, report=report)
    slot = Slot(deployer.start())
    with deployer.following(slot):
        yield slot


def _limits(model: Model) -> Limits:
    return Limits(
        timeout_s=model.rehearsal_timeout_ms / 1000,
        memory_bytes=model.rehearsal_memory_bytes,
        batch_p50_s=model.rehearsal_batch_ms / 1000,
    )


def _warn(package: Verified, differences: Sequence[str]) -> None:
    for reason in differences:
        fields = {"model": package.manifest.name, "model_version": package.manifest.version}
        _LOG.warning("the package was made for something else", extra={**fields, "difference": reason})
