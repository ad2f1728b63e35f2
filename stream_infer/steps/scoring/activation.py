"""The event `model.activated`: from which offset of which partitions a model answers.

It is committed with the first batch that the model answers under an assignment, so it holds exactly when the
predictions do: aborted with them, and made anew from the batch that is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        manifest, digest = serving.model.manifest, serving.model.digest
        ranges = [
            {"topic": p.topic, "partition": p.index, "first_offset": offset, "last_offset": None}
            for p, offset in sorted(batch.positions.items())
        ]
        first = min(batch.cursor.spans)
        from_version = before.version if before and before.digest != digest else None
        action = f"replaces {from_version}" if from_version else "serves"
        differences = "; ".join(self._differences(manifest))
        return {
            "id": f"{self._pipeline}/{self._instance}/{EventType.MODEL_ACTIVATED}/{serving.generation}/"
            f"{first.topic}/{first.index}/{batch.cursor.spans[first].first}",
            "type": EventType.MODEL_ACTIVATED,
            "severity": "info",
            "time": batch.received_ms,
            "pipeline": self._pipeline,
            "summary": f"{manifest.name} {manifest.version} {action} on {self._instance}, "
            f"in {len(ranges)} partitions" + (f", although {differences}" if differences else ""),
            "model_version": manifest.version,
            "model_digest": digest,
            "instance": self._instance,
            "ranges": ranges,
            "model": {
                "generation": serving.generation,
                "from_version": from_version,
                "to_version": manifest.version,
                "to_digest": digest,
            },
            "attributes": {"differences": differences} if differences else {},
        }
