from __future__ import annotations

from itertools import chain

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    Degraded,
    LagMeasured,
    Paced,
    PartitionsPaused,
    PauseCause,
    ProducerRenewed,
    ReadFinished,
)
from stream_infer.flow.records import Partition
from stream_infer.ops.metric_table import TABLE, MetricKind
from stream_infer.ops.metrics import Build, Metrics, ModelLabels
from stream_infer.serving.metrics import ServingMetrics

COMMITTED = BatchCommitted(
    records=10,
    predicted=6,
    skipped=1,
    rejected={("decode", "truncated"): 2, ("predict", "output_nan"): 1},
    model_version="1.2.0",
    step_s=0.02,
    commit_s=0.01,
)


def metrics() -> Metrics:
    return Metrics("payments.fraud", build=Build("0.1.0", "3.11.7"), clock=lambda: 1_700_000_000.5)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what a scrape sees: (name, labels without the pipeline) -> value."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "pipeline"))
            found[sample.name, labels] = sample.value
    return found


PACED = Paced(2_000, 0.02, behind=False, batch_s=0.008, record_s=4e-6)


def everything() -> Metrics:
    filled = metrics()
    for event in (
        ReadFinished(10, 0.1),
        COMMITTED,
        BatchAborted(3, "fenced", ()),
        AssignmentChanged("assigned", (Partition("in", 0),)),
        ProducerRenewed("request timed out", 0.06),
        LagMeasured({Partition("in", 0): 7}),
        PACED,
        PartitionsPaused(PauseCause.WRITER_SCHEMA, (Partition("in", 0),), "the registry is away"),
        Degraded(("observations.v1 does not exist",), 3),
    ):
        filled(event)
    filled.serve(ModelLabels("fraud", "1.2.0", "sha256:aa", "sklearn"))
    return filled


def test_every_metric_is_in_the_table_with_its_kind_and_labels() -> None:
    table = {m.name.removesuffix("_total"): m for m in TABLE}
    server = ServingMetrics("payments.fraud", Build("0.1.0", "3.11.7"))
    server.end("infer", 200, 0.01)
    server.cut("slow_head")

    seen = set()
    for family in chain(everything().registry.collect(), server.registry.collect()):
        if not family.name.startswith("stream_infer_"):
            assert family.name.startswith("process_"), family.name
            continue
        metric = table[family.name]
        seen.add(metric.name)
        assert family.type == metric.kind.value
        assert family.documentation == metric.meaning
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == {"pipeline", *metric.labels}

    assert seen == {m.name for m in TABLE}


def test_the_table_keeps_the_naming_rules_of_prometheus() -> None:
    assert len({m.name for m in TABLE}) == len(TABLE)
    for metric in TABLE:
        assert metric.name.startswith("stream_infer_")
        assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
        assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert metric.meaning.endswith(".")
        assert (metric.unit == "seconds") == metric.name.endswith("_seconds")


def test_every_sample_names_the_pipeline_and_no_creation_times_are_exposed() -> None:
    families = list(everything().registry.collect())
    ours = [s for f in families if f.name.startswith("stream_infer_") for s in f.samples]

    assert {s.labels["pipeline"] for s in ours} == {"payments.fraud"}
    assert not [s.name for s in ours if s.name.endswith("_created")]


def test_a_committed_batch_is_counted_by_what_became_of_its_records() -> None:
    m = metrics()

    m(COMMITTED)
    m(COMMITTED)

    seen = samples(m)
    assert seen["stream_infer_predictions_total", (("version", "1.2.0"),)] == 12
    assert seen["stream_infer_records_skipped_total", ()] == 2
    decode = (("reason", "truncated"), ("stage", "decode"))
    predict = (("reason", "output_nan"), ("stage", "predict"))
    assert seen["stream_infer_records_failed_total", decode] == 4
    assert seen["stream_infer_records_failed_total", predict] == 2
    assert seen["stream_infer_transactions_total", (("result", "committed"),)] == 2
    assert seen["stream_infer_batch_records_sum", ()] == 20
    assert seen["stream_infer_stage_duration_seconds_count", (("stage", "step"),)] == 2
    assert seen["stream_infer_stage_duration_seconds_sum", (("stage", "commit"),)] == 0.02


