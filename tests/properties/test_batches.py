"""However records are batched, repeated and mixed, the entries of every member are the same."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.points import EARNED, EXPIRED, POINTS_EARNED, POINTS_MOVED
from shared.contracts.purchases import PURCHASE_COMPLETED
from shared.instants import microseconds
from shared.program.compiled.program import compile_program
from shared.program.language.loader import load
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Record, Refusal
from shared.simulation.simulator import Rehearsal
from tests.support.build import FRESH_MARKET, as_bytes, binary, event, headers, line, program, purchase
from tests.support.examples import examples

properties = examples(40)
#: 2 January 2018, in microseconds: after everything below.
NOW = 1_514_851_200_000_000

WALLETS = """{
  points: {name: P, unit: point, expiry: "1 month, to the end of that month"},
  stars: {name: S, unit: star, expiry: never}
}"""
FIRST = program(
    "give: 1 point per whole USD",
    "give: 1.25 points per USD, rounding: half-up per line, for: {brand: Private}",
    "give: 3 stars per order, when: {channel: web}",
    wallets=WALLETS,
    never_earns="{category: FUEL}",
)
SECOND = program(
    "give: 2 points per whole USD", "give: 1 star per item", wallets=WALLETS, effective="2017-06-01", version=2
)
FRESH = compile_program(load(FRESH_MARKET), 1)


class Copy(NamedTuple):
    """One copy of an order, as a till sends it: an exact one, one that is written otherwise, or one that differs."""

    member: str
    data: dict[str, Any]

    def record(self, offset: int) -> Record:
        return Record(offset, 0, self.member.encode(), as_bytes(self.data), headers(ce_id=b"e%d" % offset))

    @property
    def content_hash(self) -> bytes:
        return PURCHASE_COMPLETED.content_hash(PURCHASE_COMPLETED.decode(as_bytes(self.data)))


LINES = st.lists(
    st.fixed_dictionaries(
        {"amount": st.integers(0, 5000)},
        optional={
            "brand": st.sampled_from(["Private", "National"]), "quantity": st.integers(0, 3),
            "category": st.sampled_from([["FUEL"], ["TEA"]]), "is_gift_card": st.booleans(),
        },
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@st.composite
def orders(draw: st.DrawFn) -> list[Copy]:
    """Copies in the order in which they are sent; an order id is one member's own."""
    members = draw(st.lists(st.sampled_from(["ann", "bob", "eve"]), min_size=1, max_size=8))
    sent: list[Copy] = []
    for number, member in enumerate(members):
        lines = [line(str(at), **one) for at, one in enumerate(draw(LINES))]
        day = draw(st.sampled_from(["2017-02-28", "2017-03-01", "2017-05-31", "2017-06-01", "2017-12-31"]))
        made = purchase(*lines, order_id=f"o{number}", member_id=member, occurred_at=f"{day}T23:30:00-05:00")
        if draw(st.booleans()):
            made["channel"] = "web"
        sent.append(Copy(member, made))
        for _ in range(draw(st.integers(0, 2))):
            again = draw(st.sampled_from(sent))
            other = {"tax": draw(st.integers(1, 3))} if draw(st.booleans()) else {}
            sent.append(Copy(again.member, {**again.data, **other}))
    return sent


def rehearsed(batches: Sequence[Sequence[Record]]) -> tuple[Rehearsal, list[Decisions]]:
    rehearsal = Rehearsal([FIRST, SECOND])
    return rehearsal, [rehearsal.batch(records, Mark(seq, NOW, NOW)) for seq, records in enumerate(batches, 1)]


def in_one_batch(copies: Sequence[Copy]) -> tuple[Rehearsal, list[Decisions]]:
    return rehearsed([[copy.record(offset) for offset, copy in enumerate(copies)]])


def by_member(rehearsal: Rehearsal) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Every account's entries, apart from its number."""
    names = {account.account: key for key, account in rehearsal.accounts.items()}
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for entry in rehearsal.entries:
        found[names[entry.account]].append(tuple(entry)[1:])
    return dict(found)


def cut(records: list[Record], cuts: Sequence[int]) -> list[list[Record]]:
    bounds = [0, *sorted(min(at, len(records)) for at in cuts), len(records)]
    return [records[first:last] for first, last in itertools.pairwise(bounds)]


CUTS = st.lists(st.integers(0, 24), max_size=6)


@properties
@given(orders(), CUTS)
def test_any_split_into_batches_gives_the_same_entries(copies: list[Copy], cuts: list[int]) -> None:
    records = [copy.record(offset) for offset, copy in enumerate(copies)]
    calm, calm_decisions = rehearsed([records])
    split, split_decisions = rehearsed(cut(records, cuts))
    assert split.entries == calm.entries
    assert split.accounts == calm.accounts
    messages = [message for decisions in split_decisions for message in decisions.messages]
    assert messages == calm_decisions[0].messages


@properties
@given(orders(), st.lists(st.integers(0, 24), max_size=10), CUTS)
def test_any_repetition_changes_nothing(copies: list[Copy], again: list[int], cuts: list[int]) -> None:
    # A till that is not sure sends again, at any later time, whatever it had sent: also what was in conflict.
    sent = [*copies, *(copies[at % len(copies)] for at in again)]
    calm, _ = in_one_batch(copies)
    stormy, decisions = rehearsed(cut([copy.record(offset) for offset, copy in enumerate(sent)], cuts))
    assert stormy.entries == calm.entries
    handled = sum(one.accepted + one.duplicates + len(one.refused) for one in decisions)
    assert handled == len(sent)


