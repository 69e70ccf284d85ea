"""All rules of a version, and an index of which of them could pay for a purchase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from shared.contracts.purchases import PurchaseCompleted
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.rating_context import MemberFieldsUsed
from shared.program.compiled.rules import Rule, compile_limits, compile_rule
from shared.program.compiled.tallies import Key, Limit, before, visits_key
from shared.program.language.model import ProgramFile, wallet_of

#: With so few rules, testing them all is cheaper than looking up which ones could match.
_FEW = 8
_DAYS_KEPT = 800
_Rules = dict[str, tuple[int, ...]]


class _Index(NamedTuple):
    """The rules of a day, by the attributes that an order, or one of its lines, must have for them to pay.

    Attributes:
        always: Rules that could pay for any order.
    """

    always: tuple[Rule, ...]
    product: _Rules
    sku: _Rules
    brand: _Rules
    category: _Rules
    tag: _Rules
    store: _Rules
    partner: _Rules
    channel: _Rules

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Self:
        """Index rules by their keys."""
        always: list[Rule] = []
        keyed: dict[str, _Rules] = {kind: {} for kind in cls._fields[1:]}
        for rule in rules:
            if rule.keys is None:
                always.append(rule)
            for kind, value in rule.keys or ():
                keyed[kind][value] = (*keyed[kind].get(value, ()), rule.index)
        return cls(tuple(always), **keyed)

    def met_by(self, purchase: PurchaseCompleted) -> set[int]:
        """Return the numbers of the rules that share a key with the order or one of its lines."""
        _always, products, skus, brands, categories, tags, stores, partners, channels = self
        found = {
            *stores.get(purchase.store_id or "", ()),
            *partners.get(purchase.partner_id or "", ()),
            *channels.get(purchase.channel or "", ()),
        }
        for line in purchase.lines:
            found.update(products.get(line.product_id, ()))
            if line.sku is not None:
                found.update(skus.get(line.sku, ()))
            if line.brand is not None:
                found.update(brands.get(line.brand, ()))
            if line.category:
                found.update(categories.get(line.category[0], ()))
            for tag in line.tags:
                found.update(tags.get(tag, ()))
        return found


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules of a version, and an index of which of them could pay for a purchase.

    Attributes:
        rules: In the file's order.
        caps: Of all that a wallet gets, by wallet.
        limits: All caps over more than one order, and all budgets.
        member_fields: The member fields that rules and expiries use; None: none.
        counts_purchases: Whether a rule depends on which purchase of the member it is.
        visits: The periods in which rules count visits in a row.
    """

    rules: tuple[Rule, ...]
    caps: Mapping[str, tuple[Limit, ...]]
    limits: tuple[Limit, ...]
    member_fields: MemberFieldsUsed | None
    counts_purchases: bool
    visits: tuple[Literal["day", "week", "month"], ...]
    _of_day: dict[date, _Index] = field(default_factory=dict)

    def that_could_pay(self, purchase: PurchaseCompleted, local: datetime) -> Sequence[Rule]:
        """Return the rules that could pay for a purchase at a local time, in the file's order. No other rule can."""
        if len(self.rules) <= _FEW:
            return self.rules
        day = local.date()
        index = self._of_day.get(day) or self._index(day)
        found = index.met_by(purchase)
        if not found:
            return index.always
        found.update(rule.index for rule in index.always)
        return [self.rules[number] for number in sorted(found)]

    @property
    def asks_members(self) -> bool:
        """Whether anything depends on the member's fields."""
        return self.member_fields is not None

    @property
    def counts(self) -> bool:
        """Whether anything is counted per member."""
        return bool(self.limits or self.counts_purchases or self.visits)

    def limits_of(self, rules: Iterable[Rule]) -> Iterator[Limit]:
        """Yield the limits over more than one order of some rules and of the wallets that they pay."""
        wallets: set[str] = set()
        for rule in rules:
            wallets.update(rule.lifetimes)
            yield from (limit for limit in rule.caps if limit.per != "order")
        for wallet in sorted(wallets):
            yield from (limit for limit in self.caps[wallet] if limit.per != "order")

    def visits_around(self, day: date) -> Iterator[Key]:
        """Yield the visit tallies that rating a purchase on a local day looks up."""
        for per in self.visits:
            key = visits_key(per, day)
            yield from (key, before(per, key))

    def _index(self, day: date) -> _Index:
        """Build the index of a day. Purchases come roughly in order of time, so this happens about once a day."""
        if len(self._of_day) >= _DAYS_KEPT:
            self._of_day.clear()
        index = self._of_day[day] = _Index.of(rule for rule in self.rules if rule.days[0] <= day <= rule.days[1])
        return index


def compile_rules(program: ProgramFile, ladder: Ladder | None, zone: ZoneInfo) -> RuleBook:
    """Compile the rules of a valid file."""
    numbers = {rule.rule: index for index, rule in enumerate(program.earning)}
    by_wallet: dict[str, set[int]] = {}
    for rule in program.earning:
        if rule.multiply is None:
            by_wallet.setdefault(wallet_of(program, rule), set()).add(numbers[rule.rule])
    paying = {wallet: frozenset(found) for wallet, found in by_wallet.items()}
    rules = tuple(compile_rule(program, rule, numbers, paying, ladder, zone) for rule in program.earning)
    caps = {slug: compile_limits(program, slug, f"wallet {slug}", wallet) for slug, wallet in program.wallets.items()}
    conditions = [rule.when for rule in program.earning if rule.when]
    limits = [limit for of in (*(rule.caps for rule in rules), *caps.values()) for limit in of]
    purchases = any(when.purchase for when in conditions)
    visits = tuple(sorted({when.visits.per for when in conditions if when.visits}))
    return RuleBook(
        rules=rules,
        caps=caps,
        limits=tuple(limit for limit in limits if limit.per != "order"),
        member_fields=_member_fields(program, rules),
        counts_purchases=purchases,
        visits=visits,
    )


def _member_fields(program: ProgramFile, rules: Sequence[Rule]) -> MemberFieldsUsed | None:
    conditions = [rule.when for rule in program.earning if rule.when]
    lives = any(lifetime.asks_member for rule in rules for lifetime in rule.lifetimes.values())
    lives = lives or any(wallet.expiry.to_the_end_of == "membership year" for wallet in program.wallets.values())
    fields = MemberFieldsUsed(
        joined_on=lives or any(when.anniversary for when in conditions),
        birthday=any(when.birthday for when in conditions),
        segments=frozenset(segment for when in conditions for segment in when.segment or ()),
        attributes=frozenset(name for when in conditions for name in when.attribute or ()),
    )
    return fields if any(fields) else None
