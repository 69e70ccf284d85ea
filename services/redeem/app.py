"""redeem's Faust app: redemptions in, answers and points news out. ``faust -A services.redeem.app worker``."""

from __future__ import annotations

from services.redeem.handler import SERVICE, RedeemHandler
from shared.runtime.app import create_app
from shared.settings import settings

app = create_app(
    SERVICE,
    RedeemHandler(f"/loyalty/{settings().topic_prefix}/{SERVICE}"),
)
