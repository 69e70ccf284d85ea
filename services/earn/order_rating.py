"""One purchase under rules that act on each other: replaced, multiplied, competing, capped and parted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from services.earn.awards import Award, Outcome, Verdict, why_nothing
from services.earn.sharing import split
from services.earn.stacking import Hit, best_of_each, multipliers, without_replaced
from shared.contracts.fields import in_money
from shared.program.calculations.base import Basket
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import RatingContext
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import PURCHASES, Key, Limit, visits_key

_ONE = Fraction(1)


def of_every_purchase(program: Program, occasion: RatingContext) -> dict[Key, int]:
    """Count the purchase, and the visit that it is."""
    counted: dict[Key, int] = {}
    if not program.book.counts:
        return counted
    if program.book.counts_purchases:
        counted[PURCHASES] = 1
    for per in program.book.visits:
        new, in_a_row = occasion.visits(per)
        if new:
            counted[visits_key(per, occasion.local.date())] = in_a_row
    return counted


class OrderRating:
    """One purchase on its way through the rules."""

    __slots__ = (
        "_applied",
        "_basket",
        "_cut",
        "_earning",
        "_occasion",
        "_of_order",
        "_program",
        "_qualifying",
        "_verdicts",
        "counted",
    )

    def __init__(
        self, program: Program, basket: Basket, qualifying: Sequence[int], earning: list[int], occasion: RatingContext,
        verdicts: list[Verdict] | None,
    ) -> None:  # fmt: skip
        self._program = program
        self._basket = basket
        self._qualifying = qualifying
        self._earning = earning
        self._occasion = occasion
        self._verdicts = verdicts
        self._applied = self._cut = False
        self._of_order: dict[Key, int] = {}
        self.counted = of_every_purchase(program, occasion)

    def rate(self) -> tuple[list[Award], str | None]:
        """Return the awards; or why there are none."""
        book, occasion = self._program.book, self._occasion
        rules = book.that_could_pay(occasion.purchase, occasion.local) if self._verdicts is None else book.rules
        hits = self._hits(rules)
        awards = self._stacked(hits) if not book.plain else [
            award for hit in hits if (award := self.paid(hit)) is not None
        ]  # fmt: skip
        return awards, None if awards else why_nothing(hit=bool(hits), applied=self._applied, cut=self._cut)

    def _hits(self, rules: Sequence[Rule]) -> list[Hit]:
        """Find the rules that apply, and the lines that each of them counts."""
        occasion, earning = self._occasion, self._earning
        lines, currency = self._basket.lines, self._basket.currency
        hits: list[Hit] = []
        for rule in rules:
            if rule.conditions and not all(condition.holds(occasion) for condition in rule.conditions):
                self._failed(rule)
                continue
            if rule.currencies is not None and currency not in rule.currencies:
                wanted = ", ".join(sorted(rule.currencies))
                self._say(rule, "condition", f"pays for orders in {wanted}; this one is in {currency}")
                continue
            self._applied = True
            matches = rule.matches
            picked = earning if matches is None else [i for i in earning if matches(lines[i])]
            if not picked:
                self._say(rule, "no-line", "no line of the order is what the rule rewards")
            elif not (rule.least_amount or rule.least_items) or self._enough(rule, picked):
                hits.append(Hit(rule, picked))
        return hits

    def _enough(self, rule: Rule, picked: Sequence[int]) -> bool:
        if rule.least_amount and (amount := sum(self._qualifying[i] for i in picked)) < rule.least_amount:
            currency = self._program.currency
            self._say(rule, "condition", f"lines_of_at_least: wanted {in_money(rule.least_amount, currency)}, "
                      f"found {in_money(amount, currency)}")  # fmt: skip
            return False
        if rule.least_items and (items := sum(self._basket.lines[i].quantity for i in picked)) < rule.least_items:
            self._say(rule, "condition", f"items_of_at_least: wanted {rule.least_items}, found {items}")
            return False
        return True

    # ---- what each rule pays

    def _stacked(self, hits: list[Hit]) -> list[Award]:
        """Let rules replace, multiply and compete; then cap and part what they pay."""
        kept, replaced = without_replaced(hits)
        for hit, by in replaced:
            self._say(hit.rule, "replaced", f"its lines are paid by {by.name} instead")
        base = [hit for hit in kept if hit.rule.factor is None]
        awards = {hit.rule.index: award for hit in base if (award := self.paid(hit)) is not None}
        self._let_the_best_win([hit.rule for hit in base], awards)
        winners = [hit for hit in kept if hit.rule.factor is not None or hit.rule.index in awards]
        for hit, targets in multipliers(winners, self._program.multipliers):
            if (award := self._multiplied(hit, targets)) is not None:
                awards[hit.rule.index] = award
        self._let_the_best_win([hit.rule for hit in kept if hit.rule.factor is not None], awards)
        ordered = [awards[index] for index in sorted(awards)]
        capped = (self._capped(award, award.rule.caps) for award in ordered)
        parts = [part for award in capped if award is not None for part in self._parted(award)]
        paid: list[Award] = []
        for part in parts:
            limits = self._program.book.caps[part.wallet]
            if (award := self._capped(part, limits)) is not None:
                paid.append(award)
                self._note(award.points, limits)
        # Only now: what a wallet's cap cuts off has not used up the rule's own.
        for award in paid:
            self._note(award.points, award.rule.caps)
        return paid

    def _let_the_best_win(self, rules: Sequence[Rule], awards: dict[int, Award]) -> None:
        points = {index: award.points for index, award in awards.items()}
        for loser, winner in best_of_each(rules, points):
            self._unsay(loser, "not-best", f"{winner.name} pays more")
            del awards[loser.index]

    def paid(self, hit: Hit) -> Award | None:
        """Return what a rule pays by itself."""
        rule, picked = hit
        amounts = [self._basket.amounts[i] for i in picked]
        if rule.step is not None and not (rule.tiered and self._occasion.known.tier):
            minor, per_step = rule.step
            return self._award(rule, sum(amounts) // minor * per_step, picked, amounts)
        factor = self._tier_factor(rule)
        assert rule.calculation is not None, "rules that multiply pay by others"
        if rule.rounding.scope == "line":
            parts = [rule.rounding.apply(rule.calculation.exact(self._basket, [i]) * factor) for i in picked]
            return self._award(rule, sum(parts), picked, parts)
        exact = rule.calculation.exact(self._basket, picked) * factor
        return self._award(rule, rule.rounding.apply(exact), picked, amounts)

    def _multiplied(self, hit: Hit, targets: Sequence[tuple[Hit, Fraction]]) -> Award | None:
        """Return what a rule adds to what others pay for its lines: (factor - 1) times that, rounded by itself."""
        rule, picked = hit
        by_line: dict[int, int] = {}
        exact = Fraction(0)
        for (other, lines), times in targets:
            assert other.calculation is not None, "rules that multiply are not multiplied"
            factor = times * self._tier_factor(other)
            if rule.rounding.scope == "line":
                for i in lines:
                    points = rule.rounding.apply(other.calculation.exact(self._basket, [i]) * factor)
                    by_line[i] = by_line.get(i, 0) + points
            else:
                exact += other.calculation.exact(self._basket, lines) * factor
        if rule.rounding.scope == "line":
            parts = [by_line.get(i, 0) for i in picked]
            return self._award(rule, sum(parts), picked, parts)
        return self._award(rule, rule.rounding.apply(exact), picked, [self._basket.amounts[i] for i in picked])

    def _award(self, rule: Rule, points: int, picked: Sequence[int], weights: Sequence[int]) -> Award | None:
        if not points:
            self._say(rule, "nothing", f"what it pays for this order rounds ({rule.rounding}) to nothing")
            return None
        line_points = [0] * len(self._basket.lines)
        for i, share in zip(picked, split(points, weights), strict=True):
            line_points[i] = share
        if self._verdicts is not None:
            self._say(rule, "paid", _counted(len(picked), "line"), points)
        return Award(rule, rule.wallet, points, line_points)

    def _capped(self, award: Award, limits: Sequence[Limit]) -> Award | None:
        """Return what caps leave of an award."""
        granted = award.points
        for limit in limits:
            left = limit.most - self._used(limit)
            if left < granted:
                granted = max(0, left)
                detail = f"{award.points:,} without the {_word(limit)} of {limit.most:,} {_per(limit)}"
                self._unsay(award.rule, "capped", detail, granted)
        if granted == award.points:
            return award
        self._cut = True
        return Award(award.rule, award.wallet, granted, split(granted, award.line_points)) if granted else None

    def _note(self, points: int, limits: Sequence[Limit]) -> None:
        """Count what was granted: the next award, or the next order, finds it gone."""
        for limit in limits:
            counted = self._of_order if limit.per == "order" else self.counted
            key = limit.key(self._occasion.local.date())
            counted[key] = counted.get(key, 0) + points

    def _used(self, limit: Limit) -> int:
        """Return how much of a cap is gone, by this order and by those before it."""
        key = limit.key(self._occasion.local.date())
        if limit.per == "order":
            return self._of_order.get(key, 0)
        return self._occasion.known.count(key) + self.counted.get(key, 0)

    def _parted(self, award: Award) -> Iterator[Award]:
        """Part an award among wallets, largest remainder first; a wallet that gets nothing is left out."""
        if not award.rule.split:
            yield award
            return
        weights = [weight for _wallet, weight in award.rule.split]
        for (wallet, _), points in zip(award.rule.split, split(award.points, weights), strict=True):
            if points:
                yield Award(award.rule, wallet, points, split(points, award.line_points))

    def _tier_factor(self, rule: Rule) -> Fraction:
        ladder = self._program.ladder
        return ladder.tiers[self._occasion.known.tier].multiplier if rule.tiered and ladder is not None else _ONE

    # ---- why

    def _failed(self, rule: Rule) -> None:
        if self._verdicts is not None:
            failed = next(condition for condition in rule.conditions if not condition.holds(self._occasion))
            found = failed.found(self._occasion)
            self._say(rule, "condition", f"{failed.field}: wanted {failed.wanted}, found {found}")

    def _say(
        self, rule: Rule,
        outcome: Outcome, detail: str,
        points: int = 0,
    ) -> None:  # fmt: skip
        if self._verdicts is not None:
            self._verdicts.append(Verdict(rule.name, outcome, points, detail))

    def _unsay(self, rule: Rule, outcome: Outcome, detail: str, points: int = 0) -> None:
        """Say something else of a rule than before."""
        if self._verdicts is not None:
            number = next(n for n, verdict in enumerate(self._verdicts) if verdict.rule == rule.name)
            self._verdicts[number] = Verdict(rule.name, outcome, points, detail)


def _per(limit: Limit) -> str:
    return "in all" if limit.per == "in all" else f"per {limit.per}"


def _word(limit: Limit) -> str:
    return "budget" if limit.is_budget else "cap"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
