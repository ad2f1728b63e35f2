"""A model in the format of skops: its types are listed and approved when the package is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify
from stream_infer.models.skops_file import open_skops
from tests.unit.packaging.workshop import Workshop, assert_close, column

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(RNG.normal(size=(200, 2)), columns=["a", "b"])
EVENT = {"type": "record", "name": "E", "fields": [{"name": name, "type": "double"} for name in "ab"]}
BIG = FRAME["a"] > 0


def stored(model: Any, folder: Path) -> Path:
    path = folder / "model.bin"
    skops.io.dump(model, path)
    return path


def test_a_model_of_trusted_types_answers_as_its_maker(workshop: Workshop) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, BIG)

    workshop.create(stored(model, workshop.folder), FRAME.head(20), schema=EVENT)

    answers = workshop.answers(FRAME.to_dict("records"))
    assert_close(column(answers, "score"), model.predict_proba(FRAME)[:, 1])
    manifest = verify(workshop.package).manifest
    assert (manifest.entry, manifest.runtime, manifest.runs_code) == ("model.skops", "sklearn", False)
    assert "skops" in manifest.libraries


def test_other_types_are_listed_and_taken_when_they_are_approved(workshop: Workshop) -> None:
    model = LGBMClassifier(n_estimators=4, verbose=-1).fit(FRAME, BIG)
    path = stored(model, workshop.folder)

    with pytest.raises(Misconfigured) as raised:
        workshop.create(path, FRAME.head(20), schema=EVENT)
    [problem] = raised.value.problems
    assert "types that skops does not trust by itself" in problem.message
    approved = tuple(problem.fix.partition("--trust ")[2].split(" --trust "))
    workshop.create(path, FRAME.head(20), schema=EVENT, trusted=approved)

    answers = workshop.answers(FRAME.to_dict("records"))
    assert_close(column(answers, "score"), model.predict_proba(FRAME)[:, 1])
    assert set(verify(workshop.package).manifest.approved or ()) == set(approved)


def test_a_type_that_nobody_approved_is_not_loaded(workshop: Workshop) -> None:
    data = stored(LGBMClassifier(n_estimators=4, verbose=-1).fit(FRAME, BIG), workshop.folder).read_bytes()

    with pytest.raises(Refused) as raised:
        open_skops(data, ["lightgbm.basic.Booster"])

    assert raised.value.code is RefusalCode.LOAD
    assert "types that nobody approved" in raised.value.reason
    assert "lightgbm.sklearn.LGBMClassifier" in raised.value.reason
