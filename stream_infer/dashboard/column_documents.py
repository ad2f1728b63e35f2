"""What the page gets of features and scores: a line of each, and the distributions and strips in view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from stream_infer.dashboard.column_history import ColumnName, ColumnNow, share_distance
from stream_infer.dashboard.documents import Document, finite
from stream_infer.dashboard.pipeline_state import PipelineState
from stream_infer.dashboard.time_buckets import SPANS
from stream_infer.drift.reference import ReferenceColumn

_CATEGORIES_SHOWN = 20
_NUMBERS = frozenset({"feature.number", "output.number"})


def columns_document(state: PipelineState) -> tuple[Document, list[Document]]:
    """Return a line of each column, and the details of each in the same order.

    The model is the one that was activated last, else the one whose frames came last.
    """
    window, columns = state.columns.now(state.timeline.serving_digest)
    if window is None:
        return {"model_version": None, "columns": [], "left_out": 0}, []
    frame = window.frame
    head = {
        "model_version": frame.version,
        "has_reference": state.columns.has_reference(frame.digest),
        "since_ms": window.opened_ms,
        "until_ms": window.closed_ms,
        "sampled": frame.sampled,
        "records": frame.records,
        "left_out": state.columns.left_out + len(frame.signals) - len(columns),
        "columns": [_line(one, state) for one in columns],
    }
    return head, [_details(one) for one in columns]


def strip_document(state: PipelineState, name: ColumnName, now_ms: int) -> Document:
    """Return the strip of a column over each span of time."""
    strips = {span.name: state.columns.strip(name, span, now_ms) for span in SPANS}
    return {name: {"time_ms": times, "departure": values} for name, (times, values) in strips.items()}


def column_bands(state: PipelineState, column: str) -> list[Document]:
    """Return the incidents of a feature, as they are drawn on its strip."""
    return [
        {
            "id": one.id,
            "from_ms": one.opened_ms,
            "to_ms": None if one.is_open else one.told[-1].time_ms,
            "severity": one.severity,
        }
        for one in state.incidents.concerning(column)
    ]


def _line(one: ColumnNow, state: PipelineState) -> Document:
    kind, name = one.name
    summary, reference = one.summary, one.reference
    is_number = kind in _NUMBERS
    shares = {"nulls": summary.nulls, "non_finite": summary.non_finite}
    outside = None
    if reference is not None and len(summary.bins) == len(reference.shares) and summary.count:
        beyond = summary.bins[0] + summary.bins[-1] if is_number else summary.bins[-1]
        outside = beyond / summary.count
    line = {
        "kind": kind,
        "name": name,
        "rows": summary.count,
        "departure": one.departure,
        "distance": share_distance(summary, reference),
        "mean": summary.mean if is_number and summary.count else None,
        "stddev": summary.variance**0.5 if is_number and summary.count else None,
        "low": summary.low if is_number and summary.count else None,
        "high": summary.high if is_number and summary.count else None,
        "reference_mean": reference.mean if is_number and reference is not None else None,
        "reference_stddev": reference.stddev if is_number and reference is not None else None,
        "outside": outside,
        **{share: count / one.records if one.records else None for share, count in shares.items()},
        "incidents": [one.id for one in state.incidents.concerning(name) if one.is_open],
    }
    return _checked(line)


def _details(one: ColumnNow) -> Document:
    summary, reference = one.summary, one.reference
    if reference is None or len(summary.bins) != len(reference.shares) or not summary.count:
        return {"labels": [], "now": [], "reference": []}
    now = [count / summary.count for count in summary.bins]
    if one.name[0] in _NUMBERS:
        return {"labels": _bin_labels(reference), "now": now, "reference": list(reference.shares)}
    return _most_frequent(reference, now)


def _most_frequent(reference: ReferenceColumn, now: Sequence[float]) -> Document:
    """Return the shares of the categories that are most frequent on either side, and of all others."""
    listed = list(zip([*reference.categories, "not in training"], now, reference.shares, strict=True))
    known, unseen = listed[:-1], listed[-1]
    ordered = sorted(known, key=lambda item: (-max(item[1], item[2]), item[0]))
    shown, others = ordered[:_CATEGORIES_SHOWN], ordered[_CATEGORIES_SHOWN:]
    if others:
        rest = sum(item[1] for item in others), sum(item[2] for item in others)
        shown = [*shown, (f"{len(others)} others", *rest)]
    shown = [*shown, unseen]
    return {
        "labels": [item[0] for item in shown],
        "now": [item[1] for item in shown],
        "reference": [item[2] for item in shown],
    }


def _bin_labels(reference: ReferenceColumn) -> list[str]:
    edges = [f"{edge:.4g}" for edge in reference.edges]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"above {edges[-1]}"]


def _checked(line: Mapping[str, Any]) -> Document:
    checked = finite(line)
    return checked if isinstance(checked, Mapping) else {}
