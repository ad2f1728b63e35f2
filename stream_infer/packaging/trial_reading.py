"""Reads a model file in another process first.

The libraries of boosters believe what the file says: with a changed byte some of them end their process
(SIGSEGV, SIGABRT), at the file or at the first answer. Here that is a refusal.
"""

from __future__ import annotations

import subprocess
import sys

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.formats import SKOPS, ModelFormat
from stream_infer.rollout.rehearsal_task import ending_of
from stream_infer.rollout.spawned_child import child_environment

_MODULE = "stream_infer.packaging.reading_child"
_WITHIN_S = 120.0
_ROWS = 20


def require_readable(name: str, form: ModelFormat, data: bytes, rows: pd.DataFrame) -> None:
    """Raise `Misconfigured` where the file `name` ends or holds a process that reads it.

    `rows` are those of the sample, for which the model is asked. Pickles and skops are not tried: reading
    them is up to Python.
    """
    if form.pickled or form is SKOPS:
        return
    asked = rows.head(_ROWS).to_json(orient="split", index=False, default_handler=str)
    given = asked.encode() + b"\n" + data
    command = [sys.executable, "-P", "-m", _MODULE, form.file]
    try:
        child = subprocess.run(  # noqa: S603 - this very Python, with a module of ours
            command, input=given, capture_output=True, env=child_environment(), timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        how = f"had not ended after {_WITHIN_S:g} s"
    else:
        if child.returncode == 0:
            return
        how = ending_of(child.returncode)
    what = f"{form.title}: a process that read it and asked for answers {how}; the file is damaged"
    raise Misconfigured([Problem("MODEL", name, what, "give the whole file, as its library wrote it")])
