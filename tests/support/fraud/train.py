"""Train the model, as its owner would: `PYTHONPATH=code python train.py OUT ROWS SEED`.

Writes model.joblib, golden.csv and train.csv into OUT. Knows nothing of stream_infer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from picky import PickyClassifier  # type: ignore[import-not-found]  # on PYTHONPATH, as a user's own is


def frame_of(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return payments; `risk` is empty in one row of five."""
    risk = rng.beta(2, 5, rows)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, rows),
            "balance": rng.normal(1_000, 400, rows),
            # A float in the event: what it cannot hold, the model has not seen.
            "distance": rng.exponential(20, rows).astype(np.float32).astype(np.float64),
            "attempts": rng.poisson(1.5, rows),
            "age_days": rng.integers(0, 5_000, rows),
            "velocity": rng.gamma(2, 3, rows),
            "risk": np.where(rng.random(rows) < 0.2, np.nan, risk),
            "online": rng.random(rows) < 0.6,
        }
    )


def main() -> None:
    """Train on one frame, take the golden sample from its start."""
    out, rows, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(seed)
    frame = frame_of(rows, rng)
    logit = frame["amount"] / 40 + frame["attempts"] / 2 + frame["online"] - frame["age_days"] / 2_000 - 1
    target = np.where(rng.random(rows) < 1 / (1 + np.exp(-logit)), "fraud", "fine")
    joblib.dump(PickyClassifier().fit(frame, target), out / "model.joblib")
    frame.to_csv(out / "train.csv", index=False)
    frame.head(50).to_csv(out / "golden.csv", index=False)


if __name__ == "__main__":
    main()
