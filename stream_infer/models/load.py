"""Loads a model from verified bytes. The only importer of joblib in the worker."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from types import FunctionType, ModuleType
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import InconsistentVersionWarning

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.code import Code
from stream_infer.models.converted import ConvertedModel, split_last_step
from stream_infer.models.frame_builder import Columns, Frame, unsupported
from stream_infer.models.manifest import Manifest
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.open_file import open_file
from stream_infer.models.package import Verified
from stream_infer.models.predict import Estimator, contract_violation, predict
from stream_infer.models.scores import Scores
from stream_infer.models.unseen import accepted_values
from stream_infer.models.versions import installed_version, library_differences

_ANSWERS = ("predict", "predict_proba")


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded estimator and its manifest.

    `others` are the two forms of a converted model; each has to give the golden answers. `golden` are rows
    that the model answered when it was loaded; none of them, and it is never found to be broken. `accepted`
    are the values of those features whose other values it does not know.
    """

    manifest: Manifest
    digest: str
    estimator: Estimator
    others: tuple[Estimator, ...] = ()
    accepted: Columns = field(default_factory=dict, repr=False, compare=False)
    golden: Columns = field(default_factory=dict, repr=False, compare=False)

    def predict(self, frame: Frame) -> Scores:
        """Return the scores of `frame` (of `frame_builder.build_frame`).

        Raises what the estimator raises, and `OutputShapeError` for an answer that is not one per row.
        """
        return predict(self.estimator, self.manifest.output, frame)

    def forms(self) -> tuple[Model, ...]:
        """Return one model for each form that may score a batch."""
        return tuple(replace(self, estimator=one, others=()) for one in self.others) or (self,)


def load_model(verified: Verified) -> Model:
    """Load the model of a verified package, in this process and from the bytes that were hashed.

    Raises `Refused`: `LIBRARY_VERSION` (a library is missing, or of a version that does not promise to read
    the pickle), `CONTAINER`, `LOAD` (whatever unpickling raises), `OUTPUT` (the classes or methods of the
    manifest are missing), `RUNTIME` (ONNX Runtime or the library of a booster does not load). The caller
    decides about other differences.
    """
    manifest = verified.manifest
    _check_versions(manifest)
    reason = unsupported(manifest)
    if reason is not None:
        raise Refused(RefusalCode.CONTAINER, reason)
    estimator = _opened(verified)
    reason = contract_violation(estimator, manifest.output)
    if reason is not None:
        raise Refused(RefusalCode.OUTPUT, f"{type(estimator).__name__}: {reason}")
    force_one_job(estimator)
    accepted = accepted_values(estimator, manifest)
    if manifest.conversion is None:
        return Model(manifest, verified.digest, estimator, accepted=accepted)
    before, own = split_last_step(estimator)
    graph = open_onnx(verified.files[manifest.entry], own)
    converted = ConvertedModel(before, own, graph, manifest.conversion.up_to_rows)
    others = estimator, replace(converted, up_to_rows=sys.maxsize)
    return Model(manifest, verified.digest, converted, others, accepted)


def _check_versions(manifest: Manifest) -> None:
    differences = library_differences(
        manifest.libraries, installed_version, estimators=manifest.form.estimators
    )
    broken = [one.reason for one in differences if not one.promised]
    if broken:
        raise Refused(RefusalCode.LIBRARY_VERSION, "; ".join(broken))


def _opened(verified: Verified) -> Estimator:
    manifest = verified.manifest
    if manifest.form.pickled:
        return _unpickle(verified)
    with Code(verified.files, verified.digest).importable():
        estimator: Estimator = open_file(
            manifest.form,
            verified.files[manifest.original],
            manifest.output.classes,
            manifest.approved or (),
        )
        return estimator


def _unpickle(verified: Verified) -> Estimator:
    code = Code(verified.files, verified.digest)
    try:
        with code.importable(), warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            estimator: Estimator = joblib.load(io.BytesIO(verified.files[verified.manifest.original]))
            return estimator
    except InconsistentVersionWarning as error:
        raise Refused(RefusalCode.LIBRARY_VERSION, str(error)) from error
    except Refused:
        raise
    except BaseException as error:
        raise_interrupt(error)
        # A pickle runs code, so anything can come out of it. Its libraries are here: a module or name that is
        # not found is mostly a function of the user's own script.
        hint = "; ship its module with --code" if isinstance(error, AttributeError | ImportError) else ""
        raise Refused(RefusalCode.LOAD, f"{error_text(error)}{hint}") from error


def force_one_job(estimator: object) -> None:
    """Let every part of `estimator` answer in one thread.

    A batch is too small to be worth a pool, and the worker has its own processes. `get_params` alone is not
    enough: the fitted parts of a ColumnTransformer or a search are clones that no parameter leads to.
    CatBoost's methods take `thread_count`, and use all processors without it.
    """
    for part in _parts(estimator):
        if "n_jobs" in vars(part):
            vars(part)["n_jobs"] = 1
        for name in _ANSWERS:
            if "thread_count" in _parameters(getattr(type(part), name, None)):
                vars(part)[name] = partial(getattr(part, name), thread_count=1)


def _parameters(method: object) -> Collection[str]:
    return signature(method).parameters if isinstance(method, FunctionType) else ()


def _parts(value: object) -> Iterator[object]:
    """Yield every object with attributes within `value` once; plain data is not searched."""
    stack: list[Any] = [value]
    seen: set[int] = set()
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            stack.extend(one)
        elif isinstance(one, np.ndarray):
            stack.extend(one.flat if one.dtype == object else ())
        elif hasattr(one, "__dict__"):
            yield one
            stack.extend(vars(one).values())
