"""Mistakes that no field shows by itself: one function per subject, which yields (path, problem)."""

from __future__ import annotations

from fractions import Fraction

from shared.contracts.fields import minor_digits
from shared.program.language.grammar import Expiry
from shared.program.language.model import ProgramFile, singular, wallet_with_unit, wallets_of_units
from shared.program.language.phrases import Money, Points
from shared.program.language.source import Path
from shared.program.validation.conversions import contradictions_in_conversions
from shared.program.validation.earning import contradictions_in_earning
from shared.program.validation.findings import Found, again, caps_of, money_of_the_program, unit_of_one_wallet

#: The section that a kind of notification requires.
_TOLD_OF = {
    "tier-upgraded": "ladder",
    "tier-expiring": "ladder",
    "referral-rewarded": "referral",
    "redemption-done": "rewards",
}


def contradictions(program: ProgramFile) -> Found:
    """Yield all mistakes, section by section."""
    yield from contradictions_in_earning(program)
    yield from _currencies(program)
    yield from _wallet_times(program)
    yield from _wallet_caps(program)
    yield from _wallets_without_a_rule(program)
    yield from _amounts(program)
    yield from contradictions_in_conversions(program)
    yield from _reward_names(program)
    yield from _reward_tiers(program)
    yield from _ladder_terms(program)
    yield from _ladder_names(program)
    yield from _ladder_thresholds(program)
    yield from _untellable(program)
    yield from _no_time_to_send(program)


# ---- wallets


def _wallet_times(program: ProgramFile) -> Found:
    for slug, wallet in program.wallets.items():
        lives = _fewest_days(wallet.expiry)
        if wallet.pending and wallet.pending.days and lives is not None and lives <= wallet.pending.days:
            yield (
                ("wallets", slug, "pending"),
                "found points that lapse before they are available; allowed: less than expiry",
            )
        if wallet.activities and not wallet.expiry.idle:
            yield ("wallets", slug, "activities"), "allowed only beside expiry: after 18 months without activity"
        if wallet.activities and "earn" not in wallet.activities:
            yield ("wallets", slug, "activities"), "found no earn, so points would expire as they are earned; add earn"
        if wallet.remind and lives is None:
            yield ("wallets", slug, "remind"), "found reminders of points that never expire; take them out"


def _wallets_without_a_rule(program: ProgramFile) -> Found:
    paid = {slug for rule in program.earning for slug in (rule.split or wallets_of_units(program, rule)[:1])}
    paid |= {rule.wallet for rule in program.earning if rule.wallet}
    paid |= {slug for conversion in program.conversions for slug in wallet_with_unit(program, conversion.into.unit)}
    for slug in program.wallets:
        if slug not in paid:
            yield ("wallets", slug), "found a wallet that no rule pays into; add a rule or take the wallet out"


def _currencies(program: ProgramFile) -> Found:
    for currency, worth in program.also_accepts.items():
        path: Path = ("also_accepts", currency)
        if currency == program.currency:
            yield path, f"found {currency}, the program's own currency; allowed: other ones"
        elif worth.currency != program.currency:
            yield path, f"found a worth in {worth.currency}; allowed: in the program's currency, {program.currency}"
        elif not worth.amount:
            yield path, "found a currency that is worth nothing; take it out"


def _wallet_caps(program: ProgramFile) -> Found:
    for slug, wallet in program.wallets.items():
        yield from caps_of(wallet.cap, "cap", wallet.unit, ("wallets", slug))
        yield from caps_of(wallet.budget, "budget", wallet.unit, ("wallets", slug))


def _fewest_days(expiry: Expiry) -> int | None:
    """Return the shortest life of points in days; None if they do not expire."""
    if expiry.count is None:
        return None
    return expiry.count * {"day": 1, "month": 28, "year": 365}[expiry.unit]


# ---- referral and rewards


def _amounts(program: ProgramFile) -> Found:
    amounts: list[tuple[Path, Points | Money]] = []
    if program.referral:
        names = ("referrer", "friend", "purchase_of_at_least")
        amounts += [(("referral", name), getattr(program.referral, name)) for name in names]
    for index, reward in enumerate(program.rewards):
        amounts += [(("rewards", index, "cost"), reward.cost), (("rewards", index, "worth"), reward.worth)]
    for path, amount in amounts:
        if isinstance(amount, Points):
            yield from unit_of_one_wallet(program, amount.unit, path)
        else:
            yield from money_of_the_program(program, amount.amount, amount.currency, path)


