"""Which model serves: the fixed one of the settings, or whichever is desired, through the deployer.

Composition only. What to do about a wish is in `models.plan`, how it is done in `runtime.deployer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stream_infer.app.check import Checked
from stream_infer.app.reporting import Reporter
from stream_infer.flow.errors import Fatal
from stream_infer.models.load import load
from stream_infer.models.slot import Lineup, Slot
from stream_infer.runtime.audition import Audition, Desired
from stream_infer.runtime.deployed import DeployerStatus
from stream_infer.runtime.deployer import Deployer
from stream_infer.runtime.rehearsal import Rehearsal
from stream_infer.runtime.verdicts import Limits, Verdicts
from stream_infer.steps.plan import admit

_VERDICTS = ".verdicts"


@contextmanager
def serving(ready: Checked, desired: Desired | None, reporters: Sequence[Reporter]) -> Iterator[Slot]:
    """Hold the slot of the serving lineup while the block runs, and let the deployer replace it.

    Raises `Refused` when neither the desired package nor the one before it can serve.
    """
    if ready.package is not None:
        yield Slot(Lineup(load(ready.package), generation=0))
        return
    store = ready.settings.model.store
    if store is None or desired is None:
        raise Fatal("no model: neither package nor store")

    def report(status: DeployerStatus) -> None:
        for reporter in reporters:
            reporter.deployed(status)

    verdicts = Verdicts(store / _VERDICTS)
    deployer = Deployer(
        Audition(
            desired,
            Rehearsal(Limits(), verdicts),
            lambda verified: admit(verified.manifest.features, ready.events),
        ),
        verdicts,
        report=report,
    )
    slot = Slot(deployer.start())
    with deployer.following(slot):
        yield slot
