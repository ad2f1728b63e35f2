"""A store that two write to at once, that holds half a file, that is away: nothing stops, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from stream_infer.rollout.deployment import Deployment
from stream_infer.store.history import CURRENT, HISTORY
from tests.support.lines import Feeder, Rehearsed
from tests.support.models import said
from tests.support.special_files import needs_pipes, put_pipe
from tests.support.stage import Stage, listening
from tests.support.worker_process import Worker, until

PROMOTIONS_OF_EACH = 10


def test_trouble_with_the_store_stops_nothing_and_is_shown(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    one, two = two_lines.packages
    config = lines.config("w-0")
    models = lines.store.folder

    def shown() -> Any:
        return said("model", "status", "-c", config, "--json").document

    def is_in(state: str) -> Callable[[], bool]:
        return lambda: [worker["state"] for worker in shown()["workers"]] == [state]

    def answers_on() -> None:
        until("it answers on", lines.answered_more(), worker)

    wish = lines.promote(one)
    worker = start_worker(config)
    with listening(lines) as told, Feeder(lines.bootstrap, lines.topics["input"], per_s=500) as feeder:
        until("one serves", told.says("model.activated", wish.generation), worker)

        (models / CURRENT).write_bytes((models / CURRENT).read_bytes()[:60])
        until("it waits", is_in("waiting"), worker)
        answers_on()
        torn = shown()
        wish = lines.promote(two)
        until("two serves", told.says("model.activated", wish.generation), worker)

        models.rename(models.with_name("away"))
        until("it waits", is_in("waiting"), worker)
        answers_on()
        gone = shown()
        models.with_name("away").rename(models)
        until("it serves", is_in("serving"), worker)

        def promote_often(package: Path) -> list[Deployment]:
            return [lines.promote(each) for each in islice(cycle([package]), PROMOTIONS_OF_EACH)]

        with ThreadPoolExecutor(2) as writers:
            wishes = [w for each in writers.map(promote_often, (one, two)) for w in each]
        newest = max(wishes, key=lambda each: each.generation)
        until("the newest serves", told.says("model.activated", newest.generation), worker)
        until("it serves", is_in("serving"), worker)
    until("all events are answered", lines.answered(feeder.sent), worker)
    assert worker.terminate() == 0
    outcome = lines.outcome()

    assert outcome.faults == []
    assert torn["problem"]["code"] == "invalid"
    assert "CURRENT is not a deployment" in torn["workers"][0]["reason"]
    assert torn["workers"][0]["model_version"] == "1.0.0"
    assert gone["problem"]["code"] == "gone"
    assert "cannot be read" in gone["workers"][0]["reason"]
    assert gone["workers"][0]["model_version"] == "2.0.0"
    assert sorted(each.generation for each in wishes) == list(range(3, 3 + 2 * PROMOTIONS_OF_EACH))
    assert lines.store.current() == newest


@needs_pipes
def test_pipes_in_place_of_files_make_nothing_wait_and_are_shown(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    config = lines.config("w-0")
    models = lines.store.folder

    def shown() -> Any:
        return said("model", "status", "-c", config, "--json").document

    def is_in(state: str, version: str) -> Callable[[], bool]:
        return lambda: [(w["state"], w["model_version"]) for w in shown()["workers"]] == [(state, version)]

    lines.promote(two_lines.packages[0])
    put_pipe(models / CURRENT)
    for verdict in (models / ".verdicts").glob("*.json"):
        put_pipe(verdict)
    worker = start_worker(config)
    until("it serves the last promotion", is_in("waiting", "1.0.0"), worker)
    at_start = shown()
    wish = lines.promote(two_lines.packages[1])
    until("the promotion repairs it", is_in("serving", "2.0.0"), worker)

    newest = models / HISTORY / f"{wish.generation + 1:012d}"
    newest.mkdir()
    put_pipe(newest / "deployment.json")
    until("it waits", is_in("waiting", "2.0.0"), worker)
    in_history = shown()

    assert worker.terminate() == 0
    for found, where in ((at_start, CURRENT), (in_history, "deployment.json")):
        told = f"{where} is not a deployment: it is not a regular file"
        assert (found["problem"]["code"], told in found["problem"]["reason"]) == ("invalid", True)
        assert told in found["workers"][0]["reason"]
    assert [one["generation"] for one in in_history["history"]] == [2, 1]
