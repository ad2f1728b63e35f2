"""The state of the monitor as documents on a compacted topic: the committed ones, and those under way.

A document is JSON under a key; the topic keeps the newest of each key. One of them holds positions: up to
which offset of each input partition the state has come. It is in every outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stream_infer.flow.records import Batch, Channel, Output, Partition

_POSITIONS = "positions"


class StateDocuments:
    """The documents of a pipeline: key without the pipeline -> JSON.

    `incarnations` has the topic id of each topic by name: the offsets of a topic mean nothing in another one
    that was created under the same name later.
    """

    def __init__(self, pipeline: str, incarnations: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._incarnations = incarnations
        self._committed: dict[str, bytes] = {}
        self._pending: dict[str, bytes | None] = {}

    @property
    def committed(self) -> Mapping[str, bytes]:
        """The newest documents that were committed."""
        return self._committed

    def restore(self, documents: Mapping[str, bytes]) -> Mapping[str, Any]:
        """Take over committed documents; return them parsed."""
        self._committed, self._pending = dict(documents), {}
        return {key: json.loads(value) for key, value in self._committed.items()}

    def position(self, partition: Partition) -> int:
        """Return the next offset of `partition`, 0 where the state knows of none."""
        return self._positions().get(self._place(partition), 0)

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
        pending = {
            key: None if document is None else _json(document)
            for key, document in documents.items()
            if document is not None or key in self._committed
        }
        positions = self._positions() | {self._place(p): span.next for p, span in batch.cursor.spans.items()}
        self._pending = pending | {_POSITIONS: _json(positions)}
        return Output(
            channel=Channel.STATE,
            rows=[],
            keys=[f"{self._pipeline}/{key}".encode() for key in self._pending],
            values=list(self._pending.values()),
            headers=[None] * len(self._pending),
        )

    def _positions(self) -> dict[str, int]:
        positions: dict[str, int] = json.loads(self._committed.get(_POSITIONS, b"{}"))
        return positions

    def _place(self, partition: Partition) -> str:
        place = f"{partition.topic}/{partition.index}"
        incarnation = self._incarnations.get(partition.topic)
        return place if incarnation is None else f"{place}@{incarnation}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
