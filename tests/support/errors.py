"""What goes wrong with the machinery of these tests itself."""

from __future__ import annotations


class Unavailable(Exception):
    """This way to a broker is not open on this machine; the sentence says why."""
