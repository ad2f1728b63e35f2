from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from stream_infer.avro.schemas import leaves, parse_schema
from stream_infer.config.settings import load_settings
from tests.architecture.tree import ROOT

PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {
    "send",
    *(
        name
        for service in SERVICES.values()
        for name, needed in service.get("depends_on", {}).items()
        if needed["condition"] == "service_completed_successfully"
    ),
}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_there_is_a_whole_pipeline() -> None:
    assert set(SERVICES) - ONCE == {"kafka", "worker", "monitor", "dashboard", "prometheus"}
    assert {"package", "topics", "send"} == ONCE


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_patch_version(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_address_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_every_lasting_service_has_a_health_check_and_time_to_stop(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] == "CMD"
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    assert seconds(SERVICES[name]["stop_grace_period"]) > 10


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_gain_privileges(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", ["package", "topics", "worker", "monitor", "send", "dashboard"])
def test_the_worker_is_nobody_on_a_read_only_root(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert not service["user"].startswith(("0", "root"))
    assert service["user"] in DOCKERFILE
    written = [v for v in service["volumes"] if not v.endswith(":ro")]
    assert written == (["example:/var/lib/stream-infer"] if name == "package" else [])
    assert "install -d -o 10001 -g 10001 /var/lib/stream-infer" in DOCKERFILE


def test_every_service_that_is_waited_for_can_tell_that_it_is_ready() -> None:
    for service in SERVICES.values():
        for name, needed in service.get("depends_on", {}).items():
            assert needed["condition"] == "service_completed_successfully" or SERVICES[name]["healthcheck"]


def test_files_that_are_mounted_exist() -> None:
    mounted = {v.partition(":")[0] for s in SERVICES.values() for v in s["volumes"]}

    missing = [m for m in mounted if m.startswith("./") and not (ROOT / m).exists()]
    assert missing == []
    assert {m for m in mounted if not m.startswith("./")} == set(COMPOSE["volumes"])


def test_the_broker_advertises_what_the_worker_and_the_host_connect_to() -> None:
    worker = load_settings(ROOT / "deploy" / "worker.toml", {})
    environment = SERVICES["kafka"]["environment"]
    advertised = dict(
        listener.split("://") for listener in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )

    assert worker.kafka.common["bootstrap.servers"] == advertised["INTERNAL"]
    (published,) = SERVICES["kafka"]["ports"]
    assert published == f"127.0.0.1:{advertised['HOST'].partition(':')[2]}:9092"


def test_prometheus_scrapes_the_port_on_which_the_worker_answers() -> None:
    worker = load_settings(ROOT / "deploy" / "worker.toml", {})
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text("utf-8"))
    port = worker.http.port

    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": [f"worker:{port}", f"monitor:{port}"]}]
    assert SERVICES["worker"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/livez" in SERVICES["worker"]["healthcheck"]["test"][-1]
    assert f"EXPOSE {port} 8090" in DOCKERFILE
    assert worker.http.host == "0.0.0.0"  # noqa: S104 - inside the container


def test_the_worker_finds_its_schema_and_package_where_they_are_mounted() -> None:
    worker = load_settings(ROOT / "deploy" / "worker.toml", {})
    event = parse_schema((ROOT / "examples" / "churn" / "event.avsc").read_text("utf-8"))

    mounts = [v.split(":")[1] for v in SERVICES["worker"]["volumes"]]
    assert worker.model.package is not None
    assert str(worker.input.schema_path) in mounts
    assert str(worker.model.package.parent) in mounts
    assert f"-o {worker.model.package.name}" in SERVICES["package"]["command"][0]
    assert set(worker.output.copy_fields) <= set(leaves(event))
    assert SERVICES["worker"]["command"][-1] in mounts


def test_the_image_is_made_from_what_the_build_may_see() -> None:
    seen = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert "*" in seen
    for needed in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt", "schemas/", "stream_infer/"):
        assert f"!{needed}" in seen
    assert all(PINNED.match(line.split()[1]) for line in DOCKERFILE.splitlines() if line.startswith("FROM"))
    assert '-c constraints.txt ".$EXTRAS"' in DOCKERFILE


def test_compose_itself_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no docker compose on this machine; the tests above read the file themselves")

    resolved = subprocess.run(
        [docker, "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(resolved.stdout)["services"]) == set(SERVICES)
