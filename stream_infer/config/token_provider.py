"""`[kafka] token_provider`: a function that is named as `module:function`, and when it is used."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.config.problems import describe_error
from stream_infer.flow.errors import Problem
from stream_infer.kafka.client import Value
from stream_infer.kafka.token_provider import TokenProvider

NAME = "token_provider"
DESCRIPTION = (
    "Function that returns tokens for the mechanism OAUTHBEARER, as `module:function`. It is called with "
    "`sasl.oauthbearer.config` and returns a token and its expiry in Unix seconds."
)
_KEY = f"kafka.{NAME}"
_PLACE = re.compile(r"(?P<module>[\w.]+):(?P<function>\w+)")
_OAUTHBEARER = "OAUTHBEARER"


def load_provider(value: object) -> TokenProvider | Problem:
    """Return the provider that `value` names; its module is imported."""
    found = _PLACE.fullmatch(value) if isinstance(value, str) else None
    shown = describe_error(_KEY, value)
    if found is None:
        fix = 'for example token_provider = "my_tokens:kafka_token"'
        return Problem(_KEY, shown, "is not of the form module:function", fix)
    fix = "install the module, or add its folder to PYTHONPATH"
    try:
        function = getattr(importlib.import_module(found["module"]), found["function"], None)
    except BaseException as error:  # noqa: BLE001 - a module of the user may raise anything
        raise_interrupt(error)
        return Problem(_KEY, shown, f"cannot be imported: {error_text(error)}", fix)
    if not callable(function):
        return Problem(_KEY, shown, f"{found['module']} has no such function", "correct the name")
    return TokenProvider(found[0], function)


def token_problems(common: Mapping[str, Value], provider: object) -> Iterator[Problem]:
    """Yield why the clients would have no token, or two sources of tokens. `provider` is None without one."""
    mechanism = str(common.get("sasl.mechanism") or common.get("sasl.mechanisms") or "")
    oidc = str(common.get("sasl.oauthbearer.method", "")).lower() == "oidc"
    if provider is not None and mechanism != _OAUTHBEARER:
        fix = 'set "sasl.mechanism" = "OAUTHBEARER" in [kafka], or remove token_provider'
        yield Problem(_KEY, describe_error(_KEY, provider), "is used only with OAUTHBEARER", fix)
    elif provider is not None and oidc:
        fix = 'remove token_provider, or "sasl.oauthbearer.method"'
        yield Problem(_KEY, describe_error(_KEY, provider), "is not used with the method oidc", fix)
    unsecured = str(common.get("enable.sasl.oauthbearer.unsecure.jwt", "")) == "true"
    if mechanism == _OAUTHBEARER and provider is None and not oidc and not unsecured:
        fix = (
            'set token_provider = "module:function", or "sasl.oauthbearer.method" = "oidc" and its properties'
        )
        yield Problem("kafka.sasl.mechanism", f'"{mechanism}"', "has no source of tokens", fix)