def _reward_names(program: ProgramFile) -> Found:
    for index in again([reward.reward for reward in program.rewards]):
        name = program.rewards[index].reward
        yield ("rewards", index, "reward"), f'found "{name}" again; allowed: a name that no other reward has'


def _reward_tiers(program: ProgramFile) -> Found:
    tiers = [tier.tier for tier in program.ladder.tiers] if program.ladder else []
    for index, reward in enumerate(program.rewards):
        if reward.tier is not None and reward.tier not in tiers:
            allowed = ", ".join(tiers) or "none, for there is no ladder"
            yield ("rewards", index, "tier"), f'found "{reward.tier}"; allowed: a tier of the ladder: {allowed}'


# ---- ladder


def _ladder_terms(program: ProgramFile) -> Found:
    ladder = program.ladder
    if ladder is None:
        return
    if ladder.wallet is None and len(program.wallets) > 1:
        wallet = next(iter(program.wallets))
        yield ("ladder",), f"found several wallets; say whose points carry the ladder: wallet: {wallet}"
    elif ladder.wallet is not None and ladder.wallet not in program.wallets:
        yield ("ladder", "wallet"), f'found "{ladder.wallet}"; allowed: {", ".join(program.wallets)}'
    holds = ladder.keep == "while the metric holds"
    if ladder.window in {"rolling 12 months", "lifetime"} and not holds:
        yield (
            ("ladder", "keep"),
            f"found a period, and the window {ladder.window} has none; allowed: while the metric holds",
        )
    if holds and (ladder.soft_landing or ladder.grace_days):
        name = "soft_landing" if ladder.soft_landing else "grace_days"
        yield ("ladder", name), "found a softer end of a period; allowed only where a tier is kept for a period"


def _ladder_names(program: ProgramFile) -> Found:
    tiers = program.ladder.tiers if program.ladder else ()
    for index in again([tier.tier for tier in tiers]):
        name = tiers[index].tier
        yield ("ladder", "tiers", index, "tier"), f'found "{name}" again; allowed: a name that no other tier has'


def _ladder_thresholds(program: ProgramFile) -> Found:
    ladder = program.ladder
    if ladder is None:
        return
    spend = ladder.metric == "spend"
    wallet = program.wallets.get(ladder.wallet or next(iter(program.wallets)))
    unit = program.currency if spend or wallet is None else wallet.unit
    scale = 10 ** minor_digits(program.currency) if spend else 1
    before = Fraction(-1)
    for index, tier in enumerate(ladder.tiers):
        path: Path = ("ladder", "tiers", index, "from")
        amount, named = tier.from_.amount, tier.from_.unit
        if named and wallet and singular(named) != singular(unit):
            yield path, f'found the unit "{named}"; allowed: {unit}, for the metric is {ladder.metric}'
        if (amount * scale).denominator != 1:
            yield path, f"found an amount below the smallest unit of {unit}; allowed: whole ones"
        if index == 0 and amount:
            yield path, 'found a first tier that begins above 0; allowed: "0", for everybody needs a tier'
        if amount <= before:
            yield path, "found a tier that does not begin above the one before; allowed: the lowest first"
        before = amount


# ---- notifications


def _untellable(program: ProgramFile) -> Found:
    """Yield the notifications that were asked for and can never be sent; the default list is not checked."""
    section = program.notifications
    if section is None or "tell" not in section.model_fields_set:
        return
    for index, kind in enumerate(section.tell):
        needed = _TOLD_OF.get(kind)
        if needed and not getattr(program, needed):
            yield ("notifications", "tell", index), f'found "{kind}"; allowed only in a program with {needed}:'
        if kind == "points-expiring" and not any(wallet.remind for wallet in program.wallets.values()):
            yield ("notifications", "tell", index), f'found "{kind}"; allowed only where a wallet has remind:'


def _no_time_to_send(program: ProgramFile) -> Found:
    section = program.notifications
    if section is None or section.send_window is None or section.quiet_hours is None:
        return
    if section.send_window.minutes() <= section.quiet_hours.minutes():
        yield (
            ("notifications", "send_window"),
            "found a window inside quiet_hours; allowed: one with a minute that is not quiet",
        )
