"""Generates the AsyncAPI 3.0 document of every topic and event from the catalogue."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from shared.contracts import redemptions, rewards
from shared.contracts.catalogue import EVENTS, TOPICS, Event
from shared.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLES = Path("docs/events")

_SCHEMAS = "#/components/schemas/"
_TEXT = {"type": "string", "minLength": 1}
_HEADERS: dict[str, dict[str, Any]] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {**_TEXT, "description": "With ce_source it names the event: a second copy has the same"},
    "ce_source": {**_TEXT, "description": "Who tells: a URI reference such as /stores/330"},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it was written down"},
    "ce_partitionkey": {**_TEXT, "description": "The key of the record: the member"},
    "ce_correlationid": {**_TEXT, "description": "The redemption that this answers"},
}
_ALWAYS = ["ce_specversion", "ce_id", "ce_source", "ce_type"]
_BINDING = "0.5.0"
_DESCRIPTION = """\
Purchases become points. Every event is a CloudEvent 1.0 over Kafka. Binary mode is sent, as described here; binary and
structured mode are both read. Record key = partition key = member. Types are versioned: an incompatible change is a new
type. Ignore fields that you do not know, and types that you do not know. Every event comes at least once; a second copy
has the same ce_id. Events of one account are put in order by their version."""


def example(event_type: str) -> Any:
    """Return the example of an event's data."""
    return json.loads((ROOT / EXAMPLES / f"{event_type}.example.json").read_text())


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    schemas: dict[str, Any] = {}
    messages = {event.type: _message(event, schemas) for event in EVENTS.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Loyalty points",
            "version": project["version"],
            "description": _DESCRIPTION,
            "license": {"name": project["license"]},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{brokers}",
                "protocol": "kafka",
                "variables": {"brokers": {"default": "localhost:9092", "description": "LOYALTY_KAFKA_BROKERS"}},
            }
        },
        "channels": {topic: _channel(topic, says) for topic, says in TOPICS.items()},
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": dict(sorted(schemas.items())),
            "correlationIds": {"redemption": {"location": "$message.header#/ce_correlationid"}},
        },
    }


def _of(topic: str) -> list[Event]:
    return [event for event in EVENTS.values() if event.topic == topic]


def _channel(topic: str, says: str) -> dict[str, Any]:
    prefix = Settings.model_fields["topic_prefix"]
    return {
        "address": f"{{prefix}}.{topic}",
        "title": topic,
        "description": says,
        "parameters": {"prefix": {"default": prefix.default, "description": "LOYALTY_TOPIC_PREFIX, one a deployment"}},
        "messages": {event.type: {"$ref": f"#/components/messages/{event.type}"} for event in _of(topic)},
    }


def _operations() -> dict[str, Any]:
    """Return one operation per topic and direction; a redemption is answered on ``rewards``."""
    operations: dict[str, Any] = {}
    for topic in TOPICS:
        for action, directions in (("receive", {"in", "both"}), ("send", {"out", "both"})):
            told = [event for event in _of(topic) if event.direction in directions]
            if told:
                operations[f"{action}-{topic}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "summary": f"{'Read' if action == 'receive' else 'Tell'}: {TOPICS[topic]}",
                    "messages": [{"$ref": f"#/channels/{topic}/messages/{event.type}"} for event in told],
                }
    operations[f"receive-{redemptions.TOPIC}"]["reply"] = {
        "channel": {"$ref": f"#/channels/{rewards.TOPIC}"},
        "messages": [{"$ref": f"#/channels/{rewards.TOPIC}/messages/{event.type}"} for event in _of(rewards.TOPIC)],
    }
    return operations


def _message(event: Event, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return one message, and add the schemas that it refers to to the document's schemas."""
    schema = event.schema(ref_template=f"{_SCHEMAS}{{model}}")
    for name, model in schema.pop("$defs", {}).items():
        assert schemas.setdefault(name, model) == model, f"two models are called {name}"
    name = schema["title"]
    assert schemas.setdefault(name, schema) == schema, f"two models are called {name}"
    described: dict[str, Any] = {
        "name": event.type,
        "title": re.sub(r"^loyalty\.|\.v\d+$", "", event.type).replace(".", " "),
        "summary": event.says,
        "contentType": "application/json",
        "headers": _headers(event),
        "payload": {"$ref": f"{_SCHEMAS}{name}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING}},
        "examples": [{"name": event.type, "payload": example(event.type)}],
    }
    if event.topic == rewards.TOPIC:
        described["correlationId"] = {"$ref": "#/components/correlationIds/redemption"}
    return described


def _headers(event: Event) -> dict[str, Any]:
    answers = event.topic == rewards.TOPIC
    properties = {name: header for name, header in _HEADERS.items() if answers or name != "ce_correlationid"}
    required = list(_ALWAYS) if event.direction == "in" else [*_ALWAYS, "ce_time", "ce_partitionkey"]
    return {
        "type": "object",
        "required": [*required, "ce_correlationid"] if answers else required,
        "properties": {**properties, "ce_type": {"const": event.type}},
    }
