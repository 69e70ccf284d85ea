"""How rules act on each other: one replaces another, one multiplies others, of some only the best one pays. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from shared.program.compiled.rules import Rule


class Hit(NamedTuple):
    """A rule that applies, and the positions of the lines that it counts."""

    rule: Rule
    picked: list[int]


def without_replaced(hits: Sequence[Hit]) -> tuple[list[Hit], list[tuple[Hit, Rule]]]:
    """Take from each rule the lines that a rule which replaces it counts.

    Also where that rule is replaced itself: of "gold replaces silver" and "silver replaces everybody" only gold pays.

    Returns:
        What is left, in the file's order; and the hits that have no line left, each with the last rule that took one.
    """
    replacers: dict[int, list[Hit]] = {}
    for hit in hits:
        for index in hit.rule.replaces:
            replacers.setdefault(index, []).append(hit)
    if not replacers:
        return list(hits), []
    kept: list[Hit] = []
    gone: list[tuple[Hit, Rule]] = []
    for hit in hits:
        by = replacers.get(hit.rule.index, [])
        taken = {i for other in by for i in other.picked}
        left = [i for i in hit.picked if i not in taken]
        if left:
            kept.append(Hit(hit.rule, left))
        else:
            gone.append((hit, by[-1].rule))
    return kept, gone


How = Literal["add", "multiply", "highest"]


def multipliers(hits: Sequence[Hit], how: How) -> Iterator[tuple[Hit, list[tuple[Hit, Fraction]]]]:
    """Yield each rule that multiplies, with what it multiplies: hits of other rules, and how many times more they pay.

    Line by line, of several multipliers of one rule: ``add``: 2 times and 3 times make 4 times; ``multiply``: 6 times,
    the later one in the file multiplying what the earlier ones made; ``highest``: 3 times, of equals the first.
    """
    base = {hit.rule.index: hit for hit in hits if hit.rule.factor is None}
    multiplying = [(hit, hit.rule.factor) for hit in hits if hit.rule.factor is not None]
    highest: dict[tuple[int, int], Fraction] = {}
    for hit, factor in multiplying:
        for place in _places(hit, base):
            highest[place] = max(factor, highest.get(place, factor))
    so_far: dict[tuple[int, int], Fraction] = {}
    for hit, factor in multiplying:
        lines: dict[tuple[int, Fraction], list[int]] = {}
        for place in _places(hit, base):
            before = so_far.get(place, Fraction(1))
            if how == "highest" and (factor < highest[place] or place in so_far):
                continue
            so_far[place] = before * factor
            times = (factor - 1) * before if how == "multiply" else factor - 1
            lines.setdefault((place[0], times), []).append(place[1])
        yield hit, [(Hit(base[index].rule, picked), times) for (index, times), picked in lines.items()]


def _places(hit: Hit, base: Mapping[int, Hit]) -> Iterator[tuple[int, int]]:
    """Yield (rule, line) of everything that a hit multiplies."""
    wanted = frozenset(hit.picked)
    for index in sorted(hit.rule.multiplied & base.keys()):
        yield from ((index, i) for i in base[index].picked if i in wanted)


def best_of_each(rules: Sequence[Rule], points: Mapping[int, int]) -> Iterator[tuple[Rule, Rule]]:
    """Yield (loser, winner) for the rules of a word that pay, but not most; of equals the first one wins."""
    words = {rule.best_of for rule in rules if rule.best_of is not None}
    for word in sorted(words):
        paying = [rule for rule in rules if rule.best_of == word and rule.index in points]
        if paying:
            winner = max(paying, key=lambda rule: (points[rule.index], -rule.index))
            yield from ((rule, winner) for rule in paying if rule is not winner)
