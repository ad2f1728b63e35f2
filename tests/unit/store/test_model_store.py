"""Promotions and rollbacks in a model store, also with several writers at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem, format_deployment
from stream_infer.store.history import CURRENT, HISTORY
from stream_infer.store.model_store import ModelStore, Request, Superseded
from tests.architecture.tree import ROOT
from tests.unit.store.shop import ME, package, store

FORMS = ["", ".zip"]


def desired(models: ModelStore) -> Deployment:
    found = models.current()
    assert isinstance(found, Deployment)
    return found


def problem(models: ModelStore) -> str:
    found = models.current()
    assert isinstance(found, StoreProblem)
    return found.code


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_a_promoted_package_is_copied_into_the_store_and_desired(tmp_path: Path, form: str) -> None:
    digest = package(tmp_path / f"mine{form}")
    models = store(tmp_path / "models")

    promoted = models.promote(tmp_path / f"mine{form}", ME)

    assert promoted == Deployment(
        pipeline="payments.fraud",
        generation=1,
        package=PackageRef("fraud", "1.0", digest, f"fraud-1.0-{digest[7:19]}{form}"),
        previous=None,
        requested_by="me",
        requested_at=1_800_000_000_000,
        reason="because",
    )
    assert desired(models) == promoted
    assert (models.folder / CURRENT).read_bytes() == format_deployment(promoted)
    kept = models.locate(promoted.package)
    assert isinstance(kept, Path)
    assert verify(kept, digest).files["model.joblib"] == b"model"


def test_a_package_in_the_store_is_promoted_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")
    monkeypatch.chdir(tmp_path)

    by_name, by_path = models.promote(Path("mine"), ME), models.promote(Path("models/mine"), ME)

    assert (by_name.package.uri, by_path.package.uri) == ("mine", "mine")
    assert sorted(path.name for path in models.folder.iterdir()) == [CURRENT, HISTORY, "mine"]


def test_each_promotion_is_a_generation_with_the_previous_package(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2", "3"):
        package(tmp_path / version, version)

    promoted = [models.promote(tmp_path / version, ME) for version in ("1", "2", "3")]

    assert [(one.generation, one.package.version) for one in promoted] == [(1, "1"), (2, "2"), (3, "3")]
    assert [one.previous and one.previous.version for one in promoted] == [None, "1", "2"]
    assert models.history() == promoted[::-1]
    assert desired(models) == promoted[-1]


def test_promoting_the_same_package_again_is_a_new_generation_with_the_same_previous(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2"):
        package(tmp_path / version, version)
    one, two, again = [models.promote(tmp_path / version, ME) for version in ("1", "2", "2")]

    assert (again.generation, again.package, again.previous) == (3, two.package, one.package)
    assert len([path for path in models.folder.iterdir() if path.name.startswith("fraud-")]) == 2


def test_another_package_of_the_same_version_gets_another_name(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "bad", model=b"bad")
    package(tmp_path / "good", model=b"good")

    bad, good = models.promote(tmp_path / "bad", ME), models.promote(tmp_path / "good", ME)

    assert bad.package.version == good.package.version
    assert bad.package.uri != good.package.uri


def test_a_corrupt_copy_in_the_store_is_not_used(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    digest = package(tmp_path / "mine")
    first = models.promote(tmp_path / "mine", ME)
    (models.folder / first.package.uri / "model.joblib").write_bytes(b"moDel")

    second = models.promote(tmp_path / "mine", ME)

    assert second.package.uri == first.package.uri + "-2"
    assert verify(models.folder / second.package.uri).digest == digest


def test_a_package_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "good")
    package(tmp_path / "bad", "2")
    (tmp_path / "bad" / "model.joblib").write_bytes(b"other")
    models.promote(tmp_path / "good", ME)
    before = tree(models.folder)

    for bad in ("bad", "nowhere", "models/nowhere"):
        with pytest.raises(Refused):
            models.promote(tmp_path / bad, ME)

    assert tree(models.folder) == before


def test_a_rollback_is_a_new_generation_of_the_package_before(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2"):
        package(tmp_path / version, version)
    one, two = [models.promote(tmp_path / version, ME) for version in ("1", "2")]

    back = models.rollback(Request("ops", "worse"))
    forth = models.rollback(ME)

    assert (back.generation, back.package, back.previous) == (3, one.package, two.package)
    assert (back.requested_by, back.reason) == ("ops", "worse")
    assert (forth.generation, forth.package, forth.previous) == (4, two.package, one.package)


def test_a_rollback_to_no_package_or_a_missing_or_corrupt_one_is_refused(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    with pytest.raises(Misconfigured, match="there is no earlier deployment"):
        models.rollback(ME)
    for version in ("1", "2"):
        package(tmp_path / version, version)
    one = models.promote(tmp_path / "1", ME)
    with pytest.raises(Misconfigured, match="there is no earlier deployment"):
        models.rollback(ME)
    models.promote(tmp_path / "2", ME)
    (models.folder / one.package.uri / "model.joblib").write_bytes(b"other")

    with pytest.raises(Refused) as refused:
        models.rollback(ME)
    shutil.rmtree(models.folder / one.package.uri)
    with pytest.raises(Refused) as missing:
        models.rollback(ME)

    assert (refused.value.code, missing.value.code) == ("digest", "not_in_store")
    assert desired(models).generation == 2


def test_concurrent_threads_each_get_a_generation_and_the_last_one_is_desired(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "models"
    store(folder)
    for version in range(4):
        package(tmp_path / str(version), str(version))

    def promote(turn: int) -> Deployment:
        return store(folder).promote(tmp_path / str(turn % 4), Request(f"thread {turn}"))

    with ThreadPoolExecutor(8) as pool:
        promoted = sorted(pool.map(promote, range(24)), key=lambda one: one.generation)

    models = store(folder)
    assert [one.generation for one in promoted] == list(range(1, 25))
    assert models.history() == promoted[::-1]
    assert desired(models) == promoted[-1]
    assert (folder / CURRENT).read_bytes() == format_deployment(promoted[-1])
    for one, before in zip(promoted[1:], promoted, strict=False):
        assert one.previous == (before.package if before.package != one.package else before.previous)
    assert list(folder.rglob(".*")) == []


def test_a_reader_sees_no_partial_file_and_no_older_generation(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    package(tmp_path / "1", "1")
    store(folder).promote(tmp_path / "1", ME)

    def promote(_turn: int) -> object:
        return store(folder).promote(tmp_path / "1", ME)

    seen = []
    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(promote, turn) for turn in range(30)]
        while not all(one.done() for one in writing):
            seen.append(desired(store(folder)).generation)

    assert seen == sorted(seen)
    assert desired(store(folder)).generation == 31


def test_concurrent_processes_each_get_a_generation(tmp_path: Path) -> None:
    program = """
