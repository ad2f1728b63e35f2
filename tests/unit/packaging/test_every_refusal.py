"""Every refusal of packaging has a fix that leads on: to a package or another refusal, not in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

import stream_infer
from stream_infer.flow.errors import Misconfigured, Refused
from tests.support.refusal_sites import Reached, reached, sites_of
from tests.unit.packaging.refusals import (  # noqa: F401 - their cases register themselves
    environments,
    files,
    models,
    options,
    samples,
    types,
)
from tests.unit.packaging.refusals.bench import CASES, DONE, Bench

pytestmark = pytest.mark.slow

_SOURCES = Path(stream_infer.__file__).parent
# What these say of a user's model has a fix of its own. Other modules of `models` read packages, and what
# they say of damage or of a missing library is reported by packaging.
_OF_MODELS = ("boosters", "code", "onnx_file")
FILES = [
    *(f"packaging/{path.name}" for path in sorted((_SOURCES / "packaging").glob("*.py"))),
    *(f"models/{name}.py" for name in _OF_MODELS),
]


def _said(refusal: Misconfigured | Refused) -> str:
    if isinstance(refusal, Refused):
        return refusal.reason
    return "; ".join(problem.fix for problem in refusal.problems)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_the_fix_of_a_refusal_leads_on(name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    ended = False
    for words, attempt in CASES[name](bench, monkeypatch):
        if words == DONE:
            attempt()
            ended = True
            continue
        with pytest.raises((Misconfigured, Refused)) as caught:
            attempt()
        refusal = str(caught.value), _said(caught.value)
        assert words in refusal[1]
        assert refusal not in seen, "the fix leads back"
        seen.append(refusal)
    assert ended
    assert seen


def test_every_refusal_has_a_case(tmp_path: Path) -> None:
    lines: frozenset[tuple[str, int]] = frozenset()
    for number, one in enumerate(CASES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            noted = Reached(patch)
            for words, attempt in one(Bench(folder), patch):
                if words == DONE:
                    break
                with pytest.raises((Misconfigured, Refused)):
                    attempt()
            lines |= noted.taken()

    without = [str(site) for site in sites_of(FILES) if not reached(site, lines)]
    assert without == []
