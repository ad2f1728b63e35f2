"""The section of worker.toml with limits in absolute terms, for the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from stream_infer.config.sections import Section
from stream_infer.config.values import Unit, invalid_value

FEATURE_RATES = ("null_rate", "non_finite_rate", "unseen_rate", "out_of_range_rate")
"""The limits that a feature may have of its own."""
LABEL_METRICS = (
    "accuracy",
    "recall",
    "precision",
    "f1",
    "log_loss",
    "brier",
    "mae",
    "median_absolute_error",
)
"""The limits of metrics that labels measure."""

FeatureRates = Mapping[str, Mapping[str, float]]
"""Limits by feature and by name."""


def _feature_rates(value: object) -> object:
    """Return the limits of features; raise a validation error with every problem."""
    if not isinstance(value, Mapping):
        fix = "for example features = { age = { null_rate = 0.3 } }"
        raise invalid_value("must be a table of features", fix)
    problems = [one for feature, limits in value.items() for one in _problems(feature, limits)]
    if problems:
        fix = f"use {', '.join(FEATURE_RATES)}, each above 0 to 1"
        raise invalid_value("; ".join(problems), fix)
    return {
        feature: {name: float(limit) for name, limit in limits.items()} for feature, limits in value.items()
    }


def _problems(feature: str, limits: object) -> list[str]:
    if not isinstance(limits, Mapping):
        return [f"{feature} must be a table of limits"]
    found = []
    for name, limit in limits.items():
        if name not in FEATURE_RATES:
            found.append(f"{feature}.{name} is no limit of a feature")
        elif isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 1:
            found.append(f"{feature}.{name} = {limit} is not above 0 to 1")
    return found


def _rate(what: str, default: float | None = None, example: float = 0.3, more: str = "") -> Any:  # noqa: ANN401 - as `Field`
    return Field(
        default=default,
        gt=0,
        le=1,
        description=f"Greatest share of {what}; a greater one is an incident, from the first event on.{more}",
        examples=[example],
    )


def _least(what: str, example: float) -> Any:  # noqa: ANN401 - as `Field`
    return Field(
        default=None,
        gt=0,
        le=1,
        description=f"Least {what}; less on the newest 200 labels, by more than chance, is an incident.",
        examples=[example],
    )


def _greatest(what: str, example: float) -> Any:  # noqa: ANN401 - as `Field`
    return Field(
        default=None,
        gt=0,
        le=1e100,
        description=f"Greatest {what}; more on the newest 200 labels, by more than chance, is an incident.",
        examples=[example],
    )


_Share = Annotated[float | None, Unit("share of records")]
_Metric = Annotated[float | None, Unit("share of labels")]
_PerHour = Annotated[float | None, Unit("per hour")]


class LimitsSection(Section):
    """Limits in absolute terms. What has none is compared with the training data, or with what it was."""

    dead_letter_rate: Annotated[float, Unit("share of records")] = _rate(
        "dead letters over all partitions", 0.1, 0.02
    )
    null_rate: _Share = _rate(
        "nulls in any feature",
        more=" Without it 20 percentage points more than in the training data are an incident.",
    )
    non_finite_rate: _Share = _rate("NaN and infinities in any feature", example=0.05)
    unseen_rate: _Share = _rate("categories that training did not have, in any feature", example=0.1)
    out_of_range_rate: _Share = _rate("values outside of those in training, in any feature", example=0.1)
    features: Annotated[
        FeatureRates | None,
        BeforeValidator(_feature_rates),
        WithJsonSchema({"type": "object", "title": "table"}),
    ] = Field(
        default=None,
        description="Limits of single features in place of those above: `null_rate`, `non_finite_rate`, "
        "`unseen_rate` and `out_of_range_rate`.",
        examples=[{"age": {"null_rate": 0.5}}],
    )
    accuracy: _Metric = _least("accuracy of a model, and accuracy estimated without labels", 0.9)
    recall: _Metric = _least("recall", 0.8)
    precision: _Metric = _least("precision", 0.8)
    f1: _Metric = _least("F1 score", 0.8)
    log_loss: Annotated[float | None, Unit("nats")] = _greatest("log loss", 0.5)
    brier: Annotated[float | None, Unit("")] = _greatest("Brier score", 0.2)
    mae: Annotated[float | None, Unit("unit of the label")] = _greatest("mean absolute error", 12.5)
    median_absolute_error: Annotated[float | None, Unit("unit of the label")] = _greatest(
        "median absolute error", 10.0
    )
    min_events_per_hour: _PerHour = Field(
        default=None,
        gt=0,
        le=1e12,
        description="Least number of events in an hour, by the monitor's clock; fewer are an incident.",
        examples=[1_000.0],
    )
    min_labels_per_hour: _PerHour = Field(
        default=None,
        gt=0,
        le=1e12,
        description="Least number of labels in an hour, by the monitor's clock; fewer are an incident.",
        examples=[10.0],
    )
