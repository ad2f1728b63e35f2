"""Applies the package's policies to a pandas frame: the rows that the model scores.

The counterpart of `steps.scoring.policy` on the user's side. A rejected row has no score, and an imputed
cell is not the user's: neither can be compared as it came.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stream_infer.models.manifest import Feature, Policy
from stream_infer.packaging.frames import infinite


def apply_frame_policies(frame: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    """Return `frame` without rejected rows and with imputed cells filled; the index stays."""
    accepted = frame.copy()
    rejected = np.zeros(len(frame), dtype=np.bool_)
    for feature in features:
        column = frame[feature.name]
        # An empty cell is sent as null where the field may be null, else as NaN.
        empty = feature.missing if feature.nullable else feature.nan
        for policy, cells in ((empty, column.isna().to_numpy()), (feature.infinite, infinite(column))):
            if policy is Policy.REJECT:
                rejected |= cells
            elif policy is Policy.IMPUTE and cells.any():
                accepted[feature.name] = accepted[feature.name].mask(cells, feature.impute)
    return accepted[~rejected]
