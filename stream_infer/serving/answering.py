"""The frame of an endpoint: errors as answers, the time of a request, and its trace context."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import ModelFailed
from stream_infer.serving.batching import Overloaded
from stream_infer.serving.documents import json_answer
from stream_infer.serving.metrics import ServingMetrics
from stream_infer.serving.requests import BadRequest
from stream_infer.steps.scoring.isolate import error_cause
from stream_infer.steps.scoring.prediction_output import TRACE_HEADERS

_LOG = logging.getLogger("stream_infer.serve")
_CLIENT_CLOSED_REQUEST = 499
_TRACE_PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def answering(endpoint: Endpoint, metrics: ServingMetrics) -> Endpoint:
    """Return `endpoint` with an answer for each error; it is measured, and hands the trace context back."""
    name = endpoint.__name__

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        began = time.perf_counter()
        metrics.begin()
        status = _CLIENT_CLOSED_REQUEST  # unless there is an answer
        try:
            answer = await _answer(endpoint, request)
            status = answer.status_code
        finally:
            metrics.end(name, status, time.perf_counter() - began)
        for header in TRACE_HEADERS.intersection(request.headers):
            answer.headers[header] = request.headers[header]
        return answer

    return answered


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except BadRequest as error:
        return _error(str(error), error.status)
    except Overloaded as error:
        return _error(
            str(error), HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": f"{error.retry_after_s:.0f}"}
        )
    except TimeoutError:
        return _error("the answer took too long", HTTPStatus.GATEWAY_TIMEOUT)
    except ModelFailed as error:
        _log_failure(request, str(error))
        return _error(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
    except ClientDisconnect:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)  # nobody reads it
    except Exception as error:  # noqa: BLE001 - its text could quote a payload, and a server would log it
        _log_failure(request, error_cause(error))
        return _error("the server failed; its log has the place", HTTPStatus.INTERNAL_SERVER_ERROR)


def _log_failure(request: Request, reason: str) -> None:
    trace = request.headers.get("traceparent", "")
    shown = trace if _TRACE_PARENT.fullmatch(trace) else None  # a log takes nothing else from a caller
    _LOG.warning(LogEvent.REQUEST_FAILED, extra={"reason": reason, "traceparent": shown})


def _error(message: str, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"error": message}, status, headers)
