"""Whatever the import of a library raises, or its reading of a file, is a refusal that names it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.boosters import open_booster
from stream_infer.models.formats import CATBOOST, LIGHTGBM, XGBOOST_JSON
from stream_infer.models.onnx_model import open_session
from stream_infer.models.optional_library import importing, reading
from stream_infer.models.skops_file import untrusted_types
from stream_infer.packaging.graph_classes import graph_classes

OPENERS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "xgboost": (lambda data: open_booster(XGBOOST_JSON, data), "pip install xgboost"),
    "lightgbm": (lambda data: open_booster(LIGHTGBM, data), "pip install lightgbm"),
    "catboost": (lambda data: open_booster(CATBOOST, data), "pip install catboost"),
    "skops": (untrusted_types, "pip install skops"),
    "onnxruntime": (open_session, "pip install 'stream-infer-worker[onnx]'"),
    "onnx": (graph_classes, "pip install 'stream-infer-worker[onnx]'"),
}


@pytest.mark.parametrize("raised", ["SystemExit('no AVX2')", "ImportError('no AVX2')", "OSError('no AVX2')"])
@pytest.mark.parametrize("library", OPENERS)
def test_a_library_whose_import_raises_is_named_with_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, raised: str
) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [one for one in sys.modules if one.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    opener, fix = OPENERS[library]

    with pytest.raises(Refused, match="no AVX2") as refused:
        opener(b"")

    assert refused.value.code is RefusalCode.RUNTIME
    assert fix in refused.value.reason


@pytest.mark.parametrize("library", ["xgboost", "catboost", "skops", "onnxruntime", "onnx"])
def test_bytes_that_are_no_file_of_the_library_are_refused(library: str) -> None:
    with pytest.raises(Refused) as refused:
        OPENERS[library][0](b"no model")

    assert refused.value.code is RefusalCode.LOAD


@pytest.mark.parametrize("data", [b"CBM1", b"CBM1 and no more", b"CBM1\x08\0\0\0part of"])
def test_a_file_of_catboost_that_breaks_off_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="breaks off") as refused:
        open_booster(CATBOOST, data)

    assert refused.value.code is RefusalCode.LOAD


@pytest.mark.parametrize("used", [importing("a model", "install it"), reading("a file")])
def test_the_interrupt_of_a_user_is_no_refusal(used: Any) -> None:
    with pytest.raises(KeyboardInterrupt), used:
        raise KeyboardInterrupt
