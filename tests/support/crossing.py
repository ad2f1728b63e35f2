"""Packages made with some versions and verified with others: `.ci/run` crosses the lowest and the newest.

    python -m tests.support.crossing make FOLDER
    python -m tests.support.crossing check FOLDER model.joblib=scikit-learn model.json=

A name behind `=` is the library that must be the reason of a refusal; none, and the package must be served.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.verify import verify_package
from tests.support.rehearsals import unrehearsed


def make_packages(folder: Path) -> None:
    """Write a package of a pickle and one of a file that is data."""
    folder.mkdir()
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    target = (frame["a"] > 0).astype(int)
    joblib.dump(LogisticRegression().fit(frame, target), folder / "model.joblib")
    XGBClassifier(n_estimators=3).fit(frame, target).save_model(folder / "model.json")
    frame.head(20).to_csv(folder / "golden.csv", index=False)
    fields = [{"name": name, "type": "double"} for name in frame]
    (folder / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    for name in ("model.joblib", "model.json"):
        options = CreateOptions(
            model=folder / name,
            name="crossing",
            version="1",
            schema=folder / "event.avsc",
            golden=folder / "golden.csv",
            output=_package(folder, name),
        )
        create_package(options, unrehearsed)


def crossing_fault(folder: Path, name: str, refused_for: str) -> str | None:
    """Return what is wrong with the verification of the package of model file `name`, or None."""
    try:
        verify_package(_package(folder, name))
    except Refused as refused:
        by_name = refused_for and f"made with {refused_for} " in refused.reason
        if refused.code is RefusalCode.LIBRARY_VERSION and by_name and "package install" in refused.reason:
            return None
        return f"{name}: refused: {refused.reason}"
    return f"{name}: served, and {refused_for} promises nothing" if refused_for else None


def _package(folder: Path, name: str) -> Path:
    return folder / f"package-{name}"


def main(arguments: Sequence[str]) -> str | None:
    """Make or check packages; return the faults."""
    command, folder, *expected = arguments
    if command == "make":
        make_packages(Path(folder))
        return None
    found = [crossing_fault(Path(folder), *one.split("=")) for one in expected]
    return "\n".join(fault for fault in found if fault) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
