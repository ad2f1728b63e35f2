"""The findings of a check: one shape for files, broker, registry and the desired package."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_infer.flow.errors import Misconfigured, Problem


@dataclass(slots=True)
class Findings:
    """What is right, what to know, what was not checked, and problems with the exit code of their kind."""

    passed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    found: list[tuple[int, Problem]] = field(default_factory=list)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, in the order found."""
        return tuple(problem for _, problem in self.found)

    @property
    def exit_code(self) -> int:
        """0 without problems; 3 or 4 when all of them are the package's or the broker's; else 2."""
        codes = {code for code, _ in self.found}
        return 0 if not codes else codes.pop() if len(codes) == 1 else Misconfigured.exit_code

    def add(self, problems: Iterable[Problem], code: int = Misconfigured.exit_code) -> None:
        """Add `problems`."""
        self.found += [(code, problem) for problem in problems]

    def merge(self, other: Findings) -> None:
        """Add the findings of `other`."""
        self.passed += other.passed
        self.warned += other.warned
        self.skipped += other.skipped
        self.found += other.found
