from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest
from sklearn.linear_model import LinearRegression

from stream_infer.app.active_model import FollowingObserver, ModelInfoObserver
from stream_infer.flow.events import BatchCommitted, Event, ProducerRenewed, ReadFinished
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import Model
from stream_infer.ops.metrics import Build, Metrics
from stream_infer.ops.progress import ProgressCell
from stream_infer.rollout.watched_source import WatchedSource
from tests.unit.models.builders import manifest
from tests.unit.rollout.following import ScriptedSource

OLD_BATCH = BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1)


def serving(version: str) -> ServingModel:
    model = LinearRegression().fit(np.eye(2), [0, 1])
    return ServingModel(Model(manifest(version=version), f"sha256:{version}", model), 1)


@pytest.mark.parametrize(
    "events",
    [[ReadFinished(0, 0.1)], [OLD_BATCH], [ProducerRenewed("in doubt", 0.1), OLD_BATCH]],
    ids=["no events", "a batch of the model before", "a swap within a commit"],
)
def test_a_new_model_is_shown_with_the_next_event_of_the_loop(events: list[Event]) -> None:
    active = ActiveModel(serving("1.0.0"))
    metrics = Metrics("payments.fraud", build=Build("0.1.0"))
    progress = ProgressCell()
    model_info = ModelInfoObserver(active, metrics, progress)
    model_info.show()

    active.swap(serving("2.0.0"))
    for event in events:
        progress(event)
        model_info(event)

    assert progress.current.model_version == "2.0.0"
    shown = generate_latest(metrics.registry).decode()
    [info] = [one for one in shown.splitlines() if one.startswith("stream_infer_model_info{")]
    assert 'version="2.0.0"' in info


def test_a_deployer_that_stands_is_shown_until_it_asks_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stream_infer")
    now_s = [1_000.0]
    source = WatchedSource(ScriptedSource(tmp_path), lambda: now_s[-1])
    metrics = Metrics("payments.fraud", build=Build("0.1.0"))
    progress = ProgressCell()
    following = FollowingObserver(source, metrics, progress, lambda: now_s[-1])
    shown = []

    for moment_s, polls in ((1_010.0, False), (1_010.5, False), (1_020.0, False), (1_021.0, True)):
        now_s.append(moment_s)
        if polls:
            source.poll(0.0)
        following(ReadFinished(0, 0.1))
        shown.append(progress.current.not_following_since)

    assert shown == [None, "1970-01-01T00:16:40+00:00", "1970-01-01T00:16:40+00:00", None]
    assert [record.message for record in caplog.records] == ["not following", "following again"]
    gauge = 'stream_infer_last_followed_timestamp_seconds{pipeline="payments.fraud"} 1021.0'
    assert gauge in generate_latest(metrics.registry).decode()
