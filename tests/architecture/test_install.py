from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

PROBE = """
import site, sys
site.addsitedir(sys.argv[1])
sys.path.insert(0, sys.path.pop())
import stream_infer
from stream_infer.avro.topic_schemas import topic_schema
print(stream_infer.__file__)
for name in sys.argv[2:]:
    print(topic_schema(name).fingerprint.hex())
"""
NAMES = sorted(path.stem for path in (ROOT / "schemas").glob("*.avsc"))


def build(target: str, folder: Path) -> zipfile.ZipFile:
    """Build a wheel of the tree, `standard` or `editable`, as pip has it built."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", f"wheel:{target}", "-d", str(folder)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("HATCH")},
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def probe(site_folder: Path, cwd: Path) -> tuple[Path, list[str]]:
    """Import the package as installed in `site_folder`: where it came from and what its schemas are."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, str(site_folder), *NAMES],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return Path(answer[0]), answer[1:-1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with build("standard", tmp_path_factory.mktemp("wheel")) as wheel:
        wheel.extractall(folder)
    return folder


def test_a_wheel_carries_the_page_of_a_server(installed: Path) -> None:
    page = installed / "stream_infer" / "serving" / "page"

    assert {path.name for path in page.iterdir()} == {"index.html", "page.css", "page.js", "icon.svg"}


def test_a_wheel_carries_the_schemas_the_licence_and_the_type_marker(installed: Path) -> None:
    inside = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}

    assert {f"stream_infer/schemas/{name}.avsc" for name in NAMES} <= inside
    assert "stream_infer/py.typed" in inside
    assert any(name.endswith("/licenses/LICENSE") for name in inside)
    assert all(name.startswith(("stream_infer/", "stream_infer_worker-")) for name in inside)


def test_a_wheel_offers_the_command(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")

    assert "stream-infer = stream_infer.cli.main:main" in entry_points.read_text("utf-8")


def test_both_kinds_of_install_find_the_same_schemas(installed: Path, tmp_path: Path) -> None:
    editable = tmp_path / "site"
    with build("editable", tmp_path) as wheel:
        wheel.extractall(editable)

    from_wheel, wheel_fingerprints = probe(installed, tmp_path)
    from_tree, tree_fingerprints = probe(editable, tmp_path)

    assert from_wheel == installed / "stream_infer" / "__init__.py"
    assert from_tree == ROOT / "stream_infer" / "__init__.py"
    assert len(NAMES) == len(set(tree_fingerprints)) > 0
    assert wheel_fingerprints == tree_fingerprints
