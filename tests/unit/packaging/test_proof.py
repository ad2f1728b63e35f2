"""`create` refuses what a worker would refuse later: answers that depend on the batch, and the rehearsal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from stream_infer.app.checks.findings import Findings
from stream_infer.app.checks.package import check_model
from stream_infer.flow.errors import Refused
from stream_infer.models.package import verify
from stream_infer.packaging.create import create_package
from stream_infer.rollout.forkserver import forkserver
from tests.unit.packaging.workshop import Workshop

RNG = np.random.default_rng(11)
NAMES = [f"x{index}" for index in range(20)]
FRAME = pd.DataFrame(RNG.normal(size=(200, 20)), columns=NAMES)
TARGET = FRAME.sum(axis=1)
SCHEMA = {"type": "record", "name": "E", "fields": [{"name": name, "type": "double"} for name in NAMES]}


def in_single_precision() -> Any:
    network = MLPRegressor(hidden_layer_sizes=(64,), tol=1e9, n_iter_no_change=5, random_state=0)
    return make_pipeline(FunctionTransformer(_single), network).fit(FRAME, 1_000 * TARGET)


def _single(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(np.float32)


class Centred(TransformerMixin, BaseEstimator):
    """Takes the mean of the batch away: an answer depends on the other rows."""

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803 - scikit-learn's name
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803 - the same
        return X - X.mean(axis=0)


class Forward(Centred):
    """Adds the first column of the row before: an answer depends on the order."""

    def transform(self, X: Any) -> Any:  # noqa: N803 - the same
        return X.assign(x0=X["x0"] + X["x0"].shift(1).fillna(X["x0"].iloc[-1]))


def refused(workshop: Workshop, model: Any, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        workshop.create(model, FRAME.head(40), schema=SCHEMA, **more)
    assert not workshop.package.exists()
    return caught.value


def test_the_tolerance_of_a_model_in_single_precision_is_found_and_told(workshop: Workshop) -> None:
    report = workshop.create(in_single_precision(), FRAME.head(40), schema=SCHEMA)

    manifest = verify(workshop.package).manifest
    assert 1e-9 < manifest.tolerance.relative <= 1e-4
    [note] = [one for one in report.notes if "single precision" in one]
    assert f"the tolerance is {manifest.tolerance.absolute:g} + {manifest.tolerance.relative:g}" in note
    findings = Findings()
    check_model(verify(workshop.package), None, findings)
    assert findings.passed == ["model: 20 features, answers its 40 golden rows"]


class RoundedAlone(LinearRegression):
    """Answers one row a little differently when it is alone in its batch."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        answers = super().predict(X)
        return answers * (1 + 1e-7 * (len(answers) == 1 and X["x0"].iloc[0] == FRAME["x0"][1]))


def test_the_tolerance_is_found_on_every_row_that_a_rehearsal_scores_alone(workshop: Workshop) -> None:
    workshop.create(RoundedAlone().fit(FRAME, TARGET), FRAME.head(20), schema=SCHEMA)

    assert verify(workshop.package).manifest.tolerance.relative >= 1e-7


def test_a_tolerance_that_is_given_is_kept(workshop: Workshop) -> None:
    refusal = refused(workshop, in_single_precision(), absolute_tolerance=1e-12)

    assert refusal.code == "batch_of_one"
    assert "allow a small difference with --relative-tolerance and --absolute-tolerance" in refusal.reason
    workshop.create(
        in_single_precision(), FRAME.head(40), schema=SCHEMA, absolute_tolerance=1, relative_tolerance=1e-5
    )


def test_a_model_in_double_precision_has_the_default_tolerance(workshop: Workshop) -> None:
    report = workshop.create(LinearRegression().fit(FRAME, TARGET), FRAME.head(40), schema=SCHEMA)

    assert verify(workshop.package).manifest.tolerance.relative == 1e-9
    assert report.notes == ()


