"""A program file with everything in it, and files with mistakes made of it."""

from __future__ import annotations

import pytest

from shared.errors import ProgramFileError
from shared.program.language.loader import load

#: The comments count the lines, for the table of mistakes.
TEXT = """\
program: corner-shop                                            # 1
name: Corner Shop                                               # 2
currency: USD                                                   # 3
time_zone: America/New_York                                     # 4
effective: 2017-01-01                                           # 5
wallets:                                                        # 6
  points:                                                       # 7
    name: Points                                                # 8
    unit: point                                                 # 9
    expiry: 12 months, to the end of that month                 # 10
never_earns:                                                    # 11
  category: [FUEL, [GROCERY, GIFT CARDS]]                       # 12
earning:                                                        # 13
  - rule: base                                                  # 14
    give: 1 point per whole USD                                 # 15
    rounding: down per order                                    # 16
  - rule: spring                                                # 17
    give: 2 points per whole USD                                # 18
    for: { brand: Private }                                     # 19
    except: { tag: clearance }                                  # 20
    when:                                                       # 21
      channel: [web, app]                                       # 22
      dates: { from: 2017-03-01, to: 2017-05-31 }               # 23
"""


#: The other sections, counted on.
SECTIONS = (
    TEXT.replace("expiry: 12 months, to the end of that month                 # 10", "expiry: 90 days")
    + """\
referral:                                                       # 24
  referrer: 500 points                                          # 25
  friend: 200 points                                            # 26
  purchase_of_at_least: 25 USD                                  # 27
  within_days: 30                                               # 28
  at_most_a_month: 10                                           # 29
rewards:                                                        # 30
  - reward: five-off                                            # 31
    name: 5 dollars off                                         # 32
    cost: 500 points                                            # 33
    worth: 5 USD                                                # 34
    tier: silver                                                # 35
    limit: 3                                                    # 36
    hold: 15 minutes                                            # 37
  - { reward: ten-off, name: Ten, cost: 900 points, worth: 10 USD }  # 38
ladder:                                                         # 39
  metric: spend                                                 # 40
  window: calendar year                                         # 41
  keep: the rest of the period and the next                     # 42
  soft_landing: true                                            # 43
  grace_days: 30                                                # 44
  warn_days: 30                                                 # 45
  tiers:                                                        # 46
    - { tier: bronze, name: Bronze, from: 0 }                   # 47
    - { tier: silver, name: Silver, from: 500 USD, multiplier: 1.25 }  # 48
    - { tier: gold, name: Gold, from: 1000.50 USD, multiplier: 3/2 }   # 49
notifications:                                                  # 50
  templates: messages                                           # 51
  languages: [en, fr]                                           # 52
  tell: [tier-upgraded, points-earned]                          # 53
  channels: [email, push]                                       # 54
  quiet_hours: 21:00 to 08:00                                   # 55
  send_window: 09:00 to 20:00                                   # 56
  points_earned_over: 100                                       # 57
  good_for_days: 2                                              # 58
"""
)


def problems_of(text: str) -> list[str]:
    with pytest.raises(ProgramFileError) as caught:
        load(text, "shop.yaml")
    return caught.value.problems


def with_line(number: int, text: str, file: str = TEXT) -> str:
    """The file with one line replaced."""
    lines = file.splitlines()
    lines[number - 1] = text
    return "\n".join(lines) + "\n"
