"""The registry of every event that crosses Kafka, and of who reads it; every other list of events is derived from it.

Documents, schemas, examples and tests; what a service decodes and which topics it reads; what a simulation plays, what
waits for an order, what an id may name, which tables hold the causes of entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

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
from shared.contracts.contract import Contract, OwnId

#: As the product sees it. ``both``: the product sends it to itself, and a worker of another version may read it.
Direction = Literal["in", "out", "both"]
Service = Literal["earn", "redeem", "tiers", "notify"]
#: Whoever reads events in batches, upstream first: what one says, only those after it read.
SERVICES: tuple[str, ...] = get_args(Service)

#: What each topic carries, by its short name.
TOPICS: dict[str, str] = {
    purchases.TOPIC: "Everything about an order: made, amended, fulfilled, cancelled, returned. Keyed by the member.",
    referrals.TOPIC: "A member brings a friend. Keyed by the friend.",
    members.TOPIC: "What rules may ask about a member: joined, birthday, segments. Keyed by the member.",
    redemptions.TOPIC: "A member wants a reward, and what became of that at the till. Keyed by the member.",
    profiles.TOPIC: "Who a member is and how to reach them: personal data. Keyed by the member.",
    points.TOPIC: "What happened to a member's points, and what counts towards the tier. Keyed by the member.",
    rewards.TOPIC: "The answers to redemptions. Keyed by the member.",
    tiers.TOPIC: "A member's tier changed, was kept, or is about to be lost. Keyed by the member.",
    notifications.TOPIC: "What e-mail, SMS and push services must tell a member. Keyed by the member.",
    dead_letters.TOPIC: "What was refused, and why.",
    control.TOPIC: "Hints to running workers; the truth is in Postgres.",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event type.

    Attributes:
        says: What it means, in one line.
        readers: The services that read it: one, of an event from outside.
        contract: Of an incoming event: how it is read, its business key, and whether it holds personal data.
        word: Of an incoming event: what people call the thing that happened.
        of_order: It is about an order, and waits for it where it comes first.
        table: Of an incoming event: the table whose ``key`` is its business key, if there is one. Entries may have it
            as their cause.
    """

    type: str
    topic: str
    direction: Direction
    adapter: TypeAdapter[Any]
    says: str
    readers: tuple[Service, ...] = ()
    contract: Contract | None = None
    word: str = ""
    of_order: bool = False
    table: str | None = None

    @property
    def own_id(self) -> str | None:
        """The field with the id that the producer gave it; None: it goes by what it is about."""
        key = self.contract.business_key if self.contract else None
        return key.field if isinstance(key, OwnId) else None

    @property
    def name_field(self) -> str | None:
        """The field by which people name it: its own id, or the order's; None: people do not name it."""
        return self.own_id or ("order_id" if self.of_order else None)

    @property
    def private(self) -> bool:
        """Whether it holds personal data."""
        return self.contract is not None and self.contract.private

    def schema(self, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        """Return the JSON Schema of the event's data.

        Outgoing events may get more fields without a new type, so their schemas must allow unknown fields.
        """
        schema = self.adapter.json_schema(ref_template=ref_template)
        published: dict[str, Any] = schema if self.direction == "in" else opened(schema)
        return published


def _in(
    topic: str, contract: Contract, says: str, *, reader: Service, word: str, of_order: bool = False,
    table: str | None = None,
) -> Event:  # fmt: skip
    return Event(contract.type, topic, "in", contract.adapter, says, (reader,), contract, word, of_order, table)


def _out(topic: str, event_type: str, adapter: TypeAdapter[Any], says: str, *readers: Service) -> Event:
    return Event(event_type, topic, "out", adapter, says, readers)


def opened(schema: Any) -> Any:
    """Return a schema that allows unknown fields in its objects."""
    if isinstance(schema, list):
        return [opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: opened(value) for name, value in schema.items() if (name, value) != ("additionalProperties", False)}


_ALL = [
    _in(purchases.TOPIC, purchases.PURCHASE_COMPLETED, "A purchase was completed",
        reader="earn", word="order", table="purchase"),
    _in(purchases.TOPIC, purchases.PURCHASE_RETURNED, "An order, or a part of it, came back",
        reader="earn", word="return", of_order=True, table="purchase_return"),
    _in(purchases.TOPIC, purchases.PURCHASE_CANCELLED, "An order was called off",
        reader="earn", word="cancellation", of_order=True, table="purchase_return"),
    _in(purchases.TOPIC, purchases.PURCHASE_CLAIMED, "A member claimed the points of an order that wait for that",
        reader="earn", word="claim", of_order=True, table="fulfilment"),
    _in(purchases.TOPIC, purchases.PURCHASE_AMENDED, "An order was changed before it was shipped",
        reader="earn", word="amendment", of_order=True, table="amendment"),
    _in(purchases.TOPIC, purchases.PURCHASE_FULFILLED, "An order was shipped or handed over",
        reader="earn", word="fulfilment", of_order=True, table="fulfilment"),
    _in(members.TOPIC, members.MEMBER_UPDATED, "What rules may ask about a member changed",
        reader="earn", word="member"),
    _in(referrals.TOPIC, referrals.REFERRAL_REGISTERED, "A friend signed up by a member's code",
        reader="earn", word="referral", table="referral"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.REQUESTED], "A till asks for a reward",
        reader="redeem", word="redemption", table="redemption"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.CONFIRMED], "The reward was handed over",
        reader="redeem", word="confirmation"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.CANCELLED], "The reward is not wanted any more",
        reader="redeem", word="cancellation"),
    _in(profiles.TOPIC, profiles.PROFILE_UPDATED, "A member's whole profile, as it is now",
        reader="notify", word="profile"),
    _out(points.TOPIC, points.EARNED, points.POINTS_EARNED, "An order or a referral earned points", "tiers", "notify"),
    _out(points.TOPIC, points.REVERSED, points.POINTS_REVERSED, "A return took back what its order had earned",
         "tiers"),
    _out(points.TOPIC, points.ACTIVATED, points.POINTS_MOVED, "Pending points became available", "tiers"),
    _out(points.TOPIC, points.EXPIRED, points.POINTS_MOVED, "Points expired", "tiers"),
    _out(points.TOPIC, points.EXPIRING, points.POINTS_EXPIRING, "Points will expire unless they are used",
         "tiers", "notify"),
    _out(points.TOPIC, points.QUALIFIED, points.SPEND_QUALIFIED,
         "An order or a return that moved no points counts towards the tier", "tiers"),
    _out(points.TOPIC, points.REFERRAL_QUALIFIED, points.REFERRAL_CHANGED, "A friend's purchase made a referral pay",
         "notify"),
    _out(points.TOPIC, points.REFERRAL_REFUSED, points.REFERRAL_CHANGED, "A referral will never pay"),
    _out(points.TOPIC, points.REFERRAL_REVERSED, points.REFERRAL_CHANGED, "A return took a referral back"),
    _out(rewards.TOPIC, rewards.RESERVED, rewards.REWARD_GRANTED, "Points are held for a reward", "tiers"),
    _out(rewards.TOPIC, rewards.REDEEMED, rewards.REWARD_GRANTED, "Points were spent on a reward", "tiers", "notify"),
    _out(rewards.TOPIC, rewards.RELEASED, rewards.REWARD_GRANTED, "Points that were held are free again", "tiers"),
    _out(rewards.TOPIC, rewards.REFUNDED, rewards.REWARD_GRANTED, "Points that were spent came back", "tiers"),
    _out(rewards.TOPIC, rewards.REJECTED, rewards.REWARD_REJECTED,
         "A reward is not possible, why, and what would be"),
    _out(tiers.TOPIC, tiers.UPGRADED, tiers.TIER_CHANGED, "A member rose to a higher tier", "notify"),
    _out(tiers.TOPIC, tiers.DOWNGRADED, tiers.TIER_CHANGED, "A member fell to a lower tier"),
    _out(tiers.TOPIC, tiers.RETAINED, tiers.TIER_CHANGED, "A member keeps the tier for another period"),
    _out(tiers.TOPIC, tiers.EXPIRING, tiers.TIER_CHANGED, "A member is about to lose the tier", "notify"),
    _out(notifications.TOPIC, notifications.REQUESTED, notifications.NOTIFICATION_REQUESTED,
         "Tell a member something, once"),
    _out(dead_letters.TOPIC, dead_letters.REFUSED, dead_letters.EVENT_REFUSED, "A record could not be handled"),
    Event(
        control.PROGRAM_PUBLISHED, control.TOPIC, "both", control.PROGRAM_PUBLISHED_DATA,
        "A new version of the program was published",
    ),
    Event(control.CLOCK_MOVED, control.TOPIC, "both", control.CLOCK_MOVED_DATA, "The manual clock was moved"),
]  # fmt: skip

