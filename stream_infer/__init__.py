"""Score Avro events from Kafka with a verified model package, exactly once.

`stream_infer.package(model, frame, ...)` makes a package where the model was trained;
`stream_infer.open_package(path).predict(rows)` answers plain dicts as a worker would answer events.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "open_package", "package"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type of a module's attribute
    """Import what is heavy when it is first asked for: `import stream_infer` alone loads no library."""
    if name == "open_package":
        from stream_infer.packaging.scorer import open_package  # noqa: PLC0415 - as said above

        return open_package
    if name == "package":
        from stream_infer.packaging.in_memory import package  # noqa: PLC0415 - as said above

        return package
    raise AttributeError(f"module 'stream_infer' has no attribute '{name}'")
