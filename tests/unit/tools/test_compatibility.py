"""Which changes of a schema break those who use the old one, and which do not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from shared.contracts.catalogue import EVENTS, Event
from tools.compatibility import breaks
from tools.documents import schema_of

OLD: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {"amount": {"type": "integer", "minimum": 0, "maximum": 100}},
            "required": ["amount"],
        }
    },
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^[a-z]+$"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "state": {"const": "open"},
        "size": {"type": "integer", "default": 1},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1, "maxItems": 5},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "kind", "lines"],
}


def _changed(path: str, **changes: Any) -> dict[str, Any]:
    """The schema with keywords changed at a path; ``...`` takes one away."""
    schema = deepcopy(OLD)
    target: Any = schema
    for name in path.split("/") if path else ():
        target = target[name]
    for name, value in changes.items():
        if value is ...:
            del target[name]
        else:
            target[name] = value
    return schema


FIELDS, LINE, AMOUNT = "properties", "$defs/Line", "$defs/Line/properties/amount"
NARROWER: list[tuple[str, dict[str, Any], str]] = [
    ("a field becomes required", _changed("", required=["id", "kind", "lines", "size"]), "size: may be missing"),
    ("a new field is required", _changed("", required=["id", "kind", "lines", "new"]), "new: may be missing"),
    ("a field of a line becomes required", _changed(LINE, required=["amount", "tax"]), "lines[].tax: may be missing"),
    ("an enum loses a value", _changed(f"{FIELDS}/kind", enum=["a"]), "kind: 'b' may be sent"),
    ("a text becomes an enum", _changed(f"{FIELDS}/id", enum=["x"]), "id: anything may be sent"),
    ("an enum becomes a short text", _changed(f"{FIELDS}/kind", enum=..., maxLength=0), "kind: 'a', 'b' may be sent"),
    ("an enum becomes another text", _changed(f"{FIELDS}/kind", enum=..., pattern="^a"), "kind: 'b' may be sent"),
    ("a constant changes", _changed(f"{FIELDS}/state", const="shut"), "state: 'open' may be sent"),
    ("a type changes", _changed(f"{FIELDS}/size", type="string"), "size: integer may be sent"),
    ("null is not allowed any more", _changed(f"{FIELDS}/note", anyOf=[{"type": "string"}]), "note: null may be sent"),
    ("a pattern appears", _changed(f"{FIELDS}/at", pattern="Z$"), "at: pattern none may be sent"),
    ("a pattern changes", _changed(f"{FIELDS}/id", pattern="^[a-c]+$"), "id: pattern"),
    ("a format appears", _changed(f"{FIELDS}/id", format="uuid"), "id: format none may be sent"),
    ("a text must be shorter", _changed(f"{FIELDS}/id", maxLength=9), "id: maxLength 10 may be sent"),
    ("a text must be longer", _changed(f"{FIELDS}/id", minLength=2), "id: minLength 1 may be sent"),
    ("a number must be smaller", _changed(AMOUNT, maximum=99), "lines[].amount: maximum 100"),
    ("a number must be larger", _changed(AMOUNT, minimum=1), "lines[].amount: minimum 0"),
    ("a number gets a limit", _changed(f"{FIELDS}/size", maximum=9), "size: maximum none may be sent"),
    ("a list must be shorter", _changed(f"{FIELDS}/lines", maxItems=4), "lines: maxItems 5"),
    ("a list needs more", _changed(f"{FIELDS}/lines", minItems=2), "lines: minItems 1"),
    ("entries of a mapping", _changed(f"{FIELDS}/labels", additionalProperties={"type": "null"}), "labels{}: string"),
]
#: Where a looser schema is meant, the stricter one is OLD with these changes; they break in one direction only.
ONE_WAY = [case for case in NARROWER if case[0] not in {"a constant changes", "a type changes", "a pattern changes",
           "an enum becomes a short text", "an enum becomes another text", "entries of a mapping"}]  # fmt: skip


@pytest.mark.parametrize(("new", "what"), [pytest.param(new, what, id=name) for name, new, what in NARROWER])
def test_what_we_read_may_not_get_stricter(new: dict[str, Any], what: str) -> None:
    (found,) = breaks(OLD, new, "in")
    assert found.startswith(what)


@pytest.mark.parametrize(("held", "what"), [pytest.param(held, what, id=name) for name, held, what in NARROWER])
def test_what_we_send_may_not_get_wider(held: dict[str, Any], what: str) -> None:
    """The same pairs, the other way round: subscribers hold the stricter one."""
    (found,) = breaks(held, OLD, "out")
    assert found.startswith(what)


@pytest.mark.parametrize("stricter", [pytest.param(stricter, id=name) for name, stricter, _ in ONE_WAY])
def test_what_we_read_may_get_looser_and_what_we_send_stricter(stricter: dict[str, Any]) -> None:
    assert breaks(stricter, OLD, "in") == []
    assert breaks(OLD, stricter, "out") == []


def test_what_we_tell_ourselves_is_held_to_both() -> None:
    assert breaks(OLD, _changed(f"{FIELDS}/kind", enum=["a"]), "both")
    assert breaks(OLD, _changed(f"{FIELDS}/kind", enum=["a", "b", "c"]), "both")
    assert breaks(OLD, OLD, "both") == []


@pytest.mark.parametrize("name", OLD["properties"])
def test_a_field_that_we_send_may_not_go(name: str) -> None:
    new = _changed(FIELDS, **{name: ...})
    new["required"] = [one for one in OLD["required"] if one != name]
    assert f"{name}: is gone" in breaks(OLD, new, "out")
    assert breaks(OLD, new, "in") == []


def test_a_field_inside_a_list_may_not_go() -> None:
    assert "lines.amount: is gone" in breaks(OLD, _changed(LINE, properties={}, required=[]), "out")


def test_a_field_that_we_send_may_not_become_optional() -> None:
    assert breaks(OLD, _changed("", required=["id", "kind"]), "out") == ["lines: may be missing, and is required"]


def test_a_field_may_be_added() -> None:
    new = _changed(FIELDS, added={"type": "integer"})
    assert breaks(OLD, new, "in") == []
    assert breaks(OLD, {**new, "required": [*OLD["required"], "added"]}, "out") == []


def test_a_closed_schema_of_old_does_not_forbid_to_send_more() -> None:
    closed = {**OLD, "additionalProperties": False}
    assert breaks(closed, _changed(FIELDS, added={"type": "integer"}), "out") == []


def test_what_we_read_may_not_be_closed() -> None:
    closed = {**OLD, "additionalProperties": False}
    assert breaks(OLD, closed, "in") == ["the data: other fields may be sent, and are refused"]


def test_what_is_left_out_may_not_mean_something_else() -> None:
    assert breaks(OLD, _changed(f"{FIELDS}/size", default=2), "in") == ["size: the default was 1 and is 2"]


def test_what_the_check_does_not_know_is_refused() -> None:
    (found,) = breaks(OLD, _changed(f"{FIELDS}/id", contentEncoding="base64"), "in")
    assert "contentEncoding changed" in found


def test_an_integer_is_a_number_and_a_number_is_no_integer() -> None:
    new = _changed(f"{FIELDS}/size", type="number")
    assert breaks(OLD, new, "in") == []
    assert breaks(OLD, new, "out") == ["size: number may be sent, and only integer is taken"]


def test_a_list_of_types_is_read_as_alternatives() -> None:
    new = _changed(f"{FIELDS}/size", type=["integer", "string"])
    assert breaks(OLD, new, "in") == []
    assert breaks(OLD, new, "out") == ["size: string may be sent, and only integer is taken"]


def test_an_alternative_with_the_same_fields_in_a_list_of_alternatives_is_found() -> None:
    either = {"anyOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]}
    old = _changed(FIELDS, line=either)
    new = deepcopy(old)
    new["$defs"]["Line"]["properties"]["amount"]["maximum"] = 50
    assert "line.amount: maximum 100 may be sent, and maximum 50 is taken" in breaks(old, new, "in")


def test_words_about_a_field_are_no_promise() -> None:
    assert breaks(OLD, _changed(f"{FIELDS}/id", title="Id", description="Other words"), "both") == []


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_schema_is_compatible_with_itself(event: Event) -> None:
    assert breaks(schema_of(event), schema_of(event), "both") == []
