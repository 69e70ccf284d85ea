"""From where a clawback takes points, and what becomes of those that are not there; worked out by hand."""

from __future__ import annotations

import pytest

from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.book import Book
from shared.ledger.model import Account, Cause, Hold, Terms
from shared.ledger.operations import Operation
from shared.ledger.posting import Posting
from shared.ledger.reversal import ClawbackRequest, ClawbackResult, claw_back
from tests.support.build import program
from tests.support.shop import Shop

PROGRAM = program("give: 1 point per whole USD")
#: Rule 0 of an order, rule 1 of it, and what took points back.
FIRST, SECOND, RETURN = Cause(b"o" * 16, 1, 0), Cause(b"o" * 16, 1, 1), Cause(b"r" * 16, 1, 0)
#: Instants are small numbers here: lots that expire at 10 and at 20, and one that waits for its order.
SOON, LATER, FOREVER = Terms(BEGINNING, 10), Terms(BEGINNING, 20), Terms(BEGINNING, NEVER)
WAITS = Terms(NEVER, NEVER, b"o" * 16)


class Ledger:
    """One account of one batch."""

    def __init__(self) -> None:
        self.account = Account(1, "ann", "points")
        self.book = Book({("ann", "points"): self.account}, Posting(), PROGRAM)

    def earn(self, points: int, terms: Terms, *, at: int = 0, cause: Cause = FIRST) -> None:
        self.book.advance_to(self.account, at)
        self.book.earn(self.account, points, terms=terms, cause=cause, event_at=at)
        self.book.apply_overdue(self.account)

    def spend(self, points: int, *, at: int) -> None:
        self.book.advance_to(self.account, at)
        parts = self.book.reserve(self.account, points, RETURN)
        self.book.redeem(self.account, parts, b"s" * 16, RETURN)

    def back(
        self, *wanted: tuple[int, Terms], own: tuple[Terms, ...] = (), policy: str = "debt", at: int = 5
    ) -> ClawbackResult:
        """Take back points of awards that went to lots of some terms."""
        self.book.advance_to(self.account, at)
        requests = [ClawbackRequest(RETURN._replace(rule=n), (terms.lot_id(),), points)
                    for n, (points, terms) in enumerate(wanted)]  # fmt: skip
        lots = [terms.lot_id() for terms in (*(terms for _points, terms in wanted), *own)]
        return claw_back(
            self.book, self.account, requests, own=lots, policy=policy, event_at=at, qualifying=-7, counts_at=1
        )

    def entries(self, last: int) -> list[tuple[str, int]]:
        return [(Operation(entry.operation).word, entry.points) for entry in self.book.posting.entries[-last:]]

    def balance(self) -> tuple[int, int, int, int]:
        return self.account.available, self.account.pending, self.account.reserved, self.account.debt


def test_own_lots_first_then_the_orders_others_then_other_points_in_burn_order_then_pending_ones() -> None:
    ledger = Ledger()
    another_waits = Terms(NEVER, NEVER, b"x" * 16)
    ledger.earn(5, another_waits)
    ledger.earn(10, SOON)
    ledger.earn(20, LATER)
    ledger.earn(40, FOREVER, cause=SECOND)
    # 90 are wanted of what went to FOREVER: 40 there; the order's other lot, 20; then 10 of the rest; then 5 pending.
    result = ledger.back((90, FOREVER), own=(LATER,))
    assert ledger.entries(5) == [
        ("reverse", 40), ("reverse", 20), ("reverse", 10), ("reverse-pending", 5), ("reverse-owed", 15)
    ]  # fmt: skip
    assert result == ClawbackResult(taken=75, excused=0, owed=15, waived=0, withheld=0)
    assert ledger.balance() == (0, 0, 0, 15)


def test_pending_points_of_the_orders_own_lots_go_before_available_ones() -> None:
    ledger = Ledger()
    ledger.earn(10, SOON)
    ledger.earn(6, WAITS)
    requests = [ClawbackRequest(RETURN, (SOON.lot_id(), WAITS.lot_id()), 8)]
    claw_back(ledger.book, ledger.account, requests, own=(), policy="debt", event_at=0, qualifying=0)
    assert ledger.entries(2) == [("reverse-pending", 6), ("reverse", 2)]


