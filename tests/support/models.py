"""A pipeline whose model comes from a store, and packages to promote there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from stream_infer.cli.main import app
from stream_infer.models.manifest import Manifest
from stream_infer.models.package import verify, write_package
from tests.support.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    exit_code: int
    out: str

    @property
    def document(self) -> Any:
        [line] = self.out.splitlines()
        return json.loads(line)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def said(*arguments: str | Path) -> Said:
    """Run `stream-infer` in this process."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    return Said(result.exit_code, result.stdout)


def of_version(
    package: Path, path: Path, version: str, change: Callable[[Manifest], Manifest] = lambda same: same
) -> Path:
    """Write the package again under another version, with what `change` makes of its manifest."""
    verified = verify(package)
    write_package(path, change(replace(verified.manifest, version=version)), verified.files)
    return path


def reading_nothing(manifest: Manifest) -> Manifest:
    """Let the first feature read a field that no event has."""
    first, *rest = manifest.features
    return replace(manifest, features=(replace(first, source="nowhere"), *rest))


def write_config(
    pipeline: Pipeline, slot: str, monitoring: Mapping[str, str], model: Mapping[str, str]
) -> Path:
    """Write the settings of a worker whose model comes from a store."""
    config = pipeline.write_config(slot, model=model, monitoring=monitoring)
    lines = config.read_text("utf-8").splitlines()
    config.write_text("\n".join(line for line in lines if not line.startswith('"package"')) + "\n", "utf-8")
    return config
