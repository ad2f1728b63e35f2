"""The model package of the tests, made as users do: a training script, then `package create`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.events import SCHEMA_FILE

NAME, VERSION = "picky", "1.0.0"
_FRAUD = SCHEMA_FILE.parent
_TRAINING_ROWS, _SEED = 5_000, 11


@dataclass(frozen=True, slots=True)
class Package:
    """The package and its inputs: the oracle uses the inputs and never opens the package."""

    path: Path
    estimator: Path
    code: Path


def make_package(folder: Path) -> Package:
    """Train the model into `folder` and package it."""
    code = _FRAUD / "code"
    training = [sys.executable, str(_FRAUD / "train.py"), str(folder), str(_TRAINING_ROWS), str(_SEED)]
    subprocess.run(training, env={**os.environ, "PYTHONPATH": str(code)}, check=True)
    package = folder / f"{NAME}-{VERSION}"
    options = {
        "--name": NAME,
        "--version": VERSION,
        "--schema": SCHEMA_FILE,
        "--golden": folder / "golden.csv",
        "--reference": folder / "train.csv",
        "--code": code,
        "-o": package,
    }
    written = [str(part) for option in options.items() for part in option]
    model = folder / "model.joblib"
    command = [sys.executable, "-m", "stream_infer.cli.main", "package", "create", str(model), *written]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return Package(package, model, code)
