"""earn's Faust app: purchases, returns and referrals in, points out. ``faust -A services.earn.app worker``."""

from __future__ import annotations

from services.earn.handler import SERVICE, EarnHandler
from shared.runtime.app import create_app
from shared.settings import settings

app = create_app(
    SERVICE,
    EarnHandler(f"/loyalty/{settings().topic_prefix}/{SERVICE}", settings().parked_seconds),
)
