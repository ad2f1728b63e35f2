"""The schemas of writers that a registry knows, and the source that waits for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager

from stream_infer.app.schema_registry import connect_registry
from stream_infer.avro.framing import Framing
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.flow.ports import Observer, Source
from stream_infer.kafka.pausable_source import PausableSource
from stream_infer.kafka.schema_gate import SchemaGatedSource
from stream_infer.kafka.writer_schemas import WriterSchemas


@contextmanager
def writer_schemas(
    registry: RegistryProperties | None, framings: Collection[Framing]
) -> Iterator[WriterSchemas | None]:
    """Hold the schemas of writers; None where no record has the Confluent framing.

    Raises `Misconfigured` when the client of the registry cannot be made.
    """
    if registry is None or Framing.CONFLUENT not in framings:
        yield None
        return
    with closing(connect_registry(registry)) as connected:
        yield WriterSchemas(connected.writer)


def gated(source: PausableSource, writers: WriterSchemas | None, observe: Observer) -> Source:
    """Return `source` so that it waits for the schemas of writers, where a registry knows them."""
    return source if writers is None else SchemaGatedSource(source, writers, observe=observe)
