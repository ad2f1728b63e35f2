"""The model as peers use it: given arrays, without a warning a call that they have no column names."""

from __future__ import annotations

from typing import Any


def unnamed(pipeline: Any) -> Any:  # noqa: ANN401 - scikit-learn's pipelines have no one type
    """Return a pipeline that was trained on a frame as one that was trained on an array."""
    for _, step in pipeline.steps:
        if hasattr(step, "feature_names_in_"):
            del step.feature_names_in_
    return pipeline
