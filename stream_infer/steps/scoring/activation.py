"""The event `model.activated`: from which offset of which partitions a model answers.

It is committed with the first batch that the model answers under an assignment, so it holds exactly when the
predictions do: aborted with them, and made anew from the batch that is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.avro.record import RecordWriter
from stream_infer.flow.codes import EventType
from stream_infer.flow.records import Batch, Channel, Output
from stream_infer.models.active import ServingModel
from stream_infer.models.manifest import Manifest
from stream_infer.steps import cloudevents


@dataclass(frozen=True, slots=True)
class Announced:
    """The model that was announced last, and the assignment that it was announced under."""

    digest: str
    generation: int
    assignment: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A model that begins to serve on `instance`; `place` tells it from a later one of its generation."""

    pipeline: str
    instance: str
    name: str
    version: str
    digest: str
    generation: int
    from_version: str | None
    time_ms: int
    place: str
    differences: str = ""


def activation_event(of: Activation, ranges: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return the event; `ranges` are the partitions that it answers, each from an offset on."""
    action = f"replaces {of.from_version}" if of.from_version else "serves"
    where = f", in {len(ranges)} partitions" if ranges else ""
    return {
        "id": f"{of.pipeline}/{of.instance}/{EventType.MODEL_ACTIVATED}/{of.generation}/{of.place}",
        "type": EventType.MODEL_ACTIVATED,
        "severity": "info",
        "time": of.time_ms,
        "pipeline": of.pipeline,
        "summary": f"{of.name} {of.version} {action} on {of.instance}{where}"
        + (f", although {of.differences}" if of.differences else ""),
        "model_version": of.version,
        "model_digest": of.digest,
        "instance": of.instance,
        "ranges": ranges,
        "model": {
            "generation": of.generation,
            "from_version": of.from_version,
            "to_version": of.version,
            "to_digest": of.digest,
        },
        "attributes": {"differences": of.differences} if of.differences else {},
    }


class Announcer:
    """Announces each serving model once per assignment. The step keeps `Announced`, and may forget it.

    `differences` gives the tolerated differences between what a package was made for and this worker.
    """

    def __init__(
        self,
        pipeline: str,
        instance: str,
        writer: RecordWriter,
        *,
        differences: Callable[[Manifest], Sequence[str]] = lambda _manifest: (),
    ) -> None:
        self._pipeline = pipeline
        self._instance = instance
        self._writer = writer
        self._differences = differences

    def announce(
        self, batch: Batch, serving: ServingModel, before: Announced | None
    ) -> tuple[Announced, Output | None]:
        """Return what is announced after `batch`, and the event if model or assignment is new."""
        manifest = serving.model.manifest
        now = Announced(serving.model.digest, serving.generation, batch.assignment, manifest.version)
        if now == before:
            return now, None
        return now, self._output(batch, serving, before)

    def _output(self, batch: Batch, serving: ServingModel, before: Announced | None) -> Output:
        event = self._event(batch, serving, before)
        event_id = str(event["id"])
        source = f"/stream-infer/{self._pipeline}/{self._instance}"
        return Output(
            channel=Channel.EVENTS,
            rows=[],
            keys=[f"{self._pipeline}/model".encode()],
            values=[self._writer.write(event)],
            headers=[cloudevents.headers(event_id, EventType.MODEL_ACTIVATED, source, batch.received_ms)],
        )

    def _event(self, batch: Batch, serving: ServingModel, before: Announced | None) -> dict[str, object]:
        ranges = [
            {"topic": p.topic, "partition": p.index, "first_offset": offset, "last_offset": None}
            for p, offset in sorted(batch.positions.items())
        ]
        first = min(batch.cursor.spans)
        digest = serving.model.digest
        return activation_event(
            Activation(
                pipeline=self._pipeline,
                instance=self._instance,
                name=serving.model.manifest.name,
                version=serving.model.manifest.version,
                digest=digest,
                generation=serving.generation,
                from_version=before.version if before and before.digest != digest else None,
                time_ms=batch.received_ms,
                place=f"{first.topic}/{first.index}/{batch.cursor.spans[first].first}",
                differences="; ".join(self._differences(serving.model.manifest)),
            ),
            ranges,
        )
