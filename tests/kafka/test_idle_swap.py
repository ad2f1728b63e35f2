"""A swap while no events come: probes and metrics name the new model before its first batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.lines import Rehearsed
from tests.support.ports import free_ports
from tests.support.probes import metric_lines, readyz
from tests.support.stage import Stage
from tests.support.worker_process import Worker, until


def test_a_swap_without_events_is_shown(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    [port] = free_ports(1)

    def shows(version: str) -> Callable[[], bool]:
        return lambda: (now := readyz(port)).get("ready", False) and now["model_version"] == version

    lines.promote(two_lines.packages[0])
    worker = start_worker(lines.config("w-0", port=port))
    until("the first one is shown", shows("1.0.0"), worker)

    lines.promote(two_lines.packages[1])
    until("the second one is shown", shows("2.0.0"), worker)
    [info] = metric_lines(port, "stream_infer_model_info")

    assert 'version="2.0.0"' in info
    assert worker.terminate() == 0
