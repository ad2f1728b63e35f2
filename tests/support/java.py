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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.errors import Unavailable
from tests.support.ports import free_ports
from tests.support.properties import Ports, server_properties
from tests.support.ready import wait_for_broker

KAFKA_VERSION = os.environ.get("STREAM_INFER_TEST_KAFKA", "4.4.0")
"""The newest release, or the one that is asked for."""
LOG = "broker.log"
PROPERTIES = "server.properties"
_OLDEST_JAVA = 17
_FETCH_WITHIN_S = 300
_STARTS = 3
_WITH_TIME = "-Dorg.slf4j.simpleLogger.showDateTime=true"
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


@dataclass(frozen=True, slots=True)
class Runtime:
    """The `java` command and the folder of Kafka's jars."""

    java: str
    jars: Path

    def format(self, folder: Path, cluster_id: str) -> None:
        """Prepare the data of the node whose `server.properties` are in `folder`."""
        command = [*self._command(), "kafka.tools.StorageTool", "format", f"-t={cluster_id}"]
        with (folder / LOG).open("ab") as log:
            subprocess.run(
                [*command, "-c", str(folder / PROPERTIES)],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=60,
            )

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start the node of `folder` under `leash`, which kills it when standard input closes."""
        leash = [sys.executable, str(Path(__file__).with_name("leash.py")), str(folder)]
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(
                [*leash, *self._command("-Xmx384m"), "kafka.Kafka", str(folder / PROPERTIES)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches only the tests; they end the broker after their clients
                start_new_session=True,
            )

    def _command(self, *options: str) -> list[str]:
        runtime = [
            self.java,
            *options,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{self.jars}/*",
        ]
        return [*runtime, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", _WITH_TIME]


@contextmanager
def java_broker() -> Iterator[Ports]:
    """Run a broker; kill it and remove its folder on leaving. Raises `Unavailable` with the reason."""
    runtime = find_runtime()
    for attempt in range(1, _STARTS + 1):
        folder = new_folder()
        ports = Ports(*free_ports(4))
        write_properties(folder, server_properties(ports, host="127.0.0.1", data=str(folder / "data")))
        runtime.format(folder, new_cluster_id())
        process = runtime.start(folder)
        try:
            if wait_for_broker(ports.plain, alive=lambda: process.poll() is None):  # noqa: B023 - used at once
                yield ports
                return
            log = tail_of_log(folder)
        finally:
            end_node(process, folder)
        if attempt == _STARTS:
            raise Unavailable(f"Java: the broker did not start. The end of its log:\n{log}")


def find_runtime() -> Runtime:
    """Return Java and the jars of Kafka, which Maven fetches if need be. Raises `Unavailable`."""
    return Runtime(_java(), _jars())


def new_folder() -> Path:
    """Return a new folder for the data of one node."""
    return Path(tempfile.mkdtemp(prefix="stream-infer-kafka-"))


def new_cluster_id() -> str:
    """Return a cluster id as Kafka formats it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def write_properties(folder: Path, settings: Mapping[str, str]) -> None:
    """Write the settings of the node in `folder`."""
    lines = (f"{key}={value}\n" for key, value in settings.items())
    (folder / PROPERTIES).write_text("".join(lines), encoding="utf-8")


def end_node(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Close the pipe of `leash`, which kills the node. It has no data worth a clean shutdown."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def tail_of_log(folder: Path) -> str:
    """Return the last lines of the log of the node in `folder`."""
    return "\n".join((folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


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
