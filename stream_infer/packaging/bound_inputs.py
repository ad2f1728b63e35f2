"""Binds the inputs of a package: columns of the model to fields of the event, in the types of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from stream_infer.avro.schemas import leaves
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.known_categories import KnownCategories
from stream_infer.models.manifest import ContainerKind
from stream_infer.packaging import event_builder, frames
from stream_infer.packaging.binding import Bound, bind, feature_names
from stream_infer.packaging.column_choice import check_order, dropped_columns, in_order
from stream_infer.packaging.column_types import give_types
from stream_infer.packaging.inputs import PackageInputs
from stream_infer.packaging.number_columns import check_numbers
from stream_infer.packaging.options import CreateOptions, listed, unknown_names
from stream_infer.packaging.trained_columns import trained_columns


@dataclass(frozen=True, slots=True)
class BoundInputs:
    """The inputs with columns bound to fields, in the types of the training data.

    `given` is the golden frame before it was given those types.
    """

    inputs: PackageInputs
    columns: tuple[Bound, ...]
    container: ContainerKind
    known: Mapping[str, KnownCategories]
    notes: tuple[str, ...]
    given: pd.DataFrame


def bind_inputs(inputs: PackageInputs, options: CreateOptions) -> BoundInputs:
    """Bind each column of the model to a field; raise `Misconfigured` with every problem of the names."""
    estimator, samples = inputs.model.estimator, inputs.samples
    names = feature_names(estimator, samples.golden, options.features)
    problems = [
        Problem("--reference", name, f"it lacks the model's column '{name}'", "add the column")
        for name in names
        if samples.reference is not None and name not in samples.reference.columns
    ]
    for option, chosen in inputs.policies.named():
        problems += unknown_names(option, chosen, names, "feature")
    problems += unknown_names("--unseen", inputs.policies.unseen.named, names, "feature")
    problems += unknown_names("--dtype", inputs.dtypes, names, "column of the model")
    if problems:
        raise Misconfigured(problems)
    columns = bind(names, inputs.input.schema, samples.renamed)
    typed = give_types(estimator, columns, samples, inputs.dtypes)
    check_numbers({"--golden": samples.golden, "--reference": samples.reference}, columns)
    return BoundInputs(
        replace(inputs, samples=typed.samples),
        columns,
        frames.container_kind(estimator),
        typed.known,
        (
            *options.notes,
            *_choice(inputs, options, columns),
            *typed.notes,
            *event_builder.rounded(columns, samples.golden),
        ),
        # A file has no types of its own: only a frame in memory is what the maker's model is asked with.
        typed.samples.golden if isinstance(options.golden, Path) else samples.golden,
    )


def _choice(inputs: PackageInputs, options: CreateOptions, columns: Sequence[Bound]) -> tuple[str, ...]:
    """Return notes about columns that the model drops, and about an order that it does not know."""
    estimator, samples = inputs.model.estimator, inputs.samples
    names = [one.name for one in columns]
    dropped = sorted(dropped_columns(estimator))
    notes = [f"no features, because the model drops them: {listed(dropped)}"] if dropped else []
    if not trained_columns(estimator).on_array or options.features:
        return tuple(notes)
    paths = list(leaves(inputs.input.schema))
    orders = {"the sample": in_order(samples.golden, names)}
    if samples.reference is not None:
        orders["the reference"] = in_order(samples.reference, names)
    orders["the event"] = [one.name for one in sorted(columns, key=lambda one: paths.index(one.leaf.path))]
    return (*notes, *check_order(orders, checked=samples.answers is not None))
