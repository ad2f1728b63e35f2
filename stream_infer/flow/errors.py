"""The error tree. A bad record is not here: it is a value (`Rejected`).

StreamInferError
├── Aborted             nothing of the batch is visible; replay it
│   └── OutputRefused   a topic has other partitions
│       └── OutputTooLarge   a topic takes only smaller records
├── Refused             a package; keep serving the one before
├── Misconfigured       every problem found, each with key, value and fix (exit 2)
└── Fatal               leave the process; a restart resolves it (exit 1)
    ├── ModelFailed     the model, not the data, is broken
    ├── SlotTaken       another worker owns this slot; a restart would fence it back (exit 75)
    └── BrokerUnreachable  (exit 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.flow.codes import ExitCode, RefusalCode


class StreamInferError(Exception):
    """The base of every error that stream_infer raises on purpose."""

    exit_code: int = ExitCode.FAILURE


class Aborted(StreamInferError):
    """The commit did not happen: a `read_committed` reader sees nothing of it. The batch is replayed."""


class OutputRefused(Aborted):
    """The commit did not happen: a topic differs from what the batch was answered for, in its partitions."""


class OutputTooLarge(OutputRefused):
    """The commit did not happen: a record, or a batch of them, is too large for its topic."""


class Refused(StreamInferError):
    """A package must not be served: a stable `code` and a sentence."""

    exit_code = ExitCode.REFUSED

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: dotted key, value (secrets masked), what, and the fix."""

    key: str
    value: str
    message: str
    fix: str


class Misconfigured(StreamInferError):
    """The configuration cannot run; `problems` has every problem that was found."""

    exit_code: int = ExitCode.CONFIGURATION

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.key}: {p.message}" for p in problems))
        self.problems = tuple(problems)


class Fatal(StreamInferError):
    """The process must end. Committed results stay; the next process replays the rest."""


class ModelFailed(Fatal):
    """The model does not answer its golden rows any more; no dead letters were written."""


class SlotTaken(Fatal):
    """Another live worker has the transactional id of this slot."""

    exit_code = ExitCode.SLOT_TAKEN


class BrokerUnreachable(Fatal):
    """No broker answered within the time allowed."""

    exit_code = ExitCode.UNREACHABLE
