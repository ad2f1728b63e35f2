"""Dead letters: the record as it came, with the reason in headers.

Names of headers follow KIP-1191 (dead letter queues of Kafka Streams) where it has them. Which record is
rejected is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.flow.records import Batch, Channel, Header, Headers, Output, Rejected
from stream_infer.steps.scoring.size import headers_bytes, record_bytes

MESSAGE_LIMIT = 1000
"""Most characters of a message: it may quote field names, which are the producer's and may be long."""


@dataclass(frozen=True, slots=True)
class DeadLetterContext:
    """The same for all dead letters of a worker: the consumer group, and the topic's limit for one record."""

    group_id: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class _Letter:
    key: bytes | None
    value: bytes | None
    headers: Headers


def dead_letters(
    batch: Batch, rejected: Sequence[Rejected], context: DeadLetterContext, *, model_version: str
) -> Output:
    """Return one dead letter for each of `rejected`, in their order.

    Key, value bytes and headers are the record's own, untouched; the reason follows in added headers. A
    record over the limit goes by reference: without its value, then its headers, then its key, until it
    fits.
    """
    letters = [_letter(batch, reject, context, model_version) for reject in rejected]
    return Output(
        channel=Channel.DEAD_LETTERS,
        rows=[reject.row for reject in rejected],
        keys=[letter.key for letter in letters],
        values=[letter.value for letter in letters],
        headers=[letter.headers for letter in letters],
    )


def _letter(batch: Batch, reject: Rejected, context: DeadLetterContext, model_version: str) -> _Letter:
    row = reject.row
    key, value, original = batch.keys[row], batch.values[row], batch.headers[row] or ()
    reason = _reason(batch, reject, context, model_version)
    whole = _Letter(key, value, (*original, *reason))
    if _fits(whole, context):
        return whole
    if value is not None:
        reason.append(_header("streaminfer.value.omitted", len(value)))
    by_reference = _Letter(key, None, (*original, *reason))
    if _fits(by_reference, context):
        return by_reference
    if original:
        reason.append(_header("streaminfer.headers.omitted", headers_bytes(original)))
    bare = _Letter(key, None, tuple(reason))
    if key is None or _fits(bare, context):
        return bare
    reason.append(_header("streaminfer.key.omitted", len(key)))
    return _Letter(None, None, tuple(reason))


def _fits(letter: _Letter, context: DeadLetterContext) -> bool:
    return record_bytes(letter.key, letter.value, letter.headers) <= context.limit_bytes


def _reason(batch: Batch, reject: Rejected, context: DeadLetterContext, model_version: str) -> list[Header]:
    source = batch.source(reject.row)
    return [
        _header("__dlq.errors.topic", source.topic),
        _header("__dlq.errors.partition", source.index),
        _header("__dlq.errors.offset", batch.offset[reject.row]),
        _header("__dlq.errors.group", context.group_id),
        _header("__dlq.errors.message", reject.message[:MESSAGE_LIMIT]),
        _header("streaminfer.error.stage", reject.stage.value),
        _header("streaminfer.error.class", reject.error_class),
        _header("streaminfer.model.version", model_version),
        _header("streaminfer.source.timestamp", batch.timestamp_ms[reject.row]),
    ]


def _header(name: str, value: str | int) -> Header:
    return name, str(value).encode("utf-8", "backslashreplace")
