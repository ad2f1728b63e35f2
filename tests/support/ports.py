"""Free TCP ports on the loopback, for servers that must know their port before they start."""

from __future__ import annotations

import random
import socket

# Below the range from which systems take the ports of outgoing connections (Linux from 32768, macOS and
# Windows from 49152): a port that is free now is not taken by some client a moment later.
_FIRST, _LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which nothing listens."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(_FIRST, _LAST)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
