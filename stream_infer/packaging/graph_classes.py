"""The names of the classes of an ONNX graph: its own nodes have them, its outputs do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.optional_library import importing, reading

_LABELS = frozenset({"classlabels_strings", "classlabels_int64s", "classlabels_ints"})


def graph_classes(data: bytes) -> tuple[str, ...]:
    """Return the classes of the classifier in the graph `data`; none of a graph that gives a number.

    Raises `Refused`: `runtime` when the library is not installed, `load` when it rejects the bytes, `output`
    for several different lists of classes.
    """
    with importing("the model is an ONNX file", "pip install 'stream-infer-worker[onnx]'"):
        import onnx  # noqa: PLC0415 - optional
    with reading("ONNX"):
        graph = onnx.load_model_from_string(data).graph
    found = set(_lists(graph, onnx))
    if len(found) > 1:
        raise Refused(RefusalCode.OUTPUT, f"ONNX: the graph has {len(found)} different lists of classes")
    return next(iter(found), ())


def _lists(graph: Any, onnx: Any) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - onnx makes its types when it runs
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS:
                values = onnx.helper.get_attribute_value(attribute)
                names = tuple(one.decode() if isinstance(one, bytes) else str(one) for one in values)
                if names:
                    yield names
