"""worker.toml as users write it: defaults, paths, derived names, and every problem."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.avro.framing import Framing
from stream_infer.config.settings import Settings, load_settings, parse_settings, read_settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.steps.options import Partitioning

GOOD = """\
pipeline = "payments.fraud"
[kafka]
"bootstrap.servers" = "localhost:9092"
[input]
topics = ["payments.transactions.events.v1"]
schema = "schemas/transaction.avsc"
[model]
package = "models/fraud-1.2.0"
"""

LABELS = f"""\
{GOOD}[monitoring]
topic = "payments.fraud.monitoring.v1"
[labels]
topic = "payments.labels.v1"
"""


def settings_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = folder / "worker.toml"
    path.write_text(text, "utf-8")
    return load_settings(path, environ or {})


def problems_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(Misconfigured) as raised:
        settings_of(folder, text, environ)
    return raised.value.problems


def replaced(line: str, by: str) -> str:
    assert line in GOOD
    return GOOD.replace(line, by)


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, GOOD)

    assert settings.output.topic == "payments.fraud.predictions.v1"
    assert settings.dlq.topic == "dlq.payments.transactions.events.v1"
    assert settings.output.partitioning is Partitioning.SOURCE
    assert settings.group_id == "payments.fraud.score"
    assert settings.worker.slot.endswith("-0")
    assert settings.http.port == 8900


def test_labels_are_off_until_they_have_a_topic(tmp_path: Path) -> None:
    assert settings_of(tmp_path, GOOD).labels.topic is None

    labels = settings_of(tmp_path, LABELS + 'max_delay = "36h"\nschema = "label.avsc"\n').labels

    assert (labels.max_delay_ms, labels.max_early_ms) == (36 * 3_600_000, 600_000)
    assert labels.schema_path == tmp_path / "label.avsc"
    assert labels.framing is Framing.NONE


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, GOOD)

    assert settings.input.schema_path == tmp_path / "schemas/transaction.avsc"
    assert settings.model.package == tmp_path / "models/fraud-1.2.0"


def test_a_store_has_default_topics_for_deployment(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, replaced('package = "models/fraud-1.2.0"', 'store = "models/"'))

    assert settings.model.store == tmp_path / "models"
    assert settings.monitoring.topic == "payments.fraud.monitoring.v1"
    assert settings.model.status_topic == "payments.fraud.model-status.v1"
    assert settings.model.control_topic == "payments.fraud.model-control.v1"


def test_the_output_is_framed_as_the_input_unless_told_otherwise(tmp_path: Path) -> None:
    framed = replaced('schema = "s', 'framing = "single-object"\nschema = "s')

    assert settings_of(tmp_path, framed).output.framing is Framing.SINGLE_OBJECT
    assert settings_of(tmp_path, framed + '[output]\nframing = "none"\n').output.framing is Framing.NONE


def test_a_dead_letter_topic_follows_the_convention_even_where_the_input_does_not(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, replaced("payments.transactions.events.v1", "My_Events"))

    assert settings.input.topics == ("My_Events",)
    assert settings.dlq.topic == "dlq.my-events"


@pytest.mark.parametrize("text", ["2026-01-31T00:00:00Z", '"2026-01-31T00:00:00+00:00"'])
def test_a_start_may_be_a_time(tmp_path: Path, text: str) -> None:
    settings = settings_of(tmp_path, replaced('schema = "s', f'start = {text}\nschema = "s'))

    assert settings.input.start_at == datetime(2026, 1, 31, tzinfo=UTC).timestamp() * 1000


WRONG = {
    "an unknown key at the top": ("workers = 3\n" + GOOD, "workers", "did you mean worker?"),
    "a key of another section": (
        GOOD + '[http]\npartitioning = "key"\n',
        "http.partitioning",
        "output.partit",
    ),
    "a misspelt key": (replaced("topics =", "topic ="), "input.topic", "did you mean topics?"),
    "a missing key": (replaced('schema = "schemas/transaction.avsc"\n', ""), "input.schema", "schema = "),
    "a missing pipeline": (replaced('pipeline = "payments.fraud"\n', ""), "pipeline", "payments.fraud"),
    "neither package nor store": (GOOD.partition("[model]")[0], "model.package", 'store = "models/"'),
    "a pipeline with an underscore": (replaced('"payments.fraud"', '"Pay_Fraud"'), "pipeline", '"pay-fraud"'),
    "a section that is a number": (replaced("pipeline", "http = 1\npipeline"), "http", "write [http]"),
    "a topic that is no list": (
        replaced('["payments.transactions.events.v1"]', '"x"'),
        "input.topics",
        "topics =",
    ),
    "no topic at all": (replaced('["payments.transactions.events.v1"]', "[]"), "input.topics", "topics ="),
    "a topic twice": (replaced('["payments', '["a", "a", "payments'), "input.topics", "each once"),
    "a topic pattern": (replaced('["payments', '["^pay.*", "payments'), "input.topics", "exact name"),
    "the Confluent framing without a registry": (
        replaced("schema =", 'framing = "confluent"\nschema ='),
        "schema_registry.url",
        "http://localhost:8081",
    ),
    "no schema, and not the Confluent framing": (
        replaced("schema =", 'framing = "single-object"\n# '),
        "input.schema",
        "schema = ",
    ),
    "an unknown framing": (
        replaced("schema =", 'framing = "json"\nschema ='),
        "input.framing",
        "single-object",
    ),
    "a start without a time zone": (
        replaced("schema =", "start = 2026-01-31T00:00:00\nschema ="),
        "input.start",
        "00:00:00Z",
    ),
    "a start that is nothing": (replaced("schema =", 'start = "now"\nschema ='), "input.start", "earliest"),
    "an unknown choice": (
        replaced("schema =", 'on_lost_offset = "skip"\nschema ='),
        "input.on_lost_offset",
        "halt",
    ),
    "an event time that is no path": (
        replaced("schema =", 'event_time = "a b"\nschema ='),
        "input.event_time",
        "ts",
    ),
    "an output topic with an underscore": (GOOD + '[output]\ntopic = "a_b"\n', "output.topic", '"a-b"'),
    "an output topic that is the input": (
        GOOD + '[output]\ntopic = "payments.transactions.events.v1"\n',
        "output.topic",
        "its own topic",
    ),
    "a copied field twice": (GOOD + '[output]\ncopy = ["a", "a"]\n', "output.copy", "each once"),
    "a package and a store": (replaced("package =", 'store = "m"\npackage ='), "model.package", "either"),
    "labels without a place for figures": (
        GOOD + '[labels]\ntopic = "x"\n',
        "monitoring.topic",
        "payments.fraud.monitoring.v1",
    ),
    "labels without a topic": (GOOD + "[labels]\nwindow = 100\n", "labels.topic", "labels.v1"),
    "labels that are predictions": (
        LABELS.replace("payments.labels.v1", "payments.fraud.predictions.v1"),
        "labels.topic",
        "its own topic",
    ),
    "a delay that is not a duration": (LABELS + 'max_delay = "a week"\n', "labels.max_delay", '"7d"'),
    "a delay without a unit": (LABELS + "max_early = 60\n", "labels.max_early", '"90s"'),
    "a join that is none": (LABELS + 'join = "hash"\n', "labels.join", "prediction_id"),
    "memory for nothing": (LABELS + "max_pending = 0\n", "labels.max_pending", "1000000"),
    "bytes for nothing": (LABELS + "max_pending_bytes = 5\n", "labels.max_pending_bytes", "1073741824"),
    "a schema registry that is none": (
        GOOD + "[schema_registry]\nurl = 8081\n",
        "schema_registry.url",
        "8081",
    ),
    "an unknown guarantee": (
        GOOD + '[delivery]\nguarantee = "at_most_once"\n',
        "delivery.guarantee",
        "exactly_once",
    ),
    "a port out of range": (GOOD + "[http]\nport = 70000\n", "http.port", "port = 9000"),
    "a port that is a word": (GOOD + '[http]\nport = "x"\n', "http.port", "port = 9000"),
    "a batch of no records": (
        GOOD + "[worker]\nmax_batch_records = 0\n",
        "worker.max_batch_records",
        "20000",
    ),
    "a slot with a space": (GOOD + '[worker]\nslot = "a b"\n', "worker.slot", "slot ="),
    "no broker address": (
        replaced('"bootstrap.servers" = "localhost:9092"\n', ""),
        "kafka.bootstrap.servers",
        "add",
    ),
    "a property of the worker": (
        replaced("[input]", '"enable.auto.commit" = true\n[input]'),
        "kafka.enable.auto.commit",
        "remove it",
    ),
    "the group": (
        replaced("[input]", '[kafka.consumer]\n"group.id" = "x"\n[input]'),
        "kafka.consumer.group.id",
        "rem",
    ),
    "a property that does not exist": (
        replaced("[input]", '[kafka.producer]\n"linger.mss" = 5\n[input]'),
        "kafka.producer.linger.mss",
        "did you mean linger.ms?",
    ),
    "a value out of range": (
        replaced("[input]", '"linger.ms" = -1\n[input]'),
        "kafka.linger.ms",
        "librdkafka",
    ),
    "a property of the Java client": (
        replaced("[input]", '"max.poll.records" = 5\n[input]'),
        "kafka.max.poll.records",
        "worker.max_batch_records",
    ),
    "a callback": (replaced("[input]", 'error_cb = "x"\n[input]'), "kafka.error_cb", "librdkafka"),
    "a property twice": (
        replaced("[input]", 'bootstrap.servers = "b:1"\n[input]'),
        "kafka.bootstrap.servers",
        "one of the two",
    ),
    "a mechanism without a user": (
        replaced("[input]", '"security.protocol" = "SASL_SSL"\n"sasl.mechanism" = "PLAIN"\n[input]'),
        "kafka",
        "librdkafka",
    ),
    "a secret without its file": (
        replaced("[input]", 'sasl.password = { file = "nowhere" }\n[input]'),
        "kafka.sasl.password",
        "readable text file",
    ),
    "no kafka at all": (
        replaced('[kafka]\n"bootstrap.servers" = "localhost:9092"', ""),
        "kafka.bootstrap.servers",
        "add",
    ),
}


@pytest.mark.parametrize(("text", "key", "fix"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_key_is_named_with_its_fix(tmp_path: Path, text: str, key: str, fix: str) -> None:
    problems = problems_of(tmp_path, text)

    [problem] = [p for p in problems if p.key == key]
    assert problem.message
    assert fix in problem.fix
    assert {p.key.partition(".")[0] for p in problems} == {key.partition(".")[0]}


def test_the_value_is_shown_as_it_was_written(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, GOOD + "[http]\nport = 70000\n")

    assert problem == Problem("http.port", "70000", "must be less than or equal to 65535", problem.fix)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = replaced('"payments.fraud"', '"A"').replace("schema =", "schemas =") + (
        '[output]\ntopic = "a_b"\n[http]\nport = -1\n[kafka.producer]\nacks = 1\n'
    )
    environ = {"STREAM_INFER_HTTP__HOTS": "x"}

    keys = {p.key for p in problems_of(tmp_path, text, environ)}

    expected = {"pipeline", "input.schema", "input.schemas", "output.topic", "http.port"}
    assert keys == expected | {"kafka.producer.acks", "STREAM_INFER_HTTP__HOTS"}


def test_a_default_from_a_wrong_key_is_not_a_second_problem(tmp_path: Path) -> None:
    assert [p.key for p in problems_of(tmp_path, replaced('"payments.fraud"', "1"))] == ["pipeline"]


@pytest.mark.parametrize(("content", "message"), [(b"a = = 1", "is not TOML"), (b"\xff", "is not UTF-8")])
def test_a_file_that_is_not_toml_is_one_problem(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "worker.toml"
    path.write_bytes(content)

    [problem] = read_settings(path, {}).problems

    assert problem.key == str(path)
    assert message in problem.message


def test_a_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    [problem] = read_settings(tmp_path / "none.toml", {}).problems

    assert "No such file" in problem.message
    assert "-c" in problem.fix


def test_valid_settings_are_returned_beside_the_problems(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(replaced('"payments.fraud"', '"A"') + "[http]\nport = 1234\n", "utf-8")

    reading = read_settings(path, {})

    assert reading.settings is not None
    assert reading.settings.http.port == 1234
    assert {"pipeline", "output.topic"} <= reading.unusable


def test_beside_a_problem_the_schema_may_still_be_left_out_with_a_registry(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    registry = '[schema_registry]\nurl = "http://localhost:8081"\n[http]\nport = -1\n'
    path.write_text(
        replaced('schema = "schemas/transaction.avsc"', 'framing = "confluent"') + registry, "utf-8"
    )

    reading = read_settings(path, {})

    assert [problem.key for problem in reading.problems] == ["http.port"]
    assert reading.settings is not None
    assert reading.settings.input.schema_path is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
SECTION = st.sampled_from(
    [
        "pipeline",
        "kafka",
        "input",
        "output",
        "dlq",
        "model",
        "worker",
        "http",
        "labels",
        "schema_registry",
        "x",
    ]
)
KEY = st.sampled_from(
    [
        "",
        "a.b",
        "sasl.password",
        "topics",
        "topic",
        "schema",
        "framing",
        "url",
        "timeout",
        "start",
        "copy",
        "package",
        "slot",
        "port",
        "file",
        "y",
    ]
)


@pytest.mark.slow
@given(
    st.dictionaries(
        SECTION,
        ANYTHING | st.dictionaries(KEY, ANYTHING | st.dictionaries(KEY, ANYTHING, max_size=2), max_size=4),
        max_size=6,
    )
)
def test_every_document_gives_settings_and_problems(document: dict[str, object]) -> None:
    reading = parse_settings(document, {}, folder=Path())

    assert reading.problems
    assert reading.settings is not None
    assert all(p.key and p.message and p.fix for p in reading.problems)


LIMITED = """
[monitoring]
topic = "payments.fraud.monitoring.v1"
[monitoring.limits]
null_rate = 0.2
[monitoring.limits.features.amount]
null_rate = 0.5
"""


def test_limits_are_a_section_within_monitoring_and_may_be_of_one_feature(tmp_path: Path) -> None:
    variables = {"STREAM_INFER_MONITORING__LIMITS__DEAD_LETTER_RATE": "0.3"}

    limits = settings_of(tmp_path, GOOD + LIMITED, variables).limits

    assert (limits.null_rate, limits.dead_letter_rate, limits.accuracy) == (0.2, 0.3, None)
    assert limits.features == {"amount": {"null_rate": 0.5}}
    inline = {"STREAM_INFER_MONITORING__LIMITS__FEATURES": '{"age": {"unseen_rate": 0.1}}'}
    assert settings_of(tmp_path, GOOD, inline).limits.features == {"age": {"unseen_rate": 0.1}}
    assert settings_of(tmp_path, GOOD).limits.dead_letter_rate == 0.1


def test_every_wrong_limit_is_told_at_once(tmp_path: Path) -> None:
    wrong = (
        LIMITED.replace("0.2", "2").replace("0.5", "0\naccuracy = 1") + "[monitoring.limits.features.age]\n"
    )
    wrong = wrong.replace("[monitoring.limits]", "[monitoring.limits]\nnul_rate = 1\naccuracy = 0.9")

    reading = parse_settings(tomllib.loads(GOOD + wrong), {}, folder=tmp_path)

    problems = {problem.key: problem for problem in reading.problems}
    assert set(problems) == {
        f"monitoring.limits.{name}" for name in ("null_rate", "nul_rate", "accuracy", "features")
    }
    assert problems["monitoring.limits.nul_rate"].fix == "did you mean null_rate?"
    assert problems["monitoring.limits.accuracy"].message == "needs labels, and there are none"
    assert problems["monitoring.limits.features"].message == (
        "amount.null_rate = 0 is not above 0 to 1; amount.accuracy is no limit of a feature"
    )


@pytest.mark.parametrize(
    "text", ["limits = 1", "limits = { features = 1 }", "limits = { features = { a = 1 } }"]
)
def test_limits_that_are_no_tables_are_told(tmp_path: Path, text: str) -> None:
    reading = parse_settings(tomllib.loads(f"{GOOD}[monitoring]\n{text}\n"), {}, folder=tmp_path)

    assert [problem.key.startswith("monitoring.limits") for problem in reading.problems] == [True]
    assert reading.settings is not None
