"""The OpenAPI document is valid, and requests made from it meet no error of the server and no hang."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stream_infer.packaging.scorer import Scorer
from tests.clients.conftest import WITHIN_S, Run
from tests.unit.serving.served import Client

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_document_is_valid_and_so_are_its_examples(client: Client, served: Scorer, run: Run) -> None:
    found = run("openapi.py", f"http://127.0.0.1:{client.port}/openapi.json")

    assert found["version"] == "3.1.0"
    assert found["checked"] == 3
    assert {"/v1/predictions", f"/v2/models/{served.model.manifest.name}/infer"} <= set(found["paths"])


def test_no_request_that_the_document_suggests_fails_the_server(
    client: Client, clients: Path, tmp_path: Path
) -> None:
    document = f"http://127.0.0.1:{client.port}/openapi.json"
    fuzz = [clients.parent / "schemathesis", "run", document, "--checks", CHECKS]
    bounds = ["--max-examples", "40", "--request-timeout", "20", "--generation-deterministic"]
    phases = ["--phases", "examples,coverage,fuzzing", "--no-color"]

    done = subprocess.run(
        [*fuzz, *bounds, *phases], cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )

    assert done.returncode == 0, done.stdout[-6000:]
    assert "No issues found" in done.stdout
