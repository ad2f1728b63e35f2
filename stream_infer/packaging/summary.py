"""The summary of a package for people and machines: digests verified, nothing unpickled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_infer.models.manifest import Conversion, Feature, Manifest, OutputContract, Policy
from stream_infer.models.package import verify

_CONTAINERS = {"pandas": "a pandas frame", "ndarray": "an array of float64", "series": "a pandas series"}


@dataclass(frozen=True, slots=True)
class PackageSummary:
    """A verified manifest, as `package inspect` prints it."""

    path: Path
    manifest: Manifest
    digest: str

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as it is in the package, with path and digest."""
        return {"path": str(self.path), "digest": self.digest, **json.loads(self.manifest.canonical())}

    def facts(self) -> list[tuple[str, str]]:
        """Return name and value of the facts about the whole package."""
        m = self.manifest
        libraries = ", ".join(f"{name} {version}" for name, version in sorted(m.libraries.items()))
        return [
            ("package", str(self.path)),
            ("digest", self.digest),
            (
                "model",
                m.form.title + (" (its load runs code)" if m.runs_code else " (data: no pickle, no code)"),
            ),
            ("runtime", f"{m.runtime}, Python {m.python}, {libraries}"),
            *([] if m.system_libraries is None else [("of the system", ", ".join(m.system_libraries))]),
            *([] if m.conversion is None else [("against scikit-learn", equivalence_text(m.conversion))]),
            *([] if m.unconverted is None else [("not converted", m.unconverted)]),
            ("events", m.schema_name),
            ("input", f"{len(m.features)} features in {_CONTAINERS[m.container.kind]}"),
            ("output", _answers(m)),
            ("tolerance", f"{m.tolerance.absolute:g} + {m.tolerance.relative:g} of the golden score"),
        ]

    def features(self) -> list[Sequence[str]]:
        """Return a row per feature: name, field, type, policies, observed range."""
        columns = self.manifest.container.columns
        return [
            (
                one.name,
                one.source,
                f"{one.logical or one.type}{'?' if one.nullable else ''} as {column.dtype}",
                *(_policy(policy, one) for policy in (one.missing, one.nan, one.infinite)),
                one.unseen or ("reject" if column.categories is not None else ""),
                _range(one),
            )
            for one, column in zip(self.manifest.features, columns, strict=True)
        ]

    def files(self) -> list[Sequence[str]]:
        """Return a row per file: name, size in bytes, the first digits of its SHA-256."""
        return [
            (name, f"{entry.size:,}", entry.sha256[:16])
            for name, entry in sorted(self.manifest.files.items())
        ]


def summarise_package(path: Path) -> PackageSummary:
    """Return the summary of the package at `path`; raise `Refused` when a digest does not match."""
    verified = verify(path)
    return PackageSummary(path, verified.manifest, verified.digest)


def equivalence_text(conversion: Conversion) -> str:
    """Return the result of the comparison of a converted model as a sentence."""
    decided = conversion.label_mismatches
    return (
        f"{conversion.rows:,} rows compared, greatest difference {conversion.max_abs_difference:.3g},"
        f" {decided:,} label{'' if decided == 1 else 's'} decided by rounding;"
        f" batches of up to {conversion.up_to_rows:,}"
    )


def _answers(manifest: Manifest) -> str:
    output = manifest.output
    parts: list[str] = [output.kind]
    if output.classes:
        parts.append(f"of {', '.join(output.classes)}")
    if output.score is not None:
        parts.append(f"with a {output.score}")
    if output.threshold is not None:
        parts.append(f"at {output.threshold:g}")
    if output.values:
        parts.append(f"of {', '.join(output.values)} ({_primary(output)})")
    return " ".join(parts) + (", scores of all classes" if output.class_scores else "")


def _primary(output: OutputContract) -> str:
    return "no primary value" if output.primary is None else f"primary: {output.primary}"


def _policy(policy: Policy, feature: Feature) -> str:
    return f"impute {feature.impute}" if policy is Policy.IMPUTE else str(policy)


def _range(feature: Feature) -> str:
    if feature.minimum is None or feature.maximum is None:
        return ""
    return f"{feature.minimum:g} to {feature.maximum:g}"
