"""The registry of events: everything in it has what others derive from it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from services.earn.handler import EarnHandler
from services.notify.consumed_events import HEARD
from services.notify.handler import NotifyHandler
from services.redeem.handler import RedeemHandler
from services.tiers.handler import TiersHandler
from shared.contracts.catalogue import (
    EVENTS,
    PRIVATE_TOPICS,
    READERS,
    SERVICES,
    TOPIC_OF,
    TOPICS,
    Event,
    own_ids,
    tables_of,
    topics_of,
)
from shared.contracts.contract import OwnId
from shared.database import migrate
from shared.database.roles import RIGHTS
from tools.documents import ROOT

HANDLERS = {handler.service: handler for handler in (EarnHandler, RedeemHandler, TiersHandler, NotifyHandler)}
every_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
every_incoming = pytest.mark.parametrize("event", [EVENTS[name] for name in TOPIC_OF], ids=TOPIC_OF)
every_service = pytest.mark.parametrize("service", SERVICES)


@every_incoming
def test_what_comes_from_outside_is_read_by_exactly_one_service(event: Event) -> None:
    (reader,) = event.readers
    assert HANDLERS[reader].contracts[event.type] is event.contract


@every_event
def test_only_what_comes_from_outside_has_a_contract_and_a_word(event: Event) -> None:
    assert (event.direction == "in") == (event.contract is not None) == bool(event.word)
    assert event.topic in TOPICS


@every_event
def test_what_a_service_says_is_read_after_it(event: Event) -> None:
    """Never upstream: the order of the services is that in which the simulator and the demonstration run them."""
    if event.direction == "out" and event.readers:
        assert event.topic in {"points", "rewards", "tiers"}
        assert "earn" not in event.readers
        assert "redeem" not in event.readers
        assert event.topic != "tiers" or event.readers == ("notify",)


@every_service
def test_a_service_reads_what_the_catalogue_gives_it(service: str) -> None:
    theirs = {event.type for event in EVENTS.values() if service in event.readers}
    assert set(HANDLERS[service].contracts) == theirs
    assert set(topics_of(service)) == {EVENTS[name].topic for name in theirs}


def test_every_service_exists() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/handler.py")}
    assert set(SERVICES) == set(HANDLERS) == set(RIGHTS) == folders


def test_notify_hears_what_the_catalogue_says() -> None:
    assert set(HEARD) == {name for name in NotifyHandler.contracts if EVENTS[name].direction == "out"}


def test_sweeps_are_shared_by_the_topic_that_carries_most() -> None:
    assert [topics_of(service)[0] for service in SERVICES[:3]] == ["purchases", "redemptions", "points"]
    assert [reader for reader, _topic in READERS] == sorted((r for r, _ in READERS), key=SERVICES.index)


@every_incoming
def test_the_id_of_an_event_is_a_field_that_it_must_have(event: Event) -> None:
    if event.name_field is not None:
        assert event.name_field in event.schema()["required"]
    if event.of_order:
        assert {"order_id", "order_source", "member_id"} <= set(event.schema()["properties"])


def test_no_two_ids_make_the_same_business_key() -> None:
    keys = own_ids()
    assert len({key.of("x") for key in keys}) == len(keys) == len({key.field for key in keys})
    assert [field.name for field in fields(OwnId)] == ["field", "word"]
    words = {event.own_id: event.word for event in EVENTS.values() if event.own_id}
    assert all(key.word in {"", words[key.field]} for key in keys)


def test_personal_data_is_on_topics_of_its_own() -> None:
    assert set(PRIVATE_TOPICS) == {"profiles"}
    assert all(event.private == (event.topic in PRIVATE_TOPICS) for event in EVENTS.values())
    assert frozenset(PRIVATE_TOPICS) == NotifyHandler.private
    assert not any(handler.private for handler in HANDLERS.values() if handler is not NotifyHandler)


def test_the_tables_exist_and_their_service_may_write_them() -> None:
    sql = "\n".join(path.read_text() for path in (Path(migrate.__file__).parent / "migrations").glob("*.sql"))
    for service in SERVICES:
        for table in tables_of(service):
            assert re.search(rf"create table {table} \(\s+key\s+uuid primary key", sql)
            assert "insert" in RIGHTS[service][table]
