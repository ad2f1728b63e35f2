from __future__ import annotations

from typing import Any

from stream_infer.demo.tally import Tally


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "model_version": "1.0.0", "drift": None, "performance": None, **fields}


def accuracy(value: float, labelled: int, version: str = "1.0.0") -> dict[str, Any]:
    return event(
        "performance",
        model_version=version,
        performance={
            "metric": "accuracy",
            "value": value,
            "labelled": labelled,
            "label_delay_p50_ms": 2_000,
        },
    )


def test_accuracy_is_weighed_by_labels_and_waits_for_enough_of_them() -> None:
    tally = Tally()
    tally.take(accuracy(0.5, 300))
    tally.take(accuracy(1.0, 100))
    tally.take(accuracy(0.0, 100, version="1.1.0"))
    tally.take(event("performance", performance={"metric": "log_loss", "value": 9.0, "labelled": 300}))

    assert tally.accuracy("1.0.0", least_labels=400) == 0.625
    assert tally.accuracy("1.0.0", least_labels=401) is None
    assert tally.accuracy("2.0.0", least_labels=1) is None


def test_the_newest_window_counts_if_it_has_many_labels() -> None:
    tally = Tally()
    for value, labelled in ((0.9, 200), (0.5, 150), (1.0, 20)):
        tally.take(accuracy(value, labelled))

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
