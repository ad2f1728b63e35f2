"""Errors of the test support itself."""

from __future__ import annotations


class Unavailable(Exception):
    """A broker cannot be started in this way on this machine; the message has the reason."""
