"""The report about a new package: what was compared, how far answers differ, what its maker should know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream_infer.models.manifest import Conversion
from stream_infer.packaging.convert import Gain
from stream_infer.packaging.summary import equivalence_text


@dataclass(frozen=True, slots=True)
class CreateReport:
    """A new, verified package. `compared` says whose answers it was compared with; `notes` are for its maker.

    `conversion` is set for a converted model, with its `gains` in speed on this machine.
    """

    path: Path
    name: str
    version: str
    digest: str
    features: int
    rows: int
    max_abs_difference: float
    compared: str
    notes: tuple[str, ...]
    runtime: str
    conversion: Conversion | None
    gains: tuple[Gain, ...]

    def converted(self) -> list[tuple[str, str]]:
        """Return the lines of the report about a conversion: its proof, and its gains on this machine."""
        if self.conversion is None:
            return []
        gains = [f"{gain.ratio:.3g} times as fast for {gain.rows:,}" for gain in self.gains]
        return [
            ("against scikit-learn", equivalence_text(self.conversion)),
            ("rows at once", ", ".join(gains)),
        ]
