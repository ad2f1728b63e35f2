"""`requirements.txt` of a package: every distribution that the worker and the model need, by exact version.

They are those that are installed where the package is made. The hash of a wheel is known where the installer
wrote it down (PEP 610), or from the package index (`wheel_hashes`). stream-infer-worker itself is left out:
`environment` and `dockerfile` add it.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "stream-infer-worker"
_FOR = "# For "
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?: +--hash=sha256:(?P<hash>[0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class Requirements:
    """Distributions with their versions, and the SHA-256 of their wheels where these are known.

    `made_for` is the Python and the platform of the wheels; None for a file that names only some libraries.
    """

    versions: Mapping[str, str]
    hashes: Mapping[str, str] = field(default_factory=dict)
    made_for: str | None = None

    @property
    def hashed(self) -> bool:
        """Whether the hash of every wheel is known: pip checks all of them, or none."""
        return bool(self.versions) and self.versions.keys() <= self.hashes.keys()

    def without_hashes(self) -> Requirements:
        """Return the same versions, for another platform."""
        return Requirements(self.versions, {}, self.made_for)

    def text(self) -> str:
        """Return the file, as pip reads it."""
        head = [] if self.made_for is None else [f"{_FOR}{self.made_for}; {PRODUCT} itself comes on top."]
        return "\n".join([*head, *(self._line(name) for name in sorted(self.versions)), ""])

    def _line(self, name: str) -> str:
        pin = f"{name}=={self.versions[name]}"
        return f"{pin} --hash=sha256:{self.hashes[name]}" if self.hashed else pin


def parse_requirements(text: str) -> Requirements:
    """Read what `Requirements.text` wrote, here or in an earlier release."""
    first = text.partition("\n")[0]
    made_for = first.removeprefix(_FOR).partition(";")[0] if first.startswith(_FOR) else None
    found = [match for line in text.splitlines() if (match := _LINE.fullmatch(line.strip()))]
    hashes = {match["name"]: match["hash"] for match in found if match["hash"]}
    return Requirements({match["name"]: match["version"] for match in found}, hashes, made_for)


def installed_requirements(libraries: Iterable[str]) -> Requirements:
    """Return what is installed here of the worker's dependencies, and of `libraries` and theirs."""
    versions = _closure(frozenset(libraries))
    known = {name: found for name in versions if (found := _recorded_hash(name)) is not None}
    return Requirements(versions, known, this_platform())


def this_platform() -> str:
    """Return the Python and the platform of this process, as wheels distinguish them."""
    python = f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}"
    return f"{python} on {platform.system()} {platform.machine()}"


@cache
def _closure(libraries: frozenset[str]) -> Mapping[str, str]:
    """Return the installed version of each distribution of `libraries`, and of all that these require."""
    # The extra counts where it is installed: what is not here is passed over.
    waiting = [(PRODUCT, ""), (PRODUCT, "registry"), *((canonicalize_name(name), "") for name in libraries)]
    seen: set[tuple[str, str]] = set()
    found: dict[str, str] = {}
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an optional part
        found[name] = distribution.version
        for text in distribution.requires or ():
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(required.name), one) for one in ("", *required.extras)]
    found.pop(PRODUCT, None)
    return found


def _recorded_hash(name: str) -> str | None:
    """Return the SHA-256 of the wheel that a distribution was installed from by its address, or None."""
    text = metadata.distribution(name).read_text("direct_url.json")
    archive = json.loads(text).get("archive_info", {}) if text else {}
    found = archive.get("hashes", {}).get("sha256")
    return str(found) if found else None
