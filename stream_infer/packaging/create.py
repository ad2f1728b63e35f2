"""Makes a package from the user's model file, event schema and golden rows.

This module has the order of the steps and the files of a package; the steps are in the modules it imports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.formats import ONNX, SKOPS
from stream_infer.models.frame_builder import Frame, unsupported
from stream_infer.models.manifest import (
    Feature,
    Manifest,
    OutputContract,
    Tolerance,
)
from stream_infer.models.scores import Scores
from stream_infer.packaging import contract, expected, frames
from stream_infer.packaging.apply_policies import apply_frame_policies
from stream_infer.packaging.bound_inputs import BoundInputs, bind_inputs
from stream_infer.packaging.convert import ENTRY, Faster, convert
from stream_infer.packaging.create_report import CreateReport
from stream_infer.packaging.found_tolerance import agree_tolerance
from stream_infer.packaging.golden_file import golden_file
from stream_infer.packaging.inputs import read_inputs
from stream_infer.packaging.libraries import Libraries, libraries_of
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.own_answers import answer_columns, compare_answers
from stream_infer.packaging.promised import promised_performance
from stream_infer.packaging.publish import publish_package
from stream_infer.packaging.reference import summarise_reference
from stream_infer.packaging.requirements import Requirements, installed_requirements
from stream_infer.packaging.system_libraries import system_libraries
from stream_infer.packaging.unseen_policy import (
    require_nulls_taken,
    rows_with_unknown,
    unknown_values,
)
from stream_infer.packaging.untested_nulls import untested_nulls
from stream_infer.packaging.value_names import value_notes
from stream_infer.packaging.wheel_hashes import with_hashes
from stream_infer.rollout.rehearsal import Rehearsal
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RunChild
from stream_infer.rollout.spawned_child import run_spawned

_HOW_TO_COMPARE = "--answers compares them with those that you had in training"


@dataclass(frozen=True, slots=True)
class _Agreed:
    """The contract: features with policies, outputs, tolerance."""

    features: tuple[Feature, ...]
    output: OutputContract
    tolerance: Tolerance
    notes: Sequence[str]


def create_package(options: CreateOptions, run: RunChild = run_spawned) -> CreateReport:
    """Make the package that `options` describe.

    1. Read all inputs, and report every problem at once.
    2. Bind each column of the model to a field of the event.
    3. Decide policies, model input and output contract from the user's data.
    4. Score the user's frame with the estimator, and build events from the same rows.
    5. On request, convert the model and show that its answers stay the same.
    6. Write a draft, verify it, rehearse it in a child (`run`) as a worker does, and only then rename it.

    Raises `Misconfigured` for problems of the inputs, and `Refused` when events do not give the scores of the
    frame; then there is nothing at `options.output`.
    """
    bound = bind_inputs(read_inputs(options), options)
    samples = bound.inputs.samples
    features = contract.describe_features(bound.columns, samples.frames(), bound.inputs.policies, bound.known)
    golden = _accepted("--golden", samples.golden, features, bound)
    reference = None
    if samples.reference is not None:
        reference = _accepted("--reference", samples.reference, features, bound)
    estimator = bound.inputs.model.estimator
    require_nulls_taken(estimator, samples.golden, features)
    agreed = _agree(options, estimator, features, golden)
    inputs = [golden.input] if reference is None else [golden.input, reference.input]
    faster = _faster(options.runtime, estimator, inputs, agreed)
    libraries = _libraries(bound, converted=isinstance(faster, Faster))
    manifest = _manifest(options, bound, agreed, faster, libraries.versions)
    notes = (*_notes_of_samples(bound, features), *golden.notes, *agreed.notes, *_unconverted(manifest))
    notes += libraries.notes()
    answers, compared = _own_answers(bound, agreed, golden)
    requirements = installed_requirements(libraries.versions)
    if options.hashes:
        requirements = with_hashes(requirements)
    files = _files(bound, agreed, golden, answers, reference, requirements)
    if isinstance(faster, Faster):
        files = {**files, ENTRY: faster.graph}
    report = publish_package(options.output, manifest, files, notes, _rehearsal(options, run))
    return CreateReport(
        path=options.output,
        name=report.name,
        version=report.version,
        digest=report.digest,
        features=len(features),
        rows=report.rows,
        max_abs_difference=report.max_abs_difference,
        compared=compared,
        notes=notes,
        runtime=manifest.runtime,
        conversion=manifest.conversion,
        gains=faster.gains if isinstance(faster, Faster) else (),
    )


def _notes_of_samples(bound: BoundInputs, features: tuple[Feature, ...]) -> Sequence[str]:
    samples, estimator = bound.inputs.samples, bound.inputs.model.estimator
    return (
        *bound.notes,
        *unknown_values(samples.frames(), features, bound.known),
        *untested_nulls(estimator, samples.golden, features, bound.inputs.policies),
    )


def _unconverted(manifest: Manifest) -> Sequence[str]:
    return [] if manifest.unconverted is None else [f"not converted: {manifest.unconverted}"]


def _agree(
    options: CreateOptions,
    estimator: Any,  # noqa: ANN401 - any estimator
    features: tuple[Feature, ...],
    golden: _Accepted,
) -> _Agreed:
    output = expected.output_contract(
        estimator,
        golden.input,
        threshold=options.threshold,
        class_scores=options.class_scores,
        values=options.values,
        primary=options.primary,
    )
    tolerance, notes = agree_tolerance(options, estimator, golden.input, output)
    return _Agreed(features, output, tolerance, (*notes, *value_notes(output)))


def _rehearsal(options: CreateOptions, run: RunChild) -> Rehearsal:
    limits = RehearsalLimits(
        timeout_s=options.rehearsal_timeout_ms / 1_000,
        memory_bytes=options.rehearsal_memory_bytes,
        batch_p50_s=options.rehearsal_batch_ms / 1_000,
    )
    return Rehearsal(limits, RehearsalCache(), run)


def _faster(
    runtime: str,
    estimator: Any,  # noqa: ANN401 - any estimator
    inputs: Sequence[Frame],
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


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Rows that the policies accept, and the model input made of them."""

    rows: pd.Index
    input: Frame
    notes: tuple[str, ...]


