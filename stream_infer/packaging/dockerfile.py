"""Writes a folder for `docker build`: an image with the package and exactly what it needs."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.manifest import Manifest
from stream_infer.models.package import verify
from stream_infer.packaging.environment import pip_arguments, requirements_of
from stream_infer.packaging.own_wheel import write_own_wheel
from stream_infer.packaging.requirements import Requirements
from stream_infer.packaging.system_libraries import DEBIAN

_DEBIAN = "slim-bookworm"


def write_build_folder(path: Path, output: Path, base: str | None = None) -> Path:
    """Write Dockerfile, requirements, wheel and package into the new folder `output`; return the Dockerfile.

    `base` is the base image with its exact tag: without it, the official one of this Python's release. Raises
    `Refused` for a package that is not intact, and `Misconfigured` when the folder exists, or when this is
    another Python than the package's and no base is given.
    """
    package = verify(path)
    manifest = package.manifest
    image = base or _official(manifest.python)
    if output.exists():
        raise _problem("--output", str(output), "exists already", "give another name, or remove it")
    requirements = requirements_of(package, _linux(manifest.python))
    output.mkdir(parents=True)
    wheel = write_own_wheel(output)
    output.joinpath("requirements.txt").write_text(requirements.text(), "utf-8")
    held = f"package{path.suffix if path.is_file() else ''}"
    if path.is_file():
        shutil.copyfile(path, output / held)
    else:
        shutil.copytree(path, output / held)
    dockerfile = output / "Dockerfile"
    dockerfile.write_text(_text(manifest, package.digest, image, requirements, wheel.name, held), "utf-8")
    return dockerfile


def _official(python: str) -> str:
    release = platform.python_version()
    if not release.startswith(f"{python}."):
        fix = f"give an image of Python {python} with its exact tag, or run this with Python {python}"
        raise _problem("--base", "", f"the package was made with Python {python}, and this is {release}", fix)
    return f"python:{release}-{_DEBIAN}"


def _linux(python: str) -> str:
    return f"CPython {python} on Linux {platform.machine()}"


def _text(
    manifest: Manifest, digest: str, image: str, requirements: Requirements, wheel: str, held: str
) -> str:
    arguments = pip_arguments(requirements)
    plain = " --no-deps" if arguments else ""
    lines = [
        f"# {manifest.name} {manifest.version}, {digest}: made by `stream-infer package dockerfile`.",
        f"FROM {image}",
        "ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1",
        *_system(manifest.system_libraries or ()),
        "WORKDIR /opt/stream-infer",
        f"COPY requirements.txt {wheel} ./",
        f"RUN {' '.join(['pip install', *arguments, '-r requirements.txt'])} \\",
        f" && pip install{plain} ./{wheel}",
        f"COPY {held} ./{held}",
        f"RUN stream-infer package verify {held}",
        "USER 10001:10001",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["stream-infer"]',
        'CMD ["run", "-c", "/etc/stream-infer/worker.toml"]',
    ]
    return "\n".join([*lines, ""])


def _system(libraries: Sequence[str]) -> list[str]:
    known = [DEBIAN[name] for name in libraries if name in DEBIAN]
    unknown = [name for name in libraries if name not in DEBIAN]
    install = f"apt-get install -y --no-install-recommends {' '.join(known)}"
    return [
        *(f"# The wheels need {name}: install the system's package that has it here." for name in unknown),
        *([f"RUN apt-get update && {install} && rm -rf /var/lib/apt/lists/*"] if known else []),
    ]


def _problem(key: str, value: str, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(key, value, what, fix)])
