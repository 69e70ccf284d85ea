"""earn's Faust app: purchases in, points out. ``faust -A services.earn.app worker``."""

from __future__ import annotations

from services.earn.handler import SERVICE, EarnHandler
from shared.contracts import purchases
from shared.settings import settings
from shared.stream.app import create_app

app = create_app(
    SERVICE,
    EarnHandler(f"/loyalty/{settings().topic_prefix}/{SERVICE}"),
    topics=(purchases.TOPIC,),
)