EVENTS: Mapping[str, Event] = {event.type: event for event in _ALL}

#: The topic (short name) of each incoming event, by its type.
TOPIC_OF: Mapping[str, str] = {event.type: event.topic for event in _ALL if event.direction == "in"}

#: Which service reads which topic, upstream first. By the partitions of a service's first topic its sweeps are shared.
READERS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys(
    (service, event.topic) for service in SERVICES for event in _ALL if service in event.readers
))  # fmt: skip

#: The topics (short names) on which there may be personal data.
PRIVATE_TOPICS = frozenset(event.topic for event in _ALL if event.private)


def topics_of(service: str) -> tuple[str, ...]:
    """Return the short names of the topics that a service reads."""
    return tuple(topic for reader, topic in READERS if reader == service)


def contracts_of(service: Service, hear: Callable[[str], Contract] | None = None) -> Mapping[str, Contract]:
    """Return how a service reads the events that are for it, by type.

    Args:
        service: The service.
        hear: Returns how it reads an event of our own services: a reader takes only those fields that it needs.
    """
    contracts: dict[str, Contract] = {}
    for event in _ALL:
        if service in event.readers:
            contract = event.contract or (hear(event.type) if hear else None)
            assert contract is not None, f"{service} does not say how it reads {event.type}"
            contracts[event.type] = contract
    return contracts


def own_ids() -> list[OwnId]:
    """Return how the events that have an id of their own go by it."""
    keys = (event.contract.business_key for event in _ALL if event.contract)
    return [key for key in keys if isinstance(key, OwnId)]


def tables_of(*services: str) -> tuple[str, ...]:
    """Return the tables that hold what some services accepted, by its business key."""
    found = (event.table for event in _ALL if event.table and not set(services).isdisjoint(event.readers))
    return tuple(dict.fromkeys(found))
