"""The Open Inference Protocol (v2) over gRPC: the same answers, limits and tokens as over REST.

Messages and service are those that the protocol publishes, from the distribution `open-inference-grpc` of the
extra `grpc`. The server runs on the event loop of the HTTP server, whose batches it shares.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc
from open_inference.grpc import protocol as messages
from open_inference.grpc import service

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import ModelFailed
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.access import Admits
from stream_infer.serving.batching import Overloaded
from stream_infer.serving.inference import (
    Inference,
    model_metadata,
    require_named,
    server_metadata,
    wanted_tensors,
)
from stream_infer.serving.requests import BadRequest
from stream_infer.serving.row_scorer import RowScorer
from stream_infer.serving.tensors import Tensor, make_tensor, tensor_columns, to_binary
from stream_infer.steps.scoring.isolate import error_cause

_LOG = logging.getLogger("stream_infer.serve")
_CODES: Mapping[HTTPStatus, grpc.StatusCode] = {
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_CALLS = 256
_Call = Callable[[Any], Awaitable[Any]]


class GrpcServer:
    """A server at `address` (host:port) while `running` is entered.

    `started` gets the bound port, or what kept it from starting. `credentials` are those of TLS.
    A `shared` port may be that of several processes.
    """

    def __init__(
        self,
        scorer: RowScorer,
        address: str,
        *,
        admits: Admits | None = None,
        credentials: grpc.ServerCredentials | None = None,
        grace_s: float = 1.0,
        shared: bool = False,
    ) -> None:
        self.started: Future[int] = Future()
        self._scorer = scorer
        self._address = address
        self._admits = admits
        self._credentials = credentials
        self._grace_s = grace_s
        self._shared = shared
        self._server: grpc.aio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def running(self, _: object = None) -> AsyncIterator[None]:
        """Answer while the block runs."""
        try:
            self._loop, self._server = asyncio.get_running_loop(), self._make()
            self.started.set_result(self._bind(self._server))
            await self._server.start()
        except Exception as error:
            if not self.started.done():
                self.started.set_exception(error)
            raise
        try:
            yield
        finally:
            await self._server.stop(self._grace_s)

    def begin_stop(self) -> None:
        """Take no new call, and end those in flight within the grace. Any thread may call it."""
        if self._server is not None and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._server.stop(self._grace_s), self._loop)

    def _make(self) -> grpc.aio.Server:
        most = self._scorer.limits.body_bytes
        options = [
            ("grpc.max_receive_message_length", most),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(self._shared)),
        ]
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=_CALLS)
        add: Any = service.add_GRPCInferenceServiceServicer_to_server  # generated, without types
        add(_Service(self._scorer, self._admits), server)
        return server

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._credentials is None:
            return int(server.add_insecure_port(self._address))
        return int(server.add_secure_port(self._address, self._credentials))


class _Service(service.GRPCInferenceServiceServicer):
    """The calls of the protocol."""

    def __init__(self, scorer: RowScorer, admits: Admits | None) -> None:
        self._scorer = scorer
        self._admits = admits

    async def ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Tell that the event loop turns."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Tell that a model is loaded."""
        return messages.ServerReadyResponse(ready=True)

    async def ServerMetadata(self, asked: Any, context: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Describe the server."""

        async def describe(_: object) -> Any:  # noqa: ANN401 - a message
            return messages.ServerMetadataResponse(**server_metadata())

        return await self._answered("ServerMetadata", describe, asked, context)

    async def ModelReady(self, asked: Any, context: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Tell that the model serves."""

        async def ready(asked: Any) -> Any:  # noqa: ANN401 - messages
            self._named(asked.name, asked.version)
            return messages.ModelReadyResponse(ready=True)

        return await self._answered("ModelReady", ready, asked, context)

    async def ModelMetadata(self, asked: Any, context: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Describe the model."""

        async def describe(asked: Any) -> Any:  # noqa: ANN401 - messages
            served = self._named(asked.name, asked.version)
            return messages.ModelMetadataResponse(**model_metadata(served.model.manifest))

        return await self._answered("ModelMetadata", describe, asked, context)

    async def ModelInfer(self, asked: Any, context: Any) -> Any:  # noqa: N802, ANN401 - the protocol's
        """Answer tensors."""
        return await self._answered("ModelInfer", self._infer, asked, context)

    async def _infer(self, asked: Any) -> Any:  # noqa: ANN401 - messages
        served = self._named(asked.model_name, asked.model_version)
        manifest = served.model.manifest
        inference = _inference(asked, served)
        # A call that is cancelled cancels the wait for its answer, and is not scored.
        answers = await self._scorer.ask(served, inference.columns, lambda _: None)
        self._scorer.metrics.answered(manifest.version, answers)
        found = wanted_tensors(inference, answers, manifest)
        answer = messages.ModelInferResponse(
            model_name=manifest.name,
            model_version=manifest.version,
            id=asked.id,
            outputs=[
                {"name": one.name, "datatype": one.datatype, "shape": list(one.shape)}
                for one, _ in found.tensors
            ],
            raw_output_contents=[to_binary(one) for one, _ in found.tensors],
        )
        if found.errors is not None:
            answer.parameters["errors"].string_param = found.errors
        return answer

    def _named(self, name: str, version: str) -> Scorer:
        served = self._scorer.current()
        require_named(served.model.manifest, name, version or None)
        return served

    async def _answered(self, name: str, call: _Call, asked: Any, context: Any) -> Any:  # noqa: ANN401 - messages
        """Return the answer of `call`, or abort with the status of its error; it is measured."""
        metadata = dict(context.invocation_metadata() or ())
        status, began = grpc.StatusCode.CANCELLED, time.perf_counter()  # unless there is an answer
        self._scorer.metrics.begin()
        try:
            if self._admits is not None and not self._admits(str(metadata.get("authorization", ""))):
                status, reason = grpc.StatusCode.UNAUTHENTICATED, "give a token: authorization: Bearer TOKEN"
            else:
                try:
                    answer = await call(asked)
                except Exception as error:  # noqa: BLE001 - its text could quote a payload
                    status, reason = _status_of(error)
                else:
                    status = grpc.StatusCode.OK
                    return answer
            await context.abort(status, reason)
        finally:
            self._scorer.metrics.end(f"grpc_{name}", status.name, time.perf_counter() - began)


def _status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    match error:
        case BadRequest():
            return _CODES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT), str(error)
        case Overloaded():
            return grpc.StatusCode.UNAVAILABLE, str(error)
        case TimeoutError():
            return grpc.StatusCode.DEADLINE_EXCEEDED, "the answer took too long"
        case ModelFailed():
            _LOG.warning(LogEvent.REQUEST_FAILED, extra={"reason": str(error), "traceparent": None})
            return grpc.StatusCode.UNAVAILABLE, str(error)
    _LOG.warning(LogEvent.REQUEST_FAILED, extra={"reason": error_cause(error), "traceparent": None})
    return grpc.StatusCode.INTERNAL, "the server failed; its log has the place"


def tls_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Return credentials of the PEM files, each connection those that are in the files when it comes."""

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(key.read_bytes(), certificate.read_bytes())])

    return grpc.dynamic_ssl_server_credentials(read(), read)


