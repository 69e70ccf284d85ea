"""Administration of Kafka: topics and their ids. kafka-python, in a thread, for it is never on the hot path."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka.admin import KafkaAdminClient
from kafka.errors import GroupIdNotFoundError, NoError, TopicAlreadyExistsError, for_code

from shared.contracts import control
from shared.contracts.catalogue import TOPICS
from shared.settings import Settings

_REQUEST_MS = 8_000
#: Room for the largest record that may be refused (8 MB are kept) and its headers.
_TOPIC_CONFIG = {"max.message.bytes": "8500000"}


class Topic(NamedTuple):
    """What tells a topic from another one of the same name, and how many partitions it has."""

    id: str
    partitions: int


class Handled(NamedTuple):
    """What a consumer group has committed of a partition.

    Attributes:
        offset: The next one to be handled.
        log: What the worker wrote beside it; empty if nothing.
    """

    offset: int
    log: str = ""


class Admin:
    """One connection for administration, opened when first needed and again after a failure."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._client: Any = None
        # Pipelines take their partitions over at the same time, and the client is not made for that.
        self._in_use = threading.Lock()

    async def topics(self, names: list[str]) -> dict[str, Topic]:
        """Return the topics that exist, of those named."""
        return await asyncio.to_thread(self._topics, names)

    async def committed(self, group: str, names: Mapping[str, str]) -> dict[tuple[str, int], Handled]:
        """Return up to where a consumer group says it has handled, by (short name, partition).

        Args:
            group: The group's id.
            names: Short names of the topics that matter, by their names in Kafka.
        """
        found = await asyncio.to_thread(self._committed, group)
        return {(names[tp.topic], tp.partition): handled for tp, handled in found.items() if tp.topic in names}

    def create_topics(self, settings: Settings) -> list[str]:
        """Make the topics that are missing, all with one request, and return their names.

        Raises:
            KafkaError: The broker refused one of them.
        """
        topics = {
            settings.topic(name): {
                "num_partitions": 1 if name == control.TOPIC else settings.topic_partitions,
                "replication_factor": settings.topic_replication,
                "configs": _TOPIC_CONFIG,
            }
            for name in TOPICS
        }
        created = []
        for answer in self._connected().create_topics(topics, raise_errors=False)["topics"]:
            problem = for_code(answer["error_code"])
            if problem is TopicAlreadyExistsError:
                continue
            if problem is not NoError:
                raise problem(f"{answer['name']}: {answer.get('error_message') or problem.description}")
            created.append(answer["name"])
        return created

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            self._client = KafkaAdminClient(
                bootstrap_servers=self._brokers.split(","),
                request_timeout_ms=_REQUEST_MS,
                bootstrap_timeout_ms=_REQUEST_MS,
                client_id="loyalty-admin",
            )
        return self._client

    def _committed(self, group: str) -> dict[Any, Handled]:
        with self._in_use:
            try:
                found = self._connected().list_group_offsets({group: None})
            except GroupIdNotFoundError:
                return {}
            except Exception:
                self.close()
                raise
        return {
            tp: Handled(known.offset, known.metadata or "")
            for tp, known in found.get(group, {}).items()
            if known.offset >= 0
        }

    def _topics(self, names: list[str]) -> dict[str, Topic]:
        with self._in_use:
            try:
                found = self._connected().describe_topics(names)
            except Exception:
                self.close()
                raise
        return {
            topic["name"]: Topic(str(topic["topic_id"]), len(topic["partitions"]))
            for topic in found
            if topic["error_code"] == 0
        }
