"""The requirements of a package: all that is installed of what it needs, and hashes that are known."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from stream_infer.flow.errors import Misconfigured
from stream_infer.packaging.requirements import (
    Requirements,
    installed_requirements,
    parse_requirements,
    this_platform,
)
from stream_infer.packaging.wheel_hashes import with_hashes

HASH = "a" * 64


def installed(folder: Path, *, tag: str = "py3-none-any", direct_url: str | None = None) -> None:
    """Put a distribution `tiny-part` 1.0 into `folder`, as an installer leaves it."""
    info = folder / "tiny_part-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-part\nVersion: 1.0\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
    if direct_url is not None:
        (info / "direct_url.json").write_text(direct_url)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only wheel of a package index for pip, which is a folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny_part-1.0-py3-none-any.whl"
    info = "tiny_part-1.0.dist-info"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_part.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-part\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return wheel


def test_everything_that_worker_and_model_need_is_listed_but_the_worker_itself() -> None:
    found = installed_requirements(["lightgbm"])

    for name in ("lightgbm", "scikit-learn", "confluent-kafka", "python-dateutil", "pydantic-core"):
        assert found.versions[name] == version(name)
    assert "stream-infer-worker" not in found.versions
    assert "pytest" not in found.versions
    assert found.made_for == this_platform()


@pytest.mark.parametrize("hashes", [{"numpy": HASH, "own": "b" * 64}, {}])
def test_the_text_is_read_back_as_it_was_written(hashes: dict[str, str]) -> None:
    written = Requirements({"numpy": "2.4.6", "own": "1.0"}, hashes, "CPython 3.11 on Linux x86_64")

    read = parse_requirements(written.text())

    assert read == written
    assert read.hashed is bool(hashes)


def test_hashes_of_some_wheels_are_left_out_because_pip_asks_for_all() -> None:
    some = Requirements({"numpy": "2.4.6", "own": "1.0"}, {"numpy": HASH}, "here")

    assert "--hash" not in some.text()


def test_requirements_of_an_earlier_release_name_no_platform() -> None:
    assert parse_requirements("numpy==2.4.6\nscikit-learn==1.9.1\n") == Requirements(
        {"numpy": "2.4.6", "scikit-learn": "1.9.1"}
    )


def test_the_hash_that_the_installer_wrote_down_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = f'{{"hashes": {{"sha256": "{HASH}"}}}}'
    installed(tmp_path, direct_url=f'{{"url": "file:///tiny.whl", "archive_info": {archive}}}')
    monkeypatch.syspath_prepend(str(tmp_path))

    assert installed_requirements(["tiny-part"]).hashes == {"tiny-part": HASH}


def test_the_hash_of_a_wheel_is_that_of_the_index(tmp_path: Path, index: Path) -> None:
    installed(tmp_path / "site")

    found = with_hashes(Requirements({"tiny-part": "1.0"}, {}, "here"))

    assert found.hashes == {"tiny-part": hashlib.sha256(index.read_bytes()).hexdigest()}
    assert found.hashed


def test_another_build_than_the_installed_one_is_named(tmp_path: Path, index: Path) -> None:
    installed(tmp_path / "site", tag="cp311-cp311-linux_x86_64")

    with pytest.raises(Misconfigured, match="another build is installed here"):
        with_hashes(Requirements({"tiny-part": "1.0"}))


def test_a_version_that_the_index_lacks_is_named(index: Path) -> None:
    with pytest.raises(Misconfigured, match=r"tiny-part==2\.0"):
        with_hashes(Requirements({"tiny-part": "2.0"}))
