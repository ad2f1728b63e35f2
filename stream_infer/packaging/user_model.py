"""Reads and unpickles the user's model file and modules.

Unpickling runs code: here the code of the person who runs the command. Only `models.load` loads packages from
elsewhere, after verification.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.code import Code

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
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise Misconfigured([Problem(option, str(path), what, "check the path")]) from error


def unpickle(path: Path, data: bytes, code: Files) -> Any:  # noqa: ANN401 - any estimator
    """Return the estimator in `data`, the bytes of the file at `path`; modules of `code` are importable."""
    try:
        with Code(code, "sha256:user").importable(), warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(io.BytesIO(data))
    except Refused as error:
        raise Misconfigured([Problem("--code", "", error.reason, "give the module another name")]) from error
    except Exception as error:
        what, fix = _explained(error)
        raise Misconfigured([Problem("MODEL", str(path), what, fix)]) from error


def _explained(error: Exception) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, InconsistentVersionWarning):
        return str(error), "make the package in the environment that the model was trained in"
    if "__main__" in str(error):
        fix = (
            "move the function into a module, import it from there to train, and give its folder with --code"
        )
        return f"it needs a function of the script that trained it ({text})", fix
    if isinstance(error, ImportError):
        return f"it needs a module ({text})", "install it, or give its folder with --code"
    if isinstance(error, AttributeError):
        return f"it needs a name ({text})", "give the folder of the module that has it with --code"
    if isinstance(error, pickle.UnpicklingError | EOFError | KeyError | ValueError | IndexError):
        fix = "give a file that joblib.dump or pickle.dump wrote"
        return f"is not a complete joblib or pickle file ({text})", fix
    return f"does not load ({text})", "try joblib.load on it in this environment"
