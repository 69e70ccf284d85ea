"""All four services in one process, one event at a time. Started as ``faust -A bench.naive_flow worker``."""

from __future__ import annotations

from typing import Any

from bench.one_by_one import Naive
from services.earn.handler import EarnHandler
from services.notify.handler import NotifyHandler
from services.redeem.handler import RedeemHandler
from services.tiers.handler import TiersHandler
from shared.contracts.catalogue import READERS
from shared.settings import settings

_source = f"/loyalty/{settings().topic_prefix}"
_handlers: dict[str, Any] = {
    "earn": EarnHandler(f"{_source}/earn"),
    "redeem": RedeemHandler(f"{_source}/redeem"),
    "tiers": TiersHandler(f"{_source}/tiers"),
    "notify": NotifyHandler(f"{_source}/notify", settings().clock),
}
_naive = Naive("naive-flow", connections=len(READERS))
for _service, _topic in READERS:
    _naive.serve(_handlers[_service], _topic)
app = _naive.app
