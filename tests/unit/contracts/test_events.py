"""The catalogue of events: examples, CloudEvents, and the AsyncAPI document."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.v1.event import CloudEvent

from shared.contracts import (
    control,
    dead_letters,
    members,
    notifications,
    points,
    profiles,
    purchases,
    redemptions,
    referrals,
    rewards,
    tiers,
)
from shared.contracts.catalogue import EVENTS, TOPICS, Event
from shared.contracts.contract import Contract
from shared.contracts.envelope import open_record, seal
from tools import asyncapi
from tools.compatibility import breaks
from tools.documents import schema_of

MODULES = (
    control, dead_letters, members, notifications, points, profiles, purchases, redemptions, referrals, rewards, tiers,
)  # fmt: skip
every_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
every_incoming = pytest.mark.parametrize(
    "event", [pytest.param(event, id=event.type) for event in EVENTS.values() if event.contract]
)
every_outgoing = pytest.mark.parametrize(
    "event", [pytest.param(event, id=event.type) for event in EVENTS.values() if event.direction != "in"]
)


@functools.cache
def described() -> dict[str, Any]:
    return asyncapi.document()


@functools.cache
def schema(event_type: str) -> dict[str, Any]:
    return schema_of(EVENTS[event_type])


def test_the_catalogue_names_every_event_type_of_the_contracts() -> None:
    named = {value for module in MODULES for value in vars(module).values() if _is_type(value)}
    assert named == set(EVENTS)
    assert {module.TOPIC for module in MODULES} == set(TOPICS)


def _is_type(value: object) -> bool:
    return isinstance(value, str) and value.startswith("loyalty.") and value.endswith(".v1")


# ---- examples


@every_event
def test_an_example_is_valid(event: Event) -> None:
    example = asyncapi.example(event.type)
    event.adapter.validate_json(json.dumps(example))
    jsonschema.Draft202012Validator(schema(event.type)).validate(example)


@every_event
def test_a_reader_by_the_schema_bears_fields_that_it_does_not_know(event: Event) -> None:
    more = {**asyncapi.example(event.type), "added_later": 1}
    jsonschema.Draft202012Validator(schema(event.type)).validate(more)


@every_event
def test_an_example_without_a_required_field_is_not_valid(event: Event) -> None:
    example = asyncapi.example(event.type)
    for name in schema(event.type)["required"]:
        less = {other: value for other, value in example.items() if other != name}
        assert not jsonschema.Draft202012Validator(schema(event.type)).is_valid(less)


# ---- the CloudEvents SDK


def _contract(event: Event) -> Contract:
    assert event.contract is not None
    return event.contract


@every_incoming
@pytest.mark.parametrize("write", [sdk.to_binary_event, sdk.to_structured_event], ids=["binary", "structured"])
def test_what_the_sdk_writes_is_accepted(event: Event, write: Any) -> None:
    example = asyncapi.example(event.type)
    attributes = {
        "id": "e1", "source": "/stores/330", "type": event.type, "time": datetime(2026, 3, 6, tzinfo=UTC),
        "partitionkey": example["member_id"], "datacontenttype": "application/json",
    }  # fmt: skip
    message = write(CloudEvent(attributes, example))
    envelope, data = open_record(list(message.headers.items()), message.value)
    assert (envelope.id, envelope.source, envelope.type) == ("e1", "/stores/330", event.type)
    decoded = _contract(event).decode(data)
    assert decoded == event.adapter.validate_json(json.dumps(example))
    assert _contract(event).business_key(decoded)


@every_outgoing
def test_the_sdk_reads_what_is_sealed(event: Event) -> None:
    example = asyncapi.example(event.type)
    member, time = example.get("member_id", "m-1001"), "2026-03-06T23:42:10.123456Z"
    headers = seal(event_id="x-1", source="/loyalty/earn", event_type=event.type, time=time, key=member)
    read = sdk.from_kafka_event(sdk.KafkaMessage(dict(headers), member.encode(), json.dumps(example).encode()))
    assert (read.get_id(), read.get_source(), read.get_type()) == ("x-1", "/loyalty/earn", event.type)
    assert (read.get_extension("partitionkey"), read.get_data()) == (member, example)


@every_outgoing
def test_what_is_sealed_has_the_headers_of_the_document(event: Event) -> None:
    sealed = seal(event_id="x-1", source="/x", event_type=event.type, time="2026-03-06T23:42:10Z", key="m-1001")
    headers = {name: value.decode() for name, value in sealed}
    if event.topic == rewards.TOPIC:
        headers["ce_correlationid"] = asyncapi.example(event.type)["redemption_id"]
    schema = described()["components"]["messages"][event.type]["headers"]
    jsonschema.Draft202012Validator(schema).validate(headers)


# ---- AsyncAPI 3.0

NAMES = {"pattern": r"^[a-zA-Z0-9._-]+$"}
REFERENCE: dict[str, Any] = {"type": "object", "required": ["$ref"], "maxProperties": 1}
REFERENCES: dict[str, Any] = {"type": "array", "items": REFERENCE, "minItems": 1}
TEXT = {"type": "string", "minLength": 1}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """An object with these fields and no others, as in the specification."""
    return {"type": "object", "required": required.split(), "additionalProperties": False, "properties": properties}


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "minProperties": 1, "propertyNames": NAMES, "additionalProperties": schema}


#: The parts of the specification that the document uses.
ASYNCAPI = _object(
    "asyncapi info channels operations components",
    asyncapi={"const": "3.0.0"},
    info=_object("title version", title=TEXT, version=TEXT, description=TEXT, license=_object("name", name=TEXT)),
    defaultContentType=TEXT,
    servers=_named(
        _object(
            "host protocol",
            host=TEXT,
            protocol={"const": "kafka"},
            variables=_named(_object("", default=TEXT, description=TEXT)),
        )
    ),
    channels=_named(
        _object(
            "address messages",
            address=TEXT,
            title=TEXT,
            description=TEXT,
            messages=_named(REFERENCE),
            parameters=_named(_object("", default=TEXT, description=TEXT)),
        )
    ),
    operations=_named(
        _object(
            "action channel",
            action={"enum": ["send", "receive"]},
            channel=REFERENCE,
            summary=TEXT,
            messages=REFERENCES,
            reply=_object("", channel=REFERENCE, messages=REFERENCES),
        )
    ),
    components=_object(
        "messages schemas",
        messages=_named(
            _object(
                "name headers payload",
                name=TEXT,
                title=TEXT,
                summary=TEXT,
                contentType=TEXT,
                headers={"type": "object", "required": ["type"], "properties": {"type": {"const": "object"}}},
                payload=REFERENCE,
                correlationId=REFERENCE,
                bindings=_object("kafka", kafka=_object("bindingVersion", key={}, bindingVersion=TEXT)),
                examples={"type": "array", "items": _object("payload", name=TEXT, payload={}, headers={})},
            )
        ),
        schemas=_named({"type": "object"}),
        correlationIds=_named(_object("location", location={"pattern": r"^\$message\.(header|payload)#/"})),
    ),
)


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in _references(item)]


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for name in reference[2:].split("/"):
        document = document[name]
    return document


def test_the_asyncapi_document_has_the_structure_of_the_specification() -> None:
    jsonschema.Draft202012Validator(ASYNCAPI).validate(described())


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = described()
    references = _references(document)
    assert references
    for reference in references:
        assert isinstance(_resolve(document, reference), dict)


def test_the_messages_of_an_operation_are_those_of_its_channel() -> None:
    for operation in described()["operations"].values():
        for part in (operation, operation.get("reply", {})):
            for message in part.get("messages", ()):
                assert message["$ref"].startswith(part["channel"]["$ref"] + "/messages/")


def test_the_address_of_a_channel_has_parameters_with_a_default() -> None:
    for topic, channel in described()["channels"].items():
        defaults = {name: parameter["default"] for name, parameter in channel["parameters"].items()}
        assert channel["address"].format(**defaults) == f"loyalty.{topic}"


@every_event
def test_an_event_is_received_or_sent_as_the_catalogue_says(event: Event) -> None:
    operations = described()["operations"]
    reference = {"$ref": f"#/channels/{event.topic}/messages/{event.type}"}
    actions = {"in": {"receive"}, "out": {"send"}, "both": {"receive", "send"}}[event.direction]
    for action in ("receive", "send"):
        told = operations.get(f"{action}-{event.topic}", {}).get("messages", [])
        assert (reference in told) == (action in actions)


def test_a_redemption_is_answered_on_rewards_with_its_id() -> None:
    document = described()
    reply = document["operations"]["receive-redemptions"]["reply"]
    assert reply["channel"] == {"$ref": "#/channels/rewards"}
    for reference in reply["messages"]:
        message = _resolve(document, _resolve(document, reference["$ref"])["$ref"])
        assert "ce_correlationid" in message["headers"]["required"]
        assert _resolve(document, message["correlationId"]["$ref"])["location"] == "$message.header#/ce_correlationid"


@every_event
def test_the_payload_of_the_asyncapi_document_is_the_schema_of_the_event(event: Event) -> None:
    document = described()
    message = document["components"]["messages"][event.type]
    payload = {**message["payload"], "components": document["components"]}
    assert breaks(schema(event.type), payload, "both") == []
    assert breaks(payload, schema(event.type), "both") == []
    for example in message["examples"]:
        jsonschema.Draft202012Validator(payload).validate(example["payload"])
