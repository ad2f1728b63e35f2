"""Apache Kafka as a Java process on the loopback, with jars from Maven and data in a temporary folder.

The jars (about 60 MB) are fetched once and kept in the user's cache.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.errors import Unavailable
from tests.support.ports import free_ports
from tests.support.properties import Ports, server_properties
from tests.support.ready import wait_for_broker

KAFKA_VERSION = "4.1.0"
_OLDEST_JAVA = 17
_FETCH_WITHIN_S = 300
_STARTS = 3
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.streaminfer</groupId><artifactId>test-broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


@contextmanager
def java_broker() -> Iterator[Ports]:
    """Run a broker; kill it and remove its folder on leaving. Raises `Unavailable` with the reason."""
    java = _java()
    jars = _jars()
    for attempt in range(1, _STARTS + 1):
        folder = Path(tempfile.mkdtemp(prefix="stream-infer-kafka-"))
        ports = Ports(*free_ports(4))
        process = _start(java, jars, folder, ports)
        try:
            if wait_for_broker(ports.plain, alive=lambda: process.poll() is None):  # noqa: B023 - used at once
                yield ports
                return
            log = _tail(folder / "broker.log")
        finally:
            _end(process, folder)
        if attempt == _STARTS:
            raise Unavailable(f"Java: the broker did not start. The end of its log:\n{log}")


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if java is None:
        raise Unavailable("Java: not installed")
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', printed)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise Unavailable(f"Java: {_OLDEST_JAVA} or newer is needed, found {printed.splitlines()[:1]}")
    return java


def _jars() -> Path:
    """Return the folder of the broker's jars; fetch them with Maven if the cache has none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream_infer"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("Java: Maven is not installed, and no jars of Kafka are in the cache")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as temporary:
        fetched = Path(temporary) / "jars"
        _fetch(maven, Path(temporary) / "pom.xml", fetched)
        try:
            fetched.rename(jars)  # atomic, also when two runs fetch at once
        except OSError:
            if not jars.is_dir():
                raise
    return jars


def _fetch(maven: str, pom: Path, into: Path) -> None:
    pom.write_text(_POM, encoding="utf-8")
    command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=_FETCH_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Java: Maven fetched no jars within {_FETCH_WITHIN_S} s") from error
    except subprocess.CalledProcessError as error:
        printed = (error.stdout + error.stderr).strip()
        raise Unavailable(f"Java: Maven could not fetch the jars: {printed[-500:]}") from error


def _start(java: str, jars: Path, folder: Path, ports: Ports) -> subprocess.Popen[bytes]:
    settings = server_properties(ports, host="127.0.0.1", data=str(folder / "data"))
    properties = folder / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
    runtime = [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(jars / "*")]
    logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    with (folder / "broker.log").open("wb") as log:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        _run(
            [*runtime, *logging, "kafka.tools.StorageTool", "format", f"-t={cluster}", "-c", str(properties)],
            log.fileno(),
        )
        leash = [sys.executable, str(Path(__file__).with_name("leash.py")), str(folder)]
        return subprocess.Popen(
            [*leash, runtime[0], "-Xmx384m", *runtime[1:], *logging, "kafka.Kafka", str(properties)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the tests; they end the broker after their clients
        )


def _run(command: Sequence[str], log: int) -> None:
    subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=60)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Close the pipe of `leash`, which kills the broker. It has no data worth a clean shutdown."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
