"""How postings change accounts and lots: every entry follows from the one before it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.book import Book
from shared.ledger.model import Account, Cause, Entry, Terms
from shared.ledger.operations import EFFECTS, Operation, effects_as_table
from shared.ledger.posting import Posting
from tests.support.build import program
from tests.support.examples import examples

properties = examples(40)
CAUSE = Cause(b"\x00" * 16, 1, 0)
FOREVER = Terms(BEGINNING, NEVER)
PROGRAM = program("give: 1 point per whole USD")


class Earn(NamedTuple):
    account: int
    points: int
    expires_at: int
    occurred_at: int
    qualifying: int


EARNS = st.lists(
    st.builds(
        Earn,
        account=st.integers(1, 3),
        points=st.integers(1, 10**12),
        # Few values, so that lots are shared; late events, so that time goes back.
        expires_at=st.sampled_from([10, 20, NEVER]),
        occurred_at=st.integers(-5, 5),
        qualifying=st.integers(0, 1000),
    ),
    max_size=30,
)


def _accounts() -> dict[int, Account]:
    return {number: Account(number, f"m{number}", "points") for number in (1, 2, 3)}


def _post(posting: Posting, accounts: dict[int, Account], earn: Earn) -> Entry:
    return posting.post(
        accounts[earn.account],
        Operation.EARN,
        earn.points,
        terms=Terms(BEGINNING, earn.expires_at),
        occurred_at=earn.occurred_at,
        cause=CAUSE,
        qualifying=earn.qualifying,
    )


@properties
@given(EARNS)
def test_before_and_effect_make_after_for_every_entry(earns: list[Earn]) -> None:
    posting, accounts = Posting(), _accounts()
    before: dict[int, Entry] = {}
    for earn in earns:
        entry = _post(posting, accounts, earn)
        last = before.get(earn.account)
        effect = EFFECTS[Operation.EARN]
        assert entry.points == earn.points
        assert entry.available == (last.available if last else 0) + effect.available * earn.points
        assert entry.pending == (last.pending if last else 0) + effect.pending * earn.points
        assert entry.reserved == (last.reserved if last else 0) + effect.reserved * earn.points
        assert entry.debt == (last.debt if last else 0) + effect.debt * earn.points
        assert entry.version == (last.version if last else 0) + 1
        before[earn.account] = entry
    assert len(posting.entries) == len(earns)


@properties
@given(EARNS)
def test_versions_have_no_gap_and_the_account_stands_where_its_last_entry_does(earns: list[Earn]) -> None:
    posting, accounts = Posting(), _accounts()
    for earn in earns:
        _post(posting, accounts, earn)
    by_account: dict[int, list[Entry]] = defaultdict(list)
    for entry in posting.entries:
        by_account[entry.account].append(entry)
    for number, account in accounts.items():
        entries = by_account[number]
        assert [entry.version for entry in entries] == list(range(1, account.version + 1))
        assert account.lifetime == sum(entry.points for entry in entries)
        if entries:
            last = entries[-1]
            balances = account.available, account.pending, account.reserved, account.debt
            assert balances == (last.available, last.pending, last.reserved, last.debt)
    # Only what changed is written back, and what is written back is what was locked.
    assert posting.accounts == {entry.account: accounts[entry.account] for entry in posting.entries}


@properties
@given(EARNS)
def test_the_lots_of_an_account_sum_to_its_balance(earns: list[Earn]) -> None:
    posting, accounts = Posting(), _accounts()
    for earn in earns:
        _post(posting, accounts, earn)
    for number, account in accounts.items():
        lots = [lot for lot in posting.lots.values() if lot.account == number]
        assert sum(lot.remaining for lot in lots) == account.available + account.pending
        assert sum(lot.earned for lot in lots) == account.lifetime
        for lot in lots:
            entries = [entry for entry in posting.entries if (entry.account, entry.lot) == (number, lot.lot)]
            assert sum(entry.points for entry in entries) == lot.remaining


@properties
@given(EARNS)
def test_the_history_of_an_account_never_goes_back(earns: list[Earn]) -> None:
    posting, accounts = Posting(), _accounts()
    book = Book({(account.member, account.wallet): account for account in accounts.values()}, posting, PROGRAM)
    latest: dict[int, int] = {}
    for earn in earns:
        account = accounts[earn.account]
        before = len(posting.entries)
        posted_at = book.advance_to(account, earn.occurred_at)
        book.earn(account, earn.points, terms=Terms(BEGINNING, earn.expires_at), cause=CAUSE, event_at=earn.occurred_at)
        latest[earn.account] = max(latest.get(earn.account, earn.occurred_at), earn.occurred_at)
        assert posted_at == account.as_of == latest[earn.account]
        entry = posting.entries[before]
        assert (entry.occurred_at, entry.event_at) == (posted_at, earn.occurred_at)
        # Expiries lie after all events here, so the next thing due is the first of them.
        assert account.next_due == min(lot.terms.expires_at for lot in account.lots.values())


def test_a_late_event_is_posted_at_the_latest_instant_already_seen() -> None:
    account, posting = Account(1, "m", "points"), Posting()
    book = Book({("m", "points"): account}, posting, PROGRAM)
    for occurred_at, posted_at in [(100, 100), (50, 100), (101, 101)]:
        assert book.advance_to(account, occurred_at) == posted_at
        book.earn(account, 1, terms=FOREVER, cause=CAUSE, event_at=occurred_at)
        assert (posting.entries[-1].occurred_at, posting.entries[-1].event_at) == (posted_at, occurred_at)
    assert account.as_of == 101


@properties
@given(EARNS, st.lists(st.integers(0, 30), max_size=5))
def test_cutting_a_sequence_into_batches_changes_no_entry_and_no_lot(earns: list[Earn], cuts: list[int]) -> None:
    whole, once = Posting(), _accounts()
    for earn in earns:
        _post(whole, once, earn)
    entries: list[Entry] = []
    lots: dict[tuple[int, int], tuple[int, int]] = {}
    accounts = _accounts()
    bounds = [0, *sorted(cuts), len(earns)]
    for first, last in itertools.pairwise(bounds):
        part = Posting()
        for earn in earns[first:last]:
            _post(part, accounts, earn)
        entries += part.entries
        for key, change in part.lots.items():
            earned, remaining = lots.get(key, (0, 0))
            lots[key] = earned + change.earned, remaining + change.remaining
    assert entries == whole.entries
    assert accounts == once
    assert lots == {key: (change.earned, change.remaining) for key, change in whole.lots.items()}


@pytest.mark.parametrize("points", [0, -1, -(10**12)])
def test_an_entry_moves_a_positive_number_of_points(points: int) -> None:
    account, posting = Account(1, "m", "points", available=5, version=3), Posting()
    with pytest.raises(InvariantBroken, match="positive"):
        posting.post(account, Operation.EARN, points, terms=FOREVER, occurred_at=0, cause=CAUSE)
    assert (posting.entries, posting.accounts, posting.lots) == ([], {}, {})
    assert account == Account(1, "m", "points", available=5, version=3)


def test_no_balance_goes_below_nothing() -> None:
    # No operation can do it yet; an account that was read wrong can.
    with pytest.raises(InvariantBroken, match="negative"):
        Posting().post(
            Account(1, "m", "points", available=-5), Operation.EARN, 1, terms=FOREVER, occurred_at=0, cause=CAUSE
        )


#: Of points that wait for no event.
TERMS = st.builds(
    Terms, st.integers(BEGINNING, NEVER), st.integers(BEGINNING, NEVER), st.just(b""), st.text(max_size=9), st.just("")
)


@properties
@given(TERMS, TERMS)
def test_a_lot_is_named_by_its_terms_alone(one: Terms, other: Terms) -> None:
    assert (one.lot_id() == other.lot_id()) == (one == other)
    assert Terms(*one).lot_id() == one.lot_id()
    assert 0 <= one.lot_id() < 2**63


@properties
@given(TERMS, EARNS)
def test_neither_account_nor_order_nor_points_change_a_lot_id(terms: Terms, earns: list[Earn]) -> None:
    posting, accounts = Posting(), _accounts()
    for earn in earns:
        cause = Cause(b"%d" % earn.points, earn.account, earn.qualifying)
        posting.post(
            accounts[earn.account], Operation.EARN, earn.points, terms=terms, occurred_at=earn.occurred_at, cause=cause
        )
    assert {entry.lot for entry in posting.entries} <= {terms.lot_id()}


def test_a_lot_that_waits_for_an_event_keeps_its_id_when_it_gets_its_expiry() -> None:
    waits = Terms(NEVER, NEVER, b"order", life="30 days")
    assert waits._replace(available_at=5, expires_at=10).lot_id() == waits.lot_id()
    others = [
        waits._replace(fulfils=b"another"),
        waits._replace(life="60 days"),
        waits._replace(life="", idle="30 days without earn"),
        Terms(NEVER, NEVER, life="30 days"),
        Terms(NEVER, NEVER),
    ]
    assert len({one.lot_id() for one in [waits, *others]}) == 6


def test_lot_ids_never_change() -> None:
    # They stand in ledgers and in events that were published: another way of making them would orphan every lot.
    assert Terms(BEGINNING, NEVER).lot_id() == 2_436_894_185_659_443_694
    assert Terms(BEGINNING, 1_517_461_200_000_000).lot_id() == 5_548_489_983_583_119_065


def test_the_table_of_effects_is_what_the_audit_reads() -> None:
    assert set(EFFECTS) == set(Operation)
    # Available, pending, reserved, debt, what remains of the lot, earned, lifetime, what expired of the lot, excused.
    assert EFFECTS[Operation.EARN] == (1, 0, 0, 0, 1, 1, 1, 0, 0)
    assert EFFECTS[Operation.ACTIVATE] == (1, -1, 0, 0, 0, 0, 0, 0, 0)
    assert EFFECTS[Operation.REPAY] == (-1, 0, 0, -1, -1, 0, 0, 0, 0)
    assert EFFECTS[Operation.EXPIRE] == (-1, 0, 0, 0, -1, 0, 0, 1, 0)
    assert EFFECTS[Operation.REVERSE_EXPIRED] == (0, 0, 0, 0, 0, 0, -1, 0, 1)
    assert EFFECTS[Operation.REINSTATE] == (0, 0, 0, 0, 0, 0, 1, 0, 0)
    values, _, columns = effects_as_table().partition(") as f(")
    rows = values.removeprefix("(values ").split("), (")
    assert rows[0] == "(1, 1, 0, 0, 0, 1, 1, 1, 0, 0"
    assert rows[10] == "11, 0, 0, 0, 1, 0, 0, -1, 0, 0"
    assert len(rows) == len(Operation)
    assert columns == "operation, available, pending, reserved, debt, lot, earned, lifetime, expired, excused)"


@pytest.mark.parametrize("operation", Operation)
def test_what_a_lot_loses_or_gains_an_account_does_too(operation: Operation) -> None:
    # Points are in a lot exactly while they are available or pending: so lots always sum to both.
    effect = EFFECTS[operation]
    assert effect.lot == effect.available + effect.pending
