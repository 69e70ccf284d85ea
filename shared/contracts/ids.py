"""The ids that the data of an event names, whether or not the event is one that we accept."""

from __future__ import annotations

import jiter

from shared.contracts.catalogue import EVENTS

#: The name of each kind's id in its event.
ID_FIELDS = tuple(dict.fromkeys(event.own_id for event in EVENTS.values() if event.own_id))
#: No id of an accepted event is longer; an index takes none of more than some kilobytes.
_LENGTH_MAX = 256
#: No event is larger unless the operator wants that. JSON takes thirty times its size in memory; a record that was
#: refused unread, because it is too large, must not be read for its ids.
_READ_MAX = 1_000_000
#: Stands between ids where a row keeps several as one text; no id holds it.
SEPARATOR = "\x1f"


def ids_in(value: bytes | None) -> set[str]:
    """Return the ids that a record's value names; none if it is not an event."""
    if value is None or len(value) > _READ_MAX:
        return set()
    try:
        data = jiter.from_json(value)
    except ValueError:
        return set()
    if isinstance(data, dict) and "specversion" in data and isinstance(data.get("data"), dict):
        data = data["data"]  # a structured event
    if not isinstance(data, dict):
        return set()
    return {data[field] for field in ID_FIELDS if could_be_id(data.get(field))}


def could_be_id(value: object) -> bool:
    """Tell whether a value is text that an index can hold."""
    return isinstance(value, str) and 0 < len(value) <= _LENGTH_MAX and not {"\x00", SEPARATOR} & set(value)
