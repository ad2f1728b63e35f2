"""A model file that ends the process that reads it is a refusal, and not the end of `package create`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor

from stream_infer.flow.errors import Misconfigured
from stream_infer.models.formats import LIGHTGBM, PICKLE
from stream_infer.packaging import reading_child, trial_reading
from stream_infer.packaging.trial_reading import require_readable

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
PROGRAMS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "was killed by SIGSEGV",
    "import os; os._exit(7)": "ended with exit code 7",
    "import signal; signal.pause()": "had not ended after 0.5 s",
}


@pytest.fixture
def text() -> bytes:
    model = LGBMRegressor(n_estimators=3, verbose=-1, n_jobs=1).fit(FRAME, FRAME["a"])
    return model.booster_.model_to_string().encode()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_process_that_does_not_end_in_order_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (tmp_path / "fatal_reading.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trial_reading, "_MODULE", "fatal_reading")
    if "pause" in program:
        monkeypatch.setattr(trial_reading, "_WITHIN_S", 0.5)

    with pytest.raises(Misconfigured) as refused:
        require_readable("model.txt", LIGHTGBM, b"tree", FRAME)

    [problem] = refused.value.problems
    assert PROGRAMS[program] in problem.message
    assert problem.fix == "give the whole file, as its library wrote it"


def test_a_sound_file_and_one_that_its_library_refuses_end_no_process(text: bytes) -> None:
    require_readable("model.txt", LIGHTGBM, text, FRAME)
    require_readable("model.txt", LIGHTGBM, b"tree\nobjective=regression\nend of trees", FRAME)


def test_a_pickle_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_reading, "_MODULE", "there_is_no_such_module")

    require_readable("model.joblib", PICKLE, b"anything", FRAME)


def test_the_process_asks_for_answers_too(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "stream_infer.models.boosters.LightgbmRegressor.predict", lambda _, rows: asked.append(rows)
    )
    rows = FRAME.round(3).assign(more="é\n")
    given = rows.to_json(orient="split", index=False).encode() + b"\n" + text
    monkeypatch.setattr(sys, "argv", ["reading_child", LIGHTGBM.file])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))

    reading_child.try_reading()

    zeros, given_rows = asked
    assert zeros.shape == (2, 2)
    pd.testing.assert_frame_equal(given_rows, rows[["a", "b"]])
