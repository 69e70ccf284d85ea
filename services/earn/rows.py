"""The rows that earn's decisions write: each field is the column of its name."""

from __future__ import annotations

from typing import Literal, NamedTuple

ParkedState = Literal["waiting", "applied", "refused"]


class OrderRow(NamedTuple):
    """A row of ``purchase``; ``result`` is ``Order.result`` as JSON."""

    key: bytes
    content_hash: bytes
    archive_seq: int
    archive_index: int
    program_version: int
    occurred_at: int
    source: str
    order_id: str
    member: str
    result: str


class ReturnRow(NamedTuple):
    """A row of ``purchase_return``; ``result`` is ``Returned.result`` as JSON."""

    key: bytes
    content_hash: bytes
    order_key: bytes
    archive_seq: int
    archive_index: int
    occurred_at: int
    source: str
    return_id: str
    member: str
    result: str
    kind: Literal["return", "cancellation"]


class AmendmentRow(NamedTuple):
    """A row of ``amendment``: the order as it then is, and [rule, lot, points] of each difference, as JSON."""

    key: bytes
    content_hash: bytes
    order_key: bytes
    number: int
    archive_seq: int
    archive_index: int
    occurred_at: int
    source: str
    amendment_id: str
    member: str
    result: str
    changes: str


class FulfilmentRow(NamedTuple):
    """A row of ``fulfilment``."""

    key: bytes
    content_hash: bytes
    order_key: bytes
    archive_seq: int
    archive_index: int
    occurred_at: int
    member: str
    kind: Literal["fulfilment", "claim"]
    claim_id: str
    source: str


class ParkedRow(NamedTuple):
    """A row of ``parked``, which waits for its order; ``record`` is packed."""

    key: bytes
    content_hash: bytes
    order_key: bytes
    member: str
    parked_at: int
    archive_seq: int
    archive_index: int
    topic: str
    partition: int
    epoch: int
    record: bytes
    state: ParkedState = "waiting"


class MemberRow(NamedTuple):
    """A row of ``member``; ``content`` is ``member_as_kept`` as JSON."""

    member: str
    occurred_at: int
    content: str


class TallyRow(NamedTuple):
    """A row of ``tally``."""

    member: str
    name: str
    period: int
    amount: int
