"""Whatever happens to the bytes of a package, it is the one that was written or it is refused."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_infer.flow.errors import Refused
from stream_infer.models import archive
from stream_infer.models.contents import PackageLimits
from stream_infer.models.package import verify, write_package
from tests.unit.models.builders import files, manifest

CONTENTS = files(**{"code/own.py": b"def f(x):\n    return x\n"})
FILES = ["manifest.json", "manifest.sha256", *CONTENTS]

fast = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@functools.cache
def zipped() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_package(Path(folder) / "p.zip", manifest(), CONTENTS)
        return (Path(folder) / "p.zip").read_bytes()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write_package(tmp_path / "package", manifest(), CONTENTS)
    return tmp_path / "package"


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_in_any_file_of_a_folder_is_refused(package: Path, name: str) -> None:
    good = (package / name).read_bytes()

    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        (package / name).write_bytes(bad)
        with pytest.raises(Refused):
            verify(package)

    (package / name).write_bytes(good)
    assert verify(package).files == CONTENTS


def test_one_flipped_byte_anywhere_in_a_zip_is_refused(tmp_path: Path) -> None:
    good = zipped()

    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        (tmp_path / "p.zip").write_bytes(bad)
        with pytest.raises(Refused):
            verify(tmp_path / "p.zip")


@fast
@given(data=st.data())
def test_any_edit_of_a_zip_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    good = zipped()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, min(len(good), start + 40)))
    instead = data.draw(st.binary(max_size=40).filter(lambda b: b != good[start:stop]))
    (tmp_path / "p.zip").write_bytes(good[:start] + instead + good[stop:])

    if good[:start] + instead + good[stop:] != good:
        with pytest.raises(Refused):
            verify(tmp_path / "p.zip")


@fast
@given(data=st.data(), name=st.sampled_from(FILES))
def test_any_edit_of_a_file_in_a_folder_is_refused(package: Path, name: str, data: st.DataObject) -> None:
    good = (package / name).read_bytes()
    bad = data.draw(st.binary(max_size=20) | st.binary().map(lambda more: good + more))
    (package / name).write_bytes(bad)

    if bad != good:
        with pytest.raises(Refused):
            verify(package)
    (package / name).write_bytes(good)


names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,8}(/[a-z0-9_]{1,8}){0,2}", fullmatch=True)
some_contents = st.dictionaries(names, st.binary(max_size=50), max_size=6).filter(
    lambda contents: len({name.casefold() for name in contents}) == len(contents)
)


@fast
@given(contents=some_contents)
def test_a_zip_gives_back_what_it_was_made_of(tmp_path: Path, contents: dict[str, bytes]) -> None:
    (tmp_path / "p.zip").write_bytes(b"".join(archive.pack_archive(contents)))

    assert archive.read_archive(tmp_path / "p.zip", PackageLimits()) == contents


@fast
@given(junk=st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_and_nothing_else(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "p.zip").write_bytes(archive.SIGNATURE + junk)

    with pytest.raises(Refused):
        verify(tmp_path / "p.zip")
