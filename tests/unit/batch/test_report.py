"""The report of a run: its numbers are those of the monitor, and of a recomputation by hand."""

from __future__ import annotations

import json
import re
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, log_loss

from stream_infer.app.score import RunPolicy
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.topic_schemas import topic_schema
from stream_infer.batch import report_page
from stream_infer.batch.input_files import find_files
from stream_infer.batch.journal import Journal
from stream_infer.batch.locations import locate
from stream_infer.batch.output_folder import OutputFolder
from stream_infer.batch.report_charts import bin_names
from stream_infer.batch.run_report import make_report, merged_frame
from stream_infer.batch.scoring import load_proved
from stream_infer.drift.frames import merge_frames
from stream_infer.flow.errors import Fatal, Misconfigured
from stream_infer.flow.records import Batch, Cursor, Partition, Span
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.rows import cells_of
from stream_infer.steps.scoring.infer import infer, move_rows
from stream_infer.steps.scoring.truth import (
    LabelledSums,
    merge_truth,
    truth_from_document,
    truth_of,
    truth_to_document,
)
from tests.unit.batch.test_parity import data_of
from tests.unit.batch.world import RAISES, Observed, payments, predictions, score, spoilt, write_parquet

ROWS = 2_400


def charts(page: str) -> dict[str, object]:
    [found] = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    document: dict[str, object] = json.loads(found)
    return document


def test_its_counts_moments_and_bins_are_those_of_the_monitor_on_the_same_rows(
    fraud: Path, tmp_path: Path
) -> None:
    table = spoilt(ROWS, {3: RAISES, 700: RAISES, 1_500: float("nan")})
    given = write_parquet(table, tmp_path / "in.parquet", group_rows=ROWS)
    with pytest.raises(Fatal):  # the journal is kept where nothing is published
        score(fraud, given, tmp_path / "out", policy=RunPolicy(max_rejected=0.0))
    entries = Journal(OutputFolder(locate("-o", str(tmp_path / "out")))).entries()

    frame = merged_frame(entries)

    loaded = load_proved(fraud)
    decoded = loaded.scorer.plan.decoder.decode(data_of(table))
    readable = np.asarray(decoded.rows, np.intp)
    inferred = infer(loaded.scorer.model, decoded.columns)
    rejected = [*decoded.rejected, *move_rows(inferred.rejected, readable)]
    encoder = Encoder(topic_schema("ObservationFrame"), Framing.NONE)
    observe = Observe("p", encoder, lambda _: loaded.reference, ObserveSettings())
    scored = ScoredRows(decoded.columns, readable, inferred.rows, inferred.scores, rejected)
    windows = observe.frames(
        stream_batch(find_files([str(given)])[0].name, ROWS), loaded.scorer.model, scored
    )
    monitored = reduce(merge_frames, windows)
    assert frame is not None
    assert len(windows) > 1
    assert (frame.records, frame.dead_letters, frame.sampled) == (ROWS, 3, monitored.sampled)
    for summary, other in zip(frame.signals, monitored.signals, strict=True):
        assert (summary.name, summary.kind, summary.count, summary.nulls, summary.non_finite) == (
            other.name, other.kind, other.count, other.nulls, other.non_finite,
        )  # fmt: skip
        assert summary.bins == other.bins
        assert (summary.mean, summary.variance) == pytest.approx((other.mean, other.variance))


def stream_batch(topic: str, rows: int) -> Batch:
    source = Partition(topic, 0)
    nothing: list[None] = [None] * rows
    return Batch(
        cursor=Cursor({source: Span(0, rows)}),
        partitions=[source],
        partition=[0] * rows,
        offset=list(range(rows)),
        timestamp_ms=[0] * rows,
        keys=nothing,
        values=cells_of(nothing, np.arange(rows)),
        headers=nothing,
        received_ms=0,
    )


@pytest.mark.parametrize("shifted", [False, True])
def test_a_feature_that_shifts_is_said_to_differ(fraud: Path, tmp_path: Path, *, shifted: bool) -> None:
    rng = np.random.default_rng(3)
    velocity = rng.gamma(2, 3, 12_000) * (1.6 if shifted else 1.0)
    table = payments(12_000, velocity=velocity)
    given = write_parquet(table, tmp_path / "in.parquet", group_rows=6_000)
    with pytest.raises(Fatal):
        score(fraud, given, tmp_path / "out", Observed(stop_after=2))
    entries = Journal(OutputFolder(locate("-o", str(tmp_path / "out")))).entries()

    report = make_report(("picky", "1", "sha256:0"), 0, entries, load_proved(fraud).reference, ())

    verdicts = {column.summary.name: column.differs for column in report.columns}
    assert verdicts["velocity"] is shifted
    assert verdicts["balance"] is False


