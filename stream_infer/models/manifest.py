"""The manifest of a model package: its files, the model's input and its outputs.

Values and their canonical JSON only. `package` reads packages, `frame_builder` builds frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.formats import ONNX, ModelFormat, Runtime, format_of

Scalar = float | int | str | bool
Null = Literal["nan", "none", "na", "nat"]
Unseen = Literal["reject", "null"]
ContainerKind = Literal["ndarray", "pandas", "series"]
Kind = Literal["int", "long", "float", "double", "boolean", "string", "enum"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

RESERVED = frozenset({"label", "score", "value", "values", "class_scores"})
"""The outputs of every prediction: no value of a model can have one of these names."""

# Strict: no "1" for 1 and no 1 for True. An unknown key is an error that names it.
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Policy(StrEnum):
    """The policy for a row whose feature is missing, NaN or infinite."""

    REJECT = "reject"
    PASS = "pass"  # noqa: S105 - a policy, not a password
    IMPUTE = "impute"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model: `name` in the model's frame, `source` the dotted path in the event.

    `type` is the Avro kind of the leaf, `logical` its logical type (`timestamp-millis`, ...) or None: columns
    have raw integers, and this is the unit of a time. `minimum` and `maximum` are the
    observed range: information for monitoring, not enforced. `unseen` is the user's policy for values that
    the model does not know: a dead letter, or scored as a null is. None leaves it to the model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: Text
    source: Text
    type: Kind
    nullable: bool
    missing: Policy
    nan: Policy
    infinite: Policy
    impute: Scalar | None = None
    minimum: float | None = None
    maximum: float | None = None
    logical: str | None = None
    unseen: Unseen | None = None


@dataclass(frozen=True, slots=True)
class InputColumn:
    """One column of the frame that the model was trained on, as pandas prints its dtype.

    `null` is the column's null; None means that it has none.
    `categories` and `ordered` belong to dtype `category`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: Text
    dtype: Text
    null: Null | None = None
    categories: tuple[Scalar, ...] | None = None
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The argument of `predict`: a C-contiguous float64 ndarray, a pandas frame, or its one column."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    kind: ContainerKind
    columns: tuple[InputColumn, ...]


@dataclass(frozen=True, slots=True)
class OutputContract:
    """The outputs of the model.

    `classes` are `str(class)` in the estimator's order ("-1", "1" for outlier models). `score` is the kind of
    score: a probability, a decision value, or none. `label_from` is the method that gives the label:
    `proba` and `decision` save a second pass over the batch and are recorded only where the golden samples
    agree with the estimator's own `predict`. `threshold` is for two classes: at or over it, `classes[1]`.
    `values` are the names of a regressor's numbers, in their order, where it gives several; `primary` is the
    one that is the prediction's `value` too, None for none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    kind: Literal["classifier", "regressor", "outlier"]
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    class_scores: bool = False
    score: Literal["probability", "decision"] | None = None
    label_from: Literal["proba", "decision", "predict"] = "predict"
    values: tuple[Text, ...] = ()
    primary: str | None = None

    @property
    def has_value(self) -> bool:
        """Whether a prediction has a `value`: that of a regressor with one, or with a primary one."""
        return self.kind == "regressor" and (not self.values or self.primary is not None)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the numbers that are watched: the score, the value, or each named value."""
        if self.kind == "regressor":
            return self.values or ("value",)
        return () if self.score is None else ("score",)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The greatest difference of a score from the golden one: `absolute + relative * |golden|`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    absolute: float = 1e-12
    relative: float = 1e-9