def test_an_aborted_batch_changes_nothing_but_the_count_of_aborts() -> None:
    m = metrics()
    before = samples(m)

    m(BatchAborted(500, "fenced", ()))

    after = samples(m)
    aborted = ("stream_infer_transactions_total", (("result", "aborted"),))
    changed = {k for k in after if k[0].startswith("stream_infer_") and after[k] != before.get(k)}
    assert changed == {aborted}
    assert after[aborted] == 1


def test_an_empty_read_shows_that_the_loop_lives_and_is_no_read_time() -> None:
    m = metrics()

    m(ReadFinished(0, 0.5))

    seen = samples(m)
    assert seen["stream_infer_last_read_timestamp_seconds", ()] == 1_700_000_000.5
    assert seen["stream_infer_stage_duration_seconds_count", (("stage", "read"),)] == 0
    assert seen["stream_infer_events_consumed_total", ()] == 0


def test_lag_is_shown_for_owned_partitions_only() -> None:
    m = metrics()
    m(AssignmentChanged("assigned", (Partition("in", 0), Partition("in", 1))))
    m(LagMeasured({Partition("in", 0): 4, Partition("in", 1): 9}))

    m(AssignmentChanged("revoked", (Partition("in", 1),)))

    seen = samples(m)
    lag = {labels: value for (name, labels), value in seen.items() if name.endswith("_lag_records")}
    assert lag == {(("partition", "1"), ("topic", "in")): 9}
    assert seen["stream_infer_assigned_partitions", ()] == 1
    assert seen["stream_infer_rebalances_total", (("kind", "revoked"),)] == 1


def test_lag_of_a_partition_that_is_no_longer_measured_disappears() -> None:
    m = metrics()
    m(LagMeasured({Partition("in", 0): 4, Partition("in", 1): 9}))

    m(LagMeasured({Partition("in", 1): 2}))
    m(AssignmentChanged("lost", ()))
    m(AssignmentChanged("assigned", (Partition("in", 1),)))
    m(LagMeasured({Partition("in", 1): 3}))

    lag = {k: v for k, v in samples(m).items() if k[0].endswith("_lag_records")}
    assert lag == {("stream_infer_consumer_lag_records", (("partition", "1"), ("topic", "in"))): 3}


def test_only_the_serving_model_is_named() -> None:
    m = metrics()
    m.serve(ModelLabels("fraud", "1.2.0", "sha256:aa", "sklearn"))

    m.serve(ModelLabels("fraud", "1.3.0", "sha256:bb", "sklearn"))

    infos = [dict(labels) for name, labels in samples(m) if name == "stream_infer_model_info"]
    assert infos == [{"model": "fraud", "version": "1.3.0", "digest": "sha256:bb", "runtime": "sklearn"}]


def test_two_workers_in_one_process_do_not_share_a_registry() -> None:
    first, second = metrics(), metrics()

    first(ReadFinished(5, 0.1))

    assert samples(second)["stream_infer_events_consumed_total", ()] == 0


def test_the_batch_limit_and_its_costs_are_shown() -> None:
    m = metrics()

    m(PACED)

    seen = samples(m)
    assert seen["stream_infer_batch_limit_records", ()] == 2_000
    assert seen["stream_infer_commit_interval_seconds", ()] == 0.02
    assert seen["stream_infer_expected_cost_seconds", (("of", "batch"),)] == 0.008
    assert seen["stream_infer_expected_cost_seconds", (("of", "record"),)] == 4e-6


def test_paused_partitions_are_counted_until_they_resume() -> None:
    m = metrics()

    m(
        PartitionsPaused(
            PauseCause.WRITER_SCHEMA, (Partition("in", 0), Partition("in", 1)), "the registry is away"
        )
    )
    assert samples(m)["stream_infer_held_partitions", (("cause", "writer schema"),)] == 2
    m(PartitionsPaused(PauseCause.WRITER_SCHEMA, (), "the registry is away"))

    assert samples(m)["stream_infer_held_partitions", (("cause", "writer schema"),)] == 0


def test_incomplete_monitoring_and_waiting_records_are_shown_until_it_is_over() -> None:
    m = metrics()

    m(Degraded(("observations.v1 does not exist",), 3))
    assert samples(m)["stream_infer_degraded", ()] == 1
    assert samples(m)["stream_infer_withheld_records", ()] == 3
    m(Degraded((), 0))

    assert samples(m)["stream_infer_degraded", ()] == 0
    assert samples(m)["stream_infer_withheld_records", ()] == 0