def test_the_page_needs_nothing_from_elsewhere(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(spoilt(ROWS, {3: RAISES}), tmp_path / "in.parquet", group_rows=ROWS)

    score(fraud, given, tmp_path / "out", policy=RunPolicy(report=tmp_path / "report.html"))

    page = (tmp_path / "report.html").read_text("utf-8")
    ours = page.replace(report_page.chart_library(), "")
    assert re.findall(r'(?:src|href)="(?!data:|#)', ours) == []
    assert "http" not in ours
    assert "predict: raised" in ours
    assert "2,400" in ours
    assert len(charts(page)) >= 8


def test_names_of_others_are_text_on_the_page(fraud: Path, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    report = make_report((hostile, hostile, "sha256:0"), 0, [], None, ())

    page = report_page.report_page(report, "")

    assert hostile not in page


def test_without_plotly_the_run_does_not_begin(
    fraud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_parquet(payments(150), tmp_path / "in.parquet")

    def missing(name: str) -> None:
        raise report_page.PackageNotFoundError(name)

    monkeypatch.setattr(report_page, "distribution", missing)
    with pytest.raises(Misconfigured, match="needs plotly"):
        score(fraud, given, tmp_path / "out", policy=RunPolicy(report=tmp_path / "report.html"))
    assert not (tmp_path / "out").exists()


def test_metrics_of_true_labels_are_those_of_scikit_learn(fraud: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truth = rng.choice(["fine", "fraud"], ROWS).tolist()
    given = write_parquet(
        payments(ROWS).append_column("truth", pa.array(truth)), tmp_path / "in.parquet", 600
    )
    with pytest.raises(Fatal):
        score(fraud, given, tmp_path / "half", Observed(stop_after=4), label="truth")
    entries = Journal(OutputFolder(locate("-o", str(tmp_path / "half")))).entries()
    score(fraud, given, tmp_path / "out")

    found = make_report(("picky", "1", "sha256:0"), 0, entries, None, ("fine", "fraud")).truth

    rows = predictions(tmp_path / "out")
    labels, scores = [row["label"] for row in rows], [row["score"] for row in rows]
    assert found is not None
    assert found.metrics == pytest.approx(
        {
            "accuracy": accuracy_score(truth, labels),
            "log loss": log_loss(truth, scores),
            "Brier score": brier_score_loss([one == "fraud" for one in truth], scores),
        }
    )
    classes = ["fine", "fraud"]
    counted = [[found.confusion[(true, label)] for label in classes] for true in classes]
    assert counted == confusion_matrix(truth, labels, labels=classes).tolist()
    assert sum(n for n, _, _ in found.calibration) == ROWS
    assert truth_from_document(json.loads(json.dumps(truth_to_document(found)))) == found


def test_errors_of_a_regressor_leave_out_what_has_no_label() -> None:
    scores = Scores(value=np.asarray([1.0, 2.0, 3.0, 4.0]))
    labels = pa.array([2.0, None, float("nan"), 1.0])

    found = truth_of(labels, scores, OutputContract("regressor"))

    assert found.metrics == {"mean absolute error": 2.0, "root mean squared error": pytest.approx(5**0.5)}


def test_a_whole_label_that_became_a_float_is_the_class() -> None:
    contract = OutputContract("classifier", ("0", "1"), score="probability", label_from="proba")
    scores = Scores(winner=np.asarray([1, 0]), score=np.asarray([0.9, 0.2]))

    assert truth_of(pa.array([1.0, 0.0]), scores, contract).accuracy == 1.0


def test_rows_without_a_label_add_nothing() -> None:
    contract = OutputContract("classifier", ("0", "1"), score="probability", label_from="proba")
    scores = Scores(winner=np.asarray([1]), score=np.asarray([0.9]))

    nothing = truth_of(pa.array([None], pa.string()), scores, contract)

    assert nothing == LabelledSums()
    one = truth_of(pa.array(["1"]), scores, contract)
    assert merge_truth(nothing, one) == one


def test_names_of_bins_are_different_whatever_the_edges() -> None:
    assert bin_names([1.0, 487.0, 1e9]) == ["< 1", "1 to 487", "487 to 1.00e+09", "> 1.00e+09"]
    names = bin_names([1000.1, 1000.2, 1000.3])
    assert len(set(names)) == len(names)
