"""Tokens and certificates: who is answered, and that both are read again when their files are replaced."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stream_infer.app.serve import Front, require_guarded
from stream_infer.flow.errors import Misconfigured
from stream_infer.ops.http import Listening
from stream_infer.ops.tls import tls_context
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.access import TokenFile
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client, serving
from tests.unit.serving.test_answering import samples

FIRST, SECOND, THIRD = ("first-token-of-tests", "second-token-of-tests", "third-token-of-tests")
PATH = "/v1/predictions"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# callers\n{FIRST}\n\n  {SECOND}  \n")
    return path


@pytest.fixture
def guarded(served: Scorer, file: Path, clock: Clock) -> Iterator[Client]:
    with serving(lambda: served, admits=TokenFile(file, clock=clock).admits) as client:
        yield client


@pytest.mark.parametrize("token", [FIRST, SECOND])
def test_each_token_of_the_file_is_admitted(guarded: Client, token: str) -> None:
    assert guarded.post(PATH, EVENTS[0], bearer(token)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("other-token-of-tests"),
        bearer(""),
        bearer("# callers"),
        {"authorization": FIRST},
        {"authorization": f"Basic {FIRST}"},
        {"authorization": "Bearer \xff"},
    ],
)
def test_nobody_else_is_answered(guarded: Client, headers: dict[str, str]) -> None:
    answer = guarded.post(PATH, EVENTS[0], headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.document == {"error": "give a token: Authorization: Bearer TOKEN"}


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/model", "/metrics", "/v2", "/v2/models/trips"])
def test_what_tells_of_the_model_is_guarded(guarded: Client, path: str) -> None:
    assert guarded.get(path).status == 401
    assert guarded.get(path, bearer(FIRST)).status == 200


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/", "/page/page.js"]
)
def test_probes_and_the_page_are_open(guarded: Client, path: str) -> None:
    assert guarded.get(path).status == 200


def test_tokens_are_replaced_while_the_server_runs(
    guarded: Client, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        file.write_text(f"{SECOND}\n{THIRD}\n")
        clock.now = 1.0

        assert guarded.get("/v1/model", bearer(THIRD)).status == 200
        assert guarded.get("/v1/model", bearer(SECOND)).status == 200
        assert guarded.get("/v1/model", bearer(FIRST)).status == 401
    assert [one.msg for one in caplog.records if "secret" in one.msg] == ["secret replaced"]


@pytest.mark.parametrize(
    ("content", "reason"), [("\n", "has no token"), ("short", "a token of fewer than 16")]
)
def test_an_unusable_file_leaves_the_tokens_before(
    guarded: Client, file: Path, clock: Clock, content: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(content)
    clock.now = 1.0

    assert guarded.get("/v1/model", bearer(FIRST)).status == 200
    [said] = [one for one in caplog.records if one.msg == "secret unusable"]
    assert reason in said.__dict__["reason"]


def test_refused_callers_are_counted(guarded: Client) -> None:
    guarded.get("/v1/model")

    page = guarded.get("/metrics", bearer(FIRST)).content.decode()
    assert 'request_duration_seconds_count{endpoint="unauthorized",pipeline="trips",status="401"} 1.0' in page


@pytest.mark.parametrize("content", [None, "", "short\n", "\xff"])
def test_a_token_file_without_tokens_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))

    with pytest.raises(Misconfigured, match="--token-file"):
        TokenFile(path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example"])  # noqa: S104 - nothing listens there
def test_other_machines_need_a_token_unless_told(host: str, tmp_path: Path) -> None:
    where = Listening(host)
    with pytest.raises(Misconfigured) as refused:
        require_guarded(Front(where))

    [problem] = refused.value.problems
    assert (problem.key, problem.value) == ("--host", host)
    assert "--token-file FILE, or --insecure" in problem.fix

    require_guarded(Front(where, tokens=tmp_path))
    require_guarded(Front(where, is_open=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_this_machine_needs_none(host: str) -> None:
    require_guarded(Front(Listening(host)))


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--tls-certificate: is one of a pair"):
        require_guarded(Front(Listening(), certificate=tmp_path))


def write_pair(folder: Path, name: str, files: str = "both") -> None:
    """Write a certificate that names `name`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    signed = made.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    if files == "both":
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(plain)


def name_at(port: int) -> str:
    """Return the name in the certificate of the server."""
    found = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode())
    return str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("fastest", [False, True], ids=["plain", "fast"])
def test_a_replaced_certificate_is_that_of_the_next_connection(
    served: Scorer, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, *, fastest: bool
) -> None:
    write_pair(tmp_path, "first")
    tls = tls_context(tmp_path / "certificate.pem", tmp_path / "key.pem", clock=clock)
    with serving(lambda: served, tls=tls, fastest=fastest) as client:
        assert name_at(client.port) == "first"
        write_pair(tmp_path, "half", "certificate")
        clock.now = 1.0
        assert name_at(client.port) == "first"
        write_pair(tmp_path, "second")
        clock.now = 2.0
        assert name_at(client.port) == "second"
    assert [one.msg for one in caplog.records if one.msg == "secret unusable"] == ["secret unusable"]


def test_requests_are_answered_over_tls(served: Scorer, tmp_path: Path) -> None:
    write_pair(tmp_path, "here")
    tls = tls_context(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with serving(lambda: served, tls=tls) as client:
        safe = Client(client.port, tls=ssl._create_unverified_context())  # noqa: S323 - made by this test

        assert safe.post(PATH, EVENTS[:3]).status == 200
        assert samples(safe)["events_consumed_total", ()] == 3


def test_files_that_are_no_pair_are_named(tmp_path: Path) -> None:
    write_pair(tmp_path, "first")
    write_pair(tmp_path, "second", "certificate")

    with pytest.raises(Misconfigured, match="--tls-certificate"):
        tls_context(tmp_path / "certificate.pem", tmp_path / "key.pem")
