"""TLS of a server from two files, which are read again when they are replaced."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from stream_infer.common.reloaded import Reloaded
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem

_LOG = logging.getLogger("stream_infer.serve")


def tls_context(
    certificate: Path, key: Path, *, clock: Callable[[], float] = time.monotonic
) -> ssl.SSLContext:
    """Return the context of a server with the chain at `certificate` and its private key at `key`, both PEM.

    Each connection gets the pair that is in the files when it comes; while a new pair cannot be used, the one
    before serves on. Raises `Misconfigured` when the first one cannot be used.
    """
    read = partial(_context_of, certificate, key)
    try:
        pair = Reloaded([certificate, key], read, partial(_report, certificate), clock=clock)
    except (OSError, ValueError) as error:  # the errors of ssl are OSErrors
        fix = "give a PEM file with the certificate and those that vouch for it, and one with its key"
        message = f"cannot be used with its key: {_reason(error)}"
        raise Misconfigured([Problem("--tls-certificate", str(certificate), message, fix)]) from error

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = pair.newest()

    context = read()
    context.sni_callback = choose  # OpenSSL calls it for each connection, with a name or without
    return context


def _context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password="")
    return context


def _report(certificate: Path, error: Exception | None) -> None:
    if error is None:
        _LOG.info(LogEvent.SECRET_REPLACED, extra={"file": str(certificate)})
    else:
        _LOG.warning(LogEvent.SECRET_UNUSABLE, extra={"file": str(certificate), "reason": _reason(error)})


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
