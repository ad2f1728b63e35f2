"""JSON answers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `document` as an answer in ASCII: a message may quote text that has no UTF-8."""
    content = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return Response(content, status, headers, "application/json")
