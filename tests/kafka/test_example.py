"""The example, typed as its README says: train, package, run, labels, a second model, a rollback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, fenced
from tests.support.broker import Broker
from tests.support.clients import topics_removed
from tests.support.typist import Typist, typist

CHURN = ROOT / "examples" / "churn"
_, TRAIN, RUN, SCORE, LABEL, BETTER, BACK = fenced((CHURN / "README.md").read_text("utf-8"), "bash")


@pytest.fixture
def stranger(tmp_path: Path, broker: Broker) -> Iterator[Typist]:
    folder = tmp_path / "churn"
    shutil.copytree(CHURN, folder)
    with typist(folder, broker.bootstrap) as typing, topics_removed(broker.bootstrap, "shop."):
        yield typing


def test_a_stranger_gets_from_training_to_a_second_model_and_back(stranger: Typist) -> None:
    *label, events = LABEL.splitlines()

    stranger.type(TRAIN)
    stranger.type(RUN)
    scored = stranger.type(SCORE)
    labelled = stranger.type("\n".join(label))
    measured = stranger.listen(events, "accuracy of model 1.0.0")
    swapped = stranger.type(BETTER)
    rolled_back = stranger.type(BACK)
    stranger.leave()

    assert scored.count("1.0.0") >= 5
    assert "2000 labels sent" in labelled
    assert "accuracy of model 1.0.0 is 0.8" in measured
    assert "1.1.0" in swapped
    assert "1.0.0" in rolled_back
