"""A service's input topics, as Kafka has them now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.runtime.kafka.brokers import Admin
from shared.settings import Settings


class InputTopics:
    """Their names, ids and partitions.

    Attributes:
        short: Short names, by their names in Kafka.
        ids: By names in Kafka, as they were when the session began; empty between two sessions.
    """

    def __init__(self, settings: Settings, names: tuple[str, ...], admin: Admin) -> None:
        """Begin without knowing anything of them; ``names`` are the short ones."""
        self.short = {settings.topic(name): name for name in names}
        self.ids: Mapping[str, str] = {}
        self._admin = admin
        self._partitions: dict[str, int] = {}

    async def find_ids(self) -> dict[str, str]:
        """Return the ids of those that exist, by their names in Kafka."""
        found = await self._admin.topics(list(self.short))
        self._partitions = {name: topic.partitions for name, topic in found.items()}
        return {name: topic.id for name, topic in found.items()}

    async def begin(self) -> None:
        """Take the ids that they have now for those of the session.

        Raises:
            OSError: Some are missing.
        """
        found = await self.find_ids()
        missing = sorted(set(self.short) - set(found))
        if missing:
            raise OSError(f"missing topics: {', '.join(missing)}; make them with `loyalty topics create`")
        self.ids = found

    def end(self) -> None:
        """Forget them: the session is over."""
        self.ids = {}

    def ids_by_short_name(self) -> dict[str, str]:
        """Return the ids of the session by short names."""
        return {self.short[name]: topic_id for name, topic_id in self.ids.items()}

    def differ(self, found: Mapping[str, str]) -> bool:
        """Tell whether one of them is another one than when the session began."""
        return any(found.get(name, known) != known for name, known in self.ids.items())

    def shards(self, tp: Any) -> int:
        """Return the number of partitions of the first topic, by which sweeps are shared out; 0 in other topics."""
        # While a topic is being recreated there is none: then nothing is swept.
        return self._partitions.get(tp.topic, 0) if tp.topic == next(iter(self.short)) else 0
