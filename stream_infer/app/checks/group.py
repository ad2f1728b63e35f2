"""The check of the consumer groups: members that are no worker. Nothing here joins a group."""

from __future__ import annotations

from collections.abc import Iterable

from stream_infer.app.checks.findings import Findings
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.client import Properties
from stream_infer.kafka.foreign_members import GroupInquiry


def group_findings(kafka: Properties, group_ids: Iterable[str], *, timeout_s: float) -> Findings:
    """Return a warning for each foreign member: `run` scores what it gets, and waits to be let in."""
    findings = Findings()
    for group_id in group_ids:
        try:
            findings.warned += GroupInquiry(kafka, group_id, timeout_s=timeout_s).ask() or ()
        except BrokerUnreachable as error:
            findings.skipped.append(f"members of the group {group_id}: {error}")
    return findings
