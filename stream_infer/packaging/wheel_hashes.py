"""The SHA-256 of wheels, from the package index that pip is set to use here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.requirements import Requirements

_OPTION = "--hashes"
_TIMEOUT_S = 300


def with_hashes(requirements: Requirements) -> Requirements:
    """Return `requirements` with the hash of each wheel that pip would install for it on this machine.

    Asks the index; nothing is installed. Raises `Misconfigured` when pip or the index do not answer, when a
    version is not there any more, or when the wheel there is of another kind than the one that is installed.
    """
    unknown = Requirements(
        {name: one for name, one in requirements.versions.items() if name not in requirements.hashes}
    )
    hashes = dict(requirements.hashes)
    problems = []
    for item in _report(unknown) if unknown.versions else ():
        name = canonicalize_name(item["metadata"]["name"])
        info = item["download_info"]
        hashes[name] = str(info["archive_info"]["hashes"]["sha256"])
        file = PurePosixPath(unquote(urlsplit(info["url"]).path)).name
        if not _same_build(name, file):
            what = f"the index has {file}, and another build is installed here"
            problems.append(Problem(_OPTION, name, what, "install that one, or leave --hashes out"))
    if problems:
        raise Misconfigured(problems)
    return Requirements(requirements.versions, hashes, requirements.made_for)


def _report(requirements: Requirements) -> list[dict[str, Any]]:
    """Return what pip would install (https://pip.pypa.io/en/stable/reference/installation-report)."""
    with TemporaryDirectory() as folder:
        wanted, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        wanted.write_text(requirements.text(), "utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
        quiet = ["--quiet", "--disable-pip-version-check", "--report", str(report), "-r", str(wanted)]
        try:
            ran = subprocess.run(  # noqa: S603 - pip
                [*pip, *quiet], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise _unanswered(f"pip did not end within {_TIMEOUT_S} s") from error
        if ran.returncode != 0:
            raise _unanswered(last_line(ran.stderr))
        found: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
        return found


def last_line(text: str) -> str:
    """Return the last line of what pip wrote that says something."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("[notice]")]
    return lines[-1].strip() if lines else "no message"


def _unanswered(reason: str) -> Misconfigured:
    fix = "check the index that pip is set to use, or leave --hashes out: versions are recorded without it"
    return Misconfigured([Problem(_OPTION, "", f"the hashes are not known: {reason}", fix)])


def _same_build(name: str, file: str) -> bool:
    """Return whether the file in the index is of the kind that is installed: of one of its tags."""
    text = metadata.distribution(name).read_text("WHEEL") or ""
    installed: set[Tag] = set()
    for line in text.splitlines():
        key, _, tag = line.partition(":")
        if key == "Tag":
            installed |= parse_tag(tag.strip())
    try:
        return bool(parse_wheel_filename(file)[3] & installed)
    except InvalidWheelFilename:
        return True  # a source archive: the wheel was built here
