"""The codes, classes and types that operators meet, each defined once, with its meaning.

The values are stored in records, caches and logs and stay as they are; a new one is added at the end.
`docs/reference` is generated from here.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self


class DocumentedEnum(StrEnum):
    """A `StrEnum` whose members are written as value and meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class ExitCode(IntEnum):
    """The exit code of a command or a worker; `title` is its meaning in a few words."""

    title: str
    meaning: str

    def __new__(cls, value: int, title: str, meaning: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.title = title
        member.meaning = meaning
        return member

    OK = 0, "ok", "The command has done its work, or SIGTERM stopped the worker."
    FAILURE = 1, "run-time failure", "The process cannot go on, or it did not leave within 10 s of a signal."
    CONFIGURATION = 2, "usage or configuration", "The command line or the configuration has problems."
    REFUSED = 3, "package refused", "The model package must not be served."
    UNREACHABLE = 4, "broker unreachable", "No broker, or no schema registry, answered at the start."
    SLOT_TAKEN = 75, "another worker owns this slot", "A restart would fence the other worker."
    INTERRUPTED = 130, "interrupted", "SIGINT (Ctrl-C) stopped the worker or the command."


class ReadinessReason(DocumentedEnum):
    """Why a worker is not ready: an item of `waiting_for` in the answer of `/readyz`."""

    NOT_RUNNING = "worker not running", "The worker starts, or it stops and finishes its last batch."
    NO_MODEL = "no model", "No model serves yet."
    NO_ASSIGNMENT = (
        "no assignment",
        "The consumer group has assigned no partitions, or the broker does not tell their committed offsets.",
    )
    NO_COMMIT = (
        "no commit",
        "Batches have been aborted for more than 30 s and none was committed; the last reason follows.",
    )
    PARTITIONS_PAUSED = (
        "partitions paused",
        "Partitions wait for a schema of the registry, or for a partition of the output; the reason follows.",
    )
    PARTITION_HALTED = (
        "partition halted",
        "The next record of a partition is lost, and `on_lost_offset` is `halt`; the other partitions go on.",
    )
    INPUT_MISSING = "input missing", "Topics of the input do not exist; their names follow."


class RefusalCode(DocumentedEnum):
    """Why a package is refused: printed by commands, and `reason_code` of events and worker statuses."""

    NOT_A_PACKAGE = "not_a_package", "The path is neither a folder nor a zip file with a manifest."
    MISSING_FILE = "missing_file", "The manifest names a file that the package does not have."
    EXTRA_FILE = "extra_file", "The package has a file that the manifest does not name."
    UNSAFE_ARCHIVE = "unsafe_archive", "The zip file is not of the form that `package create` writes."
    UNSAFE_FILE = "unsafe_file", "The folder holds a link, a special file or a name that is not allowed."
    TOO_LARGE = "too_large", "The package or its manifest is larger than the limit."
    FORMAT = "format", "The manifest has a format version that this release does not read."
    MANIFEST = "manifest", "The manifest is not valid, or contradicts itself."
    DIGEST = "digest", "SHA-256 of a file or of the package does not match."
    SCHEMA = "schema", "The events do not have the fields, or not the types, that the features need."
    CONTAINER = "container", "The model's input frame cannot be built from the features."
    LIBRARY_VERSION = (
        "library_version",
        "Python or a library is missing, or has a version that cannot serve the model.",
    )
    RUNTIME = (
        "runtime",
        "The library that scores the model, such as ONNX Runtime or XGBoost, is not installed.",
    )
    CODE = "code", "A module in `code/` has the name of a module that the worker uses itself."
    LOAD = "load", "The model file cannot be loaded."
    OUTPUT = "output", "The model does not have the classes or methods that its output contract promises."
    GOLDEN = "golden", "The model does not give the golden answers, or the golden file cannot be read."
    BATCH_OF_ONE = (
        "batch_of_one",
        "A golden row gets another answer alone, in another order or in a full batch.",
    )
    NETWORK = "network", "The package tried to use the network while it was rehearsed."
    MEMORY = "memory", "The package needs more memory than `[model] rehearsal_memory_bytes`."
    LATENCY = "latency", "A batch of 1,000 events takes longer than `[model] rehearsal_batch_ms`."
    TIMEOUT = "timeout", "The rehearsal takes longer than `[model] rehearsal_timeout_ms`."
    CRASH = "crash", "The process that rehearsed the package ended without a result."
    NOT_IN_STORE = "not_in_store", "The model store does not hold the package."
    INTERNAL = "internal", "An error of stream_infer itself: report it."
    EMPTY = "empty", "No deployment is desired yet."
    GONE = "gone", "The model store or the control topic cannot be read."
    INVALID = "invalid", "The desired deployment cannot be parsed."
    PIPELINE = "pipeline", "The model store belongs to another pipeline."
    STALE = "stale", "A newer generation was desired before; an older one is not followed."
    BUSY = "busy", "The package cannot be tried now for lack of a resource; it is tried again."
    UNFINISHED_LOAD = (
        "unfinished_load",
        "Its load ended the worker, after its rehearsal, or took longer than `[model] rehearsal_timeout_ms`.",
    )
    PICKLE = "pickle", "Its load would run code that is in it, and `[model] pickles` refuses that."


class DeadLetterClass(DocumentedEnum):
    """Why a record is a dead letter: the header `streaminfer.error.class`, and a label of metrics."""

    NULL_VALUE = "null_value", "The record has no value (a tombstone), and tombstones are dead letters."
    EMPTY = "empty", "The value has no bytes."
    INVALID_HEADERS = (
        "invalid_headers",
        "A header name of the record is not UTF-8; the dead letter has none of its headers.",
    )
    BAD_MAGIC = "bad_magic", "The value does not begin as the configured framing does."
    UNKNOWN_SCHEMA = "unknown_schema", "No known schema has the id or fingerprint that the value names."
    SCHEMA_INCOMPATIBLE = (
        "schema_incompatible",
        "The writer's schema or value cannot be read as the reader's.",
    )
    TRUNCATED = "truncated", "The value ends before its record does."
    TRAILING_BYTES = "trailing_bytes", "Bytes follow the end of the record."
    INVALID_UTF8 = "invalid_utf8", "A string is not UTF-8."
    INVALID = "invalid", "The bytes are not a value of the schema."
    MISSING = "missing", "A feature is null, and its policy rejects nulls."
    NAN = "nan", "A feature is NaN, and its policy rejects NaN."
    INFINITE = "infinite", "A feature is infinite, and its policy rejects infinities."
    OUT_OF_PRECISION = "out_of_precision", "A whole number is beyond 2^53, where a float is not exact."
    OUT_OF_RANGE = "out_of_range", "A value is out of the range of the model's column."
    RAISED = "raised", "The model raised an exception for this row alone."
    OUTPUT_SHAPE = "output_shape", "The model's answer does not have one row for each event."
    OUTPUT_NAN = "output_nan", "The model's answer is NaN."
    OUTPUT_RANGE = "output_range", "The model's answer is infinite, or a probability outside [0, 1]."
    OUTPUT_LABEL = "output_label", "The model's label is not one of its classes."
    TOO_LARGE = "too_large", "The prediction is larger than the topic's `max.message.bytes`."
    NO_ID = "no_id", "The label does not name its prediction."
    NO_LABEL = "no_label", "The label holds neither a class nor a number."
    DECODED_TOO_LARGE = (
        "decoded_too_large",
        "The record takes more than 128 MiB once it is decoded: a small message can hold a huge array.",
    )
    TOO_LONG = "too_long", "The id, or another text, of a label or prediction has more than 1,024 characters."
    UNSEEN_CATEGORY = "unseen_category", "A feature has a value that the model does not know."


class EventType(DocumentedEnum):
    """The type of a monitoring event: its field `type` and its header `ce_type`."""

    DRIFT_DETECTED = "drift.detected", "An incident opens: a distribution, or the model's errors, changed."
    DRIFT_RESOLVED = "drift.resolved", "An incident ends."
    QUALITY = (
        "quality",
        "More dead letters, NaN or infinities; or the monitor lacks a reference, or refused frames.",
    )
    PERFORMANCE = (
        "performance",
        "A metric of one model over a window of labels, or an estimate without labels.",
    )
    MODEL_ACTIVATED = "model.activated", "A model answers from the stated offsets on."
    MODEL_REJECTED = "model.rejected", "A worker refused the desired package."
    MODEL_ROLLED_BACK = "model.rolled_back", "Someone rolled back to an earlier package."
    OFFSETS_LOST = (
        "offsets.lost",
        "Logs do not have the offsets of the group: a topic was recreated or truncated, or records expired.",
    )
    DRIFT_UPDATED = "drift.updated", "An incident goes on: something joined it, moved further, or settled."
    GROUP_BEGUN = "group.begun", "A group that had no offsets begins at the stated ones."
    LIVENESS = (
        "liveness",
        "The monitor has had no observation or label for long, by its clock; or has some again.",
    )
    INCIDENT_COMMAND = (
        "incident.command",
        "Someone acknowledges, silences, accepts, ignores or watches: what `stream-infer incident` writes.",
    )
    INCIDENT_REPLY = "incident.reply", "The monitor has taken a command, or says why it cannot."
    INCIDENT_REMINDER = (
        "incident.reminder",
        "An incident is still open and not acknowledged, or goes on after a silence; by the clock.",
    )
    HEARTBEAT = "heartbeat", "The monitor lives; by its clock."


class LogEvent(DocumentedEnum):
    """The event of a log line: its key `event`. librdkafka's own lines have other texts."""

    WORKER_STARTED = "worker started", "A worker begins to score."
    SERVING = "serving", "A model is served over HTTP; `url` says where."
    REQUEST_FAILED = (
        "request failed",
        "A request over HTTP has failed by no fault of its own; `reason` says why.",
    )
    SECRET_REPLACED = "secret replaced", "A file of tokens or of a certificate has changed and counts now."
    SECRET_UNUSABLE = (
        "secret unusable",
        "A file of tokens or of a certificate has changed and cannot be used; the one before counts on.",
    )
    WORKER_STOPPED = "worker stopped", "A worker has stopped; `reason` says why."
    PROCESS_STARTED = "worker.process_started", "The supervisor started a process."
    PROCESS_ENDED = "worker.process_ended", "A process ended; the supervisor restarts it after `restart_s`."
    MODEL_ACTIVE = "model active", "The deployer activated a package."
    MODEL_REFUSED = "model refused", "The deployer refused the desired package; the previous one serves on."
    DEPLOYMENT_UNAVAILABLE = (
        "desired deployment unavailable",
        "The store or the control topic has no valid answer now; it is asked again.",
    )
    PACKAGE_DIFFERENCE = "package difference tolerated", "The package was made for other fields or libraries."
    REFERENCE_UNAVAILABLE = "reference unavailable", "The monitor cannot read a package's reference data."
    MONITORING_PROBLEM = (
        "monitoring problem",
        "Monitoring is incomplete: a check of its topics at the start, or a summary. Scoring goes on.",
    )
    BATCH_ABORTED = "batch aborted", "A transaction was aborted; the same records are read again."
    ASSIGNMENT_CHANGED = "assignment changed", "Partitions were assigned, revoked or lost."
    PRODUCER_RENEWED = (
        "producer renewed",
        "The producer was in doubt and was replaced by one with a new epoch.",
    )
    PARTITIONS_PAUSED = (
        "partitions paused",
        "Partitions wait for a schema, or for their partition of the output; the others go on.",
    )
    PARTITIONS_RESUMED = "partitions resumed", "No partition waits for that any more."
    DEGRADED = "degraded", "Scoring goes on without its monitoring; `reasons` say why."
    RECOVERED = "no longer degraded", "The monitoring topics take records again; nothing waits."
    DEAD_LETTERS = "dead letters written", "Dead letters since the last such line, by stage and class."
    RECORD_DROPPED = "record dropped", "A status record was dropped: the broker took none."
    RECORD_NOT_WRITTEN = "record not written", "The broker refused a status record."
    CONSUMER_ERROR = "consumer error", "The Kafka consumer reported an error that it handles itself."
    OBSERVER_FAILED = "observer failed", "An observer raised and is not called again."
    HTTP_FAILED = "HTTP server failed", "Probes and metrics are gone; scoring goes on."
    NOT_FOLLOWING = (
        "not following",
        "The deployer has not asked for the desired deployment for 10 s: a load or the store does not end.",
    )
    FOLLOWING = "following again", "The deployer asks for the desired deployment again."
    SUPERVISOR_ENDED = "supervisor ended", "The supervisor was killed; its processes stop within 2 s."
    FOREIGN_MEMBERS = (
        "foreign members",
        "Consumers in the group are no worker: `members` says which partitions they have.",
    )
    FOREIGN_MEMBERS_LEFT = "foreign members left", "All consumers in the group are workers again."
    LABELS_SAMPLED = (
        "labels sampled",
        "Labels and predictions exceed `max_pending` or `max_pending_bytes`: a smaller sample is kept.",
    )
    RECORDS_REFUSED = (
        "records refused",
        "Records that the monitor refused since the last such line, by stage and class.",
    )
    NO_TOKEN = "no token", "The token provider raised; the clients ask it again every 10 s."
    ASSIGNMENT_DELAYED = (
        "assignment delayed",
        "The broker does not tell where to read the assigned partitions; it is asked again.",
    )
    ASSIGNMENT_BEGUN = "assignment begun", "All assigned partitions are read."
    SLOT_REJOINED = (
        "slot rejoined",
        "The worker joined its group anew, with a new consumer; `reason` says why.",
    )
    LINES_REPEATED = (
        "lines repeated",
        "Lines of kinds that were just written: `counts` of the last 30 s, and the `newest` of each.",
    )
    PARTITION_HALTED = (
        "partition halted",
        "The partition is not read until someone decides; `reason` says why.",
    )
    OFFSETS_LOST = (
        "offsets lost",
        "Logs do not have the offsets of the group: `reasons`, and the `offsets` where reading goes on.",
    )
    TOPICS_MISSING = "input missing", "Input topics do not exist; the worker waits for them."
    TOPICS_BACK = "input back", "All input topics exist again."
    PROCESS_EXIT = (
        "process exit called",
        "Code of a package ends the worker with `os._exit`; a status of 0 becomes exit code 1.",
    )
    RECORD_LIMIT_ASSUMED = (
        "record limit assumed",
        "A topic refused records as too large and its limit may not be read: half of the last one counts.",
    )
    READING_BEGINS = "reading begins", "The offset from which each newly assigned partition is read."
    DASHBOARD = "dashboard shown", "The page of a pipeline is shown; `url` says where."
