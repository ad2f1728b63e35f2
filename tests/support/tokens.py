"""Tokens of a few seconds, a function that returns them, and an OpenID provider on the loopback."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# A client asks for the next token when a fifth of the time is left. A broker refuses to take a second one
# within a second of the first.
LIFETIME_S = 8
CALLS = "TEST_TOKEN_CALLS"
"""The variable that names the file to which `provide` adds a line at each call."""

# A broker that takes unsigned tokens on its listener PROXIED, and ends the sessions of those that expire.
# The subject "worker" may do everything, every other one nothing.
_LISTENER = "listener.name.proxied"
BROKER_SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    f"{_LISTENER}.sasl.enabled.mechanisms": "OAUTHBEARER",
    f"{_LISTENER}.oauthbearer.sasl.jaas.config": (
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
    ),
    f"{_LISTENER}.oauthbearer.connections.max.reauth.ms": "3600000",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": "User:ANONYMOUS;User:worker",
}
CLIENT_SETTINGS = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}


def token(subject: str) -> tuple[str, float]:
    """Return an unsigned token and when it expires."""
    now = time.time()
    claims = {"sub": subject, "iat": now, "exp": now + LIFETIME_S}
    head, body = (_encoded(part) for part in ({"alg": "none"}, claims))
    return f"{head}.{body}.", now + LIFETIME_S


def provide(config: str) -> tuple[str, float]:
    """Return a token for the subject that `config` names: a token provider as users write it."""
    with Path(os.environ[CALLS]).open("a", encoding="ascii") as calls:
        calls.write(f"{os.getpid()}\n")
    return token(config.removeprefix("subject="))


def refuse(_config: str) -> tuple[str, float]:
    """Raise, as a provider whose identity service is away."""
    raise ConnectionError("the identity service is away")


def in_milliseconds(_config: str) -> tuple[str, float]:
    """Return an expiry in the wrong unit."""
    made, expires_at = token("worker")
    return made, expires_at * 1000


class TokenEndpoint:
    """An OpenID provider: `url` answers with tokens; `served` counts them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.served = 0


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """Run a token endpoint while the block runs."""
    served = threading.Lock()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made, _ = token("worker")
            body = json.dumps({"access_token": made, "token_type": "Bearer", "expires_in": LIFETIME_S})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
            with served:
                endpoint.served += 1

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    endpoint = TokenEndpoint(f"http://127.0.0.1:{server.server_address[1]}/token")
    thread = threading.Thread(target=server.serve_forever, name="token-endpoint", daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _encoded(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
