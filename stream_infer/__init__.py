"""Score Avro events from Kafka with a verified model package, exactly once."""

from __future__ import annotations

__version__ = "0.1.0"
