"""Points for rewards: what is held, spent, refused and given back, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.contracts.rewards import REWARD_GRANTED, REWARD_REJECTED
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions
from shared.simulation.simulator import Rehearsal
from tests.support.shop import NOW, Shop, as_record

REWARDS = """rewards:
  - {reward: mug, name: Mug, cost: 100 points, worth: 5 USD}
  - {reward: tea, name: Tea, cost: 40 points, worth: 2 USD, limit: 1, hold: 2 hours}
  - {reward: trip, name: Trip, cost: 150 points, worth: 50 USD, tier: gold}
ladder:
  metric: spend
  window: lifetime
  keep: while the metric holds
  tiers:
    - {tier: basic, name: Basic, from: 0}
    - {tier: gold, name: Gold, from: 1000 USD}
"""


def _at(time: str) -> str:
    return f"2017-03-01T{time}:00-05:00"


def _shop(points: int = 0, wallet: str = "expiry: never") -> Shop:
    shop = Shop(wallet, REWARDS)
    if points:
        shop.buy("o0", points * 100, at=_at("09:00"))
    return shop


def _last(shop: Shop) -> dict[str, Any]:
    data: dict[str, Any] = shop.messages[-1][1]
    (REWARD_REJECTED if data["state"] == "rejected" else REWARD_GRANTED).validate_python(data)
    return data


# ---- two phases, or one


def test_points_are_held_then_spent() -> None:
    shop = _shop(120)
    assert shop.ask("r1", "mug", at=_at("10:00")).answers == [("reserved", None, "r1", 20, 0, 100, 0)]
    data = _last(shop)
    assert (data["points"], data["worth"], data["currency"]) == (100, 500, "USD")
    assert data["held_until"] == "2017-03-01T15:15:00Z"  # 15 minutes, 5 hours ahead
    assert shop.confirm("r1", at=_at("10:14")).answers == [("redeemed", None, "r1", 20, 0, 0, 0)]
    assert shop.entries() == [("earn", 120), ("reserve", 100), ("redeem", 100)]


def test_points_are_spent_at_once_if_the_till_wants_that() -> None:
    shop = _shop(120)
    assert shop.ask("r1", "mug", at=_at("10:00"), confirm=True).answers == [("redeemed", None, "r1", 20, 0, 0, 0)]
    assert shop.entries() == [("earn", 120), ("reserve", 100), ("redeem", 100)]
    # A confirmation on top of it is answered with what was said.
    assert shop.confirm("r1", at=_at("10:01")).answers == [("redeemed", None, "r1", 20, 0, 0, 0)]
    assert len(shop.entries()) == 3


def test_what_lapses_soonest_is_spent_first_and_comes_back_to_its_own_lots() -> None:
    shop = Shop("expiry: 1 month", REWARDS)
    shop.buy("o1", 3000, at="2017-03-01T12:00:00-05:00")
    shop.buy("o2", 9000, at="2017-03-02T12:00:00-05:00")
    shop.ask("r1", "mug", at="2017-03-03T12:00:00-05:00")
    assert shop.entries()[2:] == [("reserve", 30), ("reserve", 70)]
    shop.cancel("r1", at="2017-03-03T12:05:00-05:00")
    assert shop.entries()[4:] == [("release", 30), ("release", 70)]
    # Through 1 April and through 2 April.
    shop.until("2017-04-02T12:00:00-04:00")
    assert shop.balance() == (90, 0, 0, 0)
    shop.until("2017-04-03T12:00:00-04:00")
    assert shop.balance() == (0, 0, 0, 0)


# ---- what is not possible, and what would be


def test_too_few_points() -> None:
    shop = _shop(99)
    assert shop.ask("r1", "mug", at=_at("10:00")).answers == [("rejected", "not-enough-points", "r1", 99)]
    data = _last(shop)
    assert (data["points_needed"], data["points_available"], data["possible_rewards"]) == (100, 99, ["tea"])


def test_a_tier_too_low() -> None:
    shop = _shop(200)
    shop.ask("r1", "trip", at=_at("10:00"))
    data = _last(shop)
    assert (data["reason"], data["tier"], data["tier_needed"]) == ("tier-too-low", "basic", "gold")
    assert data["possible_rewards"] == ["tea", "mug"]
    # 200 + 800 dollars are gold, in the same batch even.
    shop.buy("o1", 80_000, at=_at("11:00"))
    assert shop.ask("r2", "trip", at=_at("11:00"), confirm=True).answers[0][0] == "redeemed"
    # The first answer stays.
    assert shop.ask("r1", "trip", at=_at("10:00")).answers == [("rejected", "tier-too-low", "r1", 200)]


def test_a_reward_that_is_not_there() -> None:
    shop = _shop(120)
    shop.ask("r1", "boat", at=_at("10:00"))
    data = _last(shop)
    assert (data["reason"], data["points_needed"], data["points_available"]) == ("unknown-reward", 0, 120)
    assert data["possible_rewards"] == ["tea", "mug"]


def test_before_the_program() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at="2009-12-31T12:00:00-05:00")
    assert _last(shop)["reason"] == "no-program"


def test_a_limit_counts_what_is_held_and_what_was_spent() -> None:
    shop = _shop(200)
    # Rejected, released, timed out and refunded ones do not count.
    shop.ask("r0", "tea", at=_at("08:00"), member="bob")
    shop.ask("r1", "tea", at=_at("10:00"))
    assert shop.ask("r2", "tea", at=_at("10:00")).answers == [("rejected", "limit-reached", "r2", 160)]
    shop.cancel("r1", at=_at("10:01"))
    assert shop.ask("r3", "tea", at=_at("10:02")).answers[0][0] == "reserved"
    # Two hours later r3 has timed out.
    assert [one[:3] for one in shop.ask("r4", "tea", at=_at("12:02"), confirm=True).answers] == [
        ("released", "timed-out", "r3"), ("redeemed", None, "r4"),
    ]  # fmt: skip
    assert shop.ask("r5", "tea", at=_at("12:03")).answers == [("rejected", "limit-reached", "r5", 160)]
    shop.cancel("r4", at=_at("12:04"))
    assert shop.ask("r6", "tea", at=_at("12:05"), confirm=True).answers[0][0] == "redeemed"
    # The limit is each member's own.
    shop.buy("o1", 4000, at=_at("12:00"), member="bob")
    assert shop.ask("r7", "tea", at=_at("12:05"), member="bob").answers[0][0] == "reserved"


def test_a_reward_whose_limit_is_reached_is_not_possible() -> None:
    shop = _shop(120)
    shop.ask("r1", "tea", at=_at("10:00"), confirm=True)
    shop.ask("r2", "tea", at=_at("10:00"))
    assert _last(shop)["possible_rewards"] == []


def test_points_that_have_lapsed_are_not_offered_for_another_reward() -> None:
    shop = _shop(120, "expiry: 0 days")
    assert shop.ask("r1", "boat", at="2017-03-02T12:00:00-05:00").answers == [("rejected", "unknown-reward", "r1", 0)]


# ---- time


def test_a_hold_times_out_at_its_instant() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    assert shop.until("2017-03-01T15:14:59+00:00").answers == []
    assert shop.until("2017-03-01T18:00:00+00:00").answers == [("released", "timed-out", "r1", 120, 0, 0, 0)] or (
        shop.balance() == (120, 0, 0, 0)
    )
    assert shop.posted_at() == "2017-03-01T15:15:00Z"
    data = _last(shop)
    assert (data["state"], data["reason"], data["held_until"]) == ("released", "timed-out", None)


def test_at_the_instant_of_the_time_out_it_is_too_late() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    said = shop.confirm("r1", at=_at("10:15"))
    # Released, then taken again, for there is enough.
    assert [one[:3] for one in said.answers] == [("released", "timed-out", "r1"), ("redeemed", None, "r1")]
    assert [word for word, _ in shop.entries()] == ["earn", "reserve", "release", "reserve", "redeem"]
    assert shop.balance() == (20, 0, 0, 0)


def test_a_confirmation_after_the_time_out_needs_the_points_to_be_there() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    shop.ask("r2", "mug", at=_at("10:30"), confirm=True)  # what r1 had held
    assert shop.confirm("r1", at=_at("10:31")).answers == [("rejected", "reservation-timed-out", "r1", 20)]
    data = _last(shop)
    assert (data["points_needed"], data["possible_rewards"]) == (100, [])
    # One answer for ever, even when there are points again; nothing was taken, so nothing comes back.
    shop.buy("o1", 20_000, at=_at("10:40"))
    assert shop.confirm("r1", at=_at("10:45")).answers == [("rejected", "reservation-timed-out", "r1", 20)]
    said = shop.cancel("r1", at=_at("10:50"))
    assert said.answers[0][:3] == ("released", "timed-out", "r1")
    assert shop.balance() == (220, 0, 0, 0)


def test_held_points_do_not_lapse_until_they_are_released() -> None:
    shop = Shop("expiry: 0 days", REWARDS)
    shop.buy("o1", 10_000, at=_at("12:00"))  # until midnight
    shop.ask("r1", "tea", at=_at("23:00"))  # 40, held until 01:00
    shop.until("2017-03-02T05:30:00+00:00")
    assert shop.balance() == (0, 0, 40, 0)
    shop.until("2017-03-02T06:00:00+00:00")
    assert shop.entries() == [("earn", 100), ("reserve", 40), ("expire", 60), ("release", 40), ("expire", 40)]
    assert shop.posted_at() == "2017-03-02T06:00:00Z"


def test_held_points_can_be_spent_after_their_expiry() -> None:
    shop = Shop("expiry: 0 days", REWARDS)
    shop.buy("o1", 10_000, at=_at("12:00"))
    shop.ask("r1", "tea", at=_at("23:00"))
    assert shop.confirm("r1", at="2017-03-02T00:30:00-05:00").answers == [("redeemed", None, "r1", 0, 0, 0, 0)]
    # Given back the next day they expire at once.
    assert shop.cancel("r1", at="2017-03-02T12:00:00-05:00").answers[0][:2] == ("refunded", "cancelled")
    assert shop.entries()[-2:] == [("refund", 40), ("expire", 40)]
    assert shop.balance() == (0, 0, 0, 0)


def test_a_cancellation_after_the_expiry_releases_then_expires() -> None:
    shop = Shop("expiry: 0 days", REWARDS)
    shop.buy("o1", 10_000, at=_at("12:00"))
    shop.ask("r1", "tea", at=_at("23:00"))
    shop.cancel("r1", at="2017-03-02T00:30:00-05:00")
    assert shop.entries()[-2:] == [("release", 40), ("expire", 40)]


# ---- cancelling


def test_before_the_confirmation_points_are_released() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    assert shop.cancel("r1", at=_at("10:05")).answers == [("released", "cancelled", "r1", 120, 0, 0, 0)]
    assert shop.confirm("r1", at=_at("10:06")).answers == [("rejected", "cancelled", "r1", 120)]
    assert shop.until("2017-03-02T00:00:00+00:00").answers == []


def test_after_the_confirmation_points_come_back() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    shop.confirm("r1", at=_at("10:05"))
    assert shop.cancel("r1", at=_at("10:06")).answers == [("refunded", "cancelled", "r1", 120, 0, 0, 0)]
    assert shop.cancel("r1", at=_at("10:07")).answers == [("refunded", "cancelled", "r1", 120, 0, 0, 0)]
    assert shop.entries()[-1] == ("refund", 100)
    assert shop.rehearsal.accounts["ann", "points"].lifetime == 120


def test_points_that_come_back_repay_what_is_owed() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"), confirm=True)
    shop.back("b1", "o0", at=_at("10:01"))  # 120 are wanted, 20 are there
    assert shop.balance() == (0, 0, 0, 100)
    shop.cancel("r1", at=_at("10:06"))
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.entries()[-2:] == [("refund", 100), ("repay", 100)]


# ---- sent again, and with other content


def _answers(decisions: Decisions) -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    return [(message.value, message.headers) for message in decisions.messages]


def test_the_same_request_again_gets_the_same_bytes() -> None:
    shop = _shop(120)
    at = datetime(2017, 3, 1, 15, tzinfo=UTC)
    ask = {"kind": "request", "name": "r1", "reward": "mug", "member": "ann", "confirm": False, "at": at}
    first = _answers(shop.batch([ask]))
    shop.cancel("r1", at=_at("10:05"))
    again = shop.batch([ask, ask])
    assert _answers(again) == first * 2
    assert (again.accepted, again.duplicates) == (0, 2)
    # Whoever sends it, and whenever it is recorded.
    record = as_record(ask, 77)
    later = shop.rehearsal.batch([record], Mark(99, NOW + 10**9, NOW + 10**9), "redeem", ("redemptions", 3, 1))
    assert _answers(later) == first


def test_another_request_under_the_same_id_is_a_conflict() -> None:
    shop = _shop(120)
    shop.ask("r1", "mug", at=_at("10:00"))
    assert shop.ask("r1", "tea", at=_at("10:00")).refused == ["conflict"]
    assert shop.ask("r1", "mug", at=_at("10:00"), confirm=True).refused == ["conflict"]
    assert shop.balance() == (20, 0, 100, 0)


def test_what_nobody_asked_for_is_refused() -> None:
    shop = _shop(120)
    assert shop.confirm("r1", at=_at("10:00")).refused == ["unknown-redemption"]
    assert shop.cancel("r1", at=_at("10:00")).refused == ["unknown-redemption"]
    shop.ask("r1", "mug", at=_at("10:00"))
    assert shop.confirm("r1", at=_at("10:00"), member="bob").refused == ["other-member"]


def test_a_rejected_one_stays_rejected() -> None:
    shop = _shop(99)
    rejected = [("rejected", "not-enough-points", "r1", 99)]
    assert shop.ask("r1", "mug", at=_at("10:00")).answers == rejected
    shop.buy("o1", 100, at=_at("10:01"))
    assert shop.ask("r1", "mug", at=_at("10:00")).answers == rejected
    assert shop.confirm("r1", at=_at("10:02")).answers == rejected
    assert shop.cancel("r1", at=_at("10:02")).answers == rejected
    assert shop.balance() == (100, 0, 0, 0)


def test_two_tills_and_the_last_points() -> None:
    shop = _shop(100)
    at = datetime(2017, 3, 1, 15, tzinfo=UTC)
    ask = {"kind": "request", "reward": "mug", "member": "ann", "confirm": True, "at": at}
    shop.batch([{**ask, "name": "r1"}, {**ask, "name": "r2"}])
    assert [data["state"] for _, data in shop.messages[-2:]] == ["redeemed", "rejected"]


def test_a_rehearsal_knows_the_ladders_of_the_programs_that_it_was_given() -> None:
    shop = _shop()
    shop.rehearsal = Rehearsal(shop.rehearsal.programs)
    assert shop.ask("r1", "trip", at=_at("10:00")).answers == [("rejected", "tier-too-low", "r1", 0)]
