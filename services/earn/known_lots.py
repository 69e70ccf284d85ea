"""The lots from which a batch may take points back, as far as they are known before it is decided. Pure."""

from __future__ import annotations

from collections import defaultdict

from services.earn.state import State
from services.earn.tallies import order_key
from shared.contracts import purchases
from shared.runtime.records import Received

#: What may take points back.
_TAKE = frozenset({purchases.RETURNED, purchases.CANCELLED, purchases.AMENDED})


def lots_are_known(state: State, received: Received) -> bool:
    """Return whether all lots from which an event may take points are known before the batch is decided.

    They are not where the batch itself may pay to a lot first: by an order or a referral that is new, by an amendment.
    """
    if received.type not in _TAKE:
        return True
    referral = state.referrals.get(received.event.member_id)
    return (
        received.type != purchases.AMENDED
        and order_key(received) in state.orders
        and (referral is None or referral.state == "qualified")
        and received.event.member_id not in state.bought
    )


def lots_by_member(state: State) -> dict[str, set[int]]:
    """Return the lots to which the orders and the referrals that the batch may undo paid."""
    lots: dict[str, set[int]] = defaultdict(set)
    for order in state.orders.values():
        lots[order.member].update(award.lot for award in order.awards)
    for referral in state.referrals.values():
        lots[referral.referrer].add(referral.referrer_lot)
        lots[referral.friend].add(referral.friend_lot)
    return lots
