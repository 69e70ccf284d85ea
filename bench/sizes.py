"""The size of every row of the benchmark; each number can be set as an environment variable, ``BENCH_<NAME>``."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Sizes(BaseSettings):
    """The sizes of a run whose figures are meaningful.

    The naive contestants get fewer events, because they would run for hours; their rate does not depend on it.
    """

    model_config = SettingsConfigDict(env_prefix="BENCH_", frozen=True)

    rounds: int = 3
    #: Purchases: the naive agent and earn.
    members: int = 10_000
    naive_events: int = 3_000
    events: int = 120_000
    same_events: int = 3_000
    latency_seconds: float = 10
    #: The pipeline: earn, redeem, tiers, notify.
    flow_events: int = 60_000
    naive_flow_events: int = 2_000
    same_flow_events: int = 1_000
    #: Redemptions.
    redemptions_a_second: float = 100
    redemption_seconds: float = 15
    #: The sweep that expires points: accounts, and lots of each (at most 12).
    lapsing_accounts: int = 10_000
    lapsing_lots: int = 6
    #: Tiers: purchases by ``members``.
    tier_events: int = 60_000
    #: Notifications: one for each purchase.
    news: int = 30_000
    #: The look-up of the tier: purchases by ``members``.
    look_up_events: int = 80_000
    #: The cost of rules: purchases rated in memory.
    rated: int = 20_000
    #: A rich program: purchases by ``members``, and 5 % returns.
    rich_events: int = 60_000


#: A run that only tests that everything works.
SMALL = {
    "rounds": 1,
    "members": 500,
    "naive_events": 200,
    "events": 4_000,
    "same_events": 200,
    "latency_seconds": 2,
    "flow_events": 3_000,
    "naive_flow_events": 160,
    "same_flow_events": 160,
    "redemption_seconds": 3,
    "lapsing_accounts": 1_000,
    "lapsing_lots": 3,
    "tier_events": 4_000,
    "news": 2_000,
    "look_up_events": 4_000,
    "rated": 2_000,
    "rich_events": 4_000,
}
