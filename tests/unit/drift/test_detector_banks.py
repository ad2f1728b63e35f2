"""The banks of partitions and models: what a new model continues, what is stored, and what is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.drift_streams import Stream, frames, reference
from stream_infer.drift.baseline import BaselineLearner
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.detector_banks import MODELS_KEPT, DetectorBanks
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.windows import StreamKey


def banks(*, same_reference: bool = True) -> DetectorBanks:
    def known(digest: str) -> object:
        return reference() if same_reference or digest == "a" else reference(seed=99)

    return DetectorBanks(DetectionPolicy(), known, lambda _: BaselineLearner())  # type: ignore[arg-type]


def windows(digest: str, count: int, seed: int = 1) -> Iterator[ObservationFrame]:
    for frame in frames(Stream(count * 1_600, seed, batch=1_600), known=reference()):
        yield replace(frame, digest=digest)


def values(some: DetectorBanks, digest: str, column: str) -> list[int]:
    documents = {key: made() for key, made in some.changed().items()}
    [document] = [one for key, one in documents.items() if key.endswith(f"/{digest}/{column}")]
    assert document is not None
    return list(document["series"]["mean"])


def test_a_new_model_with_the_same_reference_continues_the_features_and_begins_its_outputs() -> None:
    some = banks()
    for window in (*windows("a", 3), *windows("b", 1, seed=2)):
        some.evaluate(window)

    assert len(values(some, "b", "feature.number/normal_0")) == 4


def test_a_new_model_begins_its_outputs_anew() -> None:
    some = banks()
    for window in (*windows("a", 3), *windows("b", 1, seed=2)):
        some.evaluate(window)

    assert len(values(some, "b", "output.number/score")) == 1


def test_a_new_model_with_another_reference_begins_anew() -> None:
    some = banks(same_reference=False)
    for window in (*windows("a", 3), *windows("b", 1, seed=2)):
        some.evaluate(window)

    assert len(values(some, "b", "feature.number/normal_0")) == 1


def test_banks_continue_from_their_documents_with_the_model_that_served() -> None:
    whole, restored = banks(), banks()
    for window in windows("a", 3):
        whole.evaluate(window)
    documents = {key: json.loads(json.dumps(made())) for key, made in whole.changed().items()}
    restored.restore(documents)
    for window in windows("b", 1, seed=2):
        assert restored.evaluate(window) == whole.evaluate(window)

    assert {key: made() for key, made in restored.changed().items()} == {
        key: made() for key, made in whole.changed().items()
    }


def test_the_banks_of_the_newest_models_are_kept() -> None:
    some = banks()
    digests = [f"m{number}" for number in range(MODELS_KEPT + 1)]
    for number, digest in enumerate(digests):
        for window in windows(digest, 1):
            some.evaluate(replace(window, window_first_offset=1_600 * number))
    gone = [key for key, made in some.changed().items() if made() is None]

    assert {key.split("/")[3] for key in gone} == {"m0"}
    assert some.learned(StreamKey(window.source, "m0")) is None
