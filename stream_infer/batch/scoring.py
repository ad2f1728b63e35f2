"""What a batch run is made of: a package, an input, an output; and the loop over a share of the splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.topic_schemas import topic_schema
from stream_infer.batch.input_files import InputFile, fingerprint
from stream_infer.batch.journal import Journal, JournalEntry, Run, positions_of
from stream_infer.batch.locations import locate
from stream_infer.batch.output_folder import OutputFolder
from stream_infer.batch.part_files import AvroParts, WritePart, parquet_part, shape_of
from stream_infer.batch.sink import FileSink
from stream_infer.batch.source import FileSource
from stream_infer.batch.splits import InputPlan, Split, plan_splits
from stream_infer.batch.text_files import plain_numbers
from stream_infer.drift.reference import Reference, parse_reference
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.ports import Observer
from stream_infer.models.package import verify
from stream_infer.packaging.csv_layout import DEFAULT_LAYOUT, CsvLayout
from stream_infer.packaging.scorer import Scorer, make_scorer
from stream_infer.rollout.golden_check import check_golden
from stream_infer.runtime.loop import run
from stream_infer.runtime.steady_pace import SteadyPace
from stream_infer.runtime.stop import Stop
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from stream_infer.steps.scoring.score_table import ScoreTable, TableScoring
from stream_infer.steps.scoring.table_fields import TableFields

_ONE_WINDOW = 2**40  # all rows of a file are in one window
BATCH_ROWS = 131_072
"""The rows of a batch, which is a part of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What to score and where to write it. Plain values: a request goes to other processes.

    `copy` are columns of the input beside the predictions; with `join` all of them are. `label` is the column
    with the true label, for the report.
    """

    inputs: Sequence[str]
    output: str
    package: Path
    copy: Sequence[str] = ()
    join: bool = False
    label: str | None = None
    layout: CsvLayout = field(default=DEFAULT_LAYOUT)
    batch_rows: int = BATCH_ROWS

    @property
    def suffix(self) -> str:
        """The suffix of the parts."""
        return ".avro" if self.output.rstrip("/").lower().endswith(".avro") else ".parquet"

    @property
    def options(self) -> str:
        """What the bytes of the output depend on, beside package and input."""
        shape = [list(self.copy), self.join, self.label, self.suffix, self.batch_rows]
        layout = [self.layout.separator, self.layout.decimal, self.layout.thousands, self.layout.encoding]
        return json.dumps([*shape, layout])


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A request whose package is loaded and whose input is planned: all that can be wrong before is right."""

    request: BatchRequest
    scorer: Scorer
    reference: Reference | None
    files: Sequence[InputFile]
    plan: InputPlan
    step: ScoreTable
    columns: Sequence[str]
    write_part: WritePart

    def run(self, started_ms: int) -> Run:
        """Return what is run, as the journal keeps it."""
        return Run(started_ms, self.scorer.model.digest, fingerprint(self.files), self.request.options)


@dataclass(frozen=True, slots=True)
class LoadedPackage:
    """A package that was proved, and the training data that it describes, if it does."""

    scorer: Scorer
    reference: Reference | None


def load_proved(package: Path) -> LoadedPackage:
    """Verify, load and prove the package at `package`. Raises `Refused`."""
    verified = verify(package)
    scorer = make_scorer(verified)
    check_golden(scorer.model, verified)
    described = verified.files.get("reference.json")
    return LoadedPackage(scorer, None if described is None else parse_reference(described))


def prepare_batch(
    request: BatchRequest, loaded: LoadedPackage, files: Sequence[InputFile], first_split: int = 0
) -> PreparedBatch:
    """Plan the splits of `files` and how they are scored. Raises `Misconfigured` with all problems."""
    scorer = loaded.scorer
    plan = plan_splits(files, request.layout, first_split)
    sources = [feature.source for feature in scorer.model.manifest.features]
    numbers = partial(plain_numbers, request.layout) if plan.text else None
    fields = TableFields(scorer.schema, list(dict.fromkeys(sources)), plan.schema, numbers)
    names = list(plan.schema.names) if request.join else list(request.copy)
    labels = [] if request.label is None else [request.label]
    problems = list(fields.problems)
    problems += [*_unknown("--copy", names, plan.schema), *_unknown("--label", labels, plan.schema)]
    if plan.rows == 0:
        problems.append(
            Problem("INPUT", ", ".join(request.inputs), "has no rows", "give a data set with rows")
        )
    if problems:
        raise Misconfigured(problems)
    joined = [(name, _free_name(name)) for name in names]
    shape = shape_of([plan.schema.field(name).with_name(now).with_nullable(True) for name, now in joined])
    scoring = TableScoring(scorer.model, scorer.plan, fields, joined, request.label, _observe(loaded))
    return PreparedBatch(
        request=request,
        scorer=scorer,
        reference=loaded.reference,
        files=files,
        plan=plan,
        step=ScoreTable(scoring, scorer.model.manifest.name, shape),
        columns=list(dict.fromkeys([*fields.table_columns, *names, *labels])),
        write_part=_writer(request, shape),
    )


def score_share(
    prepared: PreparedBatch,
    folder: OutputFolder,
    run_begun: Run,
    entries: Sequence[JournalEntry],
    share: Callable[[Split], bool],
    stop: Stop,
    observe: Observer,
) -> None:
    """Run the loop over the splits of `share` that `entries` do not answer. Raises `Fatal`."""
    splits = [split for split in prepared.plan.splits if share(split)]
    source = FileSource(
        splits,
        partial(open_split, prepared.plan, prepared.columns),
        positions_of(splits, entries),
        received_ms=run_begun.started_ms,
    )
    numbers = {split.partition: split.number for split in splits}
    sink = FileSink(folder, Journal(folder), numbers, prepared.write_part, prepared.request.suffix)
    pace = SteadyPace(prepared.request.batch_rows)
    run(source, prepared.step, sink, stop=stop, pace=pace, observe=observe)


def open_split(plan: InputPlan, columns: Sequence[str], split: Split, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield `columns` of `split`; what the names of its folders say is a column too."""
    folders = split.file.partition
    there = [name for name in columns if name not in folders]
    for table in plan.format.read(split.file, split.index, there, rows):
        arrays = [
            pa.repeat(pa.scalar(folders[name], pa.string()), table.num_rows)
            if name in folders
            else table.column(name)
            for name in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def folder_of(request: BatchRequest) -> OutputFolder:
    """Return the folder of the output."""
    return OutputFolder(locate("-o", request.output))


def _observe(loaded: LoadedPackage) -> Observe:
    encoder = Encoder(topic_schema("ObservationFrame"), Framing.NONE)
    name, reference = loaded.scorer.model.manifest.name, loaded.reference
    return Observe(name, encoder, lambda _: reference, ObserveSettings(_ONE_WINDOW))


def _writer(request: BatchRequest, shape: pa.Schema) -> WritePart:
    if request.suffix == ".parquet":
        return parquet_part
    try:
        return AvroParts(shape)
    except ValueError as error:
        fix = "leave the column out, or give an output whose name ends in .parquet"
        raise Misconfigured([Problem("-o", request.output, str(error), fix)]) from error


def _unknown(option: str, names: Sequence[str], schema: pa.Schema) -> list[Problem]:
    missing = [name for name in names if name not in schema.names]
    fix = f"name one of: {', '.join(schema.names[:12])}"
    return [Problem(option, name, "the input has no such column", fix) for name in missing]


def _free_name(name: str) -> str:
    return f"input_{name}" if name in shape_of(()).names else name
