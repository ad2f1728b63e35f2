"""The wheel of the running product, written from its installed files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured
from stream_infer.packaging import own_wheel
from stream_infer.packaging.own_wheel import write_own_wheel

INFO = "own_part-1.0.dist-info"


def site(folder: Path, **more: str) -> Path:
    """Return a folder with the distribution `own-part` 1.0 installed."""
    record = [f"{INFO}/{name},," for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER", *more)]
    files = {
        "own_part/__init__.py": "answer = 42\n",
        "own_part/__pycache__/__init__.cpython-311.pyc": "",
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: own-part\nVersion: 1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/INSTALLER": "pip\n",
        f"{INFO}/RECORD": "\n".join(
            [
                "own_part/__init__.py,,",
                "own_part/__pycache__/__init__.cpython-311.pyc,,",
                "../bin/own,,",
                *record,
            ]
        ),
        **{f"{INFO}/{name}": text for name, text in more.items()},
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(autouse=True)
def own_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small distribution stand for the product."""
    monkeypatch.setattr(own_wheel, "PRODUCT", "own-part")


def test_the_wheel_has_the_installed_files_and_pip_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site(tmp_path / "site")))
    for name in ("first", "second"):
        tmp_path.joinpath(name).mkdir()

    wheel = write_own_wheel(tmp_path / "first")

    assert wheel.name == "own_part-1.0-py3-none-any.whl"
    assert write_own_wheel(tmp_path / "second").read_bytes() == wheel.read_bytes()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target"]
    subprocess.run([*pip, tmp_path / "new", wheel], check=True)
    assert (tmp_path / "new/own_part/__init__.py").read_text() == "answer = 42\n"


def test_an_editable_installation_whose_source_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = (tmp_path / "gone").as_uri()
    direct_url = f'{{"url": "{gone}", "dir_info": {{"editable": true}}}}'
    monkeypatch.syspath_prepend(str(site(tmp_path / "site", **{"direct_url.json": direct_url})))

    with pytest.raises(Misconfigured, match="its wheel was not built"):
        write_own_wheel(tmp_path)