def test_each_request_gets_its_own_lot_before_anybody_takes_from_another() -> None:
    ledger = Ledger()
    ledger.earn(10, SOON)
    ledger.earn(10, LATER, cause=SECOND)
    # 15 of the first rule, 8 of the second: 10 and 8 of their own, then 2 that are left in the order's other lot.
    result = ledger.back((15, SOON), (8, LATER))
    assert [(entry.rule, entry.points, entry.lot) for entry in ledger.book.posting.entries[-4:]] == [
        (0, 10, SOON.lot_id()), (1, 8, LATER.lot_id()), (0, 2, LATER.lot_id()), (0, 3, 0)
    ]  # fmt: skip
    assert result == ClawbackResult(20, 0, 3, 0, 0)


def test_the_first_entry_carries_what_counts_towards_a_tier_and_all_say_in_whose_window() -> None:
    ledger = Ledger()
    ledger.earn(10, SOON)
    ledger.back((15, SOON))
    assert [(entry.qualifying, entry.counts_at) for entry in ledger.book.posting.entries] == [
        (0, None), (-7, 1), (0, 1)
    ]  # fmt: skip


# ---- what had expired


def test_what_expired_of_the_orders_lot_is_excused_and_nobody_owes_it() -> None:
    ledger = Ledger()
    ledger.earn(100, SOON)
    ledger.earn(50, LATER, at=11)
    assert ledger.account.expired == {SOON.lot_id(): 100}
    result = ledger.back((100, SOON), at=12)
    assert result == ClawbackResult(taken=0, excused=100, owed=0, waived=0, withheld=0)
    assert (ledger.balance(), ledger.account.lifetime) == ((50, 0, 0, 0), 50)
    assert ledger.account.expired == {SOON.lot_id(): 0}
    change = ledger.book.posting.lots[1, SOON.lot_id()]
    assert (change.earned, change.remaining, change.expired, change.excused) == (100, 0, 100, 100)
    assert ledger.book.posting.entries[-1].lot == SOON.lot_id()


def test_what_is_excused_is_limited_by_what_expired_first_come_first_served() -> None:
    ledger = Ledger()
    ledger.earn(60, SOON)
    ledger.earn(40, SOON, cause=SECOND)
    ledger.spend(30, at=5)
    ledger.earn(5, LATER, at=11)  # 70 of the 100 have expired
    assert ledger.back((60, SOON), at=12) == ClawbackResult(taken=0, excused=60, owed=0, waived=0, withheld=0)
    # 10 that expired are left for the other 40; 5 are taken from elsewhere; 25 are owed.
    assert ledger.back((40, SOON), at=12) == ClawbackResult(taken=5, excused=10, owed=25, waived=0, withheld=0)
    assert ledger.balance() == (0, 0, 0, 25)


def test_points_that_are_left_in_the_orders_lots_are_taken_before_any_is_excused() -> None:
    ledger = Ledger()
    ledger.earn(30, SOON)
    ledger.earn(20, LATER, at=11, cause=SECOND)
    # 25 of the first rule's 30, which expired: 20 lie in the order's other lot; 5 are excused.
    assert ledger.back((25, SOON), own=(LATER,), at=12) == ClawbackResult(20, 5, 0, 0, 0)


def test_what_expired_of_other_orders_excuses_nothing() -> None:
    ledger = Ledger()
    ledger.earn(30, SOON)
    ledger.earn(20, LATER, at=11)
    ledger.spend(20, at=11)
    assert ledger.back((20, LATER), at=12) == ClawbackResult(0, 0, 20, 0, 0)


def test_more_than_expired_cannot_be_excused() -> None:
    ledger = Ledger()
    ledger.earn(30, SOON)
    ledger.earn(20, LATER, at=11)
    with pytest.raises(InvariantBroken, match="excused"):
        ledger.book.post(
            ledger.account, Operation.REVERSE_EXPIRED, 31, cause=RETURN, event_at=12, lot=SOON.lot_id()
        )  # fmt: skip


