"""Loads a model from verified bytes. The only importer of joblib in the worker."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.code import Code
from stream_infer.models.converted import ConvertedModel, split_last_step
from stream_infer.models.frame_builder import Frame, unsupported
from stream_infer.models.manifest import Manifest
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.package import Verified
from stream_infer.models.predict import Estimator, contract_violation, predict
from stream_infer.models.scores import Scores


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded estimator and its manifest.

    `others` are the two forms of a converted model; each has to give the golden answers.
    """

    manifest: Manifest
    digest: str
    estimator: Estimator
    others: tuple[Estimator, ...] = ()

    def predict(self, frame: Frame) -> Scores:
        """Return the scores of `frame` (of `frame_builder.build_frame`).

        Raises what the estimator raises, and `OutputShapeError` for an answer that is not one per row.
        """
        return predict(self.estimator, self.manifest.output, frame)

    def forms(self) -> tuple[Model, ...]:
        """Return one model for each form that may score a batch."""
        return tuple(replace(self, estimator=one, others=()) for one in self.others) or (self,)


def load_model(verified: Verified) -> Model:
    """Unpickle the model of a verified package, in this process and from the bytes that were hashed.

    Raises `Refused`: `LIBRARY_VERSION` (another scikit-learn, whose pickles may load and answer differently),
    `CONTAINER`, `LOAD` (whatever unpickling raises), `OUTPUT` (the classes or methods of the manifest are
    missing), `RUNTIME` (ONNX Runtime is not installed). The caller checks the versions of other libraries.
    """
    manifest = verified.manifest
    _check_version(manifest.libraries["scikit-learn"])
    reason = unsupported(manifest)
    if reason is not None:
        raise Refused(RefusalCode.CONTAINER, reason)
    estimator = _unpickle(verified)
    reason = contract_violation(estimator, manifest.output)
    if reason is not None:
        raise Refused(RefusalCode.OUTPUT, f"{type(estimator).__name__}: {reason}")
    force_one_job(estimator)
    if manifest.conversion is None:
        return Model(manifest, verified.digest, estimator)
    before, own = split_last_step(estimator)
    graph = open_onnx(verified.files[manifest.entry], own)
    converted = ConvertedModel(before, own, graph, manifest.conversion.up_to_rows)
    return Model(
        manifest, verified.digest, converted, (estimator, replace(converted, up_to_rows=sys.maxsize))
    )


def _check_version(trained: str) -> None:
    if trained.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise Refused(
            RefusalCode.LIBRARY_VERSION, f"made with scikit-learn {trained}, this is {sklearn.__version__}"
        )


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
    except (Exception, SystemExit) as error:
        # A pickle runs code, so anything can come out of it. A module or name that is not found is mostly a
        # function of the user's own script.
        hint = "; ship its module with --code" if isinstance(error, AttributeError | ImportError) else ""
        raise Refused(RefusalCode.LOAD, f"{type(error).__name__}: {error}{hint}") from error


def force_one_job(estimator: object) -> None:
    """Set `n_jobs` to 1 in every part of `estimator`.

    A batch is too small to be worth a pool, and the worker has its own processes. `get_params` alone is not
    enough: the fitted parts of a ColumnTransformer or a search are clones that no parameter leads to.
    """
    for attributes in _attributes(estimator):
        if "n_jobs" in attributes:
            attributes["n_jobs"] = 1


def _attributes(value: object) -> Iterator[dict[str, Any]]:
    """Yield the attributes of every object within `value` once; plain data is not searched."""
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
            yield vars(one)
            stack.extend(vars(one).values())
