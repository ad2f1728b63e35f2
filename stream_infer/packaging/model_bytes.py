"""Recognises the format of a model file by its first bytes: what is taken, and what else people give.

A name says little: `model.bin`, `model.model` and `model.pkl` have any of them.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.formats import (
    CATBOOST,
    LIGHTGBM,
    ONNX,
    PICKLE,
    SKOPS,
    XGBOOST_JSON,
    XGBOOST_UBJ,
    ModelFormat,
)

_HEAD = 4096
# joblib compresses with zlib, gzip, bz2, xz, lzma or lz4; a bare pickle begins with its protocol or a module.
_PICKLES = re.compile(rb"\x80|x|\x1f\x8b|BZh|\xfd7zXZ|\]\x00\x00|\x04\x22\x4d\x18|c[\w.]+\n")
_PACKAGE = "package it from Python where it was trained, or store it with joblib.dump"
_PYTORCH = "train it through skorch (a NeuralNetClassifier), and store that with joblib.dump"

_TAKEN: Sequence[tuple[re.Pattern[bytes], ModelFormat]] = (
    (re.compile(rb"CBM1"), CATBOOST),
    (re.compile(rb"tree\r?\nversion="), LIGHTGBM),
    (re.compile(rb'\s*\{\s*"(learner|version)"\s*:'), XGBOOST_JSON),
    (re.compile(rb"\{L.{8}(learner|version)", re.DOTALL), XGBOOST_UBJ),
    # The first fields of a ModelProto: the version of the format, then producer, graph or operators.
    (re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x3a\x42]"), ONNX),
)
_OTHERS: Sequence[tuple[re.Pattern[bytes], str, str]] = (
    (re.compile(rb"binf"), "is in the binary format that XGBoost has given up", "save it as model.ubj"),
    (re.compile(rb"version https://git-lfs"), "is a pointer of Git LFS, not the file", "run git lfs pull"),
    (re.compile(rb"\x89HDF"), "is an HDF5 file, as Keras writes it", "convert it to ONNX (tf2onnx)"),
    (re.compile(rb"\s*<(\?xml|PMML)"), "is XML, such as PMML", _PACKAGE),
    (re.compile(rb"\s*<(!DOCTYPE|html)", re.IGNORECASE), "is a web page", "download the file itself"),
    (re.compile(rb"PAR1|Obj\x01"), "is a data file", "give the model; data is --golden or --reference"),
    (re.compile(rb"RD[AX]\d\n|X\n\x00\x00"), "is a file of R", "export the model to ONNX"),
    (re.compile(rb'\s*\{\s*"name"\s*:\s*"tree"'), "is LightGBM's dump for people", "give save_model's text"),
    (re.compile(rb"\s*\[\s*\{"), "is a dump of trees for people", "give the file that save_model writes"),
)


def recognise(name: str, data: bytes) -> ModelFormat:
    """Return the format of the model file `name`. Raises `Misconfigured` for one that is not taken."""
    head = data[:_HEAD]
    for pattern, form in _TAKEN:
        if pattern.match(head):
            return form
    for pattern, what, fix in _OTHERS:
        if pattern.match(head):
            raise _not_taken(name, what, fix)
    if head.startswith(b"PK\x03\x04"):
        return _zip(name, data)
    if not head:
        raise _not_taken(name, "is empty", "give the whole file")
    if _PICKLES.match(head) is None:
        shown = head[:12].decode("ascii", "backslashreplace")
        fix = "give a file of joblib or pickle, skops or ONNX, or XGBoost's, LightGBM's or CatBoost's own"
        raise _not_taken(name, f"is no model file of a known format: it begins with {shown!r}", fix)
    return PICKLE


def _zip(name: str, data: bytes) -> ModelFormat:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile as error:
        raise _not_taken(name, "is a part of a zip file", "give the whole file") from error
    if "schema.json" in names:
        return SKOPS
    raise _not_taken(name, *_other_zip(names))


def _other_zip(names: Sequence[str]) -> tuple[str, str]:
    if "manifest.json" in names and "manifest.sha256" in names:
        return "is a model package already", "use it as it is: package verify"
    if any(name.endswith("data.pkl") for name in names):
        return "is a file of torch.save", _PYTORCH
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        return "is a file of Keras", "convert it to ONNX (tf2onnx)"
    return "is a zip file", "unpack it, and give the model file in it"


def _not_taken(name: str, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem("MODEL", name, what, fix)])
