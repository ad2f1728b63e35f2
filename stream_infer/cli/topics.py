"""`stream-infer topics create`. The work is in `app.topics` and `app.schema_registry`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options
from stream_infer.cli.output import say, say_json

app = typer.Typer(name="topics", help="Create the topics of a pipeline.", no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTopicsOptions:
    """The options of `topics create`."""

    config: ConfigFile = DEFAULT_CONFIG
    with_input: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PARTITIONS",
            help="Create missing input topics too, each with this number of partitions.",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be created.")] = False
    as_json: AsJson = False


@app.command("create")
@takes_options
def create_topics_command(options: CreateTopicsOptions) -> None:
    """Create the missing topics of the pipeline and register the schemas of its records.

    Predictions, dead letters and, where configured, labels get the partition count of the input; status,
    control and monitoring topics have one partition. Existing topics stay as they are. Input topics belong
    to their producers: a missing one is an error, unless --with-input creates it.
    """
    from stream_infer.app.schema_registry import register_schemas, registry_subjects  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.app.topics import apply_plan, plan_topics  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above

    settings = load_settings(options.config, os.environ)
    planned = plan_topics(settings, input_partitions=options.with_input)
    created = {} if options.dry_run else apply_plan(settings, planned)
    ids = {} if options.dry_run else register_schemas(settings)
    topics = [
        {
            "topic": one.spec.name,
            "partitions": one.partitions,
            "config": {} if one.existing else dict(one.spec.config),
            "result": str(created.get(one.spec.name, "existed" if one.existing else "would be created")),
        }
        for one in planned
    ]
    subjects = [
        {"subject": one.name, "schema": one.schema.name, "id": ids.get(one.name)}
        for one in registry_subjects(settings)
    ]
    if options.as_json:
        say_json({"topics": topics, "subjects": subjects})
        return
    for topic in topics:
        say(f"{topic['result']:<16}  {topic['topic']}  ({topic['partitions']} partitions)")
    for subject in subjects:
        result = "would be registered" if options.dry_run else "registered"
        known = "" if subject["id"] is None else f", id {subject['id']}"
        say(f"{result:<16}  {subject['subject']}  ({subject['schema']}{known})")
