"""What the oracle is asked: where to look, and the settings of the pipeline that it judges."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Job:
    """A pipeline that has come to rest.

    `event_schema` and `prediction_schema` are .avsc files, `estimator` a joblib file, `code` the folder of
    the modules that it needs. `reject_nan` names the features in which NaN is not for the model. `copied`
    and `event_time` are fields of the event.
    """

    bootstrap: str
    input: str
    predictions: str
    dead_letters: str
    group: str
    framing: str
    event_schema: str
    prediction_schema: str
    estimator: str
    code: str
    reject_nan: tuple[str, ...]
    event_time: str
    copied: tuple[str, ...]
    pipeline: str
    model_name: str
    model_version: str

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**fields | {name: tuple(fields[name]) for name in ("reject_nan", "copied")})

    def to_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self))