def _inference(asked: Any, served: Scorer) -> Inference:  # noqa: ANN401 - a message
    """Return the request in a message. Raises `BadRequest`."""
    raw = list(asked.raw_input_contents)
    if raw and len(raw) != len(asked.inputs):
        raise BadRequest(f"{len(raw)} raw contents for {len(asked.inputs)} inputs")
    tensors = [_tensor(one, raw[at] if raw else None) for at, one in enumerate(asked.inputs)]
    parameters = _parameters(asked.parameters)
    outputs = [{"name": one.name} for one in asked.outputs] or None
    columns = tensor_columns(tensors, served.model.manifest)
    return Inference(columns, asked.id, outputs, bool(parameters.get("partial")), binary=True)


def _tensor(given: Any, raw: bytes | None) -> Tensor:  # noqa: ANN401 - a message
    data: Any = raw
    if raw is None:
        data = list(getattr(given.contents, _CONTENTS.get(given.datatype, "bytes_contents")))
    if min(given.shape, default=0) < 0:
        raise BadRequest(f"input '{given.name}': shape {list(given.shape)} has a negative size")
    return make_tensor(given.name, given.datatype, tuple(given.shape), data, _parameters(given.parameters))


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: getattr(one, one.WhichOneof("parameter_choice") or "", None) for name, one in given.items()}
