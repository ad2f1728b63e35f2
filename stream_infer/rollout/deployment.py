"""The desired deployment of a pipeline: package, generation, author, reason.

Values and their JSON only. The fields are those of `Deployment.avsc`, times in Unix milliseconds. `store` and
`kafka.control` keep a deployment; `reconcile` decides what to do about it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from stream_infer.flow.codes import RefusalCode

# Strict: no "1" for 1. An unknown key belongs to a later version, as a new field does in Avro.
_CONFIG = ConfigDict(extra="ignore", strict=True)
_Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
_Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Whole = Annotated[int, Field(ge=0, lt=2**63)]


LAST_GENERATION = 10**15
"""The greatest generation. Promotions count from 1, and tools may use the time in milliseconds.

A greater number is of no promotion. Without a bound one foreign record could use up all generations.
"""


class DeploymentInvalid(ValueError):
    """Bytes that are not a deployment; the message names the wrong key."""


@dataclass(frozen=True, slots=True)
class PackageRef:
    """A reference to a package: `digest` identifies its bytes, `uri` is its name in the model store."""

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    name: _Text
    version: _Text
    digest: _Digest
    uri: _Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The desired package of a pipeline; a later deployment has a greater `generation`.

    `previous` serves where `package` cannot. `requested_at` is in Unix milliseconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    pipeline: _Text
    generation: Annotated[int, Field(ge=1, le=LAST_GENERATION)]
    package: PackageRef
    previous: PackageRef | None = None
    requested_by: _Text
    requested_at: _Whole
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoreProblem:
    """Why the desired deployment or its package is unavailable now: a stable `code` and a sentence.

    A value and no error: the worker serves on and asks again.
    """

    code: RefusalCode
    reason: str


_ADAPTER = TypeAdapter(Deployment)


def parse_deployment(data: bytes) -> Deployment:
    """Return the deployment in the JSON text `data`; raise `DeploymentInvalid` naming the wrong key."""
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DeploymentInvalid(f"{key}: {first['msg']}" if key else first["msg"]) from None


def format_deployment(deployment: Deployment) -> bytes:
    """Return the JSON text of `deployment`: one key on a line, in the order of the schema."""
    return (json.dumps(asdict(deployment), indent=2) + "\n").encode("ascii")
