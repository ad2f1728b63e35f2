"""Makes a package from the user's model file, event schema and golden rows.

This module has the order of the steps and the files of a package; the steps are in the modules it imports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.frame_builder import unsupported
from stream_infer.models.manifest import Conversion, Feature, Manifest, OutputContract, Tolerance
from stream_infer.packaging import contract, event_builder, expected, frames
from stream_infer.packaging.apply_policies import apply_frame_policies
from stream_infer.packaging.binding import Bound, bind, feature_names
from stream_infer.packaging.convert import ENTRY, ORIGINAL, Faster, Gain, convert
from stream_infer.packaging.golden_file import golden_file
from stream_infer.packaging.inputs import PackageInputs, Samples, read_inputs
from stream_infer.packaging.options import CreateOptions, unknown_names
from stream_infer.packaging.publish import publish_package
from stream_infer.packaging.reference import summarise_reference
from stream_infer.packaging.summary import equivalence_text

LIBRARIES = ("joblib", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True)
class CreateReport:
    """A new, verified package. `notes` are for its maker.

    `conversion` is set for a converted model, with its `gains` in speed on this machine.
    """

    path: Path
    name: str
    version: str
    digest: str
    features: int
    rows: int
    max_abs_difference: float
    notes: tuple[str, ...]
    runtime: str
    conversion: Conversion | None
    gains: tuple[Gain, ...]

    def converted(self) -> list[tuple[str, str]]:
        """Return the lines of the report about a conversion: its proof, and its gains on this machine."""
        if self.conversion is None:
            return []
        gains = [f"{gain.ratio:.3g} times as fast for {gain.rows:,}" for gain in self.gains]
        return [
            ("against scikit-learn", equivalence_text(self.conversion)),
            ("rows at once", ", ".join(gains)),
        ]


@dataclass(frozen=True, slots=True)
class _Bound:
    """The inputs with columns bound to fields, and timestamps read as dates."""

    inputs: PackageInputs
    columns: tuple[Bound, ...]
    container: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Agreed:
    """The contract: features with policies, outputs, tolerance."""

    features: tuple[Feature, ...]
    output: OutputContract
    tolerance: Tolerance


def create_package(options: CreateOptions) -> CreateReport:
    """Make the package that `options` describe.

    1. Read all inputs, and report every problem at once.
    2. Bind each column of the model to a field of the event.
    3. Decide policies, model input and output contract from the user's data.
    4. Score the user's frame with the estimator, and build events from the same rows.
    5. On request, convert the model and show that its answers stay the same.
    6. Write a draft, verify it, and only then rename it.

    Raises `Misconfigured` for problems of the inputs, and `Refused` when events do not give the scores of the
    frame; then there is nothing at `options.output`.
    """
    bound = _bind(read_inputs(options), options)
    samples = bound.inputs.samples
    features = contract.describe_features(bound.columns, samples.frames(), bound.inputs.policies)
    golden = _accepted(samples.golden, features, bound.container)
    reference = None
    if samples.reference is not None:
        reference = _accepted(samples.reference, features, bound.container)
    estimator = bound.inputs.model.estimator
    output = expected.output_contract(
        estimator, golden.input, threshold=options.threshold, class_scores=options.class_scores
    )
    agreed = _Agreed(features, output, _tolerance(options))
    inputs = [golden.input] if reference is None else [golden.input, reference.input]
    faster = _faster(options.runtime, estimator, inputs, agreed)
    manifest = _manifest(options, bound, agreed, faster)
    unconverted = () if manifest.unconverted is None else (f"not converted: {manifest.unconverted}",)
    notes = (*bound.notes, *golden.notes, *unconverted)
    files = _files(bound, agreed, golden, reference, manifest.libraries)
    if isinstance(faster, Faster):
        files = {**files, ENTRY: faster.graph}
    report = publish_package(options.output, manifest, files, notes)
    return CreateReport(
        path=options.output,
        name=report.name,
        version=report.version,
        digest=report.digest,
        features=len(features),
        rows=report.rows,
        max_abs_difference=report.max_abs_difference,
        notes=notes,
        runtime=manifest.runtime,
        conversion=manifest.conversion,
        gains=faster.gains if isinstance(faster, Faster) else (),
    )


def _tolerance(options: CreateOptions) -> Tolerance:
    default = Tolerance()
    absolute, relative = options.absolute_tolerance, options.relative_tolerance
    return Tolerance(
        default.absolute if absolute is None else absolute, default.relative if relative is None else relative
    )


def _faster(
    runtime: str,
    estimator: Any,  # noqa: ANN401 - any estimator
    inputs: Sequence[expected.Frame],
    agreed: _Agreed,
) -> Faster | str | None:
    """Return the converted model, the reason why there is none, or None without a request."""
    if runtime == "sklearn":
        return None
    faster = convert(estimator, inputs, agreed.output, agreed.tolerance)
    if runtime != "auto" and isinstance(faster, str):
        fix = "use --runtime auto, which keeps scikit-learn's own model then"
        raise Misconfigured([Problem("--runtime", runtime, f"the model is not converted: {faster}", fix)])
    return faster


def _bind(inputs: PackageInputs, options: CreateOptions) -> _Bound:
    estimator, samples = inputs.model.estimator, inputs.samples
    names = feature_names(estimator, samples.golden, options.features)
    problems = [
        Problem("--reference", name, f"it lacks the model's column '{name}'", "add the column")
        for name in names
        if samples.reference is not None and name not in samples.reference.columns
    ]
    for option, chosen in inputs.policies.named():
        problems += unknown_names(option, chosen, names, "feature")
    if problems:
        raise Misconfigured(problems)
    columns = bind(names, inputs.input.schema, samples.renamed)
    dates = event_builder.text_instants(columns, samples.golden)
    read = Samples(
        event_builder.with_dates("--golden", samples.golden, dates),
        None
        if samples.reference is None
        else event_builder.with_dates("--reference", samples.reference, dates),
        samples.renamed,
    )
    return _Bound(
        replace(inputs, samples=read),
        columns,
        frames.container_kind(estimator),
        tuple(f"column '{name}' is read as dates, because its field is a timestamp" for name in dates)
        + tuple(event_builder.rounded(columns, samples.golden)),
    )


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Rows that the policies accept, and the model input made of them."""

    rows: pd.Index
    input: expected.Frame
    notes: tuple[str, ...]


