"""Checks whether a changed schema breaks those who use the old one.

For an incoming event, producers send by the old schema and the product reads by the new one. For an outgoing event the
product sends by the new one and subscribers read by the old one. Either way, the receiver must accept whatever the
sender may send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from shared.contracts.catalogue import Direction, opened

Schema = dict[str, Any]

#: Keywords that bound a number, and whether a smaller number is narrower.
_BOUNDS = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), False),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), True),
}
#: Keywords whose values can only be compared for equality.
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")
_TALK = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated"}
_STRUCTURE = {"type", "enum", "const", "anyOf", "properties", "required", "items", "additionalProperties", "$ref"}
_KNOWN = {*_BOUNDS, *_EXACT, *_TALK, *_STRUCTURE}
_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class _Side:
    """A whole schema, in which references are resolved."""

    root: Schema

    def at(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self.root
            for name in schema["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            schema = target
        return schema

    def alternatives(self, schema: Schema) -> list[Schema]:
        """Return schemas with one type each that together are equivalent."""
        schema = self.at(schema)
        if "anyOf" in schema:
            return list(chain.from_iterable(self.alternatives(alternative) for alternative in schema["anyOf"]))
        types = schema.get("type")
        if isinstance(types, list):
            return [{**schema, "type": name} for name in types]
        return [schema]


def breaks(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """Return what makes a new schema incompatible with the old one; empty if it is compatible.

    Args:
        old: The schema that others use.
        new: The schema that would replace it.
        direction: ``in``, ``out`` or ``both``, as the product sees the event.
    """
    found: list[str] = []
    if direction in {"in", "both"}:
        found += _refused(_Side(old), old, _Side(new), new, "")
        found += _defaults(_Side(old), old, _Side(new), new, "")
    if direction in {"out", "both"}:
        held = opened(old)  # subscribers ignore fields that they do not know
        found += _refused(_Side(new), new, _Side(held), held, "")
        found += _removed(_Side(old), old, _Side(new), new, "")
    return list(dict.fromkeys(found))


def _refused(giver: _Side, given: Schema, taker: _Side, taken: Schema, path: str) -> list[str]:
    """Return what the sender (``giver``) may send and the receiver (``taker``) would reject."""
    choices = taker.alternatives(taken)
    found: list[str] = []
    for alternative in giver.alternatives(given):
        complaints = sorted((list(_mismatch(giver, alternative, taker, choice, path)) for choice in choices), key=len)
        found += complaints[0]  # of the nearest alternative: it accepts the value, or explains best why none does
    return found


def _mismatch(giver: _Side, given: Schema, taker: _Side, taken: Schema, path: str) -> Iterator[str]:
    at = path or "the data"
    unknown = {name for schema in (given, taken) for name in schema.keys() - _KNOWN}
    changed = sorted(name for name in unknown if given.get(name) != taken.get(name))
    if changed:
        yield f"{at}: {changed[0]} changed, of which this check knows nothing"
    values = _values(given)
    if values is not None:
        wrong = [value for value in values if not _takes_value(taken, value)]
        if wrong:
            yield f"{at}: {', '.join(map(repr, wrong))} may be sent and is not taken"
        return
    if _values(taken) is not None:
        yield f"{at}: anything may be sent, and only {', '.join(map(repr, _values(taken) or ()))} is taken"
        return
    if not _takes_type(taken, given.get("type")):
        yield f"{at}: {given.get('type', 'anything')} may be sent, and only {taken.get('type')} is taken"
        return
    yield from _limits(given, taken, at)
    if "items" in taken and given.get("type") == "array":
        yield from _refused(giver, given.get("items", {}), taker, taken["items"], f"{path}[]")
    if given.get("type") == "object":
        yield from _fields(giver, given, taker, taken, path)


def _fields(giver: _Side, given: Schema, taker: _Side, taken: Schema, path: str) -> Iterator[str]:
    sent, known = given.get("properties", {}), taken.get("properties", {})
    for name in taken.get("required", ()):
        if name not in given.get("required", ()):
            yield f"{_join(path, name)}: may be missing, and is required"
    for name in sent.keys() & known.keys():
        yield from _refused(giver, sent[name], taker, known[name], _join(path, name))
    others, read = given.get("additionalProperties", True), taken.get("additionalProperties", True)
    if read is False and (others is not False or sent.keys() - known.keys()):
        yield f"{path or 'the data'}: other fields may be sent, and are refused"
    if isinstance(read, dict):
        loose = [*(sent[name] for name in sent.keys() - known.keys()), *([others] if isinstance(others, dict) else [])]
        for schema in loose:
            yield from _refused(giver, schema, taker, read, f"{path}{{}}")


def _limits(given: Schema, taken: Schema, at: str) -> Iterator[str]:
    for name, below in _BOUNDS.items():
        bound, sent = taken.get(name), given.get(name)
        if bound is not None and (sent is None or (sent > bound if below else sent < bound)):
            yield f"{at}: {name} {'none' if sent is None else sent} may be sent, and {name} {bound} is taken"
    for name in _EXACT:
        if taken.get(name) and taken[name] != given.get(name):
            yield f"{at}: {name} {given.get(name, 'none')} may be sent, and {name} {taken[name]} is taken"


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _takes_value(taken: Schema, value: Any) -> bool:
    values = _values(taken)
    if values is not None:
        return value in values
    if not _takes_type(taken, _TYPES[type(value)]):
        return False
    given: Schema = {"type": _TYPES[type(value)]}
    if isinstance(value, str):
        given |= {"minLength": len(value), "maxLength": len(value)}
        if re.search(taken.get("pattern", ""), value):
            given["pattern"] = taken.get("pattern")
    elif isinstance(value, int | float):
        given |= {"minimum": value, "maximum": value}
    return not list(_limits(given, taken, ""))


def _takes_type(taken: Schema, given: str | None) -> bool:
    wanted = taken.get("type")
    return wanted in {None, given} or (wanted == "number" and given == "integer")


def _removed(old_side: _Side, old: Schema, new_side: _Side, new: Schema, path: str) -> Iterator[str]:
    """Yield fields that subscribers could read and that were removed, required or not."""
    for name, before, after in _pairs(old_side, old, new_side, new):
        if after is None:
            yield f"{_join(path, name)}: is gone"
        else:
            yield from _removed(old_side, before, new_side, after, _join(path, name))


def _defaults(old_side: _Side, old: Schema, new_side: _Side, new: Schema, path: str) -> Iterator[str]:
    """Yield fields that now mean something else if a producer leaves them out."""
    for name, before, after in _pairs(old_side, old, new_side, new):
        if after is None:
            continue
        if "default" in before and "default" in after and before["default"] != after["default"]:
            yield f"{_join(path, name)}: the default was {before['default']!r} and is {after['default']!r}"
        yield from _defaults(old_side, before, new_side, after, _join(path, name))


def _pairs(old_side: _Side, old: Schema, new_side: _Side, new: Schema) -> Iterator[tuple[str, Schema, Schema | None]]:
    """Yield every field below a schema, also in alternatives and items, with its old and its new schema."""
    afters = [deeper for alternative in new_side.alternatives(new) for deeper in _objects(new_side, alternative)]
    for alternative in old_side.alternatives(old):
        for before in _objects(old_side, alternative):
            for name, field in before.get("properties", {}).items():
                yield (
                    name,
                    field,
                    next((a["properties"][name] for a in afters if name in a.get("properties", {})), None),
                )


def _objects(side: _Side, schema: Schema) -> Iterator[Schema]:
    if "items" in schema:
        for item in side.alternatives(schema["items"]):
            yield from _objects(side, item)
    else:
        yield schema


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
