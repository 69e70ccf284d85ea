"""Random programs of the whole language: drawn as data, and shown as text."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import ProgramFileError
from shared.program.compiled.program import Program, compile_program
from shared.program.language.model import ProgramFile
from shared.program.validation.consistency import contradictions

HEAD = {"program": "random-shop", "name": "S", "currency": "USD", "time_zone": "America/New_York",
        "effective": "2016-01-01"}  # fmt: skip
#: Two wallets hold stars: a rule parts what it pays between them, or says which one it means.
UNITS = {"points": "point", "stars": "star", "extra": "star", "cash": "USD"}
WALLETS = st.sampled_from([
    ["points"], ["points"], ["cash"], ["points", "cash"], ["stars", "extra"], ["points", "stars"],
    ["points", "stars", "extra"], ["points", "stars", "cash"],
])  # fmt: skip
#: With the most days that points of it may wait.
EXPIRIES = [
    ("never", 366), ("10 days", 3), ("2 days", 1), ("1 month", 20), ("1 month, to the end of that month", 20),
    ("20 days, to the end of that quarter", 3), ("on 15 March", 0), ("5 days, then the next 31 March", 3),
    ("at the end of the membership year", 0),
]  # fmt: skip
PENDING = ["1 day", "3 days", "14 days", "until fulfilled", "until claimed"]
PERIODS = ["per order", "per day", "per week", "per month", "per quarter", "per year", "in all"]
MATCHES = st.sampled_from([
    {"brand": "X"}, {"brand": ["X", "Y"]}, {"category": "TEA"}, {"category": [["TEA", "GREEN"], "FUEL"]},
    {"tag": "new"}, {"product": "p1"}, [{"brand": "Y"}, {"sku": "s0"}],
])  # fmt: skip
CONDITIONS: list[dict[str, Any]] = [
    {"channel": "web"}, {"store": ["7", "8"]}, {"dates": {"from": "2017-03-01", "to": "2017-03-20"}},
    {"weekday": ["monday", "friday", "saturday"]}, {"hours": "20:00 to 11:30"}, {"order_of_at_least": "30 USD"},
    {"lines_of_at_least": "20 USD"}, {"items_of_at_least": 2}, {"purchase": "first"}, {"purchase": "every 3rd"},
    {"purchase": "2nd"}, {"visits": "2 days in a row"}, {"visits": "2 weeks in a row"}, {"segment": "students"},
    {"birthday": "within 7 days"}, {"birthday": "in the month"}, {"anniversary": "within 3 days"},
    {"attribute": {"favourite": ["north", "south"]}}, {"paid_with": {"method": "card"}},
]  # fmt: skip
ROUNDINGS = [f"{how} per {scope}" for how in ("down", "half-up", "half-even") for scope in ("order", "line")]
GIVES = [
    "1 {} per whole USD", "5 {}s per whole 10 USD", "1.25 {}s per USD", "1/3 {} per USD", "10 {}s per item",
    "30 {}s per order",
]  # fmt: skip
MONEY = ["2% back", "7/3% back", "0.50 USD per item", "2 USD per order", "0.05 USD per whole USD"]
CALCULATIONS: list[dict[str, Any]] = [
    {"kind": "every-nth-unit", "n": 2, "give": "1 {} per USD"},
    {
        "kind": "table",
        "rows": [
            {"for": {"category": "TEA"}, "bands": [{"from": "0 USD", "give": "2 {}s per whole USD"},
                                                   {"from": "25 USD", "give": "25 {}s per order"}]},
            {"for": {"brand": "X"}, "bands": [{"from": "5 USD", "give": "3 {}s per item"}]},
        ],
    },
]  # fmt: skip
LADDERS = [("calendar year", "the rest of the period and the next"), ("membership year", "while the metric holds"),
           ("rolling 12 months", "while the metric holds"), ("lifetime", "while the metric holds")]  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """A program as data: parsing text would take longer than everything that is tested with the program."""

    data: dict[str, Any]

    @property
    def text(self) -> str:
        """A file with one line a field and a rule; what is JSON is YAML, too."""
        fields = "".join(f"{name}: {json.dumps(value)}\n" for name, value in self.data.items() if name != "earning")
        return f"{fields}earning:\n" + "".join(f"  - {json.dumps(rule)}\n" for rule in self.data["earning"])

    def __repr__(self) -> str:
        return self.text


def one_in(number: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * (number - 1) + [True])


@st.composite
def limits(draw: st.DrawFn, unit: str, *, budget: bool) -> list[str]:
    """Caps, or budgets: small enough to be used up, not smaller than one award."""
    numbers = [2, 3, 8, 20] if unit == "USD" else [30, 45, 100, 250]
    periods = draw(st.lists(st.sampled_from(PERIODS[budget:]), min_size=1, max_size=2, unique=True))
    return [f"{draw(st.sampled_from(numbers))} {unit}{'' if unit == 'USD' else 's'} {period}" for period in periods]


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    """How long points live, and how long they wait: not longer than that."""
    expiry, longest = draw(st.sampled_from(EXPIRIES))
    made: dict[str, Any] = {"expiry": expiry}
    if draw(st.booleans()):
        pending = draw(st.sampled_from(PENDING))
        if not pending[0].isdigit() or int(pending.split()[0]) <= longest:
            made["pending"] = pending
    return made


@st.composite
def rules(
    draw: st.DrawFn, number: int, wallets: list[str], before: list[dict[str, Any]], budgets: bool
) -> dict[str, Any]:
    wallet = draw(st.sampled_from(wallets))
    paying = [other["rule"] for other in before if "multiply" not in other and other["wallet"] == wallet]
    rule = {"rule": f"r{number}", "wallet": wallet, **draw(pay(wallet, paying)), **draw(occasion())}
    if draw(one_in(5)) and before:
        names = st.sampled_from([other["rule"] for other in before])
        rule["replaces"] = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    if draw(one_in(4)):
        rule["best_of"] = "offers"
    if draw(one_in(3)):
        rule["cap"] = draw(limits(UNITS[wallet], budget=False))
    if budgets and draw(one_in(3)):
        rule["budget"] = draw(limits(UNITS[wallet], budget=True))
    if draw(one_in(5)):
        rule |= draw(terms())
    parted = wallet in {"stars", "extra"} <= set(wallets) and "multiply" not in rule
    if parted and draw(st.booleans()):
        rule["split"] = {"stars": "60%", "extra": "40%"}
    return rule


@st.composite
def pay(draw: st.DrawFn, wallet: str, paying: list[str]) -> dict[str, Any]:
    """What a rule gives: of its own, or as a multiple of rules that pay into the same wallet."""
    unit = UNITS[wallet]
    rule: dict[str, Any] = {}
    if draw(st.booleans()):
        rule["rounding"] = draw(st.sampled_from(ROUNDINGS))
    if draw(one_in(4)) and paying:
        rule["multiply"] = draw(st.sampled_from(["2", "1.5", "7/3"]))
        if draw(st.booleans()):
            rule["of"] = draw(st.lists(st.sampled_from(paying), min_size=1, unique=True))
    elif wallet != "cash" and draw(one_in(8)):
        calculation = json.dumps(draw(st.sampled_from(CALCULATIONS)))
        rule["calculate"] = json.loads(calculation.replace("{}", unit))
    else:
        rule["give"] = draw(st.sampled_from(MONEY if wallet == "cash" else GIVES)).replace("{}", unit)
    return rule


@st.composite
def occasion(draw: st.DrawFn) -> dict[str, Any]:
    """For which lines, and for which orders."""
    rule: dict[str, Any] = {}
    if draw(one_in(3)):
        rule["for"] = draw(MATCHES)
    elif draw(one_in(4)):
        rule["except"] = {"tag": "new"}
    if draw(st.booleans()):
        rule["when"] = {}
        for condition in draw(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2)):
            rule["when"] |= condition
    return rule


@st.composite
def programs(draw: st.DrawFn, *, budgets: bool = True, ladder: bool = True) -> Draft:
    wallets = draw(WALLETS)
    earning: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        earning.append(draw(rules(number, wallets, earning, budgets)))
    paid = [
        slug for slug in wallets if any(slug == rule["wallet"] or slug in rule.get("split", ()) for rule in earning)
    ]
    data: dict[str, Any] = {**HEAD, "multipliers": draw(st.sampled_from(["add", "multiply", "highest"]))}
    data["wallets"] = {slug: draw(a_wallet(UNITS[slug], budgets)) for slug in paid}
    unique = [slug for slug in paid if [UNITS[other] for other in paid].count(UNITS[slug]) == 1]
    if unique:
        cost = "1 USD" if unique[0] == "cash" else f"5 {UNITS[unique[0]]}s"
        data["rewards"] = [{"reward": "mug", "name": "Mug", "cost": cost, "worth": "1 USD", "hold": "1 day"}]
    if ladder and draw(one_in(3)):
        data["ladder"] = tiers = draw(ladders(draw(st.sampled_from(paid))))
        if draw(st.booleans()):
            earning[-1]["when"] = {**earning[-1].get("when", {}), "tier": tiers["tiers"][1]["tier"]}
    if draw(one_in(4)):
        data["never_earns"] = {"category": "FUEL"}
    for rule in earning:
        if "split" in rule:
            del rule["wallet"]
    return Draft({**data, "earning": earning})


@st.composite
def a_wallet(draw: st.DrawFn, unit: str, budgets: bool) -> dict[str, Any]:
    wallet = {"name": "W", "unit": unit, **draw(terms())}
    if draw(one_in(6)):
        wallet |= {"expiry": "after 16 days without activity"}
        if draw(st.booleans()):
            wallet["activities"] = draw(st.sampled_from(["earn", "redeem"]))
    wallet["on_return"] = draw(st.sampled_from(["debt", "clamp", "withhold"]))
    if wallet["expiry"] != "never" and draw(one_in(3)):
        wallet["remind"] = [1, 5]
    if draw(one_in(3)):
        wallet["cap"] = draw(limits(unit, budget=False))
    if budgets and draw(one_in(4)):
        wallet["budget"] = draw(limits(unit, budget=True))
    return wallet


@st.composite
def ladders(draw: st.DrawFn, wallet: str) -> dict[str, Any]:
    window, keep = draw(st.sampled_from(LADDERS))
    metric = draw(st.sampled_from(["spend", "points"]))
    unit = "USD" if metric == "spend" or wallet == "cash" else f"{UNITS[wallet]}s"
    return {
        "metric": metric, "window": window, "keep": keep, "wallet": wallet,
        "tiers": [
            {"tier": "low", "name": "Low", "from": "0"},
            {"tier": "high", "name": "High", "from": f"60 {unit}", "multiplier": "1.25"},
            {"tier": "top", "name": "Top", "from": f"200 {unit}", "multiplier": "7/3"},
        ],
    }  # fmt: skip


def file_of(data: dict[str, Any]) -> ProgramFile:
    """The program file that data stands for, as the loader makes it of text.

    Raises:
        ProgramFileError: Two of its fields contradict each other.
    """
    file = ProgramFile.model_validate(_scalars_as_text(data))
    problems = [f"{path}: {what}" for path, what in contradictions(file)]
    if problems:
        raise ProgramFileError(problems)
    return file


def _scalars_as_text(value: Any) -> Any:
    """A program file knows text alone: 2 is "2"."""
    if isinstance(value, dict):
        return {name: _scalars_as_text(one) for name, one in value.items()}
    return [_scalars_as_text(one) for one in value] if isinstance(value, list) else str(value)


def compiled(draft: Draft) -> Program:
    """Return the compiled program; programs that the language refuses are rejected as examples."""
    made = None
    with contextlib.suppress(ProgramFileError, ValidationError):
        made = compile_program(file_of(draft.data), 1)
    assume(made is not None)
    assert made is not None
    return made
