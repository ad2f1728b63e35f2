"""`stream-infer send` as users call it, against a real broker and a worker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pytest

from stream_infer.avro.framing import Framing as WireFraming
from stream_infer.avro.framing import head
from stream_infer.avro.schemas import parse_schema
from tests.support.events import SCHEMA, SCHEMA_FILE, Framing
from tests.support.log import read_all
from tests.support.pipeline import Pipeline
from tests.support.registry import StubRegistry
from tests.support.worker_process import Worker, until

MakePipeline = Callable[[Framing], Pipeline]
StartWorker = Callable[[Path], Worker]
WITHIN_S = 120


def payment(number: int) -> dict[str, Any]:
    return {
        "id": f"p-{number}",
        "ts": 1_760_000_000_000 + number,
        "amount": 24.5 + 0.5 * (number % 41),
        "balance": 900.0 + number,
        "distance": 0.25 * (number % 13),
        "attempts": number % 4,
        "age_days": number % 2_000,
        "velocity": 3.5,
        "risk": None,
        "country": "Ísland",
        "online": number % 2 == 0,
    }


PAYMENTS = [payment(number) for number in range(20)]


def json_lines(path: Path) -> None:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in PAYMENTS), "utf-8")


def csv(path: Path) -> None:
    pd.DataFrame(PAYMENTS).to_csv(path, index=False)


def parquet(path: Path) -> None:
    frame = pd.DataFrame(PAYMENTS)
    frame.assign(ts=pd.to_datetime(frame["ts"], unit="ms", utc=True)).to_parquet(path)


def avro(path: Path) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, PAYMENTS)


KINDS: Mapping[str, Callable[[Path], None]] = {
    "rows.jsonl": json_lines,
    "rows.csv": csv,
    "rows.parquet": parquet,
    "rows.avro": avro,
}


def send(config: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream_infer.cli.main", "send", "-c", str(config), str(file), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert "Traceback" not in done.stderr
    return done


def report(config: Path, file: Path, *options: str) -> dict[str, Any]:
    done = send(config, file, "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as stub:
        yield stub


def test_every_kind_of_file_gives_the_same_events_and_each_is_answered(
    pipeline: MakePipeline, start_worker: StartWorker, tmp_path: Path
) -> None:
    line = pipeline(Framing.SINGLE_OBJECT)
    config = line.write_config("0")
    start_worker(config)

    reports = []
    for name, write in KINDS.items():
        write(tmp_path / name)
        reports.append(report(config, tmp_path / name, "--key-field", "id", "--show", "3"))

    for one in reports:
        assert (one["sent"], one["answered"], one["predicted"], one["rejected"]) == (20, 20, 20, {})
        assert len(one["predictions"]) == 3
        assert {p["id"].rsplit("/", 2)[0] for p in one["predictions"]} == {line.input}
    sent = read_all(line.bootstrap, line.input)
    values = {record.key: record.value for record in sent}
    assert len(sent) == 4 * len(PAYMENTS)
    assert len({(record.key, record.value) for record in sent}) == len(values) == len(PAYMENTS)
    start = head(WireFraming.SINGLE_OBJECT, parse_schema(SCHEMA_FILE.read_text("utf-8")))
    assert all((value or b"").startswith(start) for value in values.values())


def test_dead_letters_are_told_with_class_and_message(
    pipeline: MakePipeline, start_worker: StartWorker, tmp_path: Path
) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("0")
    start_worker(config)
    rows = [*PAYMENTS[:3], {**PAYMENTS[3], "balance": None}, {**PAYMENTS[4], "amount": 13.0}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in rows), "utf-8")

    done = send(config, file, "--rate", "100")

    assert done.returncode == 0, done.stderr
    first, *answers, summary = done.stdout.splitlines()
    assert first == f"sending 5 rows of rows.jsonl as tests.payments.Payment to {line.input}"
    assert summary == "sent 5, answered 5: 3 predictions, 2 dead letters (1 nan, 1 raised)"
    assert sum("  score " in answer for answer in answers) == 3
    [nan] = [answer for answer in answers if "dead letter nan (validate): " in answer]
    assert nan.startswith(f"{line.input}/")
    assert "balance" in nan


def test_the_schema_of_the_events_is_registered_once(
    pipeline: MakePipeline, start_worker: StartWorker, tmp_path: Path, registry: StubRegistry
) -> None:
    line = pipeline(Framing.NONE)  # the factory knows no registry; the settings below say what is so
    config = line.write_config("0", input={"framing": "confluent"}, output={"framing": "confluent"})
    with config.open("a", encoding="utf-8") as written:
        written.write(f'[schema_registry]\nurl = "{registry.url}"\ntimeout = 5\n')
    creating = [sys.executable, "-m", "stream_infer.cli.main", "topics", "create", "-c", str(config)]
    subprocess.run(creating, check=True, capture_output=True, timeout=WITHIN_S)
    start_worker(config)
    file, subject = tmp_path / "rows.jsonl", f"{line.input}-value"
    json_lines(file)

    first = report(config, file)
    second = report(config, file)

    [schema_id] = registry.subjects[subject]
    assert subject not in registry.compatibility
    told = f"in the registry under {subject}, id {schema_id}"
    assert f"schema tests.payments.Payment: registered now {told}" in first["notes"]
    assert f"schema tests.payments.Payment: found {told}" in second["notes"]
    assert first["predicted"] == second["predicted"] == 20
    records = read_all(line.bootstrap, line.input)
    assert all((r.value or b"")[:5] == bytes([0]) + schema_id.to_bytes(4, "big") for r in records)


def test_without_a_worker_it_gives_up_and_says_so(pipeline: MakePipeline, tmp_path: Path) -> None:
    config = pipeline(Framing.NONE).write_config("0")
    json_lines(tmp_path / "rows.jsonl")

    done = send(config, tmp_path / "rows.jsonl", "--timeout", "1")
    unasked = send(config, tmp_path / "rows.jsonl", "--timeout", "0")

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "sent 20, answered 0: 0 predictions, 0 dead letters"
    assert "no answer to 20 events" in done.stderr
    assert (unasked.returncode, unasked.stderr) == (0, "")


def test_an_interrupt_ends_it_with_a_summary(pipeline: MakePipeline, tmp_path: Path) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("0")
    json_lines(tmp_path / "rows.jsonl")
    command = [sys.executable, "-m", "stream_infer.cli.main", "send", "-c", str(config), "--rate", "2"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "rows.jsonl")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    until("an event has come", lambda: bool(read_all(line.bootstrap, line.input)))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN_S)

    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1].startswith("sent ")
    assert 0 < len(read_all(line.bootstrap, line.input)) < len(PAYMENTS)


def test_topics_that_do_not_exist_are_named_and_nothing_is_sent(
    pipeline: MakePipeline, tmp_path: Path
) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("0", input={"topics": ["no.such.topic"]}, dlq={"topic": "no.such.letters"})
    json_lines(tmp_path / "rows.jsonl")

    done = send(config, tmp_path / "rows.jsonl")

    assert done.returncode == 2
    assert '  input.topics = "no.such.topic"' in done.stderr
    assert "topics create --with-input PARTITIONS" in done.stderr
    assert '  dlq.topic = "no.such.letters"' in done.stderr


def test_a_broker_that_does_not_answer_is_exit_code_4(pipeline: MakePipeline, tmp_path: Path) -> None:
    config = pipeline(Framing.NONE).write_config("0", bootstrap="127.0.0.1:1")
    json_lines(tmp_path / "rows.jsonl")

    done = send(config, tmp_path / "rows.jsonl")

    assert done.returncode == 4
    assert "no answer from 127.0.0.1:1" in done.stderr


def test_bad_rows_are_named_and_no_row_is_sent(pipeline: MakePipeline, tmp_path: Path) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("0")
    rows: Sequence[Mapping[str, object]] = [PAYMENTS[0], {**PAYMENTS[1], "attempts": 1.5}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in rows), "utf-8")

    done = send(config, file)

    assert done.returncode == 2
    assert "  rows.jsonl, row 2, field attempts = 1.5" in done.stderr
    assert "is not a whole number" in done.stderr
    assert read_all(line.bootstrap, line.input) == []
