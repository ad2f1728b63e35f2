"""Errors that a caller can mend, each with the status of its answer."""

from __future__ import annotations

from http import HTTPStatus


class BadRequest(ValueError):
    """A request that cannot be answered: what is wrong with it, named for the caller."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


def require_rows(count: int, most: int) -> None:
    """Raise `BadRequest` (413) for a request of more than `most` rows."""
    if count > most:
        reason = f"{count} rows or more in one request; the limit is {most}"
        raise BadRequest(reason, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
