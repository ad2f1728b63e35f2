"""The composition root of a server that follows the deployments of a pipeline, as its workers do.

It is no member of their group, and answers while no broker does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial

from stream_infer.app.activation_reporter import activation_reporters
from stream_infer.app.active_model import desired_source, follow_active_model
from stream_infer.app.checks.check import Checked, require_servable
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.kit.member import GroupMember
from stream_infer.app.kit.records import event_writer, frame_encoder
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.serve import Front, require_guarded, serve
from stream_infer.app.status_reporter import DeploymentReporter, status_reporters
from stream_infer.config.settings import Settings
from stream_infer.flow.records import Output
from stream_infer.models.active import ActiveModel
from stream_infer.packaging.scorer import Scorer, scorer_of
from stream_infer.rollout.forkserver import forkserver
from stream_infer.rollout.rehearsal_task import RunChild
from stream_infer.rollout.spawned_child import run_spawned
from stream_infer.runtime.stop import Stop
from stream_infer.serving.observations import Observations
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.scoring.plan import Events

_ROLE = "serve"


class ActiveScorer:
    """The scorer of the active model, made anew when another one serves. One thread calls it."""

    def __init__(self, active: ActiveModel, events: Events) -> None:
        self._active = active
        self._schema = events.reader or events.writers[0]
        self._scorer = scorer_of(active.current.model, self._schema)

    def __call__(self) -> Scorer:
        """Return the scorer of the model that serves now."""
        model = self._active.current.model
        if model is not self._scorer.model:
            self._scorer = scorer_of(model, self._schema)
        return self._scorer


def run_serve_pipeline(settings: Settings, front: Front) -> int:
    """Check, then serve until SIGTERM (exit code 0) or SIGINT (130). Raises what stops it otherwise."""
    require_guarded(front)
    # First of all: a process that has threads must not fork.
    with forkserver() if settings.model.store is not None else nullcontext(run_spawned) as run_child:
        prepare = partial(require_servable, _as_server(settings))
        return run_until_signal(prepare, partial(serve_pipeline, front, run_child=run_child))


def serve_pipeline(front: Front, ready: Checked, stop: Stop, *, run_child: RunChild) -> None:
    """Answer with the model that the workers of the pipeline have, until `stop` is requested."""
    settings = ready.settings
    member = GroupMember(settings.kafka, f"{settings.pipeline}.{_ROLE}", settings.worker.slot)
    events = partial(event_writer, settings, ready.schema_ids.get("MonitoringEvent"))
    with ExitStack() as stack:
        reporters: list[DeploymentReporter] = [
            *stack.enter_context(status_reporters(settings, member, events, _ROLE)),
            *stack.enter_context(activation_reporters(settings, member, events, _ROLE)),
        ]
        desired = stack.enter_context(desired_source(settings))
        active = stack.enter_context(follow_active_model(ready, desired, reporters, run_child))
        scorer = ActiveScorer(active, ready.events)
        if settings.monitoring.topic is None:
            serve(front, scorer, stop, pipeline=settings.pipeline)
            return
        observations = stack.enter_context(_observations(settings, member))
        serve(front, scorer, stop, pipeline=settings.pipeline, note=observations.add)


@contextmanager
def _observations(settings: Settings, member: GroupMember) -> Iterator[Observations]:
    """Publish frames of what is answered, best effort, while the block runs."""
    references = PackagedReferences(settings)
    observe = Observe(settings.pipeline, frame_encoder(), lambda model: references(model.digest))
    with closing(member.best_effort_publisher("observations")) as publisher:
        publisher.open()

        def publish(frames: Output) -> None:
            for key, value in zip(frames.keys, frames.values, strict=True):
                publisher.post(settings.monitoring.observations_topic, key or b"", value)

        slot = settings.worker.slot.removeprefix(f"{_ROLE}-")
        with Observations(slot, observe, publish) as observations:
            yield observations


def _as_server(settings: Settings) -> Settings:
    """Return `settings` with a slot that no worker has: one machine may have both, with the same file."""
    worker = settings.worker.model_copy(update={"slot": f"{_ROLE}-{settings.worker.slot}"})
    return settings.model_copy(update={"worker": worker})
