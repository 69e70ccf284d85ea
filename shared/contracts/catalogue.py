"""The registry of every event that crosses Kafka; documents, schemas, examples and tests are derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
from shared.contracts.contract import Contract

#: As the product sees it. ``both``: the product sends it to itself, and a worker of another version may read it.
Direction = Literal["in", "out", "both"]

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
        contract: The contract of an incoming event.
    """

    type: str
    topic: str
    direction: Direction
    adapter: TypeAdapter[Any]
    says: str
    contract: Contract | None = None

    def schema(self, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        """Return the JSON Schema of the event's data.

        Outgoing events may get more fields without a new type, so their schemas must allow unknown fields.
        """
        schema = self.adapter.json_schema(ref_template=ref_template)
        published: dict[str, Any] = schema if self.direction == "in" else opened(schema)
        return published


def _in(topic: str, contract: Contract, says: str) -> Event:
    return Event(contract.type, topic, "in", contract.adapter, says, contract)


def _out(topic: str, adapter: TypeAdapter[Any], says: Mapping[str, str]) -> list[Event]:
    return [Event(event_type, topic, "out", adapter, text) for event_type, text in says.items()]


def opened(schema: Any) -> Any:
    """Return a schema that allows unknown fields in its objects."""
    if isinstance(schema, list):
        return [opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: opened(value) for name, value in schema.items() if (name, value) != ("additionalProperties", False)}


_ALL = [
    _in(purchases.TOPIC, purchases.PURCHASE_COMPLETED, "A purchase was completed"),
    _in(purchases.TOPIC, purchases.PURCHASE_RETURNED, "An order, or a part of it, came back"),
    _in(purchases.TOPIC, purchases.PURCHASE_CANCELLED, "An order was called off"),
    _in(purchases.TOPIC, purchases.PURCHASE_CLAIMED, "A member claimed the points of an order that wait for that"),
    _in(purchases.TOPIC, purchases.PURCHASE_AMENDED, "An order was changed before it was shipped"),
    _in(purchases.TOPIC, purchases.PURCHASE_FULFILLED, "An order was shipped or handed over"),
    _in(members.TOPIC, members.MEMBER_UPDATED, "What rules may ask about a member changed"),
    _in(referrals.TOPIC, referrals.REFERRAL_REGISTERED, "A friend signed up by a member's code"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.REQUESTED], "A till asks for a reward"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.CONFIRMED], "The reward was handed over"),
    _in(redemptions.TOPIC, redemptions.CONTRACTS[redemptions.CANCELLED], "The reward is not wanted any more"),
    _in(profiles.TOPIC, profiles.PROFILE_UPDATED, "A member's whole profile, as it is now"),
    *_out(points.TOPIC, points.POINTS_EARNED, {
        points.EARNED: "An order or a referral earned points",
    }),
    *_out(points.TOPIC, points.POINTS_REVERSED, {
        points.REVERSED: "A return took back what its order had earned",
    }),
    *_out(points.TOPIC, points.POINTS_MOVED, {
        points.ACTIVATED: "Pending points became available",
        points.EXPIRED: "Points expired",
    }),
    *_out(points.TOPIC, points.POINTS_EXPIRING, {
        points.EXPIRING: "Points will expire unless they are used",
    }),
    *_out(points.TOPIC, points.SPEND_QUALIFIED, {
        points.QUALIFIED: "An order or a return that moved no points counts towards the tier",
    }),
    *_out(points.TOPIC, points.REFERRAL_CHANGED, {
        points.REFERRAL_QUALIFIED: "A friend's purchase made a referral pay",
        points.REFERRAL_REFUSED: "A referral will never pay",
        points.REFERRAL_REVERSED: "A return took a referral back",
    }),
    *_out(rewards.TOPIC, rewards.REWARD_GRANTED, {
        rewards.RESERVED: "Points are held for a reward",
        rewards.REDEEMED: "Points were spent on a reward",
        rewards.RELEASED: "Points that were held are free again",
        rewards.REFUNDED: "Points that were spent came back",
    }),
    *_out(rewards.TOPIC, rewards.REWARD_REJECTED, {
        rewards.REJECTED: "A reward is not possible, why, and what would be",
    }),
    *_out(tiers.TOPIC, tiers.TIER_CHANGED, {
        tiers.UPGRADED: "A member rose to a higher tier",
        tiers.DOWNGRADED: "A member fell to a lower tier",
        tiers.RETAINED: "A member keeps the tier for another period",
        tiers.EXPIRING: "A member is about to lose the tier",
    }),
    *_out(notifications.TOPIC, notifications.NOTIFICATION_REQUESTED, {
        notifications.REQUESTED: "Tell a member something, once",
    }),
    *_out(dead_letters.TOPIC, dead_letters.EVENT_REFUSED, {
        dead_letters.REFUSED: "A record could not be handled",
    }),
    Event(
        control.PROGRAM_PUBLISHED, control.TOPIC, "both", control.PROGRAM_PUBLISHED_DATA,
        "A new version of the program was published",
    ),
    Event(control.CLOCK_MOVED, control.TOPIC, "both", control.CLOCK_MOVED_DATA, "The manual clock was moved"),
]  # fmt: skip

EVENTS: Mapping[str, Event] = {event.type: event for event in _ALL}

#: The topic (short name) of each incoming event, by its type.
TOPIC_OF: Mapping[str, str] = {event.type: event.topic for event in _ALL if event.direction == "in"}
