"""The model of a program file: what each field allows. ``validation`` checks what fields mean together."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.fields import CURRENCY_CODES, CurrencyCode, Label, TimeZone, minor_digits
from shared.program.language.earning import EarningRule
from shared.program.language.fields import Day, Part, Slug, phrase, phrases, some
from shared.program.language.grammar import Expiry
from shared.program.language.phrases import Cap, Money
from shared.program.language.phrases_of_time import Pending
from shared.program.language.products import ProductMatches
from shared.program.language.sections import Conversion, Ladder, Notifications, Referral, Reward

Activity = Literal["earn", "redeem"]
DaysBefore = Annotated[int, Field(ge=1, le=366)]


class Wallet(Part):
    """A kind of points."""

    name: Label
    unit: Annotated[str, Field(pattern=r"^[^\W\d][\w -]{0,30}$")] = Field(
        description="The name of one unit: point, star; or a currency: then the wallet holds money, in minor units"
    )
    expiry: phrase(Expiry)  # type: ignore[valid-type]
    activities: some(Activity, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="Which activities keep points alive that expire by inactivity: earn, or (the default) both"
    )
    pending: phrase(Pending) | None = Field(None, description="When points become available (default: at once)")  # type: ignore[valid-type]
    on_return: Literal["debt", "clamp", "withhold"] = Field(
        "debt",
        description="What a return does about points that were already spent: the member owes them, they are let go, "
        "or their worth is kept from the refund",
    )
    cap: phrases(Cap, max_length=8) = Field((), description="The most that one member earns")  # type: ignore[valid-type]
    budget: phrases(Cap, max_length=8) = Field((), description="The most that all members together earn")  # type: ignore[valid-type]
    remind: some(DaysBefore, max_length=10) = Field((), description="Announce an expiry this many days before")  # type: ignore[valid-type]


class Spend(Part):
    """Which parts of an order's price earn, besides what was paid for its lines."""

    tax: Literal["counts", "does not count"] = "does not count"
    shipping: Literal["counts", "does not count"] = "does not count"
    gift_cards_used: Literal["earn", "do not earn"] = Field(
        "earn", description="What was paid with a gift card (tender method gift-card); gift cards bought never earn"
    )

    @cached_property
    def is_plain(self) -> bool:
        """Whether exactly what was paid for the lines counts, however it was paid."""
        return (self.tax, self.shipping, self.gift_cards_used) == ("does not count", "does not count", "earn")


class ProgramFile(Part):
    """A loyalty program, version 1 of the language."""

    program: Slug = Field(
        description="A name for this program that never changes; the schema and the topics are named after it"
    )
    name: Label
    currency: CurrencyCode
    time_zone: TimeZone = Field(description="IANA name of the time zone of all dates")
    effective: Day = Field(description="This version rates purchases from the beginning of this day")
    wallets: Annotated[dict[Slug, Wallet], Field(min_length=1, max_length=16)]
    also_accepts: dict[CurrencyCode, phrase(Money)] = Field(  # type: ignore[valid-type]
        {}, description="Other currencies of orders, and what one unit of them is worth: CAD: 0.74 USD"
    )
    spend: Spend = Spend()
    multipliers: Literal["add", "multiply", "highest"] = Field(
        "multiply",
        description="What factors of 2 and 3 on the same line make together: add: 4, multiply: 6, highest: 3",
    )
    never_earns: ProductMatches | None = Field(None, description="Lines that no rule rewards (gift cards never earn)")
    earning: Annotated[tuple[EarningRule, ...], Field(min_length=1, max_length=10_000)]
    referral: Referral | None = None
    rewards: Annotated[tuple[Reward, ...], Field(max_length=10_000)] = ()
    conversions: Annotated[tuple[Conversion, ...], Field(max_length=16)] = ()
    ladder: Ladder | None = None
    notifications: Notifications | None = None


def wallet_with_unit(program: ProgramFile, unit: str) -> list[str]:
    """Return the wallets with a unit, given in singular or plural."""
    return [slug for slug, wallet in program.wallets.items() if singular(wallet.unit) == singular(unit)]


def wallets_of_units(program: ProgramFile, rule: EarningRule) -> list[str]:
    """Return the wallets that a rule could pay: those with its units; for "back", those that hold money."""
    gives = list(rule.give or ()) + ([give for _, give in rule.calculate.gives()] if rule.calculate else [])
    found = list(program.wallets)
    for give in gives:
        meant = wallet_with_unit(program, give.unit) if give.unit else _with_money(program)
        found = [slug for slug in found if slug in meant]
    return found


def wallet_of(program: ProgramFile, rule: EarningRule) -> str:
    """Return the wallet that a rule of a valid file pays or multiplies."""
    if rule.wallet is not None:
        return rule.wallet
    if rule.split is not None:
        return next(iter(rule.split))
    if rule.of is not None:
        return wallet_of(program, next(other for other in program.earning if other.rule == rule.of[0]))
    return wallets_of_units(program, rule)[0]


def currency_of(program: ProgramFile, wallet: str) -> str | None:
    """Return the currency that a wallet holds, in minor units; None if it holds points."""
    unit = program.wallets[wallet].unit
    return unit if unit in CURRENCY_CODES else None


def scale_of(program: ProgramFile, wallet: str) -> int:
    """Return how many of a wallet's smallest units make one unit of the file: 100 in a wallet of dollars."""
    currency = currency_of(program, wallet)
    return 10 ** minor_digits(currency) if currency else 1


def _with_money(program: ProgramFile) -> list[str]:
    return [slug for slug in program.wallets if currency_of(program, slug)]


def singular(unit: str) -> str:
    """Return a unit in the form for comparison: ``Points`` and ``point`` are the same."""
    return unit.lower().removesuffix("s")
