"""Apache Kafka (KRaft, one node) from Maven artifacts and a JDK, without Docker."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from devstack.embedded.process import Command, free_port
from shared.errors import UsageError

VERSION = "4.3.1"
#: One folder for all stacks of a user: 46 jars, 45 MB.
_CACHE = Path.home() / ".cache" / "loyalty" / f"kafka-{VERSION}"
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>loyalty</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version><scope>runtime</scope>
    </dependency>
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></build>
</project>
"""

_LOGGING = """status=error
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=C
"""

#: Sessions and registrations are short, because tests kill consumers and brokers; the cleaner's buffer and the indexes
#: are small, because the heap could not hold the default sizes.
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
"""


def why_not() -> str | None:
    """Return what to do before Apache Kafka can run here; None if nothing is missing."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if not missing:
        return None
    return (
        f"Apache Kafka needs a JDK (17 or newer) and Maven, and this machine has no {' and no '.join(missing)}. "
        "Install them (Debian: apt-get install openjdk-17-jdk-headless maven; macOS: brew install openjdk maven) "
        "or use the embedded broker."
    )


def fetch() -> Path:
    """Download the artifacts once, and return the folder of jars.

    Raises:
        UsageError: Java or Maven is missing, or Maven failed.
    """
    problem = why_not()
    if problem:
        raise UsageError(problem)
    jars = _CACHE / "jars"
    done_mark = _CACHE / "complete"
    if not done_mark.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        pom = _CACHE / "pom.xml"
        pom.write_text(_POM)
        done = subprocess.run(  # noqa: S603
            [
                shutil.which("mvn") or "mvn",
                "-B",
                "-ntp",
                "-q",
                "-f",
                str(pom),
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={jars}",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise UsageError(f"Maven could not fetch Apache Kafka {VERSION}: {done.stdout.strip()[-800:]}")
        done_mark.touch()
    return jars


def prepare(folder: Path, port: int) -> Command:
    """Write the settings, format the storage once, and return the command that starts the broker.

    Existing data in ``folder`` is kept: topics and records survive a restart.
    """
    jars = fetch()
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    properties = folder / "server.properties"
    properties.write_text(_PROPERTIES.format(port=port, controller=free_port(), data=data))
    logging = folder / "log4j2.properties"
    logging.write_text(_LOGGING)
    java = (
        shutil.which("java") or "java",
        *_JAVA,
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        f"{jars}/*",
    )
    if not (data / "meta.properties").exists():
        done = subprocess.run(  # noqa: S603
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise UsageError(f"Kafka's storage could not be formatted: {done.stderr.strip()[-800:]}")
    return Command((*java, "kafka.Kafka", str(properties)))
