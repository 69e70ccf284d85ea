"""Asks brokers for the ends of topics, with one request per broker on connections that stay open."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

_LATEST = -1
_COMMITTED = 1
#: The embedded broker answers a fetch that does not wait with no records.
_WAIT_MS = 1
_REQUEST_MS = 10_000
_PATIENCE_SECONDS = 20.0
_AGAIN_SECONDS = 0.1


class Ends:
    """Gets the last stable offset from a fetch: the one after the last record that is not in an open transaction.

    The latest offset that a broker lists does not help: the embedded one names the beginning of the last batch. A fetch
    from a reader's position brings no records if there are none left to read.
    """

    def __init__(self, brokers: str) -> None:
        """Use brokers: host:port, separated by commas."""
        self._brokers = brokers.split(",")
        self._client: Any = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def of(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the end of each partition.

        Args:
            positions: For each partition, an offset up to which everything has been read.

        Raises:
            KafkaError: A broker does not answer, or it answers with an error.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while positions:
                client = await self._connected({tp.topic for tp in positions})
                try:
                    return await self._ask(client, positions)
                except KafkaError as problem:
                    # The leaders may have changed.
                    await self.close()
                    if not problem.retriable:
                        raise
                    await asyncio.sleep(_AGAIN_SECONDS)
        return {}

    async def _ask(self, client: Any, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        ends = await self._fetch(client, positions)
        missing = [tp for tp in positions if tp not in ends]
        if missing:
            # Out of range: the log was truncated at one of its ends.
            ends |= await self._fetch(client, await self._listed(client, missing))
        if len(ends) < len(positions):
            raise UnknownTopicOrPartitionError
        return ends

    async def _connected(self, topics: set[str]) -> Any:
        if self._client is None:
            client = AIOKafkaClient(bootstrap_servers=self._brokers, request_timeout_ms=_REQUEST_MS)
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client
        if not topics <= self._client.cluster.topics():
            await self._client.set_topics(topics)
        return self._client

    async def _fetch(self, client: Any, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        by_node: dict[int, dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
        for tp, offset in positions.items():
            by_node[_leader(client, tp)][tp.topic].append((tp.partition, offset, 1))
        answers = await asyncio.gather(
            *(
                client.send(node, FetchRequest(_WAIT_MS, 0, 1, _COMMITTED, list(topics.items())))
                for node, topics in by_node.items()
            )
        )
        ends: dict[TopicPartition, int] = {}
        for answer in answers:
            for topic, partitions in answer.topics:
                for partition, error, end, stable, *_others in partitions:
                    if _is_fine(error):
                        ends[TopicPartition(topic, partition)] = stable if 0 <= stable <= end else end
        return ends

    async def _listed(self, client: Any, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        by_node: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for tp in partitions:
            by_node[_leader(client, tp)][tp.topic].append((tp.partition, _LATEST))
        listed: dict[TopicPartition, int] = {}
        for node, topics in by_node.items():
            answer = await client.send(node, OffsetRequest(-1, _COMMITTED, list(topics.items())))
            for topic, found in answer.topics:
                for partition, error, _timestamp, offset in found:
                    if _is_fine(error):
                        listed[TopicPartition(topic, partition)] = offset
        return listed


def _is_fine(code: int) -> bool:
    problem = for_code(code)
    if problem.errno and problem is not OffsetOutOfRangeError:
        raise problem
    return not problem.errno


def _leader(client: Any, tp: TopicPartition) -> int:
    leader: int | None = client.cluster.leader_for_partition(tp)
    if leader is None or leader < 0:
        raise UnknownTopicOrPartitionError(str(tp))
    return leader
