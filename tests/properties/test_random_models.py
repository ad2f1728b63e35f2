"""Random models, frames and samples: equal to the maker's answers, refused, or told at create what is lost.

`STREAM_INFER_TEST_MODELS=500 pytest tests/properties/test_random_models.py` tries as many, and
`--log-cli-level=info` shows the share of each outcome.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.scorer import open_package
from tests.support.random_models import SAMPLES, Sample, Trained, trained
from tests.support.rehearsals import unrehearsed
from tests.support.unusual_models import unusual

MANY = os.environ.get("STREAM_INFER_TEST_MODELS")
MODELS, UNUSUAL = int(MANY or 50), int(MANY or 25)
# The same examples at each run, unless many are wanted. None is made smaller: the report names it.
TRIALS = settings(
    deadline=None,
    database=None,
    derandomize=MANY is None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SHARE = 0.05
# Of fifty. pandas 2 writes more digits of a 32-bit float than the float has, which create refuses.
FEW = 4 if pd.__version__ >= "3" else 8
"""So many refusals in a short run, and this share of a long one, are accepted."""
_UNSEEN, _DEAD = "left out", "will be dead letters, because"


def packaged(own: Trained, sample: Sample, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the package of a random model in `folder`, and what create said. Raises what create raises."""
    report = create_package(
        CreateOptions(
            model=own.model,
            name="random",
            version="1",
            schema=own.schema(),
            output=folder / "package",
            **own.options(),
            **own.through(sample).given(own.frame, folder, array=own.array),
        ),
        unrehearsed,
    )
    return report.path, report.notes


def unexplained(own: Trained, sample: Sample) -> list[str]:
    """Return each row whose answer is neither the maker's nor announced at create.

    Raises what create raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        package, notes = packaged(own, sample, Path(folder))
        answers = open_package(package).predict(own.events(own.frame))
    expected = own.own(own.frame)
    found = []
    for row, (answer, (label, number)) in enumerate(zip(answers, expected, strict=True)):
        if not _explained(answer, label, number, notes):
            found.append(f"row {row}: {answer} for {label}, {number}; {own.frame.iloc[row].to_dict()}")
    return found


def _explained(answer: dict[str, Any], label: str | None, number: Any, notes: tuple[str, ...]) -> bool:
    if "error" in answer:
        feature = answer["error"]["message"].split("'")[1]
        said = _UNSEEN if answer["error"]["class"] == "unseen_category" else _DEAD
        return any(feature in note and said in note for note in notes)
    if isinstance(number, dict):
        return all(_near(answer["values"][name], one) for name, one in number.items())
    given = answer["value"] if label is None else answer["score"]
    return (number is None or _near(given, number)) and answer["label"] == label


def _near(given: float | None, number: float) -> bool:
    return given is not None and bool(np.isclose(given, number, rtol=1e-6, atol=1e-9))


# Training warns of what is random here: solvers that did not converge, constant columns, old estimators.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("models", "count"), [(trained(), MODELS), (unusual(), UNUSUAL)], ids=["usual", "rare"]
)
def test_random_models_answer_as_their_makers_or_say_what_is_lost(
    models: SearchStrategy[Trained | None], count: int
) -> None:
    outcomes: Counter[str] = Counter()
    refusals: list[str] = []

    @settings(TRIALS, max_examples=count)
    @given(models, SAMPLES)
    def tried(own: Trained | None, sample: Sample) -> None:
        if own is None:
            outcomes["untrainable"] += 1
            return
        try:
            wrong = unexplained(own, sample)
        except (Misconfigured, Refused) as refusal:
            outcomes["refused"] += 1
            refusals.append(str(refusal))
            return
        assert wrong == [], f"{own.model}\n{own.columns}\n{sample}"
        outcomes["equal or said"] += 1

    tried()

    logging.getLogger(__name__).info("%s; refused: %s", dict(outcomes), refusals)
    trials = outcomes["refused"] + outcomes["equal or said"]
    assert outcomes["refused"] <= max(FEW, SHARE * trials), (outcomes, refusals)
