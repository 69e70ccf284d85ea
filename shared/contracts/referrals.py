"""Topic ``referrals``: a member refers a friend. Records are keyed by the friend, whose purchase decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract, OwnId
from shared.contracts.fields import CONTRACT, Identifier, Label, Moment

TOPIC = "referrals"
REGISTERED = "loyalty.referral.registered.v1"

#: A salted hash of a device, a card or an address: it can be compared, and reveals nothing.
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{16,128}$")]
Fingerprints = Annotated[tuple[Fingerprint, ...], Field(max_length=16)]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class ReferralRegistered:
    """A friend signed up with a member's code.

    Attributes:
        member_id: The friend.
        referrer_id: The member whose code it was.
        referrer_fingerprints: If one of them is also among the friend's, both are taken to be the same person.
    """

    referral_id: Identifier
    member_id: Identifier
    referrer_id: Identifier
    code: Label | None = None
    occurred_at: Moment
    referrer_fingerprints: Fingerprints = ()
    friend_fingerprints: Fingerprints = ()


REFERRAL_REGISTERED = Contract(
    type=REGISTERED,
    adapter=TypeAdapter(ReferralRegistered),
    business_key=OwnId("referral_id", "referral"),
)
