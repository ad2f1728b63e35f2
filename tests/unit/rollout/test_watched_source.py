from __future__ import annotations

from pathlib import Path

from stream_infer.rollout.watched_source import WatchedSource
from tests.unit.rollout.following import ScriptedSource, desired
from tests.unit.rollout.packages import package


def test_a_source_that_is_watched_gives_its_answers_and_the_time_of_the_last_poll(tmp_path: Path) -> None:
    ref = package(tmp_path / "one", 1.0)
    times = iter([100.0, 107.0])
    watched = WatchedSource(ScriptedSource(tmp_path, desired(ref, 1)), lambda: next(times))
    assert watched.polled_at == 100.0

    assert watched.poll(0.0) == desired(ref, 1)

    assert watched.polled_at == 107.0
    assert watched.fetch(ref) == tmp_path / "one"
