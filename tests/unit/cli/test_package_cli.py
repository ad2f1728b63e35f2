"""`stream-infer package`, as a user and as a script see it: what is printed where, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import stream_infer
from stream_infer.cli.main import main
from stream_infer.flow.errors import (
    BrokerUnreachable,
    Misconfigured,
    ModelFailed,
    Problem,
    Refused,
    SlotTaken,
    StreamInferError,
)
from tests.unit.rollout.packages import Calls, exits, hangs, kills_itself, package

# Not pydantic: typer itself imports it to read options.
HEAVY = (
    "confluent_kafka",
    "fastavro",
    "joblib",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "river",
    "sklearn",
)


class Said(NamedTuple):
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


class Terminal:
    """Types commands, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("COLUMNS", "200")

    def run(self, *arguments: str | Path) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["stream-infer", *map(str, arguments)])
        try:
            main()
            code: Any = 0
        except SystemExit as left:
            code = left.code
        said = self._capsys.readouterr()
        return Said(code or 0, said.out, said.err)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model, its schema and golden rows."""
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    joblib.dump(LogisticRegression().fit(frame, [0, 0, 1, 1]), tmp_path / "model.joblib")
    frame.to_csv(tmp_path / "golden.csv", index=False)
    fields = [{"name": "a", "type": "double"}, {"name": "b", "type": ["null", "double"]}]
    (tmp_path / "event.avsc").write_text(json.dumps({"type": "record", "name": "E", "fields": fields}))
    return tmp_path


def create(folder: Path, *more: str | Path, to: str = "made") -> list[str | Path]:
    return [
        "package", "create", folder / "model.joblib", "--name", "fraud", "--version", "1.0",
        "--schema", folder / "event.avsc", "--golden", folder / "golden.csv", "-o", folder / to, *more,
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["made", "made.zip"])
def test_a_package_is_made_verified_and_inspected(terminal: Terminal, folder: Path, form: str) -> None:
    made = terminal.run(*create(folder, to=form))
    verified = terminal.run("package", "verify", folder / form)
    inspected = terminal.run("package", "inspect", folder / form)

    assert [said.code for said in (made, verified, inspected)] == [0, 0, 0]
    assert "greatest difference" in made.out
    assert "fraud 1.0: verified" in verified.out
    for part in ("fraud 1.0", "classifier of 0, 1 with a probability", "double? as float64", "golden.avro"):
        assert part in inspected.out
    assert made.err == verified.err == inspected.err == ""


def test_each_command_prints_one_json_object_when_asked(terminal: Terminal, folder: Path) -> None:
    made = terminal.run(*create(folder, "--json"))
    verified = terminal.run("package", "verify", folder / "made", "--json")
    inspected = terminal.run("package", "inspect", folder / "made", "--json")

    said = [json.loads(one.out) for one in (made, verified, inspected)]
    assert len({one["digest"] for one in said}) == 1
    assert [one["version"] for one in said] == ["1.0", "1.0", "1.0"]
    assert (said[0]["features"], said[0]["rows"], said[0]["max_abs_difference"]) == (2, 4, 0.0)
    assert [feature["source"] for feature in said[2]["features"]] == ["a", "b"]


def test_a_converted_model_is_told_and_refused_when_a_byte_of_it_changes(
    terminal: Terminal, folder: Path
) -> None:
    frame = pd.read_csv(folder / "golden.csv")
    joblib.dump(RandomForestClassifier(3, random_state=0).fit(frame, [0, 0, 1, 1]), folder / "model.joblib")

    made = terminal.run(*create(folder, "--runtime", "auto"))
    inspected = terminal.run("package", "inspect", folder / "made")
    listed = json.loads(terminal.run("package", "inspect", folder / "made", "--json").out)
    graph = folder / "made" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    verified = terminal.run("package", "verify", folder / "made")

    assert (made.code, inspected.code, verified.code) == (0, 0, 3)
    for part in ("onnx", "20,004 rows compared, greatest difference", "times as fast for 1"):
        assert part in made.out
    assert "20,004 rows compared, greatest difference" in inspected.out
    assert listed["conversion"]["rows"] == 20_004
    assert "model.onnx: SHA-256 or size does not match the manifest" in verified.err


def test_options_reach_the_package(terminal: Terminal, folder: Path) -> None:
    options = ("--threshold", "0.25", "--class-scores", "--missing", "b=impute:1.5", "--infinite", "a=pass")

    terminal.run(*create(folder, *options, "--relative-tolerance", "1e-6"))

    manifest = json.loads(terminal.run("package", "inspect", folder / "made", "--json").out)
    assert (manifest["output"]["threshold"], manifest["output"]["class_scores"]) == (0.25, True)
    a, b = manifest["features"]
    assert (a["infinite"], b["missing"], b["impute"]) == ("pass", "impute", 1.5)
    assert manifest["tolerance"] == {"absolute": 1e-12, "relative": 1e-6}


def test_all_problems_are_one_block_on_stderr_with_exit_code_2_and_no_traceback(
    terminal: Terminal, folder: Path
) -> None:
    (folder / "model.joblib").write_bytes(b"[red]not[/red] a pickle")
    (folder / "event.avsc").write_text("{")

    said = terminal.run(*create(folder, "--map", "a", "--missing", "b"))

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: 4 problems to fix first")
    for part in ("--map = a", "MODEL = ", "is no model file of a known format", "is not JSON", "fix: "):
        assert part in said.err
    assert "Traceback" not in said.err


def test_problems_are_json_too_when_asked(terminal: Terminal, folder: Path) -> None:
    said = terminal.run(*create(folder, "--map", "a", "--json"))

    assert said.code == 2
    error = json.loads(said.out)["error"]
    assert error["kind"] == "Misconfigured"
    assert error["problems"] == [
        {"key": "--map", "value": "a", "message": "is not COLUMN=FIELD", "fix": "write --map 'COLUMN=FIELD'"}
    ]


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_flipped_byte_an_extra_file_and_a_missing_file_are_refused_with_exit_code_3(
    terminal: Terminal, folder: Path, command: str
) -> None:
    terminal.run(*create(folder))
    model = folder / "made" / "model.joblib"
    whole = model.read_bytes()

    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    flipped = terminal.run("package", command, folder / "made", "--json")
    model.write_bytes(whole)
    (folder / "made" / "more.txt").write_text("")
    extra = terminal.run("package", command, folder / "made", "--json")
    (folder / "made" / "more.txt").unlink()
    model.unlink()
    missing = terminal.run("package", command, folder / "made", "--json")

    assert [said.code for said in (flipped, extra, missing)] == [3, 3, 3]
    codes = [json.loads(said.out)["error"]["code"] for said in (flipped, extra, missing)]
    assert codes == ["digest", "extra_file", "missing_file"]
    assert all(said.err.startswith("refused: ") for said in (flipped, extra, missing))


class Marks:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_inspect_and_a_refused_package_run_nothing_of_the_pickle(terminal: Terminal, folder: Path) -> None:
    mark = folder / "mark"
    terminal.run(*create(folder))
    joblib.dump(Marks(mark), folder / "made" / "model.joblib")

    said = [terminal.run("package", command, folder / "made") for command in ("verify", "inspect")]

    assert [one.code for one in said] == [3, 3]
    assert not mark.exists()
    joblib.load(folder / "made" / "model.joblib")
    assert mark.exists()


def test_a_path_that_is_no_package_is_refused(terminal: Terminal, folder: Path) -> None:
    assert terminal.run("package", "verify", folder / "absent").code == 3
    assert terminal.run("package", "inspect", folder / "golden.csv").code == 3


@pytest.mark.parametrize(
    "arguments", [["package", "creat"], ["package", "create"], ["package", "verify", "--x"]]
)
def test_wrong_usage_is_exit_code_2(terminal: Terminal, arguments: list[str]) -> None:
    said = terminal.run(*arguments)

    assert said.code == 2
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StreamInferError("it broke"), 1),
        (ModelFailed("the model raised"), 1),
        (Misconfigured([Problem("kafka", "", "absent", "add it")]), 2),
        (Refused("digest", "changed"), 3),
        (BrokerUnreachable("localhost:9092"), 4),
        (SlotTaken("slot 0"), 75),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_leaves_with_its_exit_code_and_says_what_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("stream_infer.packaging.summary.verify", fail)

    said = terminal.run("package", "inspect", "x")

    assert said.code == code
    assert said.out == ""
    assert "Traceback" not in said.err
    if isinstance(error, StreamInferError):
        told = error.problems[0].message if isinstance(error, Misconfigured) else str(error)
        assert told in said.err


def test_the_version_is_the_packages(terminal: Terminal) -> None:
    assert terminal.run("--version").out.strip() == stream_infer.__version__


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "check",
        "send",
        "demo",
        "topics create",
        "model promote",
        "events",
        "backtest",
        "package create",
    ],
)
def test_help_imports_nothing_heavy(command: str) -> None:
    program = f"""
