"""Clients of the tests themselves, which say nothing when the broker goes before them."""

from __future__ import annotations

import logging

from confluent_kafka.admin import AdminClient

SILENT = logging.getLogger("tests.support")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def admin(bootstrap: str) -> AdminClient:
    """Return a client that creates and asks."""
    return AdminClient({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200}, logger=SILENT)
