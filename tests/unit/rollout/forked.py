"""Rehearse packages, one after the other, in children of a fork server, and print what became of each.

A program of its own, since only a process without threads may fork. Its argument is a JSON list of
`[path, digest, limits, cancel_when]`: the rehearsal is cancelled once a file of the last name has something
in it. A path of "kill" kills the fork server in its place; after one of "anew", rehearsals may be started
anew.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import psutil

from stream_infer.flow.errors import Refused
from stream_infer.rollout import forkserver
from stream_infer.rollout.rehearsal import rehearse
from stream_infer.rollout.rehearsal_task import ChildExit, RehearsalLimits, RehearsalTask


def never(task: RehearsalTask, _cancelled: object) -> ChildExit | None:
    """Stand in for `run_spawned` where nobody may be started anew."""
    raise AssertionError(f"a process was started anew for {task.path}")


def main() -> None:
    """Do it."""
    anew = forkserver.run_spawned
    forkserver.run_spawned = never
    with forkserver.forkserver() as run:
        for path, digest, limits, cancel_when in json.loads(sys.argv[1]):
            if path == "kill":
                (server,) = psutil.Process().children()
                os.kill(server.pid, signal.SIGKILL)
                while server.status() != psutil.STATUS_ZOMBIE:  # not reaped: that is its parent's task
                    pass
                continue
            if path == "anew":
                forkserver.run_spawned = anew
                continue
            watched = None if cancel_when is None else Path(cancel_when)

            def cancelled(watched: Path | None = watched) -> bool:
                return watched is not None and watched.exists() and watched.read_text() != ""

            try:
                measured = rehearse(
                    Path(path), digest, limits=RehearsalLimits(**limits), cancelled=cancelled, run=run
                )
                said = None if measured is None else asdict(measured)
            except Refused as refused:
                said = {"code": refused.code, "reason": refused.reason}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
