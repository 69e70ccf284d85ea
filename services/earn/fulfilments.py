"""How an order that was shipped, or claimed, makes points available that waited for it. Pure."""

from __future__ import annotations

from services.earn.orders import Order, Refused
from services.earn.rows import FulfilmentRow
from services.earn.state import Batch
from services.earn.terms import waits_for
from shared.contracts.purchases import PurchaseClaimed, PurchaseFulfilled
from shared.ledger.model import NO_RULE, Cause
from shared.runtime.records import Received


def decide(batch: Batch, received: Received, order: Order) -> Refused | None:
    """Make available what waited for the order's fulfilment, or for the member's claim."""
    event: PurchaseFulfilled | PurchaseClaimed = received.event
    claimed = isinstance(event, PurchaseClaimed)
    order.fulfilled, order.claimed = order.fulfilled or not claimed, order.claimed or claimed
    waited_for = waits_for(order.key, "claimed" if claimed else "fulfilled")
    program, book = batch.versions[order.program_version], batch.book
    lots = dict.fromkeys((award.lot, award.wallet or program.rules[award.rule].wallet) for award in order.awards)
    for lot, wallet in lots:
        account = book.accounts[order.member, wallet]
        book.advance_to(account, received.occurred_at)
        book.fulfil(account, lot, waited_for, Cause(received.key, program.version, NO_RULE))
    batch.effects.fulfilments.append(
        FulfilmentRow(
            received.key,
            received.content_hash,
            order.key,
            batch.mark.seq,
            received.position,
            received.occurred_at,
            order.member,
            "claim" if claimed else "fulfilment",
            event.claim_id if isinstance(event, PurchaseClaimed) else "",
            received.source,
        )
    )
    return None
