"""Every event that a service reads has a decision: one without would stop a worker at its first record."""

from __future__ import annotations

from services.earn import parking
from services.earn import processor as earn
from services.earn.handler import EarnHandler
from services.notify import processor as notify
from services.notify.handler import NotifyHandler
from services.redeem import processor as redeem
from services.redeem.handler import RedeemHandler
from shared.contracts.catalogue import EVENTS


def test_every_event_that_is_read_has_a_decision() -> None:
    assert set(earn.DECISIONS) == set(EarnHandler.contracts)
    assert set(redeem.DECISIONS) == set(RedeemHandler.contracts)
    assert set(notify.DECISIONS) == set(NotifyHandler.contracts)


def test_whatever_is_about_an_order_waits_for_it() -> None:
    assert set(parking.CHANGES) == {event.type for event in EVENTS.values() if event.of_order}
