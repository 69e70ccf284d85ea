"""Every setting of a worker and of the command line: one environment variable each, with a safe default.

``docs/settings.md`` is generated from this class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.clocks import Clock

__all__ = ["Clock", "Settings", "as_markdown", "settings"]


class Settings(BaseSettings):
    """Read from the environment as ``LOYALTY_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="LOYALTY_", frozen=True, extra="ignore")

    kafka_brokers: str = Field("localhost:9092", description="Kafka bootstrap servers, host:port, separated by commas")
    kafka_idempotence: bool = Field(
        True,
        description="Idempotent producer. Off for the embedded broker, which refuses InitProducerId, and which workers "
        "then ask for records again and again, for it does not answer when they come; correctness does not need it, "
        "it spares subscribers second copies",
    )
    topic_prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")] = Field(
        "loyalty", description="Topics are named <prefix>.purchases and so on; one prefix a deployment"
    )
    topic_partitions: int = Field(
        8, ge=1, le=1000, description="Partitions of each topic that `loyalty topics create` makes"
    )
    topic_replication: int = Field(
        1, ge=1, le=10, description="Replicas of each topic that `loyalty topics create` makes"
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://loyalty@localhost:5432/loyalty"), description="PostgreSQL 17 or newer"
    )
    database_schema: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = Field(
        "loyalty", description="Schema of the tables; one schema a deployment"
    )
    database_connections: int = Field(
        3, ge=1, le=64, description="Batches that a worker handles at a time, each on a connection of its own"
    )
    transaction_seconds: float = Field(
        30, gt=0, le=600, description="Postgres ends a batch's transaction after this: a frozen worker holds no locks"
    )
    clock: Clock = Field(
        Clock.WALL, description="wall, or manual: kept in Postgres, moved by `loyalty clock set` and `loyalty replay`"
    )
    batch_records: int = Field(500, ge=1, le=20_000, description="Most records in a batch")
    batch_bytes: int = Field(
        1_000_000,
        ge=10_000,
        le=64_000_000,
        description="Bytes that are fetched of a partition at a time (bounds memory)",
    )
    batch_seconds: float = Field(
        0.05, ge=0, le=5, description="A batch is cut after this when there is no backlog (bounds latency)"
    )
    unpacked_bytes: int = Field(
        16_000_000,
        ge=1_000_000,
        le=1_000_000_000,
        description="A compressed record batch that would unpack to more becomes a dead letter (bounds memory)",
    )
    record_bytes: int = Field(
        1_000_000,
        ge=1000,
        le=8_000_000,
        description="A larger record becomes a dead letter (at most 8 MB are kept of one)",
    )
    session_seconds: float = Field(
        10, ge=1, le=300, description="Kafka gives a silent worker's partitions to others after this"
    )
    rebalance_seconds: float = Field(
        10, ge=1, le=300, description="Time that workers have to hand over when one joins or leaves"
    )
    lateness_seconds: float = Field(
        3600,
        ge=0,
        le=2_592_000,
        description="Events may come so late without being late: sweeps stay so far behind the program's clock",
    )
    sweep_seconds: float = Field(1, ge=0.05, le=3600, description="How often a worker looks for what is due")
    sweep_accounts: int = Field(500, ge=1, le=10_000, description="Most accounts that a sweep treats at a time")
    parked_seconds: float = Field(
        7 * 86_400,
        ge=1,
        le=31_536_000,
        description="A return waits so long for its order (wall clock), then it becomes a dead letter",
    )
    topic_check_seconds: float = Field(
        5, ge=0.1, le=600, description="How often a worker looks whether a topic was recreated"
    )
    audit_seconds: float = Field(
        60, ge=1, le=86_400, description="How often a worker checks the invariants of accounts that it touched"
    )
    stall_seconds: float = Field(
        20,
        ge=1,
        le=3600,
        description="/readyz turns red when records wait and no batch of their partition was stored for this long",
    )
    accept_restored_ledger: bool = Field(
        False,
        description="Go on although Kafka says that this group has handled more than the ledger knows of, as after a "
        "restore from a backup: what happened since is handled again, and may be answered differently",
    )
    stop_seconds: float = Field(
        10, ge=0.1, le=300, description="On stop, how long a worker waits for Kafka's last acknowledgements"
    )
    web_host: str = Field("127.0.0.1", description="Address of /metrics, /healthz and /readyz")
    web_port: int = Field(6066, ge=1, le=65_535, description="Port of /metrics, /healthz and /readyz")
    data_dir: str = Field("", description="Where Faust keeps its files (default: a temporary directory)")
    log_level: Annotated[str, StringConstraints(pattern=r"^(debug|info|warning|error)$")] = Field(
        "info", description="debug, info, warning or error; logs are JSON, one object a line"
    )
    crash_at: str = Field("", description="For tests: kill the worker at a crash point, such as stored:3")

    def topic(self, name: str) -> str:
        """Return a topic's name in Kafka, from its short name."""
        return f"{self.topic_prefix}.{name}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()


def as_markdown() -> str:
    """Return the table of ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable. Generated from `shared/settings.py` by `make docs`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        lines.append(f"| `LOYALTY_{name.upper()}` | `{shown}` | {field.description} |".replace("| `` |", "| (empty) |"))
    return "\n".join(lines) + "\n"
