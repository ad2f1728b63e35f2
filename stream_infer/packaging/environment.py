"""Makes the virtual environment of a package: its own versions, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.package import Verified, verify
from stream_infer.packaging.own_wheel import write_own_wheel
from stream_infer.packaging.requirements import Requirements, parse_requirements, this_platform
from stream_infer.packaging.wheel_hashes import last_line

# What would let this environment into the new one.
_OURS = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV"})


@dataclass(frozen=True, slots=True)
class InstalledEnvironment:
    """A virtual environment in which a package was verified. `verified` is what that printed."""

    target: Path
    python: str
    distributions: int
    hashed: bool
    verified: str


def install_package(path: Path, target: Path | None = None) -> InstalledEnvironment:
    """Make a virtual environment at `target` with what the package at `path` needs; verify it in there.

    The default target is beside the working folder's files, named after the package. Raises `Refused` for a
    package that is not intact, and `Misconfigured` when its Python is missing, the target exists, a wheel
    cannot be installed or the package does not verify; then there is nothing at the target.
    """
    package = verify(path)
    manifest = package.manifest
    place = target or Path(f"{manifest.name}-{manifest.version}.venv")
    if place.exists():
        raise _problem("--target", str(place), "exists already", "give another name, or remove it")
    python = _python(manifest.python)
    try:
        requirements = _fill(place, python, package)
        verify_there = [str(_bin(place, "stream-infer")), "package", "verify", str(path)]
        told = _run(verify_there, "PACKAGE", path, "does not verify in its environment")
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return InstalledEnvironment(
        place, manifest.python, len(requirements.versions), requirements.hashed, told.strip()
    )


def requirements_of(package: Verified, platform: str) -> Requirements:
    """Return the requirements of a package; without hashes where those are of wheels for another platform."""
    requirements = parse_requirements(package.files["requirements.txt"].decode())
    return requirements if requirements.made_for == platform else requirements.without_hashes()


def pip_arguments(requirements: Requirements) -> Sequence[str]:
    """Return how pip installs exactly these; an earlier release recorded a few libraries only."""
    if requirements.made_for is None:
        return ()
    return ("--no-deps", "--require-hashes") if requirements.hashed else ("--no-deps",)


def _fill(place: Path, python: str, package: Verified) -> Requirements:
    requirements = requirements_of(package, this_platform())
    arguments = pip_arguments(requirements)
    _run([python, "-m", "venv", str(place)], "--target", place, "no virtual environment was made")
    pip = [str(_bin(place, "python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text(requirements.text(), "utf-8")
        _run([*pip, *arguments, "-r", str(listed)], "requirements.txt", place, "is not installed")
        wheel = write_own_wheel(Path(folder))
        _run([*pip, *arguments[:1], str(wheel)], wheel.name, place, "is not installed")
    return requirements


def _python(version: str) -> str:
    """Return an interpreter of the version ("3.11") that the package was made with."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        fix = f"install Python {version}, so that python{version} is on the path"
        raise _problem("PACKAGE", "", f"it was made with Python {version}, which is not here", fix)
    return found


def _bin(place: Path, name: str) -> Path:
    return place.absolute() / ("Scripts" if os.name == "nt" else "bin") / name


def _run(command: Sequence[str], key: str, value: Path, what: str) -> str:
    ran = subprocess.run(  # noqa: S603 - our own commands
        command, capture_output=True, text=True, check=False, env=variables()
    )
    if ran.returncode != 0:
        told = last_line(ran.stderr or ran.stdout)
        fix = "correct what it says: the index and its credentials are those that pip is set to use"
        raise _problem(key, str(value), f"{what}: {told}", fix)
    return ran.stdout


def variables() -> Mapping[str, str]:
    """Return the variables of this process without those that would let its libraries in."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


def _problem(key: str, value: str, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(key, value, what, fix)])
