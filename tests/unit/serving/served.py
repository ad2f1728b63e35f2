"""A package that is served on a port of this machine, and requests to it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

from starlette.types import ASGIApp

from stream_infer.models.load import Model
from stream_infer.ops.http import HttpServer, Listening
from stream_infer.ops.metrics import Build
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.access import Admits, Guarded
from stream_infer.serving.application import serving_application
from stream_infer.serving.batching import Batcher, Limits
from stream_infer.serving.connections import ConnectionLimits, Connections, guarded_protocol
from stream_infer.serving.grpc_server import GrpcServer
from stream_infer.serving.metrics import ServingMetrics
from stream_infer.serving.row_scorer import RequestLimits, RowScorer, Scoring
from stream_infer.steps.observing.scored import ScoredRows


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: Message
    content: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the server at one port of this machine."""

    port: int
    tls: ssl.SSLContext | None = None
    grpc_port: int = 0

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, document: object, headers: Mapping[str, str] | None = None) -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self._ask("POST", path, body, headers or {})

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.tls)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(
    current: Callable[[], Scorer],
    *,
    limits: RequestLimits = RequestLimits(),  # noqa: B008 - frozen
    queue: Limits = Limits(),  # noqa: B008 - frozen
    connections: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    fastest: bool = False,
    admits: Admits | None = None,
    tls: ssl.SSLContext | None = None,
    with_grpc: bool = False,
    note: Callable[[Model, int, ScoredRows | None], object] = lambda _model, _rows, _scored: None,
) -> Iterator[Client]:
    """Serve the model of `current` while the block runs."""
    metrics = ServingMetrics("trips", Build("0.1.0"))
    batcher = Batcher(Scoring(note), queue, metrics.scored)
    scorer = RowScorer(current, batcher, limits, metrics, lambda model, rows: note(model, rows, None))
    grpc = GrpcServer(scorer, "127.0.0.1:0", admits=admits) if with_grpc else None
    application: ASGIApp = serving_application(scorer, None if grpc is None else grpc.running)
    if admits is not None:
        application = Guarded(application, admits, metrics)
    protocol = guarded_protocol(Connections(connections, metrics), fastest=fastest)
    where = Listening(port=0)
    with HttpServer(
        application, where, protocol=protocol, fastest=fastest, tls=tls, lifespan=with_grpc
    ) as server:
        yield Client(server.port, grpc_port=0 if grpc is None else grpc.started.result(60))
        if grpc is not None:
            grpc.begin_stop()
    batcher.close()
