"""Histories for the oracle: drawn steps become events of shops, tills and members, and sweeps in between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.support.shop import ABOUT_ORDERS

MEMBERS = ["ann", "bob", "eve", "dan", "fay"]
GAPS = [
    timedelta(0), timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=5), timedelta(hours=13),
    timedelta(days=1), timedelta(days=2), timedelta(days=6), timedelta(days=24), timedelta(days=50),
]  # fmt: skip
STARTS = [
    datetime(2018, 1, 30, 4, 59, 59, tzinfo=UTC),  # 29 January, 23:59:59 in New York
    datetime(2018, 3, 10, 12, tzinfo=UTC),  # the day before summer time
    datetime(2016, 2, 28, 23, tzinfo=UTC),
    datetime(2017, 12, 30, 5, tzinfo=UTC),
]
NUMBER = st.integers(0, 99)


class Step(NamedTuple):
    """One drawn step: what is done, how much later, how much it comes late, and numbers to choose by."""

    kind: str
    gap: int
    late: int
    numbers: tuple[int, int, int, int]


KINDS = [
    "purchase", "purchase", "purchase", "return", "return", "fulfil", "void", "amend", "amend", "referral",
    "request", "request", "confirm",
    "cancel", "again", "other", "sweep",
]  # fmt: skip
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(KINDS),
        st.integers(0, len(GAPS) - 1),
        st.sampled_from([0, 0, 0, 1, 2, 3]),
        st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
    ),
    min_size=4,
    max_size=40,
)
LATE = [timedelta(0), timedelta(minutes=3), timedelta(hours=2), timedelta(hours=7)]
AMOUNTS = [0, 99, 100, 250, 1999, 2500, 2501, 4000, 10_000]


def _buyer(order: int) -> str:
    """An order is one member's own; some buy more."""
    return MEMBERS[[0, 1, 0, 2, 1, 0, 3, 4, 2][order % 9]]


def history(steps: Sequence[Step], start: int) -> list[dict[str, Any]]:  # noqa: C901, PLR0912 - a branch a kind
    """Turn drawn steps into events, and sweeps at instants behind the latest one."""
    latest, orders, names = STARTS[start], 0, 0
    events: list[dict[str, Any]] = []
    bought: dict[int, dict[str, Any]] = {}
    for number, step in enumerate(steps):
        a, b, c, d = step.numbers
        latest += GAPS[step.gap]
        at = latest - LATE[step.late]
        member = MEMBERS[a % len(MEMBERS)]
        event: dict[str, Any] = {"kind": step.kind, "id": f"e{number}", "member": member, "at": at}
        if step.kind in {"purchase", "amend"}:
            event["lines"] = lines = [
                {"amount": AMOUNTS[(c + 7 * i) % len(AMOUNTS)], "quantity": (d + i) % 4, "brand": "XY"[(b + i) % 2]}
                for i in range(1 + b % 3)
            ]
        if step.kind == "purchase":
            event |= {"id": f"o{orders}", "order": f"o{orders}", "lines": lines}
            event["member"] = _buyer(orders)
            bought[orders] = event
            orders += 1
        elif step.kind in ABOUT_ORDERS:
            order = (orders + 1 - b % (orders + 2)) if b > 15 else orders  # sometimes one that is not there yet
            event |= {"id": f"{step.kind}{number}", "order": f"o{order}"}
            if step.kind == "fulfil":
                event["id"] = f"fulfil o{order}"
            if d != 13:
                event["member"] = _buyer(order)
            if step.kind == "return":
                event["lines"] = _some_lines(bought.get(order), c, d)
        elif step.kind == "referral":
            event["referrer"] = MEMBERS[b % len(MEMBERS)]
        elif step.kind == "request":
            reward = ["small", "small", "big", "big", "none"][b % 5]
            event |= {"name": f"r{names}", "reward": reward, "confirm": c % 3 == 0}
            names += 1
        elif step.kind in {"confirm", "cancel"}:
            name = max(names - 1 - b % 3, 0) if b > 5 else names
            asked = next((one for one in events if one["kind"] == "request" and one["name"] == f"r{name}"), None)
            event |= {"name": f"r{name}", "member": asked["member"] if asked and d != 13 else member}
        elif step.kind in {"again", "other"}:
            sent = [one for one in events if one["kind"] != "sweep"]
            if not sent:
                continue
            event = dict(sent[b % len(sent)])
            if step.kind == "other" and event["kind"] not in {"confirm", "cancel"}:
                event["at"] += timedelta(seconds=1)
        elif step.kind == "sweep":
            event["members"] = [name for i, name in enumerate(MEMBERS) if b & (1 << i)]
            event["at"] = latest - LATE[c % 4]
        events.append(event)
    return events


def _some_lines(order: dict[str, Any] | None, c: int, d: int) -> list[tuple[int, int, int]] | None:
    if c % 3 == 0:
        return None
    if order is None:
        return [(0, 1, 50)]
    back = []
    for i, line in enumerate(order["lines"]):
        share = [0, 1, 2, 3, 4][(c + i + d) % 5]
        quantity, amount = line["quantity"] * share // 4, line["amount"] * share // 4
        if quantity or amount:
            back.append((i, quantity, amount))
    if d == 7:
        back.append((9, 1, 0))
    return back or None


HISTORIES = st.tuples(STEPS, st.integers(0, len(STARTS) - 1))
