"""From verified bytes to a model that answers. The only importer of joblib in the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream_infer.models.container import Frame
from stream_infer.models.manifest import Manifest
from stream_infer.models.package import Verified
from stream_infer.models.scores import Scores


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded estimator and the manifest that it keeps."""

    manifest: Manifest
    digest: str
    estimator: Any

    def predict(self, frame: Frame) -> Scores:
        """Return what the estimator says about `frame` (of `container.assemble`)."""
        raise NotImplementedError


def load(verified: Verified) -> Model:
    """Unpickle the model of a verified package; raise `Refused` when it does not load here."""
    raise NotImplementedError
