"""Scores a Spark DataFrame with a package, on the executors, through Arrow.

The package goes to the executors with the job (`SparkContext.addFile`), or is on a path that all of them see.
Each Python process of an executor verifies and loads it once. Executors need this distribution, and the
libraries of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from stream_infer.models.package import verify, write_package
from stream_infer.packaging.scorer import Scorer, joined_shape, make_scorer


def score(df: DataFrame, package: str | Path, *, shared: bool = False) -> DataFrame:
    """Return `df` with the columns of an answer beside its own, one row for each of its rows.

    The answers are label, score, value, class_scores, values, error, model_version and model_digest; see
    `Scorer.score_arrow`. With `shared` the executors read the package at the same path; else it is sent to
    them. Raises `Refused` for the package here, before a job begins; a job fails for a broken model.
    """
    path = Path(package)
    verified = verify(path)
    place = str(path.absolute()) if shared else _send(df, path)
    digest = verified.digest

    def answer(tables: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        where = place if shared else SparkFiles.get(place)
        yield from _scorer(where, digest).score_arrow(tables, join=True)

    zone = df.sparkSession.conf.get("spark.sql.session.timeZone")
    shape = from_arrow_schema(joined_shape(to_arrow_schema(df.schema, timezone=zone)))
    return df.mapInArrow(answer, shape)


@lru_cache(maxsize=4)
def _scorer(path: str, digest: str) -> Scorer:
    """Return the package at `path`, which must have this digest: loaded once in a process."""
    return make_scorer(verify(Path(path), digest))


def _send(df: DataFrame, path: Path) -> str:
    """Send the package to the executors, as a zip; return its name there."""
    verified = verify(path)
    name = f"{verified.manifest.name}-{verified.digest.removeprefix('sha256:')[:16]}.zip"
    zipped = Path(mkdtemp(prefix="stream-infer-")) / name
    write_package(zipped, verified.manifest, dict(verified.files))
    df.sparkSession.sparkContext.addFile(str(zipped))
    return name
