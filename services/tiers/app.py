"""tiers' Faust app: hints that points moved in, changes of tiers out. ``faust -A services.tiers.app worker``."""

from __future__ import annotations

from services.tiers.handler import SERVICE, TiersHandler
from shared.runtime.app import create_app
from shared.settings import settings

app = create_app(
    SERVICE,
    TiersHandler(f"/loyalty/{settings().topic_prefix}/{SERVICE}"),
)
