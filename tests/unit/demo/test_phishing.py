from __future__ import annotations

import io
from itertools import islice
from typing import Any

import fastavro
import pytest

from stream_infer.demo import phishing
from stream_infer.demo.phishing import Pages, PhishingData, World

Seen = tuple[dict[str, Any], bool]


@pytest.fixture(scope="module")
def data() -> PhishingData:
    return phishing.load_phishing()


def pages(data: PhishingData, world: World, seed: int = 1) -> list[Seen]:
    """Return pages as events and truths, as a reader of the topic gets them."""
    schema = fastavro.parse_schema(phishing.event_schema(data.features))
    stream = Pages(data, seed=seed)
    events = islice(iter(lambda: stream.next(world, 1_000), None), 500)
    read: list[Seen] = []
    for event in events:
        page = fastavro.schemaless_reader(io.BytesIO(event.value), schema, None)
        assert isinstance(page, dict)
        assert page["page_id"] == event.key
        read.append((page, event.is_phishing))
    return read


def test_no_page_is_both_learned_from_and_sent(data: PhishingData) -> None:
    assert len(data.train.pages) + len(data.traffic.pages) == 1250
    assert len(data.train.pages) >= 1000  # a smaller reference is compared with by nobody


def test_a_seed_gives_the_same_pages_again(data: PhishingData) -> None:
    assert pages(data, World.USUAL) == pages(data, World.USUAL)
    assert pages(data, World.USUAL) != pages(data, World.USUAL, seed=2)


def test_popular_pages_differ_in_that_only(data: PhishingData) -> None:
    usual, popular = pages(data, World.USUAL), pages(data, World.POPULAR)

    def share(of: list[Seen]) -> float:
        return sum(page["is_popular"] for page, _ in of) / len(of)

    assert share(popular) > share(usual) + 0.3
    for name in set(data.features) - {"is_popular"}:
        means = [sum(page[name] for page, _ in of) / len(of) for of in (usual, popular)]
        assert means[0] == pytest.approx(means[1], abs=0.1), name


def test_with_certificates_pages_look_the_same_and_more_of_them_are_phishing(data: PhishingData) -> None:
    usual, certified = pages(data, World.USUAL), pages(data, World.CERTIFIED)

    assert [page for page, _ in usual] == [page for page, _ in certified]
    for (page, before), (_, now) in zip(usual, certified, strict=True):
        assert now == (before or page["https"] == 1.0)
    assert sum(now for _, now in certified) > sum(before for _, before in usual) + 100
