"""The oracle: `python -m tests.support.oracle`, a job on stdin, a verdict on stdout, both as JSON.

Reads the topics of a pipeline that has come to rest, computes from the estimator what must be in them, and
says where they differ. A process of its own that never imports stream_infer; its verdict lists what it
imported.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import joblib

from tests.support.log import committed, read_all
from tests.support.oracle.expect import Rules, expect, raw_schema
from tests.support.oracle.job import Job
from tests.support.oracle.judge import Identity, Observed, judge


def main() -> None:
    """Judge one pipeline."""
    job = Job.from_json(sys.stdin.read())
    sys.path.insert(0, job.code)
    estimator = joblib.load(job.estimator)
    observed = Observed(
        input=read_all(job.bootstrap, job.input),
        predictions=read_all(job.bootstrap, job.predictions),
        dead_letters=read_all(job.bootstrap, job.dead_letters),
        committed=committed(job.bootstrap, job.group, job.input),
    )
    schema = raw_schema(Path(job.event_schema).read_text(encoding="utf-8"))
    rules = Rules(schema, job.framing, job.reject_nan, job.event_time, job.copied)
    identity = Identity(job.input, job.group, job.pipeline, job.model_name, job.model_version)
    verdict = judge(
        observed,
        expect(observed.input, rules, estimator),
        identity,
        raw_schema(Path(job.prediction_schema).read_text(encoding="utf-8")),
        job.framing,
    )
    imported = sorted({name.partition(".")[0] for name in sys.modules})
    json.dump({**asdict(verdict), "imported": imported}, sys.stdout)


if __name__ == "__main__":
    main()
