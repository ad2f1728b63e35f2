"""The rules for the files of a package, in both forms (`folder`, `archive`): names, number, sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused

Contents = Mapping[str, bytes]

# ASCII only: a name means the same on every file system, whatever its Unicode form. No part starts with a dot
# (no `..`, no hidden files of file managers), none has a colon or a backslash (drives, streams, separators).
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """The largest package that is read. The zip form has no entries beyond 2 GiB."""

    total_bytes: int = 2**31 - 1
    files: int = 4096


DEFAULT_LIMITS = PackageLimits()


class ContentsGuard:
    """Counts the files of a package while it is read, and refuses the first that breaks a rule.

    `code` is the code of a refusal for an unsafe name: it says which form was read.
    """

    __slots__ = ("_bytes", "_code", "_limits", "_seen")

    def __init__(self, code: RefusalCode, limits: PackageLimits) -> None:
        self._code = code
        self._limits = limits
        self._seen: set[str] = set()
        self._bytes = 0

    def admit(self, name: str, size_bytes: int) -> None:
        """Count a file before it is read; raise `Refused` when it breaks a rule."""
        if len(name) > _MAX_NAME or _NAME.fullmatch(name) is None:
            raise Refused(self._code, f"{name[:_MAX_NAME]!r} is not a name that a package may hold")
        if name.casefold() in self._seen:
            raise Refused(self._code, f"{name!r} occurs twice (upper and lower case are the same here)")
        self._seen.add(name.casefold())
        self._bytes += size_bytes
        if len(self._seen) > self._limits.files:
            raise Refused(RefusalCode.TOO_LARGE, f"more than {self._limits.files} files")
        if self._bytes > self._limits.total_bytes:
            raise Refused(RefusalCode.TOO_LARGE, f"more than {self._limits.total_bytes} bytes")


def check_contents(contents: Contents, limits: PackageLimits) -> None:
    """Raise `Refused` unless `contents` may be written as a package."""
    guard = ContentsGuard(RefusalCode.UNSAFE_FILE, limits)
    for name, data in contents.items():
        guard.admit(name, len(data))
