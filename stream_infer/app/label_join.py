"""How the labels of a pipeline are joined with its predictions, and how that shows in metrics."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from stream_infer.app.label_format import label_format
from stream_infer.app.package_references import PackagedOutputMeanings
from stream_infer.avro import topic_schemas
from stream_infer.avro.confluent import Writer
from stream_infer.avro.decode import Decoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.config.limits_section import LABEL_METRICS
from stream_infer.config.settings import Settings
from stream_infer.drift.labels import JoinPolicy
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.ops.metrics import LabelsWaiting, Metrics
from stream_infer.steps.monitoring.label_join import LabelJoinSettings
from stream_infer.steps.monitoring.label_readers import PREDICTION_FIELDS, LabelReader, PredictionReader
from stream_infer.steps.monitoring.monitor import MonitorStep

_LOG = logging.getLogger("stream_infer")


def label_join_settings(settings: Settings, registered: Mapping[bytes, Writer]) -> LabelJoinSettings | None:
    """Return how labels are joined; None where there are none. Raises `Misconfigured`.

    `registered` are the writers that a schema registry knows.
    """
    labels = settings.labels
    if labels.topic is None:
        return None
    known = label_format(labels)
    said, *earlier = prediction_decoders(settings.output.framing, registered)
    truths = _decoder(labels.framing, known.schema, known.fields.paths, registered)
    limited = {name: getattr(settings.limits, name) for name in LABEL_METRICS}
    return LabelJoinSettings(
        settings.output.topic,
        labels.topic,
        PredictionReader(said, labels.join, earlier),
        LabelReader(truths, known.fields),
        PackagedOutputMeanings(settings),
        JoinPolicy(
            labels.max_delay_ms,
            labels.max_early_ms,
            labels.max_pending,
            labels.window,
            labels.max_pending_bytes,
            labels.corrected_within_ms or 0,
        ),
        limits={name: limit for name, limit in limited.items() if limit is not None},
    )


def label_framings(settings: Settings) -> Collection[Framing]:
    """Return the framings of predictions and labels; none where there are no labels."""
    return () if settings.labels.topic is None else {settings.output.framing, settings.labels.framing}


def companion_inputs(settings: Settings) -> Sequence[str]:
    """Return the topics that are read beside the observation frames."""
    return [] if settings.labels.topic is None else [settings.output.topic, settings.labels.topic]


class LabelCounts:
    """An observer that shows the outcomes of labels in metrics, after each committed batch.

    A line of the log says when the sample became smaller.
    """

    def __init__(self, step: MonitorStep, metrics: Metrics) -> None:
        self._step = step
        self._metrics = metrics
        self._told_coverage = 1.0

    def __call__(self, event: Event, /) -> None:
        join = self._step.label_join
        if isinstance(event, BatchCommitted) and join is not None:
            waiting = LabelsWaiting(join.remembered, join.size_bytes, join.coverage)
            self._metrics.labelled(join.totals, waiting)
            if join.coverage < self._told_coverage:
                self._told_coverage = join.coverage
                _LOG.warning(LogEvent.LABELS_SAMPLED, extra=asdict(waiting))


def prediction_decoders(framing: Framing, registered: Mapping[bytes, Writer]) -> Sequence[Decoder]:
    """Return the decoders of predictions of this release and, where no head tells them, of earlier ones."""
    now, earlier = topic_schemas.topic_schema("Prediction"), topic_schemas.earlier_schemas("Prediction")
    if framing is Framing.NONE:
        return [Decoder(framing, [one], PREDICTION_FIELDS) for one in (now, *earlier)]
    if framing is Framing.SINGLE_OBJECT:
        return [Decoder(framing, [now, *earlier], PREDICTION_FIELDS)]
    return [_decoder(framing, now, PREDICTION_FIELDS, registered)]


def _decoder(
    framing: Framing, schema: Schema, paths: Sequence[str], registered: Mapping[bytes, Writer]
) -> Decoder:
    known = [] if framing is Framing.CONFLUENT else [schema]
    return Decoder(framing, known, paths, reader=schema, registered=registered)
