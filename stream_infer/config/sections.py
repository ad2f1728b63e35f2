"""The sections of worker.toml, one frozen model each.

The descriptions here are the only reference of settings: `docs/configuration.md` and the JSON schema for
editors are generated from them. Types of values are in `values`, reading the file is in `settings`, and
`[kafka]`, whose keys are librdkafka's, is in `properties`.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

from stream_infer.avro.framing import Framing
from stream_infer.config.values import (
    ConfigPath,
    DerivedDefault,
    FieldPath,
    HostDefault,
    InputTopic,
    OwnTopic,
    Start,
    Unit,
    distinct,
    invalid_value,
)
from stream_infer.kafka.offsets import OnLostOffset
from stream_infer.steps.options import OnDifference, Partitioning, Pickles, Tombstones


class Guarantee(StrEnum):
    """How often a record is answered when a worker dies: once, or at least once."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Follow(StrEnum):
    """Where the desired deployment is kept: in the store's CURRENT file, or on the control topic."""

    STORE = "store"
    TOPIC = "topic"


class Section(BaseModel):
    """A table of worker.toml: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class InputSection(Section):
    """Where events come from and how they are read. `schema` is filled in under the Confluent framing."""

    topics: Annotated[tuple[InputTopic, ...], Field(min_length=1), AfterValidator(distinct)] = Field(
        description="Topics of the events, by exact name. A pattern is not accepted.",
        examples=[["payments.transactions.events.v1"]],
    )
    framing: Framing = Field(
        default=Framing.NONE,
        description="What stands before the Avro datum in an event: nothing (`none`), the fingerprint of its "
        "schema (`single-object`), or the id of its schema in a registry (`confluent`, which needs "
        "`[schema_registry]`).",
        examples=["single-object"],
    )
    schema_path: ConfigPath | None = Field(
        alias="schema",
        description="Avro schema (`.avsc`) that the events are written with, relative to the folder of "
        "worker.toml. With `single-object` also a folder with the schema of each writer. With `confluent` it "
        "is the schema that events of all writers are resolved to, and may be left out: the model's counts.",
        examples=["schemas/transaction.avsc"],
    )
    start: Start = Field(
        default="earliest",
        description="Where a consumer group without committed offsets begins to read: at the oldest record, "
        "at the end of the topic, or at the first record from a time on, which names its time zone.",
        examples=["2026-01-31T00:00:00Z"],
    )
    on_lost_offset: OnLostOffset = Field(
        default=OnLostOffset.HALT,
        description="What happens when the next record of a partition cannot be read any more, because "
        "retention deleted it or the topic was recreated: leave the partition unread and be not ready "
        "(`halt`), or go on with the oldest record there is (`earliest`).",
        examples=["earliest"],
    )
    tombstones: Tombstones = Field(
        default=Tombstones.DEAD_LETTER,
        description="What becomes of a record without a value: a dead letter, or a counted skip.",
        examples=["skip"],
    )
    event_time: FieldPath | None = Field(
        default=None,
        description="Field of the event with its time: a timestamp, or a long in milliseconds since 1970 "
        "UTC. Nested fields with dots. Without it the timestamp of the record counts.",
        examples=["ts"],
    )

    @property
    def start_at(self) -> str | int:
        """`earliest`, `latest`, or Unix milliseconds."""
        return self.start if isinstance(self.start, str) else int(self.start.timestamp() * 1000)


class OutputSection(Section):
    """Where predictions go, and what they carry. `topic` and `framing` are filled in before validation."""

    topic: Annotated[OwnTopic, DerivedDefault("pipeline", "{}.predictions.v1")] = Field(
        description="Topic of the predictions.",
        examples=["payments.fraud.predictions.v1"],
    )
    framing: Annotated[Framing, DerivedDefault("input.framing", "{}")] = Field(
        description="Framing of predictions and monitoring events.",
        examples=["single-object"],
    )
    partitioning: Partitioning = Field(
        default=Partitioning.SOURCE,
        description="Partition of a prediction: the number of the event's partition (`source`; the output "
        "has at least as many partitions as each input), or a hash of the record key (`key`).",
        examples=["key"],
    )
    copy_fields: Annotated[tuple[FieldPath, ...], AfterValidator(distinct)] = Field(
        default=(),
        alias="copy",
        description="Fields of the event that its prediction carries as text, in `copied`. Nested fields "
        "with dots.",
        examples=[["transaction_id"]],
    )


class DeadLetterSection(Section):
    """Where records go that cannot be scored. `topic` is filled in before validation."""

    topic: Annotated[OwnTopic, DerivedDefault("input.topics", "dlq.{}")] = Field(
        description="Topic of the dead letters.",
        examples=["dlq.payments.transactions.events.v1"],
    )


def _package_or_store(package: Path | None, info: ValidationInfo) -> Path | None:
    if (package is None) == (info.data.get("store") is None):
        state = "is missing, and so is a store" if package is None else "is set beside a store"
        raise invalid_value(state, 'set either package = "models/fraud-1.2.0" or store = "models/"')
    return package


class ModelSection(Section):
    """Which model package serves, and what it may take. The topics are filled in before validation."""

    store: ConfigPath | None = Field(
        default=None,
        description="Folder of the model store, relative to the folder of worker.toml: workers follow the "
        "deployment that is desired there. Either this or `package`.",
        examples=["models/"],
    )
    package: Annotated[ConfigPath | None, AfterValidator(_package_or_store)] = Field(
        default=None,
        validate_default=True,
        description="Folder or zip file of the one package that serves, relative to the folder of "
        "worker.toml. Either this or `store`.",
        examples=["models/fraud-1.2.0"],
    )
    follow: Follow = Field(
        default=Follow.STORE,
        description="Where workers read the desired deployment: in the store's CURRENT file (`store`), or on "
        "the control topic (`topic`), for machines that share no volume.",
        examples=["topic"],
    )
    on_difference: OnDifference = Field(
        default=OnDifference.WARN,
        description="What a difference leads to that may be harmless (a promoted type, another version of a "
        "library): a warning, or the refusal of the package.",
        examples=["refuse"],
    )
    pickles: Pickles = Field(
        default=Pickles.LOAD,
        description="What becomes of packages whose load runs code that is in them (a pickle, modules in "
        "`code/`): they are loaded, or refused. ONNX, skops and boosters' own formats are data.",
        examples=["refuse"],
    )
    rehearsal_timeout_ms: Annotated[int, Unit("milliseconds")] = Field(
        default=60_000,
        ge=1,
        le=3_600_000,
        description="Most time that the rehearsal of a package may take, in milliseconds.",
        examples=[120_000],
    )
    rehearsal_memory_bytes: Annotated[int, Unit("bytes")] = Field(
        default=2 * 2**30,
        ge=1,
        le=2**50,
        description="Most memory that a package may need beside the libraries, in bytes.",
        examples=[4 * 2**30],
    )
    rehearsal_batch_ms: Annotated[int, Unit("milliseconds")] = Field(
        default=1_000,
        ge=0,
        le=3_600_000,
        description="Most time that a batch of 1,000 events may take (median), in milliseconds.",
        examples=[200],
    )
    history_generations: Annotated[int, Unit("deployments")] = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Least number of deployments that the history of the store keeps. `model promote` and "
        "`rollback` remove one that is neither among them nor younger than `history_days`, and copies of "
        "packages that no deployment names any more; never one that is desired, serves or is the fallback.",
        examples=[1_000],
    )
    history_days: Annotated[float, Unit("days")] = Field(
        default=30.0,
        ge=0,
        le=36_500,
        description="Least time for which the history of the store keeps a deployment, in days.",
        examples=[365.0],
    )
    status_topic: Annotated[OwnTopic, DerivedDefault("pipeline", "{}.model-status.v1")] = Field(
        description="Topic with the status of each worker, compacted. Used with a store.",
        examples=["payments.fraud.model-status.v1"],
    )
    control_topic: Annotated[OwnTopic, DerivedDefault("pipeline", "{}.model-control.v1")] = Field(
        description='Topic with the desired deployment, compacted. Used with `follow = "topic"`.',
        examples=["payments.fraud.model-control.v1"],
    )


class DeliverySection(Section):
    """What is promised when a worker dies."""

    guarantee: Guarantee = Field(
        default=Guarantee.EXACTLY_ONCE,
        description="How often an event has its prediction when a worker dies: once (`exactly_once`, by "
        "transactions), or once or more (`at_least_once`).",
        examples=["at_least_once"],
    )


class WorkerSection(Section):
    """This worker among the others of its pipeline, and the size and rhythm of its batches."""

    slot: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$"), HostDefault("<host name>-0")
    ] = Field(
        default_factory=lambda: f"{socket.gethostname()}-0",
        description="Stable name of this worker in its pipeline. Each worker has its own and keeps it over "
        "restarts.",
        examples=["0"],
    )
    max_batch_records: Annotated[int, Unit("records")] = Field(
        default=50_000,
        ge=1,
        le=1_000_000,
        description="Most records in a batch.",
        examples=[20_000],
    )
    max_batch_bytes: Annotated[int, Unit("bytes")] = Field(
        default=64 * 2**20,
        ge=1,
        le=2**30,
        description="Most bytes of values in a batch, estimated from the mean size of the records before.",
        examples=[16 * 2**20],
    )
    commit_interval_ms: Annotated[int, Unit("milliseconds")] = Field(
        default=20,
        ge=0,
        le=60_000,
        description="Least time between two batches that are not full, in milliseconds.",
        examples=[100],
    )
    latency_goal_ms: Annotated[int, Unit("milliseconds")] = Field(
        default=100,
        ge=1,
        le=60_000,
        description="Time from reading an event to its committed prediction that batches aim at, in "
        "milliseconds. A backlog makes batches larger.",
        examples=[50],
    )


class HttpSection(Section):
    """Where probes and metrics answer."""

    host: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1",
        description="Address of `/livez`, `/readyz` and `/metrics`. There is no authentication.",
        examples=["0.0.0.0"],  # noqa: S104 - an example of the documentation
    )
    port: int = Field(
        default=8900,
        ge=0,
        le=65_535,
        description="TCP port; 0 takes any free one. With `run --workers N`, worker i answers on port + i.",
        examples=[9000],
    )
