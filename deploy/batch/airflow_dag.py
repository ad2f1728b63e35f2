"""A DAG of Airflow 3: score each night what is new, and let a failed task go on."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="stream_infer_score",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow takes it for UTC
    catchup=False,
    max_active_runs=1,
) as dag:
    BashOperator(
        task_id="score",
        bash_command=(
            "stream-infer score --package /srv/models/fraud-1.2.0 /data/events -o /data/predictions "
            "--watermark --max-rejected 1%"
        ),
        retries=3,
        retry_delay=timedelta(minutes=5),
    )
