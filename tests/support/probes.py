"""The probes and metrics of a worker, asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

_ANSWER_WITHIN_S = 5.0


def readyz(port: int) -> Any:
    """Return the document of `/readyz`; empty without an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=_ANSWER_WITHIN_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except OSError:
        return {}


def metric_lines(port: int, name: str) -> list[str]:
    """Return the samples of a metric, as they are printed."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_ANSWER_WITHIN_S) as answer:
        text: str = answer.read().decode()
    return [line for line in text.splitlines() if line.startswith(f"{name}{{")]
