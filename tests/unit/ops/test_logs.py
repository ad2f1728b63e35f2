from __future__ import annotations

import io
import itertools
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.errors import Misconfigured
from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    Degraded,
    OffsetsLost,
    PartitionsHalted,
    PartitionsPaused,
    PauseCause,
    ProducerRenewed,
    ReadFinished,
    ReadingBegins,
    TopicsMissing,
)
from stream_infer.flow.records import Partition
from stream_infer.ops.logs import DeadLetterTally, LogObserver, configure, librdkafka_logger

REJECTED = {("decode", "truncated"): 2, ("predict", "raised"): 1}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def log() -> io.StringIO:
    stream = io.StringIO()
    configure(stream, {})
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def committed(rejected: dict[tuple[str, str], int]) -> BatchCommitted:
    return BatchCommitted(10, 10 - sum(rejected.values()), 0, rejected, "1.0.0", 0.1, 0.1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_stdlib_line_is_one_json_object_with_its_fields(log: io.StringIO) -> None:
    logging.getLogger("somewhere").info("model %s loaded", "fraud", extra={"model_version": "1.2.0"})

    (line,) = lines(log)
    assert line.pop("timestamp")
    assert line == {
        "event": "model fraud loaded",
        "level": "info",
        "logger": "somewhere",
        "model_version": "1.2.0",
    }


def test_structlog_lines_go_the_same_way(log: io.StringIO) -> None:
    structlog.get_logger("somewhere").warning("slow", batch_s=1.5)

    (line,) = lines(log)
    assert (line["event"], line["level"], line["logger"]) == ("slow", "warning", "somewhere")
    assert line["batch_s"] == 1.5


def test_warnings_become_log_lines(log: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old model", UserWarning, stacklevel=1)

    (line,) = lines(log)
    assert line["logger"] == "py.warnings"


def test_a_terminal_gets_text_and_json_when_asked() -> None:
    text, json_lines = Terminal(), Terminal()

    configure(text, {"NO_COLOR": "1"})
    logging.getLogger("somewhere").info("hello", extra={"n": 3})
    configure(json_lines, {"STREAM_INFER_LOG_FORMAT": "json"})
    logging.getLogger("somewhere").info("hello", extra={"n": 3})

    assert "hello" in text.getvalue()
    assert "n=3" in text.getvalue()
    assert "\x1b" not in text.getvalue()
    assert lines(json_lines)[0]["n"] == 3


def test_what_others_wrote_reaches_a_terminal_as_text() -> None:
    text, json_lines = Terminal(), Terminal()

    for stream, form in ((text, "text"), (json_lines, "json")):
        configure(stream, {"NO_COLOR": "1", "STREAM_INFER_LOG_FORMAT": form})
        logging.getLogger("somewhere").warning("refused", extra={"package": "\x1b[2J\x9b1m"})
        assert stream.getvalue().strip().isprintable()


def test_the_last_configuration_counts_and_no_line_comes_twice() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(first, {})

    configure(second, {})
    logging.getLogger("somewhere").info("hello")

    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_the_level_comes_from_the_environment() -> None:
    stream = io.StringIO()
    configure(stream, {"STREAM_INFER_LOG_LEVEL": "warning"})

    logging.getLogger("somewhere").info("no")
    logging.getLogger("somewhere").warning("yes")

    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(Misconfigured) as refused:
        configure(io.StringIO(), {"STREAM_INFER_LOG_LEVEL": "loud", "STREAM_INFER_LOG_FORMAT": "xml"})

    assert [(p.key, p.value) for p in refused.value.problems] == [
        ("STREAM_INFER_LOG_LEVEL", "LOUD"),
        ("STREAM_INFER_LOG_FORMAT", "xml"),
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_local_variables(form: str) -> None:
    stream = io.StringIO()
    configure(stream, {"STREAM_INFER_LOG_FORMAT": form})
    value = b"card " + b"4111"

    try:
        value.decode().index("absent")
    except ValueError:
        logging.getLogger("somewhere").exception("failed")

    assert "ValueError" in stream.getvalue()
    assert "4111" not in stream.getvalue()


def test_the_flow_is_logged_without_a_line_per_committed_batch(log: io.StringIO) -> None:
    observe = LogObserver(clock=Clock())

    observe.started(pipeline="payments.fraud", slot="0", model="fraud", model_version="1.2.0")
    observe(AssignmentChanged("assigned", (Partition("in", 3), Partition("in", 0), Partition("other", 1))))
    for _ in range(100):
        observe(ReadFinished(10, 0.1))
        observe(committed({}))
    observe(BatchAborted(7, "fenced", ()))
    observe(ProducerRenewed("request timed out", 0.0612))
    observe.stopped("SIGTERM")

    told = [{k: v for k, v in line.items() if k not in {"timestamp", "logger"}} for line in lines(log)]
    assert told == [
        {
            "event": "worker started",
            "level": "info",
            "pipeline": "payments.fraud",
            "slot": "0",
            "model": "fraud",
            "model_version": "1.2.0",
        },
        {
            "event": "assignment changed",
            "level": "info",
            "kind": "assigned",
            "owned": {"in": [0, 3], "other": [1]},
        },
        {"event": "batch aborted", "level": "warning", "records": 7, "reason": "fenced"},
        {
            "event": "producer renewed",
            "level": "info",
            "reason": "request timed out",
            "renew_s": 0.061,
        },
        {"event": "worker stopped", "level": "info", "reason": "SIGTERM"},
    ]


def test_dead_letters_are_summarised_at_once_and_then_every_half_minute(log: io.StringIO) -> None:
    clock = Clock()
    observe = LogObserver(clock=clock)

    observe(committed(REJECTED))
    for clock.now in (1.0, 15.0, 29.9):
        observe(committed(REJECTED))
    clock.now = 30.0
    observe(ReadFinished(0, 0.5))
    clock.now = 60.0
    observe(ReadFinished(0, 0.5))

    assert [(line["level"], line["records"], line["counts"]) for line in lines(log)] == [
        ("warning", 3, {"decode/truncated": 2, "predict/raised": 1}),
        ("warning", 9, {"decode/truncated": 6, "predict/raised": 3}),
    ]


def test_the_last_dead_letters_are_logged_at_the_end(log: io.StringIO) -> None:
    observe = LogObserver(clock=Clock())
    observe(committed(REJECTED))
    observe(committed(REJECTED))

    observe.stopped("finished")

    assert [line["event"] for line in lines(log)] == [
        "dead letters written",
        "dead letters written",
        "worker stopped",
    ]


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=30),
            st.dictionaries(st.sampled_from([("a", "x"), ("b", "y")]), st.integers(1, 9)),
        )
    )
)
def test_a_tally_loses_nothing_and_keeps_its_distance(
    batches: list[tuple[float, dict[tuple[str, str], int]]],
) -> None:
    tally = DeadLetterTally(interval_s=10.0)
    now, told_at, told = 0.0, [], 0

    for elapsed, rejected in batches:
        now += elapsed
        tally.add(rejected)
        given_out = tally.due(now)
        if given_out:
            told_at.append(now)
            told += sum(given_out.values())
    told += sum(tally.drain().values())

    assert told == sum(sum(rejected.values()) for _, rejected in batches)
    assert all(later >= earlier + 10.0 for earlier, later in itertools.pairwise(told_at))


