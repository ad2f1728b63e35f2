"""The HTTP application of a served model: events as they are, and the Open Inference Protocol.

It holds no model of its own: `current` names the one that serves now, and each answer is of one model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import stream_infer
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.answer_forms import answer_form, write_answers
from stream_infer.serving.answering import answering
from stream_infer.serving.batching import Batcher
from stream_infer.serving.bodies import Bodies
from stream_infer.serving.connections import watch_caller
from stream_infer.serving.descriptions import Descriptions
from stream_infer.serving.documents import json_answer
from stream_infer.serving.inference import HEADER_LENGTH, model_metadata, read_inference, write_inference
from stream_infer.serving.metrics import ServingMetrics
from stream_infer.serving.predictions import events_in_body
from stream_infer.serving.requests import BadRequest, require_rows
from stream_infer.steps.scoring.answers import RowAnswer, ScoringRequest, answer_requests, row_count
from stream_infer.steps.scoring.isolate import Expired

ModelBatcher: TypeAlias = Batcher[tuple[Scorer, ScoringRequest], list[RowAnswer]]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The largest request, in bytes and rows, and the seconds after which it is given up.

    `bodies_bytes` is the size of all bodies that are read at the same time.
    """

    body_bytes: int = 64 * 2**20
    bodies_bytes: int = 256 * 2**20
    rows: int = 20_000
    seconds: float = 30.0


class Scoring:
    """Scores several requests in one pass for each model that they were read for."""

    def __call__(
        self, asked: Sequence[tuple[Scorer, ScoringRequest]], expired: Expired
    ) -> list[list[RowAnswer]]:
        """Return the answers to each request. Raises `Aborted` once nobody waits any more."""
        answers: list[list[RowAnswer]] = [[] for _ in asked]
        by_model: dict[str, list[int]] = {}
        for at, (served, _) in enumerate(asked):
            by_model.setdefault(served.model.digest, []).append(at)
        for places in by_model.values():
            served = asked[places[0]][0]
            found = answer_requests(served.model, served.plan, [asked[at][1] for at in places], expired)
            for at, one in zip(places, found, strict=True):
                answers[at] = one
        return answers


class Endpoints:
    """What the application answers. `current` returns the model that serves now."""

    def __init__(
        self,
        current: Callable[[], Scorer],
        batcher: ModelBatcher,
        limits: RequestLimits,
        metrics: ServingMetrics,
    ) -> None:
        self._current = current
        self._batcher = batcher
        self._limits = limits
        self._bodies = Bodies(limits.body_bytes, limits.bodies_bytes)
        self._metrics = metrics

    async def predictions(self, request: Request) -> Response:
        """Answer one event, or a list of events."""
        served = self._current()
        form = answer_form(request.headers.get("accept", ""))
        async with self._bodies.read(request) as body:
            events = events_in_body(body, served.schema, served.model.manifest, self._limits.rows)
            answers = events.in_order(await self._ask(request, served, events.rows))
        self._metrics.answered(served.model.manifest.version, answers)
        return write_answers(answers, served.model, form, is_single=events.is_single)

    async def infer(self, request: Request) -> Response:
        """Answer tensors."""
        served = _named(self._current(), request)
        async with self._bodies.read(request) as body:
            asked = read_inference(body, request.headers.get(HEADER_LENGTH), served.model.manifest)
            answers = await self._ask(request, served, asked.columns)
        self._metrics.answered(served.model.manifest.version, answers)
        content, headers = write_inference(asked, answers, served.model.manifest)
        return Response(content, headers=headers)

    async def metadata(self, request: Request) -> Response:
        """Describe the model."""
        return json_answer(model_metadata(_named(self._current(), request).model.manifest))

    async def model_ready(self, request: Request) -> Response:
        """Tell that the model serves."""
        manifest = _named(self._current(), request).model.manifest
        return json_answer({"name": manifest.name, "ready": True})

    async def server(self, _: Request) -> Response:
        """Describe the server."""
        about = {"version": stream_infer.__version__, "extensions": ["binary_tensor_data"]}
        return json_answer({"name": "stream-infer", **about})

    async def live(self, _: Request) -> Response:
        """Tell that the event loop turns."""
        return json_answer({"live": True})

    async def ready(self, _: Request) -> Response:
        """Tell that a model is loaded: the port is bound only then."""
        return json_answer({"ready": True})

    async def metrics(self, request: Request) -> Response:
        """Return the metrics."""
        self._metrics.show(self._current().model, self._batcher.waiting_rows)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics.registry), headers={"content-type": content_type})

    async def _ask(self, request: Request, served: Scorer, rows: ScoringRequest) -> list[RowAnswer]:
        count = row_count(rows)
        require_rows(count, self._limits.rows)
        if not count:
            return []
        answer = self._batcher.submit((served, rows), count)
        watch_caller(request.scope, answer)
        async with asyncio.timeout(self._limits.seconds):
            return await answer


def serving_application(
    current: Callable[[], Scorer], batcher: ModelBatcher, limits: RequestLimits, metrics: ServingMetrics
) -> Starlette:
    """Return the application of `Endpoints`."""
    of = Endpoints(current, batcher, limits, metrics)
    about = Descriptions(current, limits.rows)
    routes = [
        Route("/", answering(about.page, metrics)),
        Route("/page/{file}", answering(about.page, metrics)),
        Route("/openapi.json", answering(about.openapi, metrics)),
        Route("/v1/model", answering(about.model, metrics)),
        Route("/v1/predictions", answering(of.predictions, metrics), methods=["POST"]),
        Route("/v2", of.server),
        *(Route(path, of.live) for path in ("/livez", "/v2/health/live")),
        *(Route(path, of.ready) for path in ("/readyz", "/v2/health/ready")),
        Route("/metrics", of.metrics),
    ]
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(path, answering(of.metadata, metrics)),
            Route(f"{path}/ready", answering(of.model_ready, metrics)),
            Route(f"{path}/infer", answering(of.infer, metrics), methods=["POST"]),
        ]
    return Starlette(routes=routes)


def _named(served: Scorer, request: Request) -> Scorer:
    """Return `served` when the path names it. Raises `BadRequest` (404)."""
    manifest = served.model.manifest
    name, version = request.path_params["model"], request.path_params.get("version")
    if name != manifest.name or version not in (None, manifest.version):
        asked = name if version is None else f"{name} {version}"
        raise BadRequest(
            f"there is no model {asked}; {manifest.name} {manifest.version} serves", HTTPStatus.NOT_FOUND
        )
    return served