def test_a_batch_must_know_what_expired_of_the_orders_lots() -> None:
    ledger = Ledger()
    ledger.account.all_expired = False
    ledger.account.expired[LATER.lot_id()] = 0
    assert ledger.back((1, LATER)) == ClawbackResult(0, 0, 1, 0, 0)
    with pytest.raises(InvariantBroken, match="not loaded"):
        ledger.back((1, SOON))


def test_an_order_that_comes_back_after_its_points_expired_costs_nothing() -> None:
    shop = Shop("expiry: 30 days, remind: [7]")
    shop.buy("1", 10_000, at="2023-01-02T12:00:00-05:00")  # 100 points, through 1 February
    shop.buy("2", 5000, at="2023-02-05T12:00:00-05:00")
    shop.back("r", "1", at="2023-02-10T12:00:00-05:00")
    assert shop.entries() == [("earn", 100), ("expire", 100), ("earn", 50), ("reverse-expired", 100)]
    assert shop.balance() == (50, 0, 0, 0)
    told = next(data for _id, data in shop.messages if data.get("operation") == "reverse")
    assert (told["points"], told["taken"], told["excused"], told["owed"]) == (100, 0, 100, 0)


# ---- policies


@pytest.mark.parametrize(
    ("policy", "operation", "result", "debt"),
    [
        ("debt", "reverse-owed", ClawbackResult(10, 0, 20, 0, 0), 20),
        ("clamp", "reverse-waived", ClawbackResult(10, 0, 0, 20, 0), 0),
        ("withhold", "reverse-withheld", ClawbackResult(10, 0, 0, 0, 20), 0),
    ],
)
def test_what_is_missing_follows_the_wallet(policy: str, operation: str, result: ClawbackResult, debt: int) -> None:
    ledger = Ledger()
    ledger.earn(30, LATER)
    ledger.spend(20, at=1)
    assert ledger.back((30, LATER), policy=policy) == result
    assert ledger.entries(2) == [("reverse", 10), (operation, 20)]
    assert (ledger.balance(), ledger.account.lifetime) == ((0, 0, 0, debt), 0)


def test_within_pending_takes_only_pending_points_of_the_orders_own_lots() -> None:
    ledger = Ledger()
    ledger.earn(10, LATER)
    ledger.earn(6, WAITS, cause=SECOND)
    ledger.earn(9, Terms(NEVER, NEVER, b"x" * 16), cause=SECOND)
    # Of 18: 6 that wait for the order; not its 10 that can be spent, nor the 9 of another order.
    assert ledger.back((18, LATER), own=(WAITS,), policy="within pending") == ClawbackResult(6, 0, 0, 12, 0)
    assert ledger.entries(2) == [("reverse-pending", 6), ("reverse-waived", 12)]
    assert (ledger.balance(), ledger.account.lifetime) == ((10, 9, 0, 0), 7)


def test_within_pending_lets_go_of_what_expired_like_of_anything_else() -> None:
    ledger = Ledger()
    ledger.earn(10, SOON)
    ledger.book.advance_to(ledger.account, 11)
    assert ledger.back((10, SOON), policy="within pending", at=12) == ClawbackResult(0, 0, 0, 10, 0)


def test_reserved_points_are_never_taken_and_never_expire() -> None:
    ledger = Ledger()
    ledger.earn(10, SOON)
    parts = ledger.book.reserve(ledger.account, 8, RETURN)
    ledger.book.hold(ledger.account, Hold(b"h" * 16, 100, parts, "/till", "h", "mug"))
    assert ledger.back((10, SOON)) == ClawbackResult(2, 0, 8, 0, 0)
    ledger.book.advance_to(ledger.account, 50)  # long after their expiry
    assert ledger.balance() == (0, 0, 8, 8)


def test_what_was_let_go_counts_again_without_being_an_activity() -> None:
    ledger = Ledger()
    ledger.earn(10, LATER)
    ledger.book.advance_to(ledger.account, 3)
    ledger.book.post(ledger.account, Operation.REINSTATE, 4, cause=RETURN, event_at=3, counts_at=1)
    assert (ledger.balance(), ledger.account.lifetime, ledger.account.earned_at) == ((10, 0, 0, 0), 14, 0)
    assert Operation.REINSTATE.word == "reinstate"
    assert Operation.REVERSE_EXPIRED.word == "reverse-expired"
