"""Who asks, where nobody says it."""

from __future__ import annotations

import getpass
import platform


def user_at_host() -> str:
    """Return USER@HOST of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
