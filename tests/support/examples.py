"""How many random examples test a property: a few that are the same in each run, or many new ones.

``make test`` takes a few that are always the same, so that it is quick and never fails by chance. ``make test-deep``
searches with large numbers of other examples in each run; failures are kept in ``.hypothesis`` and tried first.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK, DEEP = "quick", "deep"
settings.register_profile(QUICK, deadline=None, derandomize=True, database=None)
settings.register_profile(
    DEEP, deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)


def examples(quick: int, *, deep: int = 1_000) -> settings:
    """Return the settings of a property, by the profile of this run (``--hypothesis-profile``)."""
    return settings(max_examples=deep if settings.get_current_profile_name() == DEEP else quick)
