"""What every role is built from: a group member, its session, probes and metrics, and a frame for signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.kit.member import GroupMember, SessionPlan, build_session
from stream_infer.app.kit.observability import observability
from stream_infer.app.kit.records import monitoring_channels
from stream_infer.app.kit.writers import gated, writer_schemas
from stream_infer.avro.framing import Framing
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.config.sections import Guarantee
from stream_infer.flow.events import BatchAborted, Degraded
from stream_infer.flow.records import Channel
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.client import Properties
from stream_infer.kafka.offsets import OnLostOffset, StartOffsets
from stream_infer.kafka.schema_gate import SchemaGatedSource
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_health import TopicHealth
from stream_infer.kafka.transactions import Transactions
from stream_infer.ops.fanout import Fanout
from stream_infer.runtime.stop import Stop
from tests.support.ports import free_ports
from tests.unit.app.project import NOWHERE, Project, make_project

KAFKA = Properties({"bootstrap.servers": NOWHERE})
MEMBER = GroupMember(KAFKA, "shop.score", "a-0")
SIGNALLED = """
import os
from stream_infer.app.kit.lifetime import run_until_signal

def prepare():
    if {while_preparing}:
        os.kill(os.getpid(), {number})
        Stop().wait(None)
    return "ready"

def work(prepared, stop):
    os.kill(os.getpid(), {number})
    assert prepared == "ready" and stop.wait(20)

from stream_infer.runtime.stop import Stop
raise SystemExit(run_until_signal(prepare, work))
"""

UNREACHABLE = """
import os, signal
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.flow.errors import BrokerUnreachable, Fatal

def work(prepared, stop):
    if {stopped}:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(20)
    raise {failure}("no answer")

try:
    raise SystemExit(run_until_signal(lambda: None, work))
except Fatal as fatal:
    raise SystemExit(fatal.exit_code) from None
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def plan(*, guarantee: Guarantee = Guarantee.EXACTLY_ONCE) -> SessionPlan:
    return SessionPlan(
        input_topics=["events"],
        channels={Channel.PREDICTIONS: "predictions"},
        start=StartOffsets("latest", OnLostOffset.EARLIEST),
        guarantee=guarantee,
        record_limits=[2_000_000],
    )


def session_of(wanted: SessionPlan) -> Session:
    return build_session(MEMBER, wanted, stop=Stop(), observe=Fanout([]), health=TopicHealth(KAFKA, {}))


def test_the_clients_of_a_member_and_its_transactions_have_one_name() -> None:
    consumer = MEMBER.consumer_config()
    producer = MEMBER.producer_config(transactional=True)

    assert consumer["client.id"] == producer["client.id"] == producer["transactional.id"] == "shop.score.a-0"
    assert consumer["group.id"] == "shop.score"
    assert consumer["group.instance.id"] == "a-0"
    assert "transactional.id" not in MEMBER.producer_config(transactional=False)


def test_a_session_delivers_as_its_plan_promises() -> None:
    transactions = session_of(plan()).publisher
    at_least_once = session_of(plan(guarantee=Guarantee.AT_LEAST_ONCE)).publisher

    assert isinstance(transactions, Transactions)
    assert isinstance(at_least_once, AtLeastOnce)
    for publisher in (transactions, at_least_once):
        assert int(publisher._config["message.max.bytes"]) > 2_000_000


def test_a_source_waits_for_schemas_only_where_a_registry_has_them() -> None:
    session = session_of(plan())
    registry = RegistryProperties({"url": "http://127.0.0.1:1"})

    with writer_schemas(registry, {Framing.NONE}) as none, writer_schemas(None, {Framing.CONFLUENT}) as also:
        assert none is also is None
        assert gated(session, none, Fanout([])) is session
    with writer_schemas(registry, {Framing.NONE, Framing.CONFLUENT}) as writers:
        assert isinstance(gated(session, writers, Fanout([])), SchemaGatedSource)


def test_a_pipeline_without_monitoring_has_no_channel_for_it(project: Project) -> None:
    without = project.settings()
    project.change("[http]", '[monitoring]\ntopic = "shop.monitoring.v1"\n[http]')
    channels = monitoring_channels(project.settings())

    assert monitoring_channels(without) == {}
    assert channels[Channel.EVENTS] == "shop.monitoring.v1"
    assert set(channels) == {Channel.EVENTS, Channel.OBSERVATIONS}


def test_probes_metrics_and_other_observers_see_the_same_events(project: Project) -> None:
    [port] = free_ports(1)
    project.change("port = 0", f"port = {port}")
    seen: list[object] = []

    with observability(project.settings(), "shop.score") as shown:
        observe = shown.observer(seen.append)
        for event in (Degraded(("no topic",), 0), BatchAborted(3, "fenced", ())):
            observe(event)
        ready = answer(port, "readyz")
        metrics = answer(port, "metrics")

    assert json.loads(ready)["degraded"] == ["no topic"]
    assert 'stream_infer_degraded{pipeline="shop"} 1.0' in metrics
    assert 'stream_infer_transactions_total{pipeline="shop",result="aborted"} 1.0' in metrics
    assert seen == [Degraded(("no topic",), 0), BatchAborted(3, "fenced", ())]


def answer(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as response:
            text: str = response.read().decode()
            return text
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.mark.parametrize("while_preparing", [True, False])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_role_ends_with_the_code_of_its_signal(number: int, code: int, *, while_preparing: bool) -> None:
    program = SIGNALLED.format(number=int(number), while_preparing=while_preparing)

    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, env=dict(os.environ))

    assert ended.returncode == code


@pytest.mark.parametrize(
    ("failure", "stopped", "code"),
    [
        ("BrokerUnreachable", True, 0),
        ("BrokerUnreachable", False, 4),
        ("Fatal", True, 1),
    ],
)
def test_a_role_that_stops_while_no_broker_answers_has_stopped_in_order(
    failure: str, code: int, *, stopped: bool
) -> None:
    program = UNREACHABLE.format(failure=failure, stopped=stopped)

    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, env=dict(os.environ))

    assert ended.returncode == code


def test_a_wrong_log_level_is_told_before_anything_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_INFER_LOG_LEVEL", "LOUD")

    with pytest.raises(Exception, match="unknown log level"):
        run_until_signal(lambda: pytest.fail("prepared"), lambda _ready, _stop: None)
