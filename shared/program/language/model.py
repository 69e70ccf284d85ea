"""The program file as models: what may stand in each field. What fields mean together is in ``contradictions``."""

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
        description="What one is called: point, star; or a currency: then it holds money, in minor units"
    )
    expiry: phrase(Expiry)  # type: ignore[valid-type]
    activities: some(Activity, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="What keeps points alive that lapse without activity: earn, or (the default) both"
    )
    pending: phrase(Pending) | None = Field(None, description="When points become available (default: at once)")  # type: ignore[valid-type]
    on_return: Literal["debt", "clamp", "withhold"] = Field(
        "debt", description="Points of a return that are spent already: owed, let go, or kept from the refund"
    )
    cap: phrases(Cap, max_length=8) = Field((), description="A member earns at most so many")  # type: ignore[valid-type]
    budget: phrases(Cap, max_length=8) = Field((), description="All members together earn at most so many")  # type: ignore[valid-type]
    remind: some(DaysBefore, max_length=10) = Field((), description="Announce an expiry so many days before")  # type: ignore[valid-type]


class Spend(Part):
    """What of an order's price earns, beside what was paid for its lines."""

    tax: Literal["counts", "does not count"] = "does not count"
    shipping: Literal["counts", "does not count"] = "does not count"
    gift_cards_used: Literal["earn", "do not earn"] = Field(
        "earn", description="What was paid with a gift card (tender method gift-card); gift cards bought never earn"
    )

    @cached_property
    def is_plain(self) -> bool:
        """Whether nothing but what was paid for its lines counts, however it was paid."""
        return (self.tax, self.shipping, self.gift_cards_used) == ("does not count", "does not count", "earn")


class ProgramFile(Part):
    """A loyalty program, version 1 of the language."""

    program: Slug = Field(description="A name for this program that never changes; schema and topics are named by it")
    name: Label
    currency: CurrencyCode
    time_zone: TimeZone = Field(description="IANA name; all dates are meant there")
    effective: Day = Field(description="This version rates purchases from the beginning of this day")
    wallets: Annotated[dict[Slug, Wallet], Field(min_length=1, max_length=16)]
    also_accepts: dict[CurrencyCode, phrase(Money)] = Field(  # type: ignore[valid-type]
        {}, description="Other currencies of orders, and what one of them is worth: CAD: 0.74 USD"
    )
    spend: Spend = Spend()
    multipliers: Literal["add", "multiply", "highest"] = Field(
        "multiply", description="What 2 times and 3 times for the same line make: 4 times, 6 times, or 3 times"
    )
    never_earns: ProductMatches | None = Field(None, description="Lines that no rule rewards (gift cards never earn)")
    earning: Annotated[tuple[EarningRule, ...], Field(min_length=1, max_length=10_000)]
    referral: Referral | None = None
    rewards: Annotated[tuple[Reward, ...], Field(max_length=10_000)] = ()
    conversions: Annotated[tuple[Conversion, ...], Field(max_length=16)] = ()
    ladder: Ladder | None = None
    notifications: Notifications | None = None


def wallet_with_unit(program: ProgramFile, unit: str) -> list[str]:
    """Return the wallets whose unit is named, singular or plural."""
    return [slug for slug, wallet in program.wallets.items() if singular(wallet.unit) == singular(unit)]


def wallets_of_units(program: ProgramFile, rule: EarningRule) -> list[str]:
    """Return the wallets that what a rule gives could mean: by its units; of "back", those that hold money."""
    gives = list(rule.give or ()) + ([give for _, give in rule.calculate.gives()] if rule.calculate else [])
    found = list(program.wallets)
    for give in gives:
        meant = wallet_with_unit(program, give.unit) if give.unit else _with_money(program)
        found = [slug for slug in found if slug in meant]
    return found


def wallet_of(program: ProgramFile, rule: EarningRule) -> str:
    """Return the wallet that a rule of a file without contradictions pays, or multiplies."""
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
    """Return how many of a wallet's smallest units are one of what the file writes: 100 for a wallet of dollars."""
    currency = currency_of(program, wallet)
    return 10 ** minor_digits(currency) if currency else 1


def _with_money(program: ProgramFile) -> list[str]:
    return [slug for slug in program.wallets if currency_of(program, slug)]


def singular(unit: str) -> str:
    """Return a unit as it is compared: ``Points`` and ``point`` are one."""
    return unit.lower().removesuffix("s")
