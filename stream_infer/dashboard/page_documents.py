"""All documents of the page, from the state of a pipeline."""

from __future__ import annotations

from stream_infer.dashboard import column_documents, documents
from stream_infer.dashboard.documents import Document, ReadingProgress
from stream_infer.dashboard.pipeline_state import PipelineState

Sections = dict[str, Document]
"""The documents of the page by the name of their section."""


def figure_documents(state: PipelineState, pipeline: str, reading: ReadingProgress, now_ms: int) -> Sections:
    """Return the sections that change by themselves."""
    return {
        "head": documents.head_document(state, pipeline, reading, now_ms),
        "workers": documents.workers_document(state),
        "letters": documents.letters_document(state),
    }


def event_documents(state: PipelineState) -> Sections:
    """Return the sections that change only with events and deployments."""
    return {
        "timeline": documents.timeline_document(state),
        "incidents": documents.incidents_document(state),
        "metrics": documents.metrics_document(state),
    }


def frame_documents(state: PipelineState, now_ms: int) -> tuple[Sections, list[Document]]:
    """Return the sections of observation frames, and the details of each column."""
    head, details = column_documents.columns_document(state)
    series = documents.series_document(state, now_ms)
    return {"series": series, "columns": head}, [
        {
            "kind": line["kind"],
            "name": line["name"],
            **detail,
            "strip": column_documents.strip_document(state, (line["kind"], line["name"]), now_ms),
            "bands": column_documents.column_bands(state, line["name"]),
        }
        for line, detail in zip(head["columns"], details, strict=True)
    ]
