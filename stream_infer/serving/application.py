"""The HTTP application of a served model: events as they are, and the Open Inference Protocol.

It holds no model of its own: `current` names the one that serves now, and each answer is of one model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from stream_infer.ops.routes import exact_routes
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.answer_forms import answer_form, write_answers
from stream_infer.serving.answering import answering
from stream_infer.serving.bodies import Bodies
from stream_infer.serving.connections import watch_caller
from stream_infer.serving.descriptions import Descriptions
from stream_infer.serving.documents import json_answer
from stream_infer.serving.inference import (
    HEADER_LENGTH,
    model_metadata,
    read_inference,
    require_named,
    server_metadata,
    write_inference,
)
from stream_infer.serving.predictions import events_in_body
from stream_infer.serving.row_scorer import RowScorer
from stream_infer.steps.scoring.answers import RowAnswer, ScoringRequest

T = TypeVar("T")
_SHORT_BYTES = 64 * 2**10  # read in about 5 ms


class Endpoints:
    """What the application answers."""

    def __init__(self, scorer: RowScorer) -> None:
        self._scorer = scorer
        self._current = scorer.current
        self._bodies = Bodies(scorer.limits.body_bytes, scorer.limits.bodies_bytes)
        self._metrics = scorer.metrics

    async def predictions(self, request: Request) -> Response:
        """Answer one event, or a list of events."""
        served = self._current()
        form = answer_form(request.headers.get("accept", ""))
        async with self._bodies.read(request) as body:
            read = partial(
                events_in_body, body, served.schema, served.model.manifest, self._scorer.limits.rows
            )
            events = await _beside(len(body), read)
            answers = events.in_order(await self._ask(request, served, events.rows))
            if events.rejected:
                self._scorer.note_refused(served.model, len(events.rejected))
        self._metrics.answered(served.model.manifest.version, answers)
        write = partial(write_answers, answers, served.model, form, is_single=events.is_single)
        return await _beside(len(body), write)

    async def infer(self, request: Request) -> Response:
        """Answer tensors."""
        served = _named(self._current(), request)
        async with self._bodies.read(request) as body:
            length = request.headers.get(HEADER_LENGTH)
            read = partial(read_inference, body, length, served.model.manifest)
            asked = await _beside(len(body), read)
            answers = await self._ask(request, served, asked.columns)
        self._metrics.answered(served.model.manifest.version, answers)
        write = partial(write_inference, asked, answers, served.model.manifest)
        content, headers = await _beside(len(body), write)
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
        return json_answer(server_metadata())

    async def live(self, _: Request) -> Response:
        """Tell that the event loop turns."""
        return json_answer({"live": True})

    async def ready(self, _: Request) -> Response:
        """Tell that a model is loaded: the port is bound only then."""
        return json_answer({"ready": True})

    async def metrics(self, request: Request) -> Response:
        """Return the metrics."""
        self._metrics.show(self._current().model, self._scorer.waiting_rows)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics.registry), headers={"content-type": content_type})

    async def _ask(self, request: Request, served: Scorer, rows: ScoringRequest) -> list[RowAnswer]:
        return await self._scorer.ask(served, rows, partial(watch_caller, request.scope))


async def _beside(body_bytes: int, work: Callable[[], T]) -> T:
    """Return what `work` returns; on a thread where a large body makes it long, so that probes answer."""
    return work() if body_bytes <= _SHORT_BYTES else await asyncio.to_thread(work)


def serving_application(scorer: RowScorer, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    """Return the application that answers with `scorer`; `lifespan` is what runs beside it."""
    of, metrics = Endpoints(scorer), scorer.metrics
    about = Descriptions(scorer.current, scorer.limits.rows)
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
    return exact_routes(routes, lifespan)


def own_application(scorer: RowScorer) -> Starlette:
    """Return the application of one process among several: its probes and its metrics."""
    of = Endpoints(scorer)
    return exact_routes([Route("/livez", of.live), Route("/readyz", of.ready), Route("/metrics", of.metrics)])


def _named(served: Scorer, request: Request) -> Scorer:
    """Return `served` when the path names it. Raises `BadRequest` (404)."""
    require_named(served.model.manifest, request.path_params["model"], request.path_params.get("version"))
    return served
