"""Caps by period, n-th purchases and visits in a row; the calendar is that of the program."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.earn.orders import Line, Order, Paid
from services.earn.rating.awards import Verdict
from services.earn.rating.engine import rate
from services.earn.returns import Returned, take_back
from shared.contracts.purchases import PURCHASE_RETURNED
from shared.instants import microseconds
from shared.ledger.book import Book
from shared.ledger.model import Account
from shared.ledger.posting import Posting
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from shared.program.compiled.tallies import Per, period_of
from tests.support.build import as_bytes, event, line, program
from tests.support.examples import examples

TEN = line("1", 1000)


class Member:
    """Buys under a program, and remembers what is counted."""

    def __init__(self, made: Program) -> None:
        self.program = made
        self.counted: Counter[tuple[str, int]] = Counter()

    def buys(self, occurred_at: str, *lines: dict[str, Any]) -> int:
        purchase = event(*(lines or (TEN,)), occurred_at=occurred_at)
        rating = rate(self.program, purchase, MemberContext(count=lambda key: self.counted[key]))
        self.counted.update(rating.counted)
        return sum(award.points for award in rating.awards)

    def why(self, occurred_at: str) -> str:
        found: list[Verdict] = []
        rate(
            self.program, event(TEN, occurred_at=occurred_at), MemberContext(count=lambda key: self.counted[key]), found
        )
        return found[0].detail


def noon(day: str) -> str:
    return f"2017-{day}T12:00:00-05:00"


@pytest.mark.parametrize(
    ("per", "days", "paid"),
    [
        ("day", ["03-01", "03-01", "03-01", "03-02"], [10, 5, 0, 10]),
        ("week", ["03-03", "03-05", "03-05", "03-06"], [10, 5, 0, 10]),  # 5 March 2017 is a Sunday
        ("month", ["03-01", "03-31", "03-31", "04-01"], [10, 5, 0, 10]),
        ("quarter", ["01-01", "03-31", "02-01", "04-01"], [10, 5, 0, 10]),
        ("year", ["01-01", "06-30", "12-31", "12-31"], [10, 5, 0, 0]),
    ],
)
def test_a_cap_by_period(per: str, days: list[str], paid: list[int]) -> None:
    member = Member(program(f"give: 1 point per whole USD, cap: 15 points per {per}"))
    assert [member.buys(noon(day)) for day in days] == paid


def test_a_cap_in_all_and_per_order() -> None:
    member = Member(program("give: 1 point per whole USD, cap: [15 points in all, 8 points per order]"))
    assert [member.buys(noon("03-01")), member.buys(noon("09-01")), member.buys("2027-01-01T12:00:00-05:00")] == [
        8,
        7,
        0,
    ]
    assert member.why(noon("03-01")) == "10 without the cap of 15 in all"


def test_a_period_is_one_of_the_program() -> None:
    # The last instant of March in New York is four o'clock of 1 April in UTC.
    member = Member(program("give: 1 point per whole USD, cap: 15 points per month"))
    assert member.buys(noon("03-01")) == 10
    assert member.buys("2017-04-01T03:59:59Z") == 5
    assert member.buys("2017-04-01T04:00:00Z") == 10


def test_a_wallets_cap_is_over_all_of_its_rules_in_their_order() -> None:
    wallets = "{points: {name: P, unit: point, expiry: never, cap: 25 points per day}}"
    member = Member(program("give: 1 point per whole USD", "give: 12 points per order", wallets=wallets))
    rating = rate(member.program, event(TEN))
    assert [(award.rule.name, award.points) for award in rating.awards] == [("rule-0", 10), ("rule-1", 12)]
    assert [member.buys(noon("03-01")), member.buys(noon("03-01")), member.buys(noon("03-02"))] == [22, 3, 22]


def test_a_wallets_cap_per_order_is_over_all_of_its_rules_too() -> None:
    wallets = "{points: {name: P, unit: point, expiry: never, cap: 15 points per order}}"
    made = program(
        "give: 1 point per whole USD", "give: 12 points per order", "give: 1 point per order", wallets=wallets
    )
    assert [(award.rule.name, award.points) for award in rate(made, event(TEN)).awards] == [
        ("rule-0", 10),
        ("rule-1", 5),
    ]


def test_which_purchase_it_is() -> None:
    member = Member(program("give: 1 point per order, when: {purchase: first}"))
    assert [member.buys(noon("03-01")), member.buys(noon("03-01"))] == [1, 0]
    assert member.why(noon("03-02")) == "purchase: wanted 1st, found 3rd"
    member = Member(program("give: 1 point per order, when: {purchase: every 3rd}"))
    assert [member.buys(noon("03-01")) for _ in range(7)] == [0, 0, 1, 0, 0, 1, 0]
    member = Member(program("give: 1 point per order, when: {purchase: 2nd}"))
    assert [member.buys(noon("03-01")) for _ in range(4)] == [0, 1, 0, 0]


def test_an_order_of_what_never_earns_is_a_purchase_too() -> None:
    member = Member(program("give: 1 point per order, when: {purchase: 2nd}", never_earns="{category: FUEL}"))
    assert member.buys(noon("03-01"), line(category=["FUEL"])) == 0
    assert member.buys(noon("03-01")) == 1


def test_weeks_in_a_row() -> None:
    member = Member(program("give: 1 point per order, when: {visits: 3 weeks in a row}"))
    # Weeks of 27 February, 6 March, 13 March (twice), 20, 27 March, 3 April; then one is missed.
    days = ["03-01", "03-12", "03-13", "03-14", "03-20", "03-27", "04-03", "04-17", "04-24", "05-01"]
    assert [member.buys(noon(day)) for day in days] == [0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
    assert member.why(noon("05-01")) == (
        "visits: wanted 3 weeks in a row, found 3 in a row, and not the first purchase of the week"
    )


def test_months_in_a_row_go_over_the_new_year() -> None:
    member = Member(program("give: 1 point per order, when: {visits: 2 months in a row}"))
    assert [member.buys("2017-12-31T12:00:00-05:00"), member.buys("2018-01-01T12:00:00-05:00")] == [0, 1]


@examples(40)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5000)), min_size=1, max_size=30),
    st.sampled_from(["day", "week", "month"]),
    st.integers(1, 60),
)
def test_a_cap_is_never_exceeded_and_never_under_used(bought: list[tuple[int, int]], per: Per, most: int) -> None:
    member = Member(program(f"give: 1 point per whole USD, cap: {most} points per {per}"))
    wanted: Counter[int] = Counter()
    paid: Counter[int] = Counter()
    for number, cents in bought:
        day = date.fromordinal(date(2017, 3, 1).toordinal() + number)
        period = period_of(per, day)
        wanted[period] += cents // 100
        paid[period] += member.buys(f"{day}T12:00:00-04:00", line("1", cents))
        assert paid[period] == min(wanted[period], most)


def test_a_return_gives_the_cap_back() -> None:
    made = program("give: 1 point per whole USD, cap: 15 points per month")
    order = Order(
        b"k" * 16,
        "/s",
        "o1",
        "m1",
        microseconds(event(TEN).occurred_at),
        1,
        [Line("1", 1, 1500, 1500)],
        [Paid(0, 7, [15])],
    )
    account = Account(1, "m1", "points")
    book = Book({("m1", "points"): account}, Posting(), made)
    data = {"return_id": "r1", "order_id": "o1", "member_id": "m1", "occurred_at": "2017-06-01T12:00:00-04:00",
            "lines": [{"line_id": "1", "amount": 500}]}  # fmt: skip
    back = PURCHASE_RETURNED.decode(as_bytes(data))
    returned = take_back(
        order, back, key=b"r" * 16, occurred_at=microseconds(back.occurred_at), program=made, book=book
    )
    assert isinstance(returned, Returned)
    # In the purchase's month, not in that of the return.
    assert returned.counted == {("rule rule-0 month", 2017 * 12 + 2): -5}
