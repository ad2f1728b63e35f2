"""What was measured is found again by the package, the environment and the limits, and by nothing less."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.rollout import rehearsal_cache
from stream_infer.rollout.rehearsal_cache import RehearsalCache, environment_fingerprint
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RehearsalResult
from tests.support.special_files import needs_pipes, put_pipe

ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
MEASURED = RehearsalResult(rows=3, max_abs_difference=1e-15, batch_p50_s=0.5, grown_bytes=None)


@pytest.mark.parametrize("folder", ["verdicts", None])
def test_what_was_measured_is_found(tmp_path: Path, folder: str | None) -> None:
    known = RehearsalCache(tmp_path / folder if folder else None)
    known.keep(ONE, RehearsalLimits(), MEASURED)
    known.mark_served(ONE)

    assert known.find(ONE, RehearsalLimits()) == MEASURED
    assert known.find(OTHER, RehearsalLimits()) is None
    assert known.find(ONE, RehearsalLimits(timeout_s=1.0)) is None
    assert known.served == {ONE}


def test_the_next_process_finds_it_too(tmp_path: Path) -> None:
    before = RehearsalCache(tmp_path)
    before.keep(ONE, RehearsalLimits(), MEASURED)
    before.mark_served(OTHER)

    after = RehearsalCache(tmp_path)

    assert after.find(ONE, RehearsalLimits()) == MEASURED
    assert after.served == {OTHER}


def test_in_another_environment_it_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RehearsalCache(tmp_path).keep(ONE, RehearsalLimits(), MEASURED)
    monkeypatch.setattr(rehearsal_cache, "environment_fingerprint", lambda: "another")

    assert RehearsalCache(tmp_path).find(ONE, RehearsalLimits()) is None


def test_the_environment_is_the_same_each_time_it_is_asked_for() -> None:
    environment_fingerprint.cache_clear()
    first = environment_fingerprint()
    environment_fingerprint.cache_clear()

    assert environment_fingerprint() == first


@pytest.mark.parametrize("text", ["", "{", '{"rows": 3}', "[]"])
def test_a_file_that_is_broken_is_no_verdict(tmp_path: Path, text: str) -> None:
    RehearsalCache(tmp_path).keep(ONE, RehearsalLimits(), MEASURED)
    (file,) = tmp_path.iterdir()
    file.write_text(text)

    assert RehearsalCache(tmp_path).find(ONE, RehearsalLimits()) is None


@needs_pipes
def test_a_pipe_in_place_of_a_verdict_is_no_verdict_and_the_next_one_replaces_it(tmp_path: Path) -> None:
    known = RehearsalCache(tmp_path)
    known.keep(ONE, RehearsalLimits(), MEASURED)
    (file,) = tmp_path.iterdir()
    put_pipe(file)

    assert RehearsalCache(tmp_path).find(ONE, RehearsalLimits()) is None

    known.keep(ONE, RehearsalLimits(), MEASURED)

    assert RehearsalCache(tmp_path).find(ONE, RehearsalLimits()) == MEASURED


def test_a_folder_that_cannot_be_written_only_forgets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    known = RehearsalCache(tmp_path / "file")
    known.keep(ONE, RehearsalLimits(), MEASURED)
    known.mark_served(ONE)

    assert known.find(ONE, RehearsalLimits()) == MEASURED
    assert known.served == {ONE}
    assert RehearsalCache(tmp_path / "file").find(ONE, RehearsalLimits()) is None
