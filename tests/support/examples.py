"""How many random examples a property meets: few and the same ones in each run, or many new ones.

``make test`` takes few that are always the same, so that it is quick and never fails by chance. ``make test-deep``
searches: large numbers, other examples in each run; those that failed are kept in ``.hypothesis`` and tried first.
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
