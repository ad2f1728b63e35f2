"""Reads and unpickles the user's model file and modules.

Unpickling runs code: here the code of the person who runs the command. Only `models.load` loads packages from
elsewhere, after verification.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.code import Code
from stream_infer.models.formats import ONNX, SKOPS, ModelFormat
from stream_infer.models.open_file import open_file
from stream_infer.models.skops_file import untrusted_types
from stream_infer.packaging.graph_classes import graph_classes

Files = Mapping[str, bytes]


def read_code(folder: Path) -> Files:
    """Return the modules under `folder` as `code/...` files; caches and hidden folders stay out."""
    if not folder.is_dir():
        what = "there is no such folder"
        raise Misconfigured([Problem("--code", str(folder), what, "give the folder that holds the modules")])
    files = {
        f"code/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
        if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
    }
    if not files:
        what = "there is no .py file in it"
        raise Misconfigured([Problem("--code", str(folder), what, "give the folder that holds the modules")])
    return files


def read_bytes(option: str, path: Path) -> bytes:
    """Return the bytes of a file that an option names."""
    if path.is_dir():
        raise Misconfigured([Problem(option, str(path), *_folder(path))])
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise Misconfigured([Problem(option, str(path), what, "check the path")]) from error


def _folder(path: Path) -> tuple[str, str]:
    """Return what kind of folder somebody gave for a file, and the way on."""
    if (path / "manifest.sha256").exists():
        return "is a model package already", "use it as it is: package verify"
    if (path / "MLmodel").exists():
        return "is a model folder of MLflow", f"give --from mlflow:{path}"
    if (path / "saved_model.pb").exists():
        return "is a SavedModel of TensorFlow", "convert it to ONNX (tf2onnx)"
    return "is a folder", "give the file in it"


def pickled(estimator: Any) -> bytes:  # noqa: ANN401 - any estimator
    """Return the bytes of the file that joblib writes of an estimator in memory."""
    file = io.BytesIO()
    try:
        joblib.dump(estimator, file)
    except BaseException as error:
        raise_interrupt(error)
        what = f"cannot be pickled ({error_text(error)})"
        fix = "move its functions into a module, import it from there to train, and give its folder as code"
        raise Misconfigured([Problem("MODEL", type(estimator).__name__, what, fix)]) from error
    return file.getvalue()


def importer_of(files: Files) -> Code:
    """Return the importer of the user's modules.

    Raises `Misconfigured` for the name of a module that the worker uses itself.
    """
    try:
        return Code(files, "sha256:user")
    except Refused as error:
        raise Misconfigured([Problem("--code", "", error.reason, "give the module another name")]) from error


def open_model(name: str, data: bytes, code: Code, form: ModelFormat, approved: Sequence[str]) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator in `data`, the bytes of the file `name`; `approved` are types of a skops file."""
    if form.pickled:
        return _unpickle(name, data, code)
    try:
        with code.importable():
            if form is SKOPS:
                _check_types(name, untrusted_types(data), approved)
            classes = graph_classes(data) if form is ONNX else ()
            return open_file(form, data, classes, approved)
    except Refused as error:
        raise Misconfigured([Problem("MODEL", name, error.reason, _fix(error.code, form))]) from error


def _fix(code: RefusalCode, form: ModelFormat) -> str:
    """Return the way on for a file of `form` that cannot be opened."""
    if code is RefusalCode.RUNTIME:
        return "install it here and where the worker runs"
    if code is RefusalCode.LOAD:
        return "give the whole file, as its library wrote it"
    if form is ONNX:
        return (
            "export it with tables of a known number of columns as inputs, and with a label of one list"
            " of classes and its probabilities, or with numbers, as outputs"
        )
    return "give its estimator, which knows what it answers, as a file of joblib.dump"


def _check_types(name: str, types: Sequence[str], approved: Sequence[str]) -> None:
    unapproved = [one for one in types if one not in approved]
    if unapproved:
        what = f"it has types that skops does not trust by itself: {', '.join(unapproved)}"
        fix = f"if you trust them: {' '.join(f'--trust {one}' for one in unapproved)}"
        raise Misconfigured([Problem("MODEL", name, what, fix)])


def _unpickle(name: str, data: bytes, code: Code) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator in `data`, the bytes of the file `name`; modules of `code` are importable."""
    try:
        with code.importable(), warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(io.BytesIO(data))
    except BaseException as error:
        raise_interrupt(error)
        what, fix = _explained(error)
        raise Misconfigured([Problem("MODEL", name, what, fix)]) from error
    if type(model).__name__ == "Booster":
        what = f"it holds a Booster of {type(model).__module__}, which takes no frame and tells no classes"
        fix = "write it with its save_model('model.ubj' or 'model.txt'), and give that file"
        raise Misconfigured([Problem("MODEL", name, what, fix)])
    return model


def _explained(error: BaseException) -> tuple[str, str]:
    text = error_text(error)
    if isinstance(error, InconsistentVersionWarning):
        return str(error), "make the package in the environment that the model was trained in"
    if "__main__" in text:
        fix = (
            "move the function into a module, import it from there to train, and give its folder with --code"
        )
        return f"it needs a function of the script that trained it ({text})", fix
    if isinstance(error, ImportError):
        return f"it needs a module ({text})", "install it, or give its folder with --code"
    if isinstance(error, AttributeError):
        return f"it needs a name ({text})", "give the folder of the module that has it with --code"
    if isinstance(error, pickle.UnpicklingError | EOFError | KeyError | ValueError | IndexError):
        fix = "give the whole file that joblib.dump or pickle.dump wrote"
        return f"is not a complete joblib or pickle file ({text})", fix
    return f"does not load ({text})", "try joblib.load on it in this environment"
