"""Writes an ensemble of trees as an ONNX graph in double precision.

Written by hand with operator `TreeEnsemble` of ai.onnx.ml 5: its sums are double precision, where those of
`TreeEnsembleClassifier` and `TreeEnsembleRegressor`, which the usual converter writes, are single and wrong
by some 1e-8 (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stream_infer.models.onnx_model import ENTRY
from stream_infer.packaging.ensembles import Ensemble, Link, Tree

# Pinned, so that another release of the library writes the same bytes.
_IR_VERSION = 10
_OPSETS = {"": 21, "ai.onnx.ml": 5}
_SUM = 1
_AT_MOST = 0  # BRANCH_LEQ


def write_onnx(ensemble: Ensemble) -> bytes:
    """Return the graph: rows in, probabilities, a value or a decision value out."""
    steps = _Steps()
    given = helper.make_tensor_value_info(
        ENTRY, TensorProto.FLOAT if ensemble.rounds else TensorProto.DOUBLE, ["n", ensemble.features]
    )
    wide = steps.add("Cast", ENTRY, to=TensorProto.DOUBLE) if ensemble.rounds else ENTRY
    summed = steps.add(
        "TreeEnsemble", wide, domain="ai.onnx.ml", n_targets=len(ensemble.base), **_trees(ensemble.trees)
    )
    divided = steps.add("Div", summed, steps.constant([ensemble.divisor]))
    answers = _linked(ensemble, steps, steps.add("Add", divided, steps.constant(ensemble.base)))
    graph = helper.make_graph(
        steps.nodes,
        "ensemble",
        [given],
        [helper.make_tensor_value_info(answers, TensorProto.DOUBLE, ["n", None])],
        steps.constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _linked(ensemble: Ensemble, steps: _Steps, raw: str) -> str:
    """Return the name of the output after the link function of `raw`."""
    match ensemble.link:
        case Link.VALUE | Link.CLASSES:
            return raw
        case Link.EXP:
            return steps.add("Exp", raw)
        case Link.SOFTMAX:
            return steps.add("Softmax", raw, axis=1)
        case Link.ISOLATION:
            return steps.add(
                "Sub", steps.add("Neg", steps.add("Exp", raw)), steps.constant([ensemble.offset])
            )
        case Link.SECOND | Link.LOGISTIC:
            second = raw if ensemble.link is Link.SECOND else steps.add("Sigmoid", raw)
            return steps.add("Concat", steps.add("Sub", steps.constant([1.0]), second), second, axis=1)


class _Steps:
    """The operators of a graph in order, and their constants."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - of any operator
        """Add an operator and return the name of its output."""
        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Sequence[float] | NDArray[np.float64]) -> str:
        """Add a constant of one row and return its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(_tensor(name, np.asarray(values, dtype=np.float64)))
        return name


@dataclass(frozen=True, slots=True)
class _Laid:
    """One tree in the operator's form: inner nodes and leaves are numbered apart, from 0 each."""

    feature: NDArray[np.intp]
    threshold: NDArray[np.float64]
    nan_true: NDArray[np.bool_]
    to: Sequence[NDArray[np.intp]]  # when at most the threshold, and else
    is_leaf: Sequence[NDArray[np.bool_]]  # of the same two
    weight: NDArray[np.float64]


def _laid(tree: Tree) -> _Laid:
    inner = tree.inner
    if not inner.any():
        # The operator has no tree of one leaf: use any split with the same leaf on both sides.
        zero, one = np.zeros(1, np.intp), np.ones(1, np.bool_)
        return _Laid(zero, np.zeros(1), ~one, (zero, zero), (one, one), tree.weight)
    number = np.where(inner, np.cumsum(inner), np.cumsum(~inner)) - 1
    children = tree.left[inner], tree.right[inner]
    return _Laid(
        tree.feature[inner],
        tree.threshold[inner],
        tree.nan_left[inner],
        [number[child] for child in children],
        [~inner[child] for child in children],
        tree.weight[~inner],
    )


def _trees(trees: Sequence[Tree]) -> dict[str, Any]:
    laid = [_laid(tree) for tree in trees]
    roots, leaves = (
        _starts(counts) for counts in ([len(t.feature) for t in laid], [len(t.weight) for t in laid])
    )
    to = [
        np.concatenate(
            [
                np.where(tree.is_leaf[side], tree.to[side] + leaf, tree.to[side] + root)
                for tree, root, leaf in zip(laid, roots, leaves, strict=True)
            ]
        )
        for side in (0, 1)
    ]
    is_leaf = [np.concatenate([tree.is_leaf[side] for tree in laid]) for side in (0, 1)]
    threshold = np.concatenate([tree.threshold for tree in laid])
    return {
        "aggregate_function": _SUM,
        "tree_roots": roots.tolist(),
        "nodes_featureids": np.concatenate([tree.feature for tree in laid]).tolist(),
        "nodes_splits": _tensor("splits", threshold),
        "nodes_modes": _tensor("modes", np.full(len(threshold), _AT_MOST, dtype=np.uint8)),
        "nodes_missing_value_tracks_true": np.concatenate([tree.nan_true for tree in laid])
        .astype(int)
        .tolist(),
        "nodes_truenodeids": to[0].tolist(),
        "nodes_falsenodeids": to[1].tolist(),
        "nodes_trueleafs": is_leaf[0].astype(int).tolist(),
        "nodes_falseleafs": is_leaf[1].astype(int).tolist(),
        "leaf_weights": _tensor("weights", np.concatenate([tree.weight for tree in laid])),
        "leaf_targetids": np.repeat([tree.target for tree in trees], [len(t.weight) for t in laid]).tolist(),
    }


def _starts(counts: Sequence[int]) -> NDArray[np.intp]:
    return np.cumsum([0, *counts[:-1]])


def _tensor(name: str, values: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)
