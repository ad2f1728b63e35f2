"""Dead letters: the record as it came, and why it was turned away, in headers (DESIGN 1.5).

Names of headers follow Kafka 4.4's own (KIP-1191) where it has them. Whether a record is turned away is
decided elsewhere; where dead letters go is the sink's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.flow.records import Batch, Channel, Header, Headers, Output, Rejected
from stream_infer.steps.scoring.size import headers_bytes, record_bytes

MESSAGE_LIMIT = 1000
"""Characters of a message: names of fields are the producer's, and need not be short."""


@dataclass(frozen=True, slots=True)
class DeadLetterContext:
    """What all dead letters of a worker share: the consumer group and the topic's limit for one record."""

    group_id: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class _Letter:
    key: bytes | None
    value: bytes | None
    headers: Headers


def dead_letters(
    batch: Batch, rejected: Sequence[Rejected], head: DeadLetterContext, *, model_version: str
) -> Output:
    """Return one dead letter for each of `rejected`, in their order.

    Key, value bytes and headers are the record's own, untouched; the reason follows in added headers. A
    record over the limit goes by reference: without its value, then its headers, then its key, until it
    fits.
    """
    letters = [_letter(batch, reject, head, model_version) for reject in rejected]
    return Output(
        channel=Channel.DEAD_LETTERS,
        rows=[reject.row for reject in rejected],
        keys=[letter.key for letter in letters],
        values=[letter.value for letter in letters],
        headers=[letter.headers for letter in letters],
    )


def _letter(batch: Batch, reject: Rejected, head: DeadLetterContext, model_version: str) -> _Letter:
    row = reject.row
    key, value, original = batch.keys[row], batch.values[row], batch.headers[row] or ()
    reason = _reason(batch, reject, head, model_version)
    whole = _Letter(key, value, (*original, *reason))
    if _fits(whole, head):
        return whole
    if value is not None:
        reason.append(_header("streaminfer.value.omitted", len(value)))
    by_reference = _Letter(key, None, (*original, *reason))
    if _fits(by_reference, head):
        return by_reference
    if original:
        reason.append(_header("streaminfer.headers.omitted", headers_bytes(original)))
    bare = _Letter(key, None, tuple(reason))
    if key is None or _fits(bare, head):
        return bare
    reason.append(_header("streaminfer.key.omitted", len(key)))
    return _Letter(None, None, tuple(reason))


def _fits(letter: _Letter, head: DeadLetterContext) -> bool:
    return record_bytes(letter.key, letter.value, letter.headers) <= head.limit_bytes


def _reason(batch: Batch, reject: Rejected, head: DeadLetterContext, model_version: str) -> list[Header]:
    source = batch.source(reject.row)
    return [
        _header("__dlq.errors.topic", source.topic),
        _header("__dlq.errors.partition", source.index),
        _header("__dlq.errors.offset", batch.offset[reject.row]),
        _header("__dlq.errors.group", head.group_id),
        _header("__dlq.errors.message", reject.message[:MESSAGE_LIMIT]),
        _header("streaminfer.error.stage", reject.stage.value),
        _header("streaminfer.error.class", reject.error_class),
        _header("streaminfer.model.version", model_version),
        _header("streaminfer.source.timestamp", batch.timestamp_ms[reject.row]),
    ]


def _header(name: str, value: str | int) -> Header:
    return name, str(value).encode("utf-8", "backslashreplace")
