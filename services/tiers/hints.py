"""What tiers hears: that an account moved. What happened to it is read from the ledger, never from the message."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as contract

from shared.contracts.catalogue import contracts_of
from shared.contracts.contract import Contract
from shared.contracts.fields import CONTRACT, Identifier, Moment


@contract(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class Moved:
    """A hint that an account moved; what happened is read from the ledger."""

    member_id: Identifier
    account: int
    wallet: Identifier
    version: int
    occurred_at: Moment


_MOVED = TypeAdapter(Moved)
CONTRACTS: Mapping[str, Contract] = contracts_of(
    "tiers", lambda hint: Contract(hint, _MOVED, lambda moved: f"{moved.account} {moved.version}")
)
