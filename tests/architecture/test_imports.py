from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import stream_infer
from tests.architecture.tree import ROOT

HEAVY = (
    "confluent_kafka", "joblib", "onnx", "onnxruntime", "pandas", "pyarrow", "river", "sklearn", "structlog",
    "uvicorn",
)  # fmt: skip


def test_imports_keep_to_the_layers_and_vendors_to_their_folders() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_only_the_top_package_says_anything_in_its_init() -> None:
    said = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "stream_infer").rglob("__init__.py")
        if path.read_text("utf-8").strip()
    ]

    assert said == ["stream_infer/__init__.py"]


def test_the_public_names_are_these() -> None:
    public: list[str] = vars(stream_infer)["__all__"]

    assert sorted(public) == ["__version__", "open_package", "package"]
    assert all(hasattr(stream_infer, name) for name in public)


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = f"import sys, stream_infer; print([m for m in {HEAVY!r} if m in sys.modules])"

    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert imported.stdout.strip() == "[]"
