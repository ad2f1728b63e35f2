"""A package with exactly the files of its manifest is verified; every other one is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import joblib
import pytest

from stream_infer.flow.errors import Refused
from stream_infer.models.contents import PackageLimits
from stream_infer.models.package import Verified, verify, write_package
from tests.unit.models.builders import files, manifest

FORMS = ["package", "package.zip"]


def refusal(path: Path, expected: str | None = None, limits: PackageLimits | None = None) -> str:
    with pytest.raises(Refused) as refused:
        verify(path, expected, limits=limits or PackageLimits())
    return refused.value.code


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def rewrite_manifest(package: Path, text: bytes) -> None:
    (package / "manifest.json").write_bytes(text)
    checksum = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n"
    (package / "manifest.sha256").write_text(checksum)


@pytest.mark.parametrize("form", FORMS)
def test_a_written_package_is_verified_with_the_same_bytes(tmp_path: Path, form: str) -> None:
    contents = files(**{"code/own/steps.py": b"x = 1\n"})

    sealed = write_package(tmp_path / form, manifest(), contents)
    verified = verify(tmp_path / form, sealed.digest)

    assert verified.files == contents
    assert verified.manifest == sealed
    assert verified.digest == sealed.digest


def test_folder_and_zip_have_the_same_digest(tmp_path: Path) -> None:
    digests = {write_package(tmp_path / form, manifest(), files()).digest for form in FORMS}

    assert {verify(tmp_path / form).digest for form in FORMS} == digests
    assert len(digests) == 1


def test_the_digest_is_that_of_the_manifest_file(tmp_path: Path) -> None:
    sealed = write_package(tmp_path / "package", manifest(), files())

    text = (tmp_path / "package" / "manifest.json").read_bytes()

    assert sealed.digest == "sha256:" + hashlib.sha256(text).hexdigest()


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = files()
    backwards = dict(reversed(contents.items()))

    for name, given in (("one", contents), ("two", backwards)):
        write_package(tmp_path / name, manifest(), given)
        write_package(tmp_path / f"{name}.zip", manifest(), given)
        os.utime(tmp_path / name / "model.joblib", (1, 1))

    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert verify(tmp_path / "one").digest == verify(tmp_path / "two").digest


def test_only_verify_creates_verified() -> None:
    with pytest.raises(TypeError):
        Verified(manifest(), "sha256:0", {})


@pytest.mark.parametrize("form", FORMS)
def test_an_unexpected_digest_is_refused(tmp_path: Path, form: str) -> None:
    write_package(tmp_path / form, manifest(), files())

    assert refusal(tmp_path / form, "sha256:" + "0" * 64) == "digest"


def test_an_extra_file_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())

    (tmp_path / "package" / "notes.txt").write_text("hello")

    assert refusal(tmp_path / "package") == "extra_file"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())

    (tmp_path / "package" / "code").mkdir()

    assert refusal(tmp_path / "package") == "extra_file"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("manifest.json", "not_a_package"),
        ("manifest.sha256", "missing_file"),
        ("model.joblib", "missing_file"),
        ("golden.avro", "missing_file"),
        ("input.avsc", "missing_file"),
        ("requirements.txt", "missing_file"),
    ],
)
def test_a_missing_file_is_refused(tmp_path: Path, name: str, code: str) -> None:
    write_package(tmp_path / "package", manifest(), files())

    (tmp_path / "package" / name).unlink()

    assert refusal(tmp_path / "package") == code


def test_a_manifest_that_is_not_canonical_is_refused_despite_a_valid_checksum(tmp_path: Path) -> None:
    sealed = write_package(tmp_path / "package", manifest(), files())

    rewrite_manifest(tmp_path / "package", json.dumps(json.loads(sealed.canonical()), indent=1).encode())

    assert refusal(tmp_path / "package") == "manifest"


def test_a_manifest_without_the_model_file_is_refused(tmp_path: Path) -> None:
    sealed = write_package(tmp_path / "package", manifest(), files())
    without = {name: entry for name, entry in sealed.files.items() if name != "model.joblib"}

    rewrite_manifest(tmp_path / "package", replace(sealed, files=without).canonical())
    (tmp_path / "package" / "model.joblib").unlink()

    assert refusal(tmp_path / "package") == "missing_file"


class WritesWhenLoaded:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_in_a_package_of_another_digest_is_never_loaded(tmp_path: Path, form: str) -> None:
    trace = tmp_path / "trace"
    hostile = pickle.dumps(WritesWhenLoaded(trace))
    (tmp_path / "hostile.joblib").write_bytes(hostile)
    joblib.load(tmp_path / "hostile.joblib")
    assert trace.exists()
    trace.rmdir()
    good = b"\x80\x04N.".ljust(len(hostile), b" ")
    write_package(tmp_path / form, manifest(), files(good))

    if form.endswith(".zip"):
        whole = (tmp_path / form).read_bytes()
        (tmp_path / form).write_bytes(whole.replace(good, hostile))
    else:
        (tmp_path / form / "model.joblib").write_bytes(hostile)

    assert refusal(tmp_path / form) == "digest"
    assert not trace.exists()


def test_a_symbolic_link_is_refused_even_to_the_same_bytes(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())
    model = tmp_path / "package" / "model.joblib"

    model.rename(tmp_path / "elsewhere")
    model.symlink_to(tmp_path / "elsewhere")

    assert refusal(tmp_path / "package") == "unsafe_file"


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())
    (tmp_path / "elsewhere").mkdir()

    (tmp_path / "package" / "code").symlink_to(tmp_path / "elsewhere")

    assert refusal(tmp_path / "package") == "unsafe_file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no pipes with names")
def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())

    os.mkfifo(tmp_path / "package" / "pipe")
    os.mkfifo(tmp_path / "package.zip")

    assert refusal(tmp_path / "package") == "unsafe_file"
    assert refusal(tmp_path / "package.zip") == "not_a_package"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no sockets with names")
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path / "package", manifest(), files())
    monkeypatch.chdir(tmp_path)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("package/socket")

        assert refusal(tmp_path / "package") == "unsafe_file"


@pytest.mark.parametrize("name", [".hidden", "with space", "näme", "a\\b", "c:d", "-dash"])
def test_an_unsafe_file_name_is_refused(tmp_path: Path, name: str) -> None:
    write_package(tmp_path / "package", manifest(), files())

    (tmp_path / "package" / name).write_bytes(b"")

    assert refusal(tmp_path / "package") == "unsafe_file"


@pytest.mark.parametrize("form", FORMS)
def test_a_package_beyond_its_limits_is_refused(tmp_path: Path, form: str) -> None:
    write_package(tmp_path / form, manifest(), files(b"x" * 5000))

    assert refusal(tmp_path / form, limits=PackageLimits(total_bytes=4000)) == "too_large"
    assert refusal(tmp_path / form, limits=PackageLimits(files=5)) == "too_large"


def test_a_sparse_file_is_refused_unread(tmp_path: Path) -> None:
    write_package(tmp_path / "package", manifest(), files())

    with (tmp_path / "package" / "huge").open("wb") as stream:
        stream.truncate(2**40)

    assert refusal(tmp_path / "package") == "too_large"


@pytest.mark.parametrize("content", [None, b"", b"PK", b"not a zip at all", b"PK\x05\x06" + bytes(18)])
def test_a_path_that_is_not_a_package_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "package.zip"
    if content is not None:
        path.write_bytes(content)

    assert refusal(path) == "not_a_package"


@pytest.mark.parametrize("form", FORMS)
def test_a_package_is_never_overwritten(tmp_path: Path, form: str) -> None:
    sealed = write_package(tmp_path / form, manifest(), files())

    with pytest.raises(FileExistsError):
        write_package(tmp_path / form, manifest(version="9"), files())

    assert verify(tmp_path / form).digest == sealed.digest


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "broken",
    [
        SimpleNamespace(manifest=manifest(), files={"model.joblib": b""}, code="missing_file"),
        SimpleNamespace(manifest=manifest(), files=files(**{"../evil": b""}), code="unsafe_file"),
        SimpleNamespace(manifest=manifest(), files=files(A=b"", a=b""), code="unsafe_file"),
        SimpleNamespace(manifest=manifest(features=()), files=files(), code="manifest"),
    ],
    ids=["no-golden", "name", "case", "manifest"],
)
def test_a_package_that_verify_would_refuse_is_not_written(
    tmp_path: Path, form: str, broken: SimpleNamespace
) -> None:
    with pytest.raises(Refused) as refused:
        write_package(tmp_path / form, broken.manifest, broken.files)

    assert refused.value.code == broken.code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_write_leaves_no_file(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="no space left"):
        write_package(tmp_path / form, manifest(), files())

    assert list(tmp_path.iterdir()) == []
