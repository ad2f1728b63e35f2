"""Packages that harm the worker that loads them after their rehearsal: the version before serves."""

from __future__ import annotations

from pathlib import Path

from stream_infer.rollout.deployment import Deployment
from tests.kafka.test_refusals import Rig, rig_of
from tests.support.lines import Rehearsed, line
from tests.support.models import said
from tests.support.ports import free_ports
from tests.support.probes import metric_lines, readyz
from tests.support.stage import Stage
from tests.support.worker_process import until
from tests.unit.rollout.packages import Calls, exits, hangs, when_loaded_again

# The load is shown after 10 s.
LIMIT_MS = 15_000


def harmful(folder: Path, number: int, does: Calls) -> Path:
    """Make a package that is a good model when it is rehearsed, and `does` harm when it is loaded again."""
    return line(folder, number, when_loaded_again(folder / f"loaded-{number}", does), says=2.0)


def refused(rig: Rig, wish: Deployment) -> None:
    """Wait until the worker has answered events and told that it refused `wish`."""
    event = rig.hears("model.rejected", wish)
    rig.feed_a_few()
    status = rig.status()
    assert (event["model"]["reason_code"], event["instance"]) == ("unfinished_load", "w-0")
    assert (status["state"], status["model_version"]) == ("rejected", "1.0.0")
    assert status["rejected"]["reason_code"] == "unfinished_load"


def test_a_load_that_ends_the_worker_is_refused_at_the_next_starts_which_serve_the_version_before(
    lines: Stage, two_lines: Rehearsed, tmp_path: Path
) -> None:
    lines.promote(two_lines.packages[0])
    with rig_of(lines) as rig:
        rig.feed_a_few()
        wish = lines.promote(harmful(tmp_path, 3, exits()))
        assert rig.worker.wait(60) == 1  # though the package says 0
        for _start in range(2):
            rig.restart()
            refused(rig, wish)

        promoted = said("model", "promote", two_lines.packages[1], "-c", rig.config, "--wait")
        rig.feed_a_few()
        assert rig.worker.terminate() == 0
        log = rig.config.with_suffix(".log").read_text(encoding="utf-8")
    outcome = lines.outcome()

    assert promoted.exit_code == 0
    assert outcome.faults == []
    assert {one.version for one in outcome.changes} == {"1.0.0", "2.0.0"}
    assert log.count("unfinished_load") == 2


def test_a_load_that_hangs_is_shown_then_refused_and_the_next_promotion_is_followed(
    lines: Stage, two_lines: Rehearsed, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    lines.promote(two_lines.packages[0])
    with rig_of(lines, port=port, rehearsal_timeout_ms=LIMIT_MS) as rig:
        rig.feed_a_few()
        wish = lines.promote(harmful(tmp_path, 3, hangs()))
        until("it is shown", lambda: readyz(port).get("not_following_since") is not None, rig.worker)
        rig.feed_a_few()
        shown = readyz(port)
        refused(rig, wish)
        promoted = said("model", "promote", two_lines.packages[1], "-c", rig.config, "--wait")
        until("it follows", lambda: readyz(port).get("not_following_since", "") is None, rig.worker)
        [followed] = metric_lines(port, "stream_infer_last_followed_timestamp_seconds")

        assert rig.worker.terminate() == 0

    assert promoted.exit_code == 0
    assert (shown["ready"], shown["model_version"]) == (True, "1.0.0")
    assert float(followed.rpartition(" ")[2]) > 0
