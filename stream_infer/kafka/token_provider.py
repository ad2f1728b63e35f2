"""Tokens for SASL/OAUTHBEARER from a function of the user, for all clients of the process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import BrokerUnreachable

_log = logging.getLogger("stream_infer.kafka.tokens")

_LATEST_S = 1e11  # the year 5138: a time in milliseconds is beyond it


class NoToken(Exception):
    """The function gave no token; the message says why."""


class TokenProvider:
    """What the clients call for a token: at the start, and again before a token expires.

    `function` takes the property `sasl.oauthbearer.config` and returns a token and the time of its expiry in
    Unix seconds; a principal and a dict of SASL extensions may follow. Threads of the clients call it,
    several at a time. `name` is how the settings name it.
    """

    def __init__(self, name: str, function: Callable[[str], tuple[object, ...]]) -> None:
        self.name = name
        self._function = function
        self._proved = False
        self._failing = False

    def __call__(self, config: str | None) -> tuple[object, ...]:
        """Return the answer of the function. Raises `NoToken` when it raises, or returns no token."""
        try:
            answer = _checked(self._function(config or ""))
        except BaseException as error:
            raise_interrupt(error)
            reason = error_text(error)
            if not self._failing:  # each client asks again every 10 s
                _log.warning(LogEvent.NO_TOKEN, extra={"provider": self.name, "reason": reason})
            self._failing = True
            raise NoToken(reason) from error
        self._proved, self._failing = True, False
        return answer

    def require_token(self, config: str) -> None:
        """Raise `BrokerUnreachable` with the reason, unless there was a token before.

        A client would wait for 10 s, and say only that it has none.
        """
        if self._proved:
            return
        try:
            self(config)
        except NoToken as error:
            raise BrokerUnreachable(f"the token provider {self.name} gave no token: {error}") from error


def _checked(answer: object) -> tuple[object, ...]:
    match answer:
        case (str(token), int() | float() as expires_at, *_) if token and isinstance(answer, tuple):
            if time.time() < expires_at < _LATEST_S:
                return answer
            raise TypeError(f"the token expires at {expires_at}: not a future time in Unix seconds")
    raise TypeError(f"a token and its expiry in Unix seconds are expected, not {type(answer).__name__}")
