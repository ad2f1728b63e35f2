"""Files and folders that people give for a model are recognised, or named with a way on."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import joblib
import pytest

from stream_infer.flow.errors import Misconfigured
from stream_infer.models.formats import PICKLE
from stream_infer.models.manifest import Tolerance
from stream_infer.packaging.model_bytes import recognise
from stream_infer.packaging.user_model import read_bytes


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "xz", "lzma"])
def test_every_file_of_joblib_is_a_pickle(compress: int | str) -> None:
    file = io.BytesIO()
    joblib.dump({"a": 1}, file, compress=(compress, 3) if compress else 0)

    assert recognise("model.bin", file.getvalue()) is PICKLE


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_is_a_pickle(protocol: int) -> None:
    assert recognise("model.bin", pickle.dumps(Tolerance(), protocol)) is PICKLE


@pytest.mark.parametrize(
    ("data", "what", "fix"),
    [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", "tf2onnx"),
        (zipped("config.json", "model.weights.h5"), "is a file of Keras", "tf2onnx"),
        (zipped("archive/data.pkl", "archive/version"), "is a file of torch.save", "skorch"),
        (zipped("manifest.json", "manifest.sha256"), "is a model package already", "package verify"),
        (zipped("model.bin"), "is a zip file", "unpack it"),
        (b"PK\x03\x04 and no more", "a part of a zip file", "whole file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS", "git lfs pull"),
        (b"<?xml version='1.0'?><PMML/>", "is XML, such as PMML", "joblib.dump"),
        (b"<!DOCTYPE html><html>", "is a web page", "download"),
        (b"PAR1....", "is a data file", "--golden"),
        (b"binf" + bytes(20), "XGBoost has given up", "model.ubj"),
        (b'{"name":"tree","version":"v4"', "LightGBM's dump for people", "save_model"),
        (b'[\n  { "nodeid": 0', "a dump of trees for people", "save_model"),
        (b"RDX3\n", "is a file of R", "ONNX"),
        (b"GGUF\x03", "is no model file of a known format: it begins with 'GGUF", "joblib or pickle"),
        (b"stops,night\n1,2\n", "it begins with 'stops,night\\n'", "joblib or pickle"),
        (b"", "is empty", "whole file"),
    ],
)
def test_a_file_of_another_kind_is_named_with_a_way_on(data: bytes, what: str, fix: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        recognise("model.bin", data)

    [problem] = raised.value.problems
    assert (problem.key, problem.value) == ("MODEL", "model.bin")
    assert what in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ("manifest.sha256", "is a model package already"),
        ("MLmodel", "is a model folder of MLflow"),
        ("saved_model.pb", "is a SavedModel of TensorFlow"),
        ("notes.txt", "is a folder"),
    ],
)
def test_a_folder_is_named_with_a_way_on(tmp_path: Path, inside: str, what: str) -> None:
    (tmp_path / inside).write_text("")

    with pytest.raises(Misconfigured) as raised:
        read_bytes("MODEL", tmp_path)

    [problem] = raised.value.problems
    assert problem.message == what
    assert problem.fix
