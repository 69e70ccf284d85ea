"""Starts and stops the embedded stack: PostgreSQL, a broker and the workers, supervised, with state in one folder."""

from __future__ import annotations

import asyncio
import fcntl
import sys
from collections.abc import Callable
from pathlib import Path

from devstack import supervision
from devstack.embedded import kafka, postgres
from devstack.embedded.process import Command, accepts, free_port, port_is_free, wait_for
from devstack.home import Stack, load_stack
from shared.admin.program_texts import ProgramTexts, read_program
from shared.contracts.catalogue import SERVICES
from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.errors import UsageError
from shared.program import store as programs
from shared.runtime.kafka.brokers import Admin
from shared.settings import Clock

#: Enough for two cores: each partition costs fetches and sweeps even when nothing happens.
_PARTITIONS = 2
_READY_SECONDS = 90.0


def up(
    home: Path,
    program: Path | None,
    demonstration: Path,
    broker: str,
    clock: Clock | None,
    say: Callable[[str], None],
) -> Stack:
    """Start the stack and return it once every worker is ready.

    Args:
        home: The folder of its state; data of an earlier start is used again.
        program: The program file; published as a new version if its content is new. None: the one that this home has.
        demonstration: The program for a new home if none is given.
        broker: "embedded" (Tansu, in memory) or "kafka" (Apache Kafka from Maven artifacts).
        clock: The program's clock. None: as before; on a new home manual for the demonstration, else wall.
        say: Called with each step.

    Raises:
        UsageError: The stack cannot start; the message says what to do.
        ProgramFileError: The program file has mistakes.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another `loyalty up` is at work in {home}; wait for it") from None
        _refuse_running(home)
        if broker == "kafka" and (problem := kafka.why_not()):
            raise UsageError(problem)
        earlier = load_stack(home)
        path = program or (None if earlier else demonstration)
        texts = read_program(path) if path else None
        stack = _plan(home, texts.program.program if texts else "", broker, earlier, say)
        manual = clock or (None if earlier else Clock.MANUAL if path == demonstration else Clock.WALL)
        if manual:
            stack.environment["LOYALTY_CLOCK"] = manual.value
        _start(home, stack, texts, say)
        return stack


def _refuse_running(home: Path) -> None:
    if supervision.is_running(home):
        raise UsageError(
            f"a stack already runs in {home}; see `loyalty status --home {home}`, "
            f"stop it with `loyalty down --home {home}`"
        )
    pid = postgres.running_pid(home)
    if pid:
        raise UsageError(
            f"a PostgreSQL of an earlier stack still uses {home} (process {pid}); end it with: kill -INT {pid}"
        )


def _start(home: Path, stack: Stack, texts: ProgramTexts | None, say: Callable[[str], None]) -> None:
    say("preparing PostgreSQL")
    postgres.prepare(home)
    stack.environment["LOYALTY_DATABASE_URL"] = postgres.url(home, stack.ports["postgres"])
    if stack.broker == "kafka":
        say(f"fetching Apache Kafka {kafka.VERSION}")
        kafka.fetch()
    try:
        supervision.start(home, _programs(home, stack), stack.environment)
        stack.save(home)
        _bring_up(home, stack, texts, say)
    except BaseException:
        if supervision.is_running(home):
            supervision.stop(home)
        raise


def _bring_up(home: Path, stack: Stack, texts: ProgramTexts | None, say: Callable[[str], None]) -> None:
    logs = home / "logs"
    say("starting PostgreSQL")
    port = stack.ports["postgres"]
    wait_for(
        "PostgreSQL", lambda: accepts(port) and postgres.answers(home, port), _READY_SECONDS, logs / "postgres.log"
    )
    say("making the tables, publishing the program")
    asyncio.run(_prepare_database(home, stack, texts))
    say(f"starting the broker ({stack.broker})")
    admin = Admin(f"127.0.0.1:{stack.ports['broker']}")
    topics = [f"{stack.environment['LOYALTY_TOPIC_PREFIX']}.{name}" for name in ("purchases", "control")]

    def topics_exist() -> bool:
        try:
            return accepts(stack.ports["broker"]) and len(asyncio.run(admin.topics(topics))) == len(topics)
        except Exception:  # noqa: BLE001 - a broker that is just starting answers with many errors
            return False

    wait_for("the broker", topics_exist, _READY_SECONDS, logs / "broker.log")
    admin.close()
    for service in SERVICES:
        say(f"starting {service}")
        supervision.start_process(home, service)
    for service in SERVICES:
        web = stack.ports[service]
        wait_for(service, lambda web=web: accepts(web), _READY_SECONDS, logs / f"{service}.log")  # type: ignore[misc]


async def _prepare_database(home: Path, stack: Stack, texts: ProgramTexts | None) -> None:
    await postgres.create_database(home, stack.ports["postgres"])
    schema = stack.environment["LOYALTY_DATABASE_SCHEMA"]
    connection = await connect(stack.environment["LOYALTY_DATABASE_URL"], schema)
    try:
        await migrate(connection, schema)
        if texts is not None:
            await programs.publish(connection, texts.text, texts.filename, texts.templates)
    finally:
        await connection.close()


def _plan(home: Path, program: str, broker: str, earlier: Stack | None, say: Callable[[str], None]) -> Stack:
    """Choose settings and ports (those of the last start if they are still free)."""
    program = program or (earlier.program if earlier else "")
    if earlier and earlier.program != program:
        raise UsageError(
            f"{home} holds the program {earlier.program!r}; "
            f"give {program!r} a place of its own: --home .loyalty-{program}"
        )
    ports: dict[str, int] = {}
    for name in ("postgres", "broker", *SERVICES):
        known = earlier.ports.get(name) if earlier else None
        ports[name] = known if known and port_is_free(known) else free_port()
        if known and ports[name] != known:
            say(f"port {known} of {name} is taken by another process; it is now {ports[name]}")
    environment = {
        "LOYALTY_KAFKA_BROKERS": f"127.0.0.1:{ports['broker']}",
        "LOYALTY_KAFKA_IDEMPOTENCE": str(broker == "kafka").lower(),
        "LOYALTY_TOPIC_PREFIX": program,
        # Messages of a partition in the outbox wait for whoever takes over the same partition.
        "LOYALTY_TOPIC_PARTITIONS": (earlier.environment if earlier else {}).get(
            "LOYALTY_TOPIC_PARTITIONS", str(_PARTITIONS)
        ),
        "LOYALTY_DATABASE_SCHEMA": program.replace("-", "_"),
        "LOYALTY_CLOCK": earlier.environment["LOYALTY_CLOCK"] if earlier else Clock.WALL.value,
        # One machine and few consumers: a group may form quickly.
        "LOYALTY_SESSION_SECONDS": "6",
        "LOYALTY_REBALANCE_SECONDS": "2",
        # A replay waits for each day's last batches.
        "LOYALTY_BATCH_SECONDS": "0.01",
        "LOYALTY_DATA_DIR": str(home.resolve() / "faust"),
    }
    return Stack(broker, program, ports, environment)


def _programs(home: Path, stack: Stack) -> list[supervision.Program]:
    kind = "kafka" if stack.broker == "kafka" else "tansu"
    found = [
        supervision.Program(
            "postgres", postgres.command(home, stack.ports["postgres"]), stop_signal="INT", settings=False
        ),
        supervision.Program(
            "broker",
            Command(
                (
                    sys.executable,
                    "-m",
                    "devstack.embedded.broker",
                    kind,
                    str(stack.ports["broker"]),
                    str(home.resolve() / "kafka"),
                )
            ),
        ),
    ]
    for service in SERVICES:
        worker = Command(
            (sys.executable, "-m", "faust", "--quiet", "-A", f"services.{service}.app", "worker"),
            {"LOYALTY_WEB_PORT": str(stack.ports[service])},
        )
        found.append(supervision.Program(service, worker, autostart=False))
    return found
