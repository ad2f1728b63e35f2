"""Finds values that a model does not know: no category of its column, or refused by an encoder in it.

`known_categories` reads them out of the model; here they become Arrow values that whole columns are looked up
in. Nulls and NaN are left to their policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.models.known_categories import KnownCategories, known_categories
from stream_infer.models.manifest import Feature, InputColumn, Manifest, Scalar

_TYPES = {"string": pa.string(), "enum": pa.string(), "float": pa.float64(), "double": pa.float64()}


def accepted_values(estimator: object, manifest: Manifest) -> Mapping[str, pa.Array]:
    """Return feature name -> the values that `estimator` accepts; it accepts all of the absent features.

    Under a policy of the user (`Feature.unseen`) it accepts those that it knows, and no others.
    """
    known = known_categories(estimator, [column.name for column in manifest.container.columns])
    found = {}
    for feature, column in zip(manifest.features, manifest.container.columns, strict=True):
        values = _accepted(feature, column, known.get(column.name))
        if values is not None:
            found[feature.name] = _comparable(values, feature)
    return found


def unseen_rows(array: pa.Array, accepted: pa.Array) -> npt.NDArray[np.int64]:
    """Return the rows of `array`, ascending, whose value is not one of `accepted`."""
    if pa.types.is_floating(array.type) and accepted.type != pa.float64():
        accepted = pc.cast(accepted, pa.float64(), safe=False)
    values = array if array.type == accepted.type else pc.cast(array, accepted.type)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    unknown = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=accepted)))
    return np.flatnonzero(unknown.to_numpy(zero_copy_only=False))


def _accepted(
    feature: Feature, column: InputColumn, known: KnownCategories | None
) -> Sequence[Scalar] | None:
    if column.categories is not None:
        return column.categories
    if known is None or not (known.refuses or feature.unseen is not None):
        return None
    return known.known


def _comparable(values: Sequence[Scalar], feature: Feature) -> pa.Array:
    """Return those of `values` that a field of the feature's type can have, in a type to compare them in."""
    target = _TYPES.get(feature.type, pa.int64())
    if target == pa.string():
        return pa.array([value for value in values if isinstance(value, str)], target)
    numbers = [value for value in values if not isinstance(value, str)]
    whole = [int(value) for value in numbers if value == int(value)]
    return pa.array(whole if target == pa.int64() else [float(value) for value in numbers], target)