def test_a_model_whose_answers_depend_on_the_batch_is_refused(workshop: Workshop) -> None:
    model = make_pipeline(Centred(), LinearRegression()).fit(FRAME, TARGET)

    refusal = refused(workshop, model)

    assert refusal.code == "batch_of_one"
    assert "alone in its batch, golden row 0 differs by" in refusal.reason
    assert "the model must answer a row from this row alone" in refusal.reason


def test_a_package_whose_answers_depend_on_the_order_is_refused_wherever_it_is_proved(
    workshop: Workshop,
) -> None:
    same = FRAME.head(40).assign(x0=1.0)
    model = make_pipeline(Forward(), LinearRegression()).fit(FRAME, TARGET)
    # All rows together, alone and in any order are alike: nothing tells.
    workshop.create(model, same, schema=SCHEMA)
    two = same.assign(x0=[1.0, 2.0] * 20)

    with pytest.raises(Refused) as caught:
        workshop.create(model, two, schema=SCHEMA, output=workshop.folder / "two")

    assert caught.value.code == "batch_of_one"


class Hostile(LinearRegression):
    """A model that does something on loading, but only in another process than the one that made it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if os.getpid() != self.__dict__.get("made_in"):
            _ACTS[self.__dict__["does"]]()


def _connect() -> None:
    socket.create_connection(("127.0.0.1", 9), 0.1)


_ACTS = {
    "die": lambda: os._exit(7),
    "connect": _connect,
    "hang": lambda: time.sleep(3_600),
    "eat": lambda: bytearray(3 * 2**30),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "code", "said", "more"),
    [
        ("die", "crash", "ended with exit code 7", {}),
        ("connect", "network", "load what the model needs before it is pickled", {}),
        ("hang", "timeout", "raise --rehearsal-timeout-ms here", {"rehearsal_timeout_ms": 3_000}),
        ("eat", "memory", "raise --rehearsal-memory-bytes here", {"rehearsal_memory_bytes": 2**30}),
    ],
)
def test_what_a_rehearsal_refuses_is_refused_at_create(
    workshop: Workshop, does: str, code: str, said: str, more: dict[str, Any]
) -> None:
    model = Hostile().fit(FRAME, TARGET)
    model.made_in, model.does = os.getpid(), does
    options = workshop.options(model, FRAME.head(5), schema=SCHEMA, **more)

    with forkserver() as run, pytest.raises(Refused) as caught:
        create_package(options, run)

    assert caught.value.code == code
    assert said in caught.value.reason
    assert not workshop.package.exists()


@pytest.mark.slow
def test_a_model_that_is_too_slow_for_a_worker_is_refused_until_the_limit_is_raised(
    workshop: Workshop,
) -> None:
    many = pd.concat([FRAME] * 100)
    model = KNeighborsRegressor(algorithm="brute").fit(many, np.tile(TARGET, 100))
    slow = workshop.options(model, FRAME.head(5), schema=SCHEMA, rehearsal_batch_ms=1)

    with pytest.raises(Refused) as caught:
        create_package(slow)
    report = create_package(replace(slow, rehearsal_batch_ms=60_000))

    assert caught.value.code == "latency"
    assert (
        "raise --rehearsal-batch-ms here and [model] rehearsal_batch_ms in worker.toml" in caught.value.reason
    )
    assert report.rows == 5


@pytest.mark.slow
def test_a_model_of_a_function_of_the_session_that_trained_it_is_refused(workshop: Workshop) -> None:
    """A function of `__main__` is there in the session, and in no other process."""
    program = f"""
import json, numpy as np, pandas as pd, stream_infer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

def twice(frame):
    return frame * 2

frame = pd.DataFrame({{"x": np.arange(9.0)}})
model = make_pipeline(FunctionTransformer(twice), LinearRegression()).fit(frame, frame["x"])
schema = {{"type": "record", "name": "E", "fields": [{{"name": "x", "type": "double"}}]}}
stream_infer.package(model, frame, name="m", version="1", schema=schema, output={str(workshop.package)!r})
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "Can't get attribute 'twice'" in done.stderr
    assert "ship its module with --code" in done.stderr
    assert not workshop.package.exists()
