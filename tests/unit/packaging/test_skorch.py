"""A network of PyTorch, trained through skorch, in a package that is rehearsed as by a worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from stream_infer.flow.errors import Refused
from stream_infer.packaging.create import create_package
from tests.unit.packaging.workshop import Workshop, column

skorch = pytest.importorskip("skorch", reason="`pip install skorch torch` first: too large for every run")

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["a", "b"])
SCHEMA = {"type": "record", "name": "E", "fields": [{"name": n, "type": "double"} for n in FRAME.columns]}
MODULE = """
from torch import nn

class Network(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=-1))
"""
ROOM = 6 * 10**9


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a fitted pipeline of a class in `modules/`, which nobody else can import, and its file."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_torch.py").write_text(MODULE)
    with monkeypatch.context() as training:
        training.syspath_prepend(tmp_path / "modules")
        import own_torch  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        single = FunctionTransformer(np.asarray, kw_args={"dtype": np.float32})
        net = skorch.NeuralNetClassifier(own_torch.Network, max_epochs=3, verbose=0, train_split=None)
        model = make_pipeline(StandardScaler(), single, net).fit(FRAME, (FRAME["a"] > 0).to_numpy(np.int64))
        joblib.dump(model, tmp_path / "net.joblib")
        del sys.modules["own_torch"]  # not with monkeypatch, which would restore it
    return model


def test_a_network_answers_as_its_maker(workshop: Workshop, network: Any) -> None:
    path, modules = workshop.folder / "net.joblib", workshop.folder / "modules"
    golden = FRAME.head(20)

    create_package(workshop.options(path, golden, schema=SCHEMA, code=modules, rehearsal_memory_bytes=ROOM))

    answers = column(workshop.answers(FRAME.to_dict("records")), "score")
    np.testing.assert_allclose(answers, network.predict_proba(FRAME)[:, 1], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("network")
def test_a_network_that_needs_more_memory_is_refused_with_the_limit(workshop: Workshop) -> None:
    path, modules = workshop.folder / "net.joblib", workshop.folder / "modules"
    options = workshop.options(
        path, FRAME.head(20), schema=SCHEMA, code=modules, rehearsal_memory_bytes=2**20
    )

    with pytest.raises(Refused, match="limit of 1,048,576 bytes") as refused:
        create_package(options)

    assert refused.value.code == "memory"
    assert "raise --rehearsal-memory-bytes" in refused.value.reason