def _accepted(frame: pd.DataFrame, features: Sequence[Feature], container: str) -> _Accepted:
    kept = apply_frame_policies(frame, features)
    left_out = len(frame) - len(kept)
    if kept.empty:
        what = "your policies reject every row of it"
        raise Misconfigured([Problem("--golden", "", what, "give rows that the model should score")])
    notes = (f"{left_out} golden rows are left out: your policies reject them",) if left_out else ()
    return _Accepted(kept.index, frames.model_input(kept, [one.name for one in features], container), notes)


def _manifest(
    options: CreateOptions, bound: _Bound, agreed: _Agreed, faster: Faster | str | None
) -> Manifest:
    converted = isinstance(faster, Faster)
    manifest = Manifest(
        name=options.name,
        version=options.version,
        runtime="onnx" if converted else "sklearn",
        entry=ENTRY if converted else ORIGINAL,
        conversion=faster.conversion if isinstance(faster, Faster) else None,
        unconverted=faster if isinstance(faster, str) else None,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        libraries=_libraries(bound.container, ("onnxruntime",) if converted else ()),
        container=contract.describe_model_input(
            bound.container, agreed.features, bound.inputs.samples.frames()
        ),
        features=agreed.features,
        output=agreed.output,
        schema_name=bound.inputs.input.schema.name,
        tolerance=agreed.tolerance,
    )
    reason = unsupported(manifest)
    if reason is not None:
        fix = "make the field's type that of the training data, or the column's that of the field"
        raise Misconfigured([Problem("--schema", "", reason, fix)])
    return manifest


def _libraries(container: str, more: Sequence[str]) -> Mapping[str, str]:
    names = [*LIBRARIES, *(["pandas"] if container == "pandas" else []), *more]
    return {name: version(name) for name in sorted(names)}


def _files(
    bound: _Bound,
    agreed: _Agreed,
    golden: _Accepted,
    reference: _Accepted | None,
    libraries: Mapping[str, str],
) -> Mapping[str, bytes]:
    model, samples = bound.inputs.model, bound.inputs.samples
    scores = expected.outputs(model.estimator, golden.input, agreed.output)
    files = {
        ORIGINAL: model.data,
        "input.avsc": bound.inputs.input.data,
        "golden.avro": golden_file(
            samples.golden.loc[golden.rows], bound.columns, bound.inputs.input.schema, agreed.output, scores
        ),
        "requirements.txt": "".join(f"{name}=={pinned}\n" for name, pinned in libraries.items()).encode(),
        **model.code,
    }
    if samples.reference is not None and reference is not None:
        seen = expected.outputs(model.estimator, reference.input, agreed.output)
        files["reference.json"] = summarise_reference(samples.reference, bound.columns, seen)
    return files
