"""`run --workers N`: the same worker in N processes, each with a slot, and so a transactional id, of its own.

The consumer group divides the partitions among them, as it does among machines. `serve --workers N`: the same
server in N processes, which accept from one socket.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.ops import logs
from stream_infer.ops.http import Listening, listen
from stream_infer.runtime.stop import Stop, on_signals
from stream_infer.runtime.supervisor import ProcessEnded, ProcessEvent, ProcessStarted, Program, supervise

SERVER_SOCKET = "STREAM_INFER_SERVER_SOCKET"
"""The environment variable with the descriptor of the socket that several servers accept from."""


def run_workers(
    settings: Settings, config: Path, environ: Mapping[str, str], count: int, *, monitored: bool
) -> int:
    """Keep `count` scoring workers running, and a monitor where wanted, until SIGTERM or SIGINT.

    Returns the exit code for all of them.
    """
    logs.configure(sys.stderr, os.environ)
    stop = Stop()
    with on_signals(stop):
        say = partial(_log, structlog.get_logger("stream_infer.workers"))
        wanted = worker_programs(settings, config, environ, count)
        if monitored:
            wanted.append(monitor_program(settings, config, environ, count))
        return supervise(wanted, stop=stop, say=say)


def worker_programs(
    settings: Settings, config: Path, environ: Mapping[str, str], count: int
) -> list[Program]:
    """Return `count` workers under the slots `<slot>-<i>`, their probes at the configured port plus i.

    The names do not change from start to start: the successor of a worker is known to the group, and takes
    over what the one before left open.
    """
    port = settings.http.port
    return [
        Program(
            name=f"{settings.worker.slot}-{index}",
            command=_command(config, "score"),
            environment={
                **environ,
                "STREAM_INFER_WORKER__SLOT": f"{settings.worker.slot}-{index}",
                "STREAM_INFER_HTTP__PORT": str(port + index if port else 0),
            },
        )
        for index in range(count)
    ]


def monitor_program(settings: Settings, config: Path, environ: Mapping[str, str], count: int) -> Program:
    """Return the monitor beside `count` workers, its probes at the port after theirs.

    However it ends, it is started again and the workers go on: monitoring can never stop scoring.
    """
    port = settings.http.port
    return Program(
        name="monitor",
        command=_command(config, "monitor"),
        environment={
            **environ,
            "STREAM_INFER_WORKER__SLOT": f"{settings.worker.slot}-monitor",
            "STREAM_INFER_HTTP__PORT": str(port + count if port else 0),
        },
        final=frozenset(),
    )


def run_servers(
    where: Listening, arguments: Sequence[str], environ: Mapping[str, str], ports: ServerPorts
) -> int:
    """Keep `ports.count` servers running, on one socket at `where`, until SIGTERM or SIGINT.

    `arguments` are those of `stream-infer serve` for each of them. Returns the exit code for all. Raises
    `Misconfigured` for the port.
    """
    logs.configure(sys.stderr, os.environ)
    stop = Stop()
    with on_signals(stop), listen(where) as bound:
        say = partial(_log, structlog.get_logger("stream_infer.workers"))
        return supervise(server_programs(bound.fileno(), arguments, environ, ports), stop=stop, say=say)


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The number of servers, the name of their slots, and the first port of their own metrics, if any."""

    count: int
    slot: str | None = None
    metrics: int | None = None


def server_programs(
    descriptor: int, arguments: Sequence[str], environ: Mapping[str, str], ports: ServerPorts
) -> list[Program]:
    """Return servers that accept from the socket `descriptor`, with the slots `<slot>-<i>`."""
    programs = []
    for index in range(ports.count):
        own = [] if ports.metrics is None else ["--metrics-port", str(ports.metrics + index)]
        slot = {} if ports.slot is None else {"STREAM_INFER_WORKER__SLOT": f"{ports.slot}-{index}"}
        programs.append(
            Program(
                name=f"serve-{index}",
                command=(sys.executable, "-m", "stream_infer.cli.main", "serve", *arguments, *own),
                environment={**environ, **slot, SERVER_SOCKET: str(descriptor)},
                descriptors=(descriptor,),
            )
        )
    return programs


def _command(config: Path, role: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "stream_infer.cli.main", "run", "-c", str(config), "--role", role)


def _log(logger: structlog.typing.FilteringBoundLogger, happening: ProcessEvent) -> None:
    match happening:
        case ProcessStarted(name, pid):
            logger.info(LogEvent.PROCESS_STARTED, slot=name, pid=pid)
        case ProcessEnded(name, code, restart_s):
            logger.warning(LogEvent.PROCESS_ENDED, slot=name, exit_code=code, restart_s=restart_s)