def test_an_error_of_librdkafka_is_a_warning_of_ours(log: io.StringIO) -> None:
    librdkafka_logger()
    logger = librdkafka_logger()

    logger.error("%s [%s] %s", "FAIL", "rdkafka#producer-1", "broker:9092: Connection refused")

    (line,) = lines(log)
    assert (line["level"], line["logger"]) == ("warning", "librdkafka")
    assert line["event"] == "FAIL [rdkafka#producer-1] broker:9092: Connection refused"


def test_a_lowered_error_of_librdkafka_respects_the_level() -> None:
    stream = io.StringIO()
    configure(stream, {"STREAM_INFER_LOG_LEVEL": "error"})

    librdkafka_logger().error("FAIL")

    assert stream.getvalue() == ""


def test_paused_partitions_are_logged_with_the_reason_and_when_they_resume(log: io.StringIO) -> None:
    observe = LogObserver()

    observe(
        PartitionsPaused(
            PauseCause.WRITER_SCHEMA, (Partition("in", 1), Partition("in", 3)), "the registry is away"
        )
    )
    observe(PartitionsPaused(PauseCause.WRITER_SCHEMA, (), ""))

    waiting, going = lines(log)
    assert (waiting["level"], waiting["reason"], waiting["paused"]) == (
        "warning",
        "the registry is away",
        {"in": [1, 3]},
    )
    assert (going["event"], going["level"]) == ("partitions resumed", "info")


def test_the_first_offset_of_each_partition_is_logged(log: io.StringIO) -> None:
    LogObserver()(ReadingBegins({Partition("in", 1): 70, Partition("in", 0): 7}))

    [line] = lines(log)
    assert (line["event"], line["offsets"]) == ("reading begins", {"in/0": 7, "in/1": 70})


def test_lost_offsets_are_one_line_with_each_reason(log: io.StringIO) -> None:
    lost, other = Partition("in", 1), Partition("in", 0)
    LogObserver()(OffsetsLost({lost: "in was deleted", other: "lost 5"}, {lost: 0, other: 7}, waits=True))

    [line] = lines(log)
    assert (line["event"], line["level"]) == ("offsets lost", "warning")
    assert line["reasons"] == {"in/0": "lost 5", "in/1": "in was deleted"}
    assert line["offsets"] == {"in/0": 7, "in/1": 0}


def test_a_missing_input_is_logged_and_so_is_its_return(log: io.StringIO) -> None:
    observe = LogObserver()
    observe(TopicsMissing(("in",)))
    observe(TopicsMissing(()))

    missing, back = lines(log)
    assert (missing["event"], missing["level"], missing["topics"]) == ("input missing", "warning", ["in"])
    assert (back["event"], back["level"]) == ("input back", "info")


def test_halted_partitions_are_logged_each_with_its_reason(log: io.StringIO) -> None:
    LogObserver()(PartitionsHalted({Partition("in", 3): "lost 7", Partition("in", 1): "lost 5"}))

    found = [(line["event"], line["level"], line["partition"], line["reason"]) for line in lines(log)]
    assert found == [
        ("partition halted", "error", 1, "lost 5"),
        ("partition halted", "error", 3, "lost 7"),
    ]


def test_missing_monitoring_is_logged_once_and_so_is_its_return(log: io.StringIO) -> None:
    observe = LogObserver()

    for held in range(3):
        observe(Degraded(("observations.v1 does not exist",), held))
    observe(Degraded((), 0))

    away, back = lines(log)
    assert (away["level"], away["reasons"]) == ("warning", ["observations.v1 does not exist"])
    assert (back["event"], back["level"]) == ("no longer degraded", "info")
