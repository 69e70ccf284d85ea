"""earn, one event at a time. Started as ``faust -A bench.naive worker``."""

from __future__ import annotations

from bench.one_by_one import Naive
from services.earn.handler import EarnHandler
from shared.contracts import purchases
from shared.settings import settings

_naive = Naive("naive", connections=2)
_naive.serve(EarnHandler(f"/loyalty/{settings().topic_prefix}/earn"), purchases.TOPIC)
app = _naive.app
