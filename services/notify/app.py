"""notify's Faust app: our own events and profiles in, notifications out. ``faust -A services.notify.app worker``."""

from __future__ import annotations

from services.notify.handler import SERVICE, NotifyHandler
from shared.runtime.app import create_app
from shared.settings import settings

app = create_app(
    SERVICE,
    NotifyHandler(f"/loyalty/{settings().topic_prefix}/{SERVICE}", settings().clock),
)