import sys
from stream_infer.cli.main import main
sys.argv = ["stream-infer", *{command.split()!r}, "--help"]
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout


def test_importing_stream_infer_imports_nothing_heavy_and_has_open_package() -> None:
    program = f"""
import sys, stream_infer
print([name for name in {HEAVY!r} if name in sys.modules], stream_infer.open_package.__name__)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] open_package"
    with pytest.raises(AttributeError, match="no attribute 'open_packages'"):
        stream_infer.open_packages  # noqa: B018 - the lookup is the test


ESCAPES = "\x1b[2J\x9b1m\x1b]52;c;AAAA\x07\nfraud 1.0: verified"


def test_names_in_a_package_reach_the_terminal_as_text(terminal: Terminal, folder: Path) -> None:
    libraries = {"scikit-learn": sklearn.__version__, f"x{ESCAPES}": f"1{ESCAPES}"}
    package(folder / "odd", 2.0, python=f"3.11{ESCAPES}", libraries=libraries)

    for said in (
        terminal.run("package", "inspect", folder / "odd"),
        terminal.run("package", "inspect", folder / "odd", "--json"),
        terminal.run("package", "verify", folder / "odd"),
    ):
        assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
        assert not any(line.startswith("fraud 1.0: verified") for line in (said.out + said.err).split("\n"))


@pytest.mark.parametrize(
    ("model", "code"),
    [(exits(), "crash"), (kills_itself(), "crash"), (Calls(print, "line 1: verified"), "output")],
)
def test_only_what_this_process_finds_makes_a_package_verified(
    terminal: Terminal, folder: Path, model: object, code: str
) -> None:
    package(folder / "harm", 2.0, model)

    said = terminal.run("package", "verify", folder / "harm", "--json")

    assert said.code == 3
    assert json.loads(said.out)["error"]["code"] == code


def test_a_model_that_never_loads_is_refused_within_the_limit(terminal: Terminal, folder: Path) -> None:
    package(folder / "harm", 2.0, hangs())

    said = terminal.run("package", "verify", folder / "harm", "--rehearsal-timeout-ms", "3000")

    assert said.code == 3
    assert "refused: timeout" in said.err