@properties
@given(orders(), st.integers(1, 3), CUTS)
def test_every_record_sent_twice_or_thrice_in_place_changes_nothing(
    copies: list[Copy], times: int, cuts: list[int]
) -> None:
    sent = [copy for copy in copies for _ in range(times)]
    stormy, _ = rehearsed(cut([copy.record(offset) for offset, copy in enumerate(sent)], cuts))
    assert stormy.entries == in_one_batch(copies)[0].entries


@properties
@given(orders(), st.randoms(use_true_random=False), CUTS)
def test_any_mixing_of_members_gives_every_member_the_same_entries(
    copies: list[Copy], chance: random.Random, cuts: list[int]
) -> None:
    queues: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        queues[copy.member].append(copy)
    turns = [copy.member for copy in copies]
    chance.shuffle(turns)
    mixed = [queues[member].pop(0) for member in turns]
    stormy, _ = rehearsed(cut([copy.record(offset) for offset, copy in enumerate(mixed)], cuts))
    assert by_member(stormy) == by_member(in_one_batch(copies)[0])


@properties
@given(orders(), CUTS)
def test_a_conflict_is_always_refused_and_names_both_hashes(copies: list[Copy], cuts: list[int]) -> None:
    first: dict[str, bytes] = {}
    conflicts: list[tuple[bytes, bytes]] = []
    for copy in copies:
        was = first.setdefault(copy.data["order_id"], copy.content_hash)
        if was != copy.content_hash:
            conflicts.append((was, copy.content_hash))
    _, decisions = rehearsed(cut([copy.record(offset) for offset, copy in enumerate(copies)], cuts))
    refused: list[Refusal] = [refusal for one in decisions for refusal in one.refused]
    assert [refusal.reason for refusal in refused] == ["conflict"] * len(conflicts)
    for refusal, (was, now) in zip(refused, conflicts, strict=True):
        assert f"hash {was.hex()} then, {now.hex()} now" in refusal.detail
    assert sum(one.accepted for one in decisions) == len(first)


@properties
@given(orders())
def test_what_is_published_is_what_is_in_the_ledger(copies: list[Copy]) -> None:
    rehearsal, (decisions,) = in_one_batch(copies)
    published: dict[tuple[str, str], int] = defaultdict(int)
    for message in decisions.messages:
        kind = dict(message.headers)["ce_type"].decode()
        adapter, sign = (POINTS_EARNED, 1) if kind == EARNED else (POINTS_MOVED, -1)
        told: Any = adapter.validate_json(message.value)
        assert kind in {EARNED, EXPIRED}
        assert message.key == told["member_id"].encode()
        if kind == EARNED:
            assert told["points"] == sum(award["points"] for award in told["awards"])
        published[told["member_id"], told["wallet"]] += sign * told["points"]
        assert published[told["member_id"], told["wallet"]] == told["balance"]["available"]
    assert dict(published) == {key: entries[-1][3] for key, entries in by_member(rehearsal).items()}


# ---- examples


def _decide(*records: Record) -> Decisions:
    return Rehearsal([FRESH]).batch(records, Mark(1, NOW, NOW))


def test_the_second_copy_in_one_batch_is_a_duplicate_even_if_it_is_written_otherwise() -> None:
    order = purchase()
    again = dict(reversed({**order, "occurred_at": "2017-03-01T17:00:00Z", "tax": 0}.items()))
    decisions = _decide(binary(order), binary(again))
    assert (decisions.accepted, decisions.duplicates, decisions.refused) == (1, 1, [])


def test_an_order_that_earns_nothing_is_remembered_like_any_other() -> None:
    free = purchase(line(amount=0))
    decisions = _decide(binary(free), binary(free), binary({**free, "tax": 1}))
    assert (decisions.accepted, decisions.duplicates, len(decisions.refused)) == (1, 1, 1)
    assert decisions.messages == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (purchase(occurred_at="2016-12-31T23:59:59-05:00"), "no-program"),
        (purchase(currency="EUR"), "other-currency"),
    ],
)
def test_what_the_program_does_not_cover_is_refused_and_can_be_sent_again(data: dict[str, Any], reason: str) -> None:
    decisions = _decide(binary(data), binary(purchase(order_id=data["order_id"])))
    assert [refusal.reason for refusal in decisions.refused] == [reason]
    # Nothing was accepted under this id, so the fixed order is no conflict.
    assert decisions.accepted == 1


def test_an_order_beyond_all_receipts_is_refused() -> None:
    rehearsal = Rehearsal([program("give: 1000000 points per USD")])
    # 10,000,000,000 dollars at a million points a dollar.
    decisions = rehearsal.batch([binary(purchase(line(amount=10**12)))], Mark(1, NOW, NOW))
    assert [refusal.reason for refusal in decisions.refused] == ["too-many-points"]
    assert rehearsal.entries == []


def test_a_purchase_from_the_future_changes_nothing() -> None:
    late = event(occurred_at="2017-03-01T12:00:00-05:00")
    rehearsal = Rehearsal([FRESH])
    before = microseconds(late.occurred_at) - 6 * 60 * 1_000_000
    rehearsal.batch([binary(purchase())], Mark(1, before, before))
    assert rehearsal.entries == []


def test_the_lot_depends_on_the_month_and_not_on_the_batch() -> None:
    days = ["2017-03-01", "2017-03-31", "2017-04-01"]
    records = [
        binary(purchase(order_id=day, occurred_at=f"{day}T12:00:00-04:00"), offset=offset)
        for offset, day in enumerate(days)
    ]
    rehearsal = Rehearsal([FRESH])
    for seq, record in enumerate(records):
        rehearsal.batch([record], Mark(seq, NOW, NOW))
    march, also_march, april = [entry.lot for entry in rehearsal.entries]
    assert march == also_march != april