import sys; from pathlib import Path; from stream_infer.store.model_store import ModelStore, Request
folder, package = map(Path, sys.argv[1:])
models = ModelStore(folder, "payments.fraud")
print("ready", flush=True); sys.stdin.readline()
for turn in range(5): models.promote(package, Request(f"{package.name} {turn}"))
"""
    models = store(tmp_path / "models")
    writers = []
    for version in ("1", "2", "3"):
        package(tmp_path / version, version)
        command = [sys.executable, "-c", program, str(models.folder), str(tmp_path / version)]
        writers.append(
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    for writer in writers:
        writer.communicate()
    history = models.history()
    assert [one.generation for one in history] == list(range(15, 0, -1))
    assert sorted(one.requested_by for one in history) == sorted(
        f"{version} {turn}" for version in "123" for turn in range(5)
    )
    assert desired(models) == history[0]


class Interrupted(ModelStore):
    """A store that runs another action before its next claim."""

    def __init__(self, folder: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(folder, "payments.fraud", now_ms=self._busy)
        self._meanwhile = [meanwhile]

    def _busy(self) -> int:
        if self._meanwhile:
            self._meanwhile.pop()()
        return 1


def test_a_promotion_that_comes_second_takes_the_next_generation(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2"):
        package(tmp_path / version, version)
    slow = Interrupted(models.folder, lambda: models.promote(tmp_path / "1", ME))

    second = slow.promote(tmp_path / "2", ME)

    assert (second.generation, second.previous) == (2, models.history()[1].package)
    assert desired(models) == second


def test_a_rollback_that_comes_second_is_refused(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2", "3"):
        package(tmp_path / version, version)
    for version in ("1", "2"):
        models.promote(tmp_path / version, ME)
    slow = Interrupted(models.folder, lambda: models.promote(tmp_path / "3", ME))

    with pytest.raises(Superseded, match="generation 3 was promoted meanwhile"):
        slow.rollback(ME)

    assert desired(models).package.version == "3"


def test_an_older_generation_in_current_is_not_followed(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1", "2"):
        package(tmp_path / version, version)
    one, two = [models.promote(tmp_path / version, ME) for version in ("1", "2")]

    (models.folder / CURRENT).write_bytes(format_deployment(one))

    assert desired(models) == two


def test_a_writer_that_dies_after_its_claim_has_promoted(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    (models.folder / CURRENT).unlink()

    assert desired(models) == one


def test_another_tool_may_write_current(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    external = replace(one, generation=40, requested_by="gitops")
    (models.folder / CURRENT).write_bytes(format_deployment(external))

    assert desired(models) == external
    assert models.promote(tmp_path / "1", ME).generation == 41


def test_a_partial_current_is_a_problem_until_the_next_promotion(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    whole = format_deployment(models.promote(tmp_path / "1", ME))
    for partial in (b"", whole[: len(whole) // 2], whole[:-3], b"\0" * len(whole), whole * 200):
        (models.folder / CURRENT).write_bytes(partial)

        assert problem(models) == "invalid"
        with pytest.raises(Misconfigured):
            models.rollback(ME)

    repaired = models.promote(tmp_path / "1", ME)

    assert (repaired.generation, desired(models)) == (2, repaired)


def test_a_missing_store_is_a_problem_and_is_not_created_again(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    models.folder.rename(tmp_path / "elsewhere")

    assert problem(models) == "gone"
    assert isinstance(models.locate(one.package), StoreProblem)
    assert (models.history(), models.promoted_last()) == ([], None)
    with pytest.raises(Misconfigured, match="cannot be read"):
        models.promote(tmp_path / "1", ME)
    with pytest.raises(Misconfigured, match="cannot be read"):
        models.rollback(ME)
    assert not models.folder.exists()

    (tmp_path / "elsewhere").rename(models.folder)

    assert desired(models) == one


def test_an_empty_store_is_a_problem(tmp_path: Path) -> None:
    assert problem(store(tmp_path / "models")) == "empty"


def test_the_store_of_another_pipeline_is_not_followed_and_not_written(tmp_path: Path) -> None:
    package(tmp_path / "1", "1")
    store(tmp_path / "models", "other").promote(tmp_path / "1", ME)
    models = store(tmp_path / "models")

    assert problem(models) == "pipeline"
    with pytest.raises(Misconfigured, match="is the store of other"):
        models.promote(tmp_path / "1", ME)


@pytest.mark.parametrize("uri", ["../mine", "/etc", "a/b", ".hidden", "", "nowhere"])
def test_a_path_outside_the_store_is_never_located(tmp_path: Path, uri: str) -> None:
    package(tmp_path / "mine")
    models = store(tmp_path / "models")

    with pytest.raises(Refused) as refused:
        models.locate(PackageRef("fraud", "1", "sha256:" + "0" * 64, uri))

    assert refused.value.code == "not_in_store"


def test_an_unreadable_history_entry_is_skipped_and_its_generation_not_reused(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(tmp_path / "1", "1")
    one = models.promote(tmp_path / "1", ME)
    (models.folder / HISTORY / "000000000002").mkdir()
    (models.folder / HISTORY / "000000000002" / "deployment.json").write_text("{")
    (models.folder / HISTORY / "000000000003").write_text("not a folder")
    (models.folder / HISTORY / "notes.txt").write_text("mine")

    assert models.history() == [one]
    assert models.promote(tmp_path / "1", ME).generation == 4


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_reported(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")
    models.folder.chmod(0o500)

    with pytest.raises(Misconfigured, match="cannot be written"):
        models.promote(Path("mine"), ME)

    models.folder.chmod(0o700)


def test_a_history_that_cannot_be_created_is_reported_as_one_problem(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")
    (models.folder / HISTORY).write_text("a file in the way")

    with pytest.raises(Misconfigured) as failed:
        models.promote(Path("mine"), ME)

    assert [p.key for p in failed.value.problems] == ["model.store"]


@pytest.mark.parametrize(
    "request_", [Request("x" * 3000), Request(""), Request("me", "x" * 2**16), Request("me", "\udc80")]
)
def test_an_invalid_deployment_is_not_promoted(tmp_path: Path, request_: Request) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")

    with pytest.raises(Misconfigured) as failed:
        models.promote(Path("mine"), request_)

    assert [p.key for p in failed.value.problems] == ["deployment"]
    assert problem(models) == "empty"


def test_current_is_readable_by_people(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    package(models.folder / "mine")
    models.promote(Path("mine"), ME)

    assert json.loads((models.folder / CURRENT).read_text())["package"]["uri"] == "mine"
    assert len((models.folder / CURRENT).read_text().splitlines()) > 8


def test_a_newer_deployment_of_the_control_topic_is_adopted(tmp_path: Path) -> None:
    models = store(tmp_path / "models")
    for version in ("1.0", "2.0"):
        package(tmp_path / version, version)
        models.promote(tmp_path / version, ME)
    one, two = (d.package for d in reversed(models.history()))
    elsewhere = replace(desired(models), generation=7, package=one, previous=two)

    models.adopt(elsewhere)
    models.adopt(replace(elsewhere, generation=6, package=two))

    assert desired(models) == elsewhere

    models.adopt(other := replace(elsewhere, requested_by="another writer"))

    assert desired(models) == other
    assert (back := models.rollback(ME)).generation == 8
    assert (back.package, back.previous) == (two, one)


def test_the_previous_package_is_one_that_has_served(tmp_path: Path) -> None:
    good, bad, worse, two = (package(tmp_path / name, name) for name in ("1.0", "1.1", "1.2", "2.0"))
    models = store(tmp_path / "models")
    models.promote(tmp_path / "1.0", ME)
    models.promote(tmp_path / "1.1", ME, {good})
    models.promote(tmp_path / "1.2", ME, {good})
    promoted = models.promote(tmp_path / "2.0", ME, {good})

    assert promoted.previous is not None
    assert promoted.previous.digest == good

    back = models.rollback(ME, {good, two})

    assert back.package.digest == good
    assert back.previous is not None
    assert back.previous.digest == two
    assert {bad, worse} == {one.package.digest for one in models.history()} - {good, two}


def test_a_served_package_that_was_deleted_is_not_the_previous_one(tmp_path: Path) -> None:
    one, two = (package(tmp_path / name, name) for name in ("1.0", "2.0"))
    models = store(tmp_path / "models")
    first = models.promote(tmp_path / "1.0", ME)
    models.promote(tmp_path / "2.0", ME)
    shutil.rmtree(models.folder / first.package.uri)
    package(tmp_path / "3.0", "3.0")

    promoted = models.promote(tmp_path / "3.0", ME, {one})

    assert promoted.previous is not None
    assert promoted.previous.digest == two
