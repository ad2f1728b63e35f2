"""Who may see the page's data, and what a browser may do with the page.

On a loopback address every caller of this machine may; the name in `Host` must be a loopback name too, so
that no page of another site reaches it under a name of its own (DNS rebinding). Beyond it a bearer token is
asked for. The page itself holds no data: a browser loads it, and the page asks for the token.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stream_infer.flow.errors import Misconfigured, Problem

SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_LEAST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class PageAccess:
    """The token that callers need, and whether the server listens on a loopback address."""

    token: str | None = field(repr=False)
    is_local: bool

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a caller that may not see data; None for one that may."""
        if self.token is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(
                given.strip().encode(), self.token.encode()
            ):
                return None
            told = {"error": "a bearer token is required: the content of the file of --token-file"}
            headers = {**SECURITY_HEADERS, "www-authenticate": "Bearer"}
            return JSONResponse(told, HTTPStatus.UNAUTHORIZED, headers)
        if self.is_local and not is_loopback(request.url.hostname or ""):
            told = {"error": "the name in Host is not one of this machine's own"}
            return JSONResponse(told, HTTPStatus.MISDIRECTED_REQUEST, dict(SECURITY_HEADERS))
        return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is of this machine's loopback interface."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def page_access(host: str, token_file: Path | None) -> PageAccess:
    """Return the access for a server on `host`. Raises `Misconfigured` without a token beyond loopback."""
    local = is_loopback(host)
    if token_file is None:
        if local:
            return PageAccess(None, is_local=True)
        fix = "name a file with a token of 16 characters or more: --token-file FILE"
        raise Misconfigured([Problem("--host", host, "is reachable from other machines", fix)])
    try:
        token = token_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        fix = "write a token of 16 characters or more into a file that this user may read"
        raise Misconfigured(
            [Problem("--token-file", str(token_file), f"cannot be read: {reason}", fix)]
        ) from error
    if len(token) < _LEAST_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        message = "does not hold a token: one line of 16 or more printable ASCII characters without spaces"
        fix = "for example that of Python's secrets.token_hex(32)"
        raise Misconfigured([Problem("--token-file", str(token_file), message, fix)])
    return PageAccess(token, is_local=local)
