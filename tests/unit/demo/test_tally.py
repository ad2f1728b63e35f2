from __future__ import annotations

from typing import Any

from stream_infer.demo.tally import Tally


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "model_version": "1.0.0", "drift": None, "performance": None, **fields}


def test_accuracy_is_known_for_each_window_and_for_all_of_them() -> None:
    tally = Tally()
    for number in range(2_000):
        tally.compare("1.0.0", right=number < 1_500)
    tally.compare("1.1.0", right=True)

    assert tally.accuracy("1.0.0", least_labels=2_000) == 0.75
    assert tally.accuracy("1.0.0", least_labels=2_001) is None
    assert tally.newest_accuracy("1.0.0", below=0.8) == 0.5
    assert tally.newest_accuracy("1.0.0", below=0.5) is None
    assert tally.newest_accuracy("1.1.0", below=1.0) is None


def test_events_are_found_by_what_is_in_them() -> None:
    tally = Tally()
    first = event("drift.detected", drift={"feature": "long_url", "signal": "mean"})
    second = event("drift.detected", drift={"feature": "is_popular", "signal": "mean"})
    for one in (event("quality"), first, second):
        tally.take(one)

    assert tally.find("drift.detected") is first
    assert tally.find("drift.detected", drift__feature="is_popular", model_version="1.0.0") is second
    assert tally.find("drift.detected", drift__feature="is_popular", model_version="1.1.0") is None
    assert tally.find("quality", drift__feature="is_popular") is None


def test_a_page_is_unanswered_until_it_has_a_prediction_or_a_dead_letter() -> None:
    tally = Tally(sent=5, predicted=2)
    tally.dead_letters["truncated"] += 1

    assert (tally.answered, tally.unanswered) == (3, 2)
