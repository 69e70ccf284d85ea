"""The program file: what a marketer may write."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ProgramFileError
from shared.program.compiled.program import compile_program
from shared.program.language.grammar import Rounding
from shared.program.language.loader import load
from shared.program.language.phrases import Money, Points
from shared.program.language.phrases_of_time import Hours
from tests.support.build import FRESH_MARKET, program_text
from tests.support.examples import examples
from tests.support.program_texts import SECTIONS, TEXT, problems_of

properties = examples(60)


def test_the_file_without_a_mistake_is_read() -> None:
    program = load(TEXT)
    assert (program.program, program.currency, len(program.earning)) == ("corner-shop", "USD", 2)
    assert program.never_earns is not None
    assert program.never_earns[0].category == (("FUEL",), ("GROCERY", "GIFT CARDS"))
    assert program.earning[1].rounding == Rounding("down", "order")


def test_every_section_is_read() -> None:
    program = load(SECTIONS)
    assert program.referral is not None
    assert program.referral.referrer == Points(500, "points")
    assert program.referral.purchase_of_at_least == Money(Fraction(25), "USD")
    assert [(reward.reward, reward.hold.microseconds) for reward in program.rewards] == [
        ("five-off", 15 * 60 * 1_000_000), ("ten-off", 15 * 60 * 1_000_000),
    ]  # fmt: skip
    assert program.ladder is not None
    assert [(tier.from_.amount, tier.multiplier) for tier in program.ladder.tiers] == [
        (0, 1), (500, Fraction(5, 4)), (Fraction("1000.5"), Fraction(3, 2)),
    ]  # fmt: skip
    assert program.ladder.soft_landing is True
    assert program.notifications is not None
    assert program.notifications.quiet_hours == Hours(21 * 60, 8 * 60)


def test_one_value_may_stand_for_a_list() -> None:
    text = SECTIONS.replace("expiry: 90 days", "expiry: 90 days\n    remind: 30").replace("[en, fr]", "de")
    program = load(text.replace("[tier-upgraded, points-earned]", "points-expiring").replace("[email, push]", "sms"))
    assert program.wallets["points"].remind == (30,)
    assert program.notifications is not None
    assert program.notifications.languages == ("de",)
    assert (program.notifications.tell, program.notifications.channels) == (("points-expiring",), ("sms",))


@pytest.mark.parametrize("text", [FRESH_MARKET, TEXT, SECTIONS, TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT])
def test_line_ends_and_a_byte_order_mark_do_not_matter(text: str) -> None:
    assert compile_program(load(text), 1).rules


def test_a_file_that_is_accepted_can_be_compiled() -> None:
    text = program_text("give: 1 point per item", effective="0001-01-01", time_zone="Asia/Tokyo")
    with contextlib.suppress(ProgramFileError):
        compile_program(load(text), 1)


@properties
@given(st.text(alphabet=st.sampled_from(list("ab:-,?!&*#|>%@[]{}'\"\\ \n0")), max_size=40))
def test_arbitrary_text_is_a_program_or_a_list_of_mistakes(text: str) -> None:
    assert problems_of(text)
