"""Routes of HTTP that answer the paths that they name, and no others."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Lifespan


def exact_routes(routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    """Return an application of `routes` in which a path with a slash too many is not found.

    Starlette would redirect it, to whatever host the request names.
    """
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app