@dataclass(frozen=True, slots=True)
class Conversion:
    """The proof that the graph in the manifest's `entry` answers as scikit-learn's own model in `original`.

    `rows` rows were compared, most of them random, all within the tolerance; `max_abs_difference` is over all
    their numbers. `label_mismatches` counts rows so near the border that rounding decides. The original
    scores batches of more than `up_to_rows` rows: it is as fast there.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    original: Text
    up_to_rows: int
    rows: int
    max_abs_difference: float
    label_mismatches: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the package: its SHA-256 and its size in bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    sha256: Sha256
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about a package that is known without loading it.

    `unconverted` is the reason why a requested conversion is missing. `approved` are the types of a skops
    file that its maker approved. `libraries` are distributions for Python, `system_libraries` the shared
    libraries that these take from the system.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    format: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$")]
    runtime: Runtime = "sklearn"
    entry: Text = "model.joblib"
    conversion: Conversion | None = None
    unconverted: Text | None = None
    approved: tuple[str, ...] | None = None
    python: Text
    libraries: Mapping[str, str]
    system_libraries: tuple[Text, ...] | None = None
    container: ModelInput
    features: tuple[Feature, ...]
    output: OutputContract
    schema_name: Text
    tolerance: Tolerance = field(default_factory=Tolerance)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @staticmethod
    def parse(data: bytes) -> Manifest:
        """Return the manifest in `data`; raise `Refused` ("manifest", "format") naming the wrong key."""
        try:
            manifest = _ADAPTER.validate_json(data)
        except ValidationError as error:
            raise _refusal(error) from None
        reason = _contradiction(manifest)
        if reason is not None:
            raise Refused(RefusalCode.MANIFEST, reason)
        return manifest

    def canonical(self) -> bytes:
        """Return the one JSON text of this manifest: sorted keys, no spaces, ASCII, no line end.

        Raises `Refused` when a number in it is NaN or infinite: JSON has none.
        """
        try:
            document = _without_later(asdict(self), _LATER)
            document["output"] = _without_later(document["output"], _LATER_OF_OUTPUT)
            document["features"] = [_without_later(one, _LATER_OF_FEATURE) for one in document["features"]]
            text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise Refused(RefusalCode.MANIFEST, f"not JSON: {error}") from error
        return text.encode("ascii")

    @property
    def original(self) -> str:
        """The file of the model as its maker gave it."""
        return self.entry if self.conversion is None else self.conversion.original

    @property
    def form(self) -> ModelFormat:
        """The format of that file."""
        return format_of(self.original)

    @property
    def runs_code(self) -> bool:
        """Whether loading the model runs code of the package: a pickle, or modules."""
        return self.form.pickled or any(name.startswith("code/") for name in self.files)

    @property
    def digest(self) -> str:
        """The digest of the package: sha256 of the canonical manifest, which holds those of all files."""
        return "sha256:" + hashlib.sha256(self.canonical()).hexdigest()


_ADAPTER = TypeAdapter(Manifest)
# Later keys of format 1: left out when empty, so that an older package keeps its bytes and its digest.
_LATER = frozenset({"approved", "conversion", "system_libraries", "unconverted"})
_LATER_OF_OUTPUT = frozenset({"primary", "values"})
_LATER_OF_FEATURE = frozenset({"unseen"})


def _without_later(document: dict[str, Any], later: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in later or value not in (None, ())}


def _refusal(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["loc"] == ("format",):
        return Refused(RefusalCode.FORMAT, "format: this release reads format 1 only")
    key = ".".join(str(part) for part in first["loc"]) or "manifest.json"
    return Refused(RefusalCode.MANIFEST, f"{key}: {first['msg']}")


def _contradiction(manifest: Manifest) -> str | None:
    """Return the first place where parts of the manifest disagree, or None."""
    names = [feature.name for feature in manifest.features]
    if not names:
        return "features: a model needs at least one"
    if len(set(names)) != len(names):
        return "features: a name occurs twice"
    if names != [column.name for column in manifest.container.columns]:
        return "container.columns: not the features in their order"
    if manifest.container.kind == "series" and len(names) > 1:
        return "container.kind: a series is one feature"
    if "scikit-learn" not in manifest.libraries:
        return "libraries: scikit-learn is missing"
    if min((entry.size for entry in manifest.files.values()), default=0) < 0:
        return "files: a size is negative"
    return (
        _form_contradiction(manifest)
        or _feature_contradiction(manifest)
        or _output_contradiction(manifest.output)
    )


def _form_contradiction(manifest: Manifest) -> str | None:
    converted = manifest.runtime == "onnx" and manifest.form is not ONNX
    if converted != (manifest.conversion is not None):
        return "conversion: for a converted model, and for no other"
    if manifest.conversion is None and manifest.runtime != manifest.form.runtime:
        return f"runtime: {manifest.entry} is {manifest.form.title}"
    if manifest.conversion is not None and manifest.conversion.original == manifest.entry:
        return "conversion.original: not the converted model itself"
    if manifest.conversion is not None and manifest.unconverted is not None:
        return "unconverted: the model is converted"
    return None


def _feature_contradiction(manifest: Manifest) -> str | None:
    for index, (feature, column) in enumerate(
        zip(manifest.features, manifest.container.columns, strict=True)
    ):
        policies = (feature.missing, feature.nan, feature.infinite)
        if Policy.IMPUTE in policies and feature.impute is None:
            return f"features.{index}.impute: the policy of {feature.name!r} needs a value"
        nulls = feature.nullable or feature.unseen == "null"
        if feature.unseen == "null" and feature.missing is Policy.REJECT:
            return f"features.{index}.unseen: {feature.name!r} rejects nulls; pass or impute them"
        if nulls and feature.missing is Policy.PASS and column.null is None:
            return (
                f"features.{index}.missing: {feature.name!r} cannot pass a null into "
                f"a column of dtype {column.dtype} that holds none; reject or impute it"
            )
    return None


def _output_contradiction(output: OutputContract) -> str | None:
    known = len(output.classes)
    valid = {"classifier": known >= 1, "regressor": known == 0, "outlier": output.classes == ("-1", "1")}
    if not valid[output.kind] or len(set(output.classes)) != known:
        return f"output.classes: {known} distinct classes do not make a {output.kind}"
    if output.threshold is not None and (output.kind != "classifier" or known != 2 or output.score is None):  # noqa: PLR2004 - two classes
        return "output.threshold: only for two classes with a score"
    if output.class_scores and output.score != "probability":
        return "output.class_scores: only with probabilities"
    if output.label_from == "proba" and output.score != "probability":
        return "output.label_from: proba needs probabilities"
    if output.label_from == "decision" and output.score != "decision":
        return "output.label_from: decision needs a decision function"
    return _values_contradiction(output)


def _values_contradiction(output: OutputContract) -> str | None:
    names = output.values
    if names and output.kind != "regressor":
        return "output.values: only for a regressor"
    if len(names) == 1 or len(set(names)) != len(names):
        return "output.values: two or more names, each once"
    if not RESERVED.isdisjoint(names):
        return f"output.values: {', '.join(sorted(RESERVED))} are names of other outputs"
    if output.primary is not None and output.primary not in names:
        return f"output.primary: {output.primary!r} is none of output.values"
    return None
