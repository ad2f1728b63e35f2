"""A schema registry on loopback that answers, fails or hangs on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from tests.support.hostile_http import Answer

_SPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
_HANGS_AT_MOST_S = 60.0


class Mood(StrEnum):
    """How the registry answers requests."""

    WELL = "it answers"
    FAILING = "every request gets a 500"
    HANGING = "no request gets an answer"
    ASTRAY = "every request gets the 404 of a server that is no registry"


class StubRegistry:
    """Keeps schemas by subject and version, as Confluent's does, and records all requests."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[int]] = {}
        self.schemas: dict[int, dict[str, Any]] = {}
        self.compatibility: dict[str, str] = {}
        self.asked: list[str] = []
        self.mood = Mood.WELL
        self.hostile: dict[int, Answer] = {}
        self.over = threading.Event()
        self._cheered = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.become(Mood.FAILING)
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def become(self, mood: Mood) -> None:
        """Change the mood and release hanging requests."""
        self.mood = mood
        self._cheered.set()
        self._cheered = threading.Event()

    def add(self, subject: str, text: str, **more: Any) -> int:
        """Register a schema and return its id: the same for the same schema."""
        with self._lock:
            schema = {"schema": text, **more}
            same = [known for known, each in self.schemas.items() if each == schema]
            schema_id = same[0] if same else len(self.schemas) + 1
            self.schemas[schema_id] = schema
            versions = self.subjects.setdefault(subject, [])
            if schema_id not in versions:
                versions.append(schema_id)
            return schema_id

    def guid(self, schema_id: int) -> UUID:
        """Return the GUID of a schema."""
        return uuid5(_SPACE, str(schema_id))

    def wait_while_hanging(self) -> None:
        """Return when the mood has changed."""
        if self.mood is Mood.HANGING:
            self._cheered.wait(_HANGS_AT_MOST_S)

    def hostile_answer(self, path: str) -> Answer | None:
        """Return the answer to a request for a schema whose id is in `hostile`, by id."""
        start, _, number = path.rpartition("/")
        found = self.hostile.get(int(number)) if start == "/schemas/ids" else None
        if found is not None:
            self.asked.append(f"GET {path}")
        return found

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, object]:
        """Return the status and the document for a request."""
        self.asked.append(f"{method} {path}")
        match self.mood:
            case Mood.FAILING:
                return 500, {"error_code": 50001, "message": "Error in the backend data store"}
            case Mood.ASTRAY:
                return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
            case _:
                return self._found(method, [unquote(part) for part in path.strip("/").split("/")], body)

    def _found(self, method: str, path: list[str], body: Mapping[str, Any]) -> tuple[int, object]:
        match path:
            case ["schemas", "ids", number] if int(number) in self.schemas:
                return 200, self.schemas[int(number)]
            case ["schemas", "guids", guid]:
                found = [one for one in self.schemas if str(self.guid(one)) == guid]
                return (200, self.schemas[found[0]]) if found else _missing(40403, "Schema not found")
            case ["subjects", subject, "versions"] if method == "POST":
                schema_id = self.add(subject, body["schema"])
                return 200, {"id": schema_id, "guid": str(self.guid(schema_id))}
            case ["subjects", subject, *_] if subject not in self.subjects:
                return _missing(40401, f"Subject '{subject}' not found.")
            case ["subjects", subject] if method == "POST":
                found = [
                    one for one in self.subjects[subject] if self.schemas[one]["schema"] == body["schema"]
                ]
                return (
                    (200, self._version(subject, found[0])) if found else _missing(40403, "Schema not found")
                )
            case ["subjects", subject, "versions", version]:
                versions = self.subjects[subject]
                at = len(versions) if version == "latest" else int(version)
                if at > len(versions):
                    return _missing(40402, "Version not found.")
                return 200, self._version(subject, versions[at - 1])
            case ["config", subject] if method == "PUT":
                self.compatibility[subject] = body["compatibility"]
                return 200, body
            case _:
                return _missing(40403, "Schema not found")

    def _version(self, subject: str, schema_id: int) -> dict[str, Any]:
        version = self.subjects[subject].index(schema_id) + 1
        named = {"subject": subject, "version": version, "id": schema_id, "guid": str(self.guid(schema_id))}
        return {**named, **self.schemas[schema_id]}


def _missing(code: int, message: str) -> tuple[int, object]:
    return 404, {"error_code": code, "message": message}


def _handler(registry: StubRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            registry.wait_while_hanging()
            path = urlsplit(self.path).path
            hostile = registry.hostile_answer(path)
            if hostile is not None:
                self.close_connection = True
                with suppress(OSError):  # the client has gone
                    hostile(self, registry.over)
                return
            status, document = registry.answer(self.command, path, json.loads(body or b"{}"))
            content = json.dumps(document).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:  # the client did not wait
                self.close_connection = True

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    return Handler
