"""The charts of a report as plotly's traces: a bar for each bin of the training data, and calibration.

Colours are names of the page's own variables: it has them for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from stream_infer.batch.run_report import ColumnReport
from stream_infer.steps.scoring.truth import CALIBRATION_BINS, LabelledSums

Chart = dict[str, object]
_MOST_TICKS = 6
_SMALL, _WHOLE, _LARGE = 1e-3, 100, 1e6


def column_chart(column: ColumnReport) -> Chart | None:
    """Return the shares of the run and of the training data, bin by bin; None without bins of both."""
    summary, known = column.summary, column.reference
    if known is None or not known.shares or not summary.count or len(summary.bins) != len(known.shares):
        return None
    names = bin_names(known.edges) if known.edges else [*known.categories, "other"]
    run = [count / summary.count for count in summary.bins]
    shown = [at for at, (a, b) in enumerate(zip(run, known.shares, strict=True)) if a or b]
    names = [names[at] for at in shown]
    return {
        "traces": [
            _bars("training", names, [known.shares[at] for at in shown], "--training"),
            _bars("this run", names, [run[at] for at in shown], "--series-1"),
        ],
        "layout": {
            "xaxis": _ticks(names),
            "yaxis": {"tickformat": ".0%", "rangemode": "tozero"},
            "barmode": "group",
        },
    }


def _ticks(names: Sequence[str]) -> dict[str, object]:
    """Return the names below the bars: where a bin begins, and not every one where there are many."""
    kept = names[:: 1 if len(names) <= _MOST_TICKS else 2]
    begins = [name.partition(" to ")[0] for name in kept]
    return {"type": "category", "tickvals": kept, "ticktext": begins, "tickangle": 0}


def bin_names(edges: Sequence[float]) -> list[str]:
    """Return the names of the bins between `edges`, with those below and above."""
    texts = [_short(edge) for edge in edges]
    if len(set(texts)) < len(texts):  # bars of one name would be one bar
        texts = [repr(edge) for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *inner, f"> {texts[-1]}"]


def _short(number: float) -> str:
    """Return `number` with three digits or so, without an exponent where that is short."""
    size = abs(number)
    if number and not _SMALL <= size < _LARGE:
        return f"{number:.2e}"
    return f"{number:.0f}" if size >= _WHOLE else f"{number:.3g}"


def calibration_chart(truth: LabelledSums) -> Chart:
    """Return the true share against the mean probability of each tenth, and the diagonal."""
    points = [(p / n, hits / n, n) for n, p, hits in truth.calibration if n]
    return {
        "traces": [
            {"x": [0, 1], "y": [0, 1], "mode": "lines", "name": "perfect", "color": "--training"},
            {
                "x": [p for p, _, _ in points],
                "y": [share for _, share, _ in points],
                "text": [f"{n:,.0f} rows" for _, _, n in points],
                "mode": "lines+markers",
                "name": f"{CALIBRATION_BINS} tenths",
                "color": "--series-1",
            },
        ],
        "layout": {
            "xaxis": {"title": {"text": "mean probability"}, "range": [-0.03, 1.03]},
            "yaxis": {"title": {"text": "true share"}, "range": [-0.03, 1.03]},
        },
    }


def _bars(name: str, names: Sequence[str], shares: Sequence[float], color: str) -> dict[str, object]:
    return {"type": "bar", "name": name, "x": list(names), "y": list(shares), "color": color}
