from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.records import Headers
from stream_infer.steps.scoring.size import headers_bytes, longest_headers_bytes

header = st.tuples(st.text(max_size=5), st.one_of(st.none(), st.binary(max_size=9)))


@given(st.lists(st.one_of(st.none(), st.lists(header, max_size=4))))
def test_no_headers_of_many_records_are_larger_than_the_bound(rows: list[Headers | None]) -> None:
    bound = longest_headers_bytes(rows)

    assert all(headers_bytes(row or ()) <= bound for row in rows)


def test_the_bound_is_met_by_records_that_are_alike() -> None:
    rows = [[("traceparent", b"x" * 55)]] * 3

    assert longest_headers_bytes(rows) == headers_bytes(rows[0])
    assert longest_headers_bytes([None, []]) == 0
