"""One purchase on its way through the rules: which of them apply, what each pays, and how they act on each other. Pure.

Each step looks first whether any of the rules at hand needs it; most programs need few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from services.earn.rating.allocation import split
from services.earn.rating.awards import Award, Outcome, Verdict, say_instead, why_nothing
from services.earn.rating.limits import Limits
from services.earn.rating.stacking import Hit, best_of_each, multipliers, without_replaced
from shared.contracts.fields import in_money
from shared.program.calculations.base import Basket
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import RatingContext
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import Key

_ONE = Fraction(1)


class OrderRating:
    """One purchase on its way through the rules."""

    __slots__ = (
        "_applied",
        "_basket",
        "_counted",
        "_cut",
        "_earning",
        "_occasion",
        "_program",
        "_qualifying",
        "_verdicts",
    )

    def __init__(
        self,
        program: Program,
        basket: Basket,
        qualifying: Sequence[int],
        earning: list[int],
        occasion: RatingContext,
        counted: dict[Key, int],
        verdicts: list[Verdict] | None,
    ) -> None:
        """Begin.

        Args:
            program: The version that rates it.
            basket: The order.
            qualifying: By line: what counts, in minor units of the program's currency.
            earning: Positions of the lines that may earn.
            occasion: The order as conditions see it.
            counted: What it adds to the member's tallies; what caps and budgets grant is added.
            verdicts: Filled, if given, with what became of each rule.
        """
        self._program = program
        self._basket = basket
        self._qualifying = qualifying
        self._earning = earning
        self._occasion = occasion
        self._verdicts = verdicts
        self._counted = counted
        self._applied = self._cut = False

    def rate(self, rules: Sequence[Rule]) -> tuple[list[Award], str | None]:
        """Return the awards; or why there are none."""
        hits = self._hits(rules)
        caps = self._program.book.caps
        for rule, _picked in hits:
            if (
                rule.replaces
                or rule.best_of is not None
                or rule.factor is not None
                or rule.caps
                or rule.split
                or caps[rule.wallet]
            ):
                awards = self._within_limits(self._stacked(hits))
                break
        else:  # each pays by itself, as most do
            awards = [award for hit in hits if (award := self._paid(hit)) is not None]
        return awards, None if awards else why_nothing(hit=bool(hits), applied=self._applied, cut=self._cut)

    def _hits(self, rules: Sequence[Rule]) -> list[Hit]:
        """Find the rules that apply, and the lines that each of them counts."""
        occasion, earning = self._occasion, self._earning
        lines, currency, verdicts = self._basket.lines, self._basket.currency, self._verdicts
        hits: list[Hit] = []
        for rule in rules:
            if rule.conditions and not all(condition.holds(occasion) for condition in rule.conditions):
                if verdicts is not None:
                    self._failed(rule)
                continue
            if rule.currencies is not None and currency not in rule.currencies:
                if verdicts is not None:
                    wanted = ", ".join(sorted(rule.currencies))
                    self._say(rule, "condition", f"pays for orders in {wanted}; this one is in {currency}")
                continue
            self._applied = True
            matches = rule.matches
            picked = earning if matches is None else [i for i in earning if matches(lines[i])]
            if not picked:
                if verdicts is not None:
                    self._say(rule, "no-line", "no line of the order is what the rule rewards")
            elif not (rule.least_amount or rule.least_items) or self._enough(rule, picked):
                hits.append(Hit(rule, picked))
        return hits

    def _enough(self, rule: Rule, picked: Sequence[int]) -> bool:
        if rule.least_amount and (amount := sum(self._qualifying[i] for i in picked)) < rule.least_amount:
            currency = self._program.currency
            self._say(
                rule,
                "condition",
                f"lines_of_at_least: wanted {in_money(rule.least_amount, currency)}, "
                f"found {in_money(amount, currency)}",
            )
            return False
        if rule.least_items and (items := sum(self._basket.lines[i].quantity for i in picked)) < rule.least_items:
            self._say(rule, "condition", f"items_of_at_least: wanted {rule.least_items}, found {items}")
            return False
        return True

    # ---- how rules act on each other

    def _stacked(self, hits: list[Hit]) -> list[Award]:
        """Let rules replace, multiply and compete; return what each then pays, in the file's order."""
        replaces = competes = multiplies = False
        for rule, _picked in hits:
            replaces = replaces or bool(rule.replaces)
            competes = competes or rule.best_of is not None
            multiplies = multiplies or rule.factor is not None
        if replaces:
            hits, replaced = without_replaced(hits)
            for hit, by in replaced:
                self._say(hit.rule, "replaced", f"its lines are paid by {by.name} instead")
        base = hits if not multiplies else [hit for hit in hits if hit.rule.factor is None]
        awards = [award for hit in base if (award := self._paid(hit)) is not None]
        if competes:
            awards = self._best(awards, [hit.rule for hit in base])
        return self._multiplied(hits, awards) if multiplies else awards

    def _multiplied(self, hits: list[Hit], base: list[Award]) -> list[Award]:
        """Add what rules that multiply pay by what the others do."""
        awards = {award.rule.index: award for award in base}
        multiplying = [hit for hit in hits if hit.rule.factor is not None]
        winners = [hit for hit in hits if hit.rule.factor is not None or hit.rule.index in awards]
        for hit, targets in multipliers(winners, self._program.multipliers):
            if (award := self._multiple(hit, targets)) is not None:
                awards[hit.rule.index] = award
        ordered = [awards[index] for index in sorted(awards)]
        return self._best(ordered, [hit.rule for hit in multiplying])

    def _best(self, awards: list[Award], rules: Sequence[Rule]) -> list[Award]:
        """Leave out, of rules of one word, those that pay less than another one."""
        points = {award.rule.index: award.points for award in awards}
        lost: set[int] = set()
        for loser, winner in best_of_each(rules, points):
            say_instead(self._verdicts, loser, "not-best", f"{winner.name} pays more")
            lost.add(loser.index)
        return [award for award in awards if award.rule.index not in lost] if lost else awards

    # ---- what each rule pays

    def _paid(self, hit: Hit) -> Award | None:
        """Return what a rule pays by itself."""
        rule, picked = hit
        of_lines = self._basket.amounts
        amounts = [of_lines[i] for i in picked]
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

    def _multiple(self, hit: Hit, targets: Sequence[tuple[Hit, Fraction]]) -> Award | None:
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
            if self._verdicts is not None:
                self._say(rule, "nothing", f"what it pays for this order rounds ({rule.rounding}) to nothing")
            return None
        line_points = [0] * len(self._basket.lines)
        for i, share in zip(picked, split(points, weights), strict=True):
            line_points[i] = share
        if self._verdicts is not None:
            self._say(rule, "paid", _number_of(len(picked), "line"), points)
        return Award(rule, rule.wallet, points, line_points)

    def _tier_factor(self, rule: Rule) -> Fraction:
        ladder = self._program.ladder
        return ladder.tiers[self._occasion.known.tier].multiplier if rule.tiered and ladder is not None else _ONE

    def _within_limits(self, awards: list[Award]) -> list[Award]:
        """Cap what rules pay, and part it among wallets."""
        limits = Limits(self._program.book.caps, self._occasion, self._counted, self._verdicts)
        paid = limits.within(awards)
        self._cut = limits.cut
        return paid

    # ---- why

    def _failed(self, rule: Rule) -> None:
        failed = next(condition for condition in rule.conditions if not condition.holds(self._occasion))
        found = failed.found(self._occasion)
        self._say(rule, "condition", f"{failed.field}: wanted {failed.wanted}, found {found}")

    def _say(self, rule: Rule, outcome: Outcome, detail: str, points: int = 0) -> None:
        if self._verdicts is not None:
            self._verdicts.append(Verdict(rule.name, outcome, points, detail))


def _number_of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
