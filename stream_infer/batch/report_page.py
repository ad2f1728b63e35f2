"""A report as one HTML page that needs nothing else: text, tables, charts and the library that draws them.

The library is plotly's, from its installed wheel (extra `report`). The page asks for nothing from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from stream_infer.batch.report_charts import calibration_chart, column_chart
from stream_infer.batch.run_report import ColumnReport, RunReport, drifted
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.steps.scoring.truth import LabelledSums

_VERDICTS = {
    True: ("differs", "differs"),
    False: ("same", "as in training"),
    None: ("unknown", "not compared"),
}


def chart_library() -> str:
    """Return plotly's script. Raises `Misconfigured` where it is not installed."""
    try:
        installed = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
        return Path(str(installed)).read_text("utf-8")
    except (PackageNotFoundError, OSError) as error:
        fix = 'pip install "stream-infer-worker[report]"'
        raise Misconfigured([Problem("--report", "", "needs plotly, which is not installed", fix)]) from error


def report_page(report: RunReport, library: str) -> str:
    """Return the page."""
    folder = files("stream_infer.batch") / "page"
    style, script = ((folder / name).read_text("utf-8") for name in ("report.css", "report.js"))
    charts: dict[str, object] = {}
    body = "".join(_body(report, charts))
    data = json.dumps(charts, allow_nan=False).replace("<", "\\u003c")
    name, version, _ = report.model
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(name)} {escape(version)}: report</title><style>{style}</style></head><body>"
        f"{body}<script>{library}</script>"
        f'<script type="application/json" id="charts">{data}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _body(report: RunReport, charts: dict[str, object]) -> Iterator[str]:
    name, version, digest = report.model
    scored_at = datetime.fromtimestamp(report.scored_at_ms / 1000, UTC).isoformat(" ", "seconds")
    yield f"<header><h1>{escape(name)} <span>{escape(version)}</span></h1>"
    yield f'<p class="note">scored {escape(scored_at)} · <code>{escape(digest[:19])}…</code></p>'
    yield "</header><main>"
    yield _figures(report)
    yield _reasons(report.counts.rejected, report.counts.rows)
    if report.truth is not None:
        yield from _truth(report.truth, report.classes, charts)
    outputs = [column for column in report.columns if column.summary.kind.startswith("output")]
    features = [column for column in report.columns if not column.summary.kind.startswith("output")]
    share = f"{report.sampled:,} of {report.counts.rows:,} rows"
    note = f"Nulls and values that are not finite are counted in all rows, the rest in a sample of {share}."
    yield from _columns("Answers against training", outputs, charts, note)
    features.sort(key=lambda column: column.differs is not True)
    yield from _columns("Features against training", features, charts, "Those that differ come first.")
    yield "</main>"


def _figures(report: RunReport) -> str:
    counts = report.counts
    rejected = counts.rejected_rows
    share = f" ({rejected / counts.rows:.2%})" if rejected and counts.rows else ""
    found = drifted(report)
    compared = found[True] + found[False]
    shown = {
        "rows": f"{counts.rows:,}",
        "predictions": f"{counts.predicted:,}",
        "rejected": f"{rejected:,}{share}",
        "columns that differ": f"{found[True]} of {compared}" if compared else "not compared",
    }
    items = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in shown.items())
    return f'<dl class="figures">{items}</dl>'


def _reasons(rejected: Mapping[str, int], rows: int) -> str:
    if not rejected:
        return ""
    cells = [
        [escape(reason.replace("/", ": ", 1)), f"{count:,}", f"{count / rows:.3%}"]
        for reason, count in sorted(rejected.items(), key=lambda item: -item[1])
    ]
    return "<h2>Rejected rows</h2>" + _table(["stage: class", "rows", "share"], cells)


def _truth(truth: LabelledSums, classes: Sequence[str], charts: dict[str, object]) -> Iterator[str]:
    note = f"{truth.labelled:,} rows have an answer and a label."
    yield f'<h2>Against true labels</h2><p class="note">{note}</p>'
    items = "".join(
        f"<div><dt>{name}</dt><dd>{value:.4g}</dd></div>" for name, value in truth.metrics.items()
    )
    yield f'<dl class="figures">{items}</dl><div class="cards">'
    if truth.probable:
        charts["calibration"] = calibration_chart(truth)
        yield '<section class="card"><h3>Calibration</h3><div class="chart" id="calibration"></div></section>'
    if truth.confusion:
        known = sorted({name for pair in truth.confusion for name in pair}, key=lambda n: _place(n, classes))
        cells = [
            [escape(true), *(f"{truth.confusion.get((true, label), 0):,}" for label in known)]
            for true in known
        ]
        table = _table(["true ↓ predicted →", *map(escape, known)], cells)
        yield f'<section class="card"><h3>Confusion</h3>{table}</section>'
    yield "</div>"


def _place(name: str, classes: Sequence[str]) -> tuple[int, str]:
    return (classes.index(name) if name in classes else len(classes)), name


def _columns(
    title: str, columns: Sequence[ColumnReport], charts: dict[str, object], note: str
) -> Iterator[str]:
    if not columns:
        return
    yield f'<h2>{title}</h2><p class="note">{note}</p><div class="cards">'
    for column in columns:
        key = f"chart-{len(charts)}"
        chart = column_chart(column)
        if chart is not None:
            charts[key] = chart
        drawn = "" if chart is None else f'<div class="chart" id="{key}"></div>'
        css, verdict = _VERDICTS[column.differs]
        heading = f'<h3>{escape(column.summary.name)} <span class="verdict {css}">{verdict}</span></h3>'
        yield f'<section class="card">{heading}<p class="note">{_facts(column)}</p>{drawn}</section>'
    yield "</div>"


def _facts(column: ColumnReport) -> str:
    summary, known = column.summary, column.reference
    distances = [one for one in (column.psi, column.ks) if one is not None]
    facts = [f"{one.detector} {one.statistic:.3f} (limit {one.threshold:.3f})" for one in distances]
    facts.append(f"{summary.nulls:,} nulls")
    if summary.non_finite:
        facts.append(f"{summary.non_finite:,} not finite")
    if column.unseen is not None:
        facts.append(f"{column.unseen:,} unseen")
    if summary.kind.endswith("number") and summary.count:
        was = f", in training {known.mean:.4g}" if known is not None and known.edges else ""
        facts.append(f"mean {summary.mean:.4g}{was}")
    return " · ".join(facts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
