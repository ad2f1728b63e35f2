"""The sections of worker.toml about monitoring: events with their alarm budget, and labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stream_infer.avro.framing import Framing
from stream_infer.config.sections import Section
from stream_infer.config.values import (
    ConfigPath,
    DerivedDefault,
    FieldPath,
    InputTopic,
    Milliseconds,
    OwnTopic,
    Unit,
    distinct,
)
from stream_infer.steps.options import JoinBy


class MonitoringSection(Section):
    """Where monitoring events go, and how often they may be wrong. Topics are filled in before validation."""

    topic: Annotated[OwnTopic | None, DerivedDefault("pipeline", "{}.monitoring.v1", "model.store")] = Field(
        default=None,
        description="Topic of the monitoring events. Without it nothing is monitored.",
        examples=["payments.fraud.monitoring.v1"],
    )
    observations_topic: Annotated[OwnTopic, DerivedDefault("pipeline", "{}.observations.v1")] = Field(
        description="Topic of the observation frames, which workers write and the monitor reads.",
        examples=["payments.fraud.observations.v1"],
    )
    state_topic: Annotated[OwnTopic, DerivedDefault("pipeline", "{}.monitor-state.v1")] = Field(
        description="Topic with the state of the monitor, compacted.",
        examples=["payments.fraud.monitor-state.v1"],
    )
    false_alarms: Annotated[float, Unit("incidents")] = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Alarm budget: about so many false incidents at most in `false_alarm_days`, over all "
        "signals and partitions. The thresholds of the detectors follow from it.",
        examples=[2.0],
    )
    false_alarm_days: Annotated[float, Unit("days")] = Field(
        default=30.0, gt=0, le=36_500, description="Time of the alarm budget, in days.", examples=[7.0]
    )
    events_per_s: Annotated[float, Unit("events per second")] = Field(
        default=100.0,
        gt=0,
        le=1e9,
        description="Expected rate of the events in all partitions together, in events per second. The alarm "
        "budget holds at this rate.",
        examples=[2_000.0],
    )
    detectors: Annotated[
        tuple[Literal["PageHinkley", "ADWIN", "KSWIN"], ...], Field(min_length=1), AfterValidator(distinct)
    ] = Field(
        default=("PageHinkley", "ADWIN"),
        description="Change detectors of each signal: `PageHinkley` for large changes at once, `ADWIN` for "
        "small ones that last, `KSWIN` for changes of the distribution.",
        examples=[["PageHinkley", "ADWIN", "KSWIN"]],
    )
    compare: Annotated[tuple[Literal["PSI", "KS"], ...], AfterValidator(distinct)] = Field(
        default=("PSI",),
        description="Comparisons with the training data in the package: the population stability index "
        "(`PSI`), the Kolmogorov-Smirnov distance (`KS`), or none (`[]`).",
        examples=[["PSI", "KS"]],
    )
    max_silence_ms: Milliseconds = Field(
        default="5m",
        validate_default=True,
        alias="max_silence",
        description="Longest time without an observation, by the monitor's clock: a number and `s`, `m`, `h` "
        "or `d`. After it, and after twice the longest of the last 100 gaps, the monitor tells.",
        examples=["1h"],
    )
    remind_every_ms: Milliseconds = Field(
        default="4h",
        validate_default=True,
        alias="remind_every",
        description="How often an open incident of severity warning or critical is told again, until someone "
        "acknowledges it: a number and `s`, `m`, `h` or `d`, by the monitor's clock.",
        examples=["30m"],
    )
    heartbeat_every_ms: Milliseconds = Field(
        default="5m",
        validate_default=True,
        alias="heartbeat_every",
        description="How often the monitor writes that it lives: a number and `s`, `m`, `h` or `d`.",
        examples=["1m"],
    )


class LabelsSection(Section):
    """Where labels come from, and how they are joined. `framing` is filled in before validation."""

    topic: InputTopic | None = Field(
        default=None,
        description="Topic of the labels: ground truth that comes later. Without it nothing is joined.",
        examples=["payments.transactions.labels.v1"],
    )
    framing: Annotated[Framing, DerivedDefault("input.framing", "{}")] = Field(
        description="Framing of the labels.", examples=["none"]
    )
    schema_path: ConfigPath | None = Field(
        default=None,
        alias="schema",
        description="Avro schema (`.avsc`) of the labels, relative to the folder of worker.toml. Without it "
        "labels are records of `schemas/Label.avsc`.",
        examples=["schemas/outcome.avsc"],
    )
    join: JoinBy = Field(
        default=JoinBy.PREDICTION_ID,
        description="What a label and its prediction have in common: the id of the prediction "
        "(`prediction_id`), or the record key, which then names one event (`key`).",
        examples=["key"],
    )
    id_field: FieldPath = Field(
        default="prediction_id",
        description='Field of the label with the id of the prediction, for `join = "prediction_id"`.',
        examples=["prediction"],
    )
    label_field: FieldPath = Field(
        default="label",
        description="Field of the label with the true class, or the true number of a regressor.",
        examples=["is_fraud"],
    )
    time_field: FieldPath | None = Field(
        default=None,
        description="Field of the label with the time from which the truth is known: a timestamp, or a long "
        "in milliseconds since 1970 UTC. Without it the timestamp of the record counts.",
        examples=["decided_at"],
    )
    max_delay_ms: Milliseconds = Field(
        default="7d",
        validate_default=True,
        alias="max_delay",
        description="How long a prediction waits for its label: a number and `s`, `m`, `h` or `d`. A label "
        "that comes later is `late`.",
        examples=["36h"],
    )
    max_early_ms: Milliseconds = Field(
        default="10m",
        validate_default=True,
        alias="max_early",
        description="How long a label waits for its prediction: a number and `s`, `m`, `h` or `d`.",
        examples=["90s"],
    )
    corrected_within_ms: Milliseconds | None = Field(
        default=None,
        alias="corrected_within",
        description="How long a label may be corrected: a number and `s`, `m`, `h` or `d`. Of several labels "
        "of one prediction the one with the latest `time_field` counts, and each window waits so long. "
        "Without it the first counts.",
        examples=["2d"],
    )
    max_pending: Annotated[int, Unit("ids")] = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        description="Most ids in memory. Above it, the monitor keeps a sample by a hash of the id and "
        "reports its share.",
        examples=[1_000_000],
    )
    max_pending_bytes: Annotated[int, Unit("bytes")] = Field(
        default=512 * 2**20,
        ge=2**20,
        le=2**40,
        description="Most memory for what waits, with its stored state, in bytes. Above it, the sample "
        "becomes smaller, as above `max_pending`.",
        examples=[2**30],
    )
    window: Annotated[int, Unit("offsets")] = Field(
        default=200,
        ge=10,
        le=100_000,
        description="Size of a window of labels, in offsets of a partition. Each window gives one value of "
        "each metric.",
        examples=[500],
    )
