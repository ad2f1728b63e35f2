"""The state of the monitor as documents on a compacted topic: the committed ones, and those under way.

A document is JSON under a key; the topic keeps the newest of each key. One that is longer than a record of
the topic may be goes on under further keys. One of them holds positions: up to which offset of each input
partition the state has come. It is in every outcome.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from stream_infer.flow.records import Batch, Channel, Output, Partition

_POSITIONS = "positions"
_FURTHER = "\x00"
"""Between a key and the number of a further part; in no key of a document."""
_HEADROOM_BYTES = 1_000
"""Of a record, for all but its key and value."""
_LEAST_PART_BYTES = 100


class StateDocuments:
    """The documents of a pipeline: key without the pipeline -> JSON, or a part of it.

    `record_limit` is asked for the most bytes that the topic takes as one record. Positions are kept by topic
    id: the offsets of a topic mean nothing in another one that was created under the same name later.
    """

    def __init__(self, pipeline: str, record_limit: Callable[[], int]) -> None:
        self._pipeline = pipeline
        self._record_limit = record_limit
        self._committed: dict[str, bytes] = {}
        self._pending: dict[str, bytes | None] = {}

    @property
    def committed(self) -> Mapping[str, bytes]:
        """The newest documents that were committed."""
        return self._committed

    def restore(self, documents: Mapping[str, bytes]) -> Mapping[str, Any]:
        """Take over committed documents; return them parsed."""
        self._committed, self._pending = dict(documents), {}
        return {key: json.loads(self._text(key)) for key in self._committed if _FURTHER not in key}

    def position(self, partition: Partition, topic_id: str) -> int:
        """Return the next offset of `partition`, 0 where the state knows of none."""
        return self._positions().get(_place(partition, topic_id), 0)

    def commit(self) -> None:
        """Count the documents of the last `change` as committed."""
        for key, value in self._pending.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        self._pending = {}

    def change(self, documents: Mapping[str, object], batch: Batch) -> Output:
        """Return `documents` that changed in `batch` and the new positions as an output.

        A document that is gone is None; if it was never committed it leaves no trace.
        """
        positions = self._positions() | {
            _place(p, batch.topic_ids.get(p, "")): span.next for p, span in batch.cursor.spans.items()
        }
        self._pending = {}
        for key, document in {**documents, _POSITIONS: positions}.items():
            self._pending |= dict.fromkeys(self._parts(key))
            if document is not None:
                self._pending |= self._split(key, _json(document))
        return Output(
            channel=Channel.STATE,
            rows=[],
            keys=[f"{self._pipeline}/{key}".encode() for key in self._pending],
            values=list(self._pending.values()),
            headers=[None] * len(self._pending),
        )

    def _parts(self, key: str) -> Iterator[str]:
        """Yield the committed keys of the document under `key`."""
        for number in count():
            part = _part(key, number)
            if part not in self._committed:
                return
            yield part

    def _text(self, key: str) -> bytes:
        return b"".join(self._committed[part] for part in self._parts(key))

    def _split(self, key: str, text: bytes) -> Mapping[str, bytes]:
        most = self._record_limit() - len(f"{self._pipeline}/{key}".encode()) - _HEADROOM_BYTES
        size = max(_LEAST_PART_BYTES, most)
        return {_part(key, at // size): text[at : at + size] for at in range(0, len(text), size)}

    def _positions(self) -> dict[str, int]:
        positions: dict[str, int] = json.loads(self._text(_POSITIONS) or b"{}")
        return positions


def _place(partition: Partition, topic_id: str) -> str:
    place = f"{partition.topic}/{partition.index}"
    return f"{place}@{topic_id}" if topic_id else place


def _part(key: str, number: int) -> str:
    return f"{key}{_FURTHER}{number}" if number else key


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