def _accepted(option: str, frame: pd.DataFrame, features: Sequence[Feature], bound: BoundInputs) -> _Accepted:
    kept = apply_frame_policies(frame[~rows_with_unknown(frame, features, bound.known)], features)
    left_out = len(frame) - len(kept)
    if kept.empty:
        what = "your policies reject every row of it"
        raise Misconfigured([Problem(option, "", what, "give rows that the model should score")])
    notes = (f"{left_out} golden rows are left out: your policies reject them",) if left_out else ()
    return _Accepted(
        kept.index, frames.model_input(kept, [one.name for one in features], bound.container), notes
    )


def _manifest(
    options: CreateOptions,
    bound: BoundInputs,
    agreed: _Agreed,
    faster: Faster | str | None,
    libraries: Mapping[str, str],
) -> Manifest:
    form, converted = bound.inputs.model.form, isinstance(faster, Faster)
    manifest = Manifest(
        name=options.name,
        version=options.version,
        runtime="onnx" if converted else form.runtime,
        entry=ENTRY if converted else form.file,
        conversion=replace(faster.conversion, original=form.file) if isinstance(faster, Faster) else None,
        approved=tuple(sorted(options.trusted)) if form is SKOPS else None,
        unconverted=faster if isinstance(faster, str) else None,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        libraries=libraries,
        system_libraries=tuple(system_libraries(libraries)) or None,
        container=contract.describe_model_input(
            bound.container, agreed.features, bound.inputs.samples.frames(), bound.known
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


def _libraries(bound: BoundInputs, *, converted: bool) -> Libraries:
    model = bound.inputs.model
    framed = [] if bound.container == "ndarray" else ["pandas"]
    runtime = ["onnxruntime"] if converted or model.form is ONNX else []
    stored = ["skops"] if model.form is SKOPS else []
    with model.importer.importable():
        return libraries_of(model.estimator, model.code, [*framed, *runtime, *stored])


def _own_answers(bound: BoundInputs, agreed: _Agreed, golden: _Accepted) -> tuple[Scores, str]:
    """Return the outputs that the package must give for the golden rows, and whose answers they are.

    Raises `Refused` where the maker's own answers differ from those of the model that was read.
    """
    model, own = bound.inputs.model, bound.inputs.samples.answers
    scores = expected.outputs(model.estimator, golden.input, agreed.output)
    read = frames.described(golden.input, [one.name for one in agreed.features])
    answered = answer_columns(scores, agreed.output)
    names = ", ".join(answered)
    if own is not None:
        given = own.loc[golden.rows]
        compare_answers(given, scores, agreed.output, agreed.tolerance, read)
        return scores, f"your own answers to the golden rows: {', '.join(given.columns)}"
    if model.trained is not None:
        in_memory = _accepted("--golden", bound.given, agreed.features, bound)
        trained = expected.outputs(model.trained, in_memory.input, agreed.output)
        answers = pd.DataFrame(answer_columns(trained, agreed.output), golden.rows)
        compare_answers(answers, scores, agreed.output, agreed.tolerance, read)
        return scores, f"answers of the model in memory to the golden frame in memory: {names}"
    return (
        scores,
        f"answers computed here from the golden sample as read here: {names}; {_HOW_TO_COMPARE}",
    )


def _files(
    bound: BoundInputs,
    agreed: _Agreed,
    golden: _Accepted,
    answers: Scores,
    reference: _Accepted | None,
    requirements: Requirements,
) -> Mapping[str, bytes]:
    model, samples = bound.inputs.model, bound.inputs.samples
    files = {
        model.form.file: model.data,
        "input.avsc": bound.inputs.input.data,
        "golden.avro": golden_file(
            samples.golden.loc[golden.rows], bound.columns, bound.inputs.input.schema, agreed.output, answers
        ),
        "requirements.txt": requirements.text().encode(),
        **model.code,
    }
    if samples.reference is not None and reference is not None:
        seen = expected.outputs(model.estimator, reference.input, agreed.output, "--reference")
        promise = None
        if samples.truth is not None:
            promise = promised_performance(samples.truth, seen, agreed.output.classes)
        files["reference.json"] = summarise_reference(
            samples.reference, bound.columns, seen, agreed.output, promise
        )
    return files
