"""Page-Hinkley's statistic is the one that River compares with the threshold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import PageHinkley

from stream_infer.drift.budget import change_detectors
from stream_infer.drift.detectors import DetectorKind, DetectorSpec, make_detector

VALUES = st.lists(st.one_of(st.floats(-12, 12), st.integers(-3, 3).map(float)), min_size=1, max_size=200)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "delta": st.sampled_from([0.0, 0.005, 0.5, 1.5]),
        "threshold": st.sampled_from([0.5, 2.0, 5.35, 50.0]),
        "alpha": st.sampled_from([1.0, 0.9999, 0.9]),
        "min_instances": st.integers(1, 30),
    },
)


@given(VALUES, PARAMETERS)
@settings(max_examples=300, deadline=None)
def test_page_hinkley_detects_exactly_where_its_statistic_is_over_the_threshold(
    values: list[float], parameters: dict[str, float]
) -> None:
    detector = make_detector(DetectorSpec(DetectorKind.PAGE_HINKLEY, parameters))
    river = PageHinkley(**parameters)
    since = 0
    for value in values:
        since = 1 if river.drift_detected else since + 1
        river.update(value)
        change = detector.update(value)

        assert change is river.drift_detected
        assert detector.statistic is not None
        over = detector.statistic > river.threshold
        assert change is (over and since >= river.min_instances)


def test_page_hinkley_as_it_is_shipped_reports_a_statistic_worked_out_by_hand() -> None:
    detector = make_detector(change_detectors(1e5, (DetectorKind.PAGE_HINKLEY,))[0])
    for value in (0.0, 0.0, 0.0, 4.0):
        detector.update(value)

    # Mean 1 after the last value: the sum is 3 - 1.5 above its minimum, which the third value made.
    assert detector.statistic == 1.5


def test_the_other_detectors_have_no_statistic() -> None:
    kinds = [kind for kind in DetectorKind if kind is not DetectorKind.PAGE_HINKLEY]

    assert {make_detector(DetectorSpec(kind)).statistic for kind in kinds} == {None}
