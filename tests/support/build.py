"""Purchases, records and programs for tests: valid unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic_core

from shared.contracts.purchases import COMPLETED, PURCHASE_COMPLETED, PurchaseCompleted
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.runtime.batch.decode import decode
from shared.runtime.records import Decoded, Received, Record

SOURCE = "/stores/330"
RECORD_BYTES = 1_000_000
FRESH_MARKET = (Path(__file__).parents[1] / "data" / "purchases.yaml").read_text()


def line(line_id: str = "1", amount: object = 1000, **fields: Any) -> dict[str, Any]:
    return {"line_id": line_id, "product_id": f"p{line_id}", "amount": amount, **fields}


def purchase(*lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A purchase of one line of 10.00, or of the given lines."""
    base = {"order_id": "o1", "member_id": "m1", "occurred_at": "2017-03-01T12:00:00-05:00", "currency": "USD"}
    return {**base, "lines": list(lines) or [line()], **fields}


def event(*lines: dict[str, Any], **fields: Any) -> PurchaseCompleted:
    """The same, validated."""
    made: PurchaseCompleted = PURCHASE_COMPLETED.decode(as_bytes(purchase(*lines, **fields)))
    return made


def as_bytes(data: object) -> bytes:
    """JSON of anything; bytes stay as they are."""
    return data if isinstance(data, bytes) else pydantic_core.to_json(data)


def headers(**changes: Any) -> tuple[tuple[str, bytes], ...]:
    """Headers of a purchase in binary mode; ``ce_id=None`` leaves one out, ``content_type`` is the one with a dash."""
    base = {"ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": SOURCE.encode(), "ce_type": COMPLETED.encode()}
    merged = {**base, "content_type": b"application/json", **changes}
    return tuple((name.replace("content_type", "content-type"), text) for name, text in merged.items() if text)


def binary(data: object, *, offset: int = 0, **changes: Any) -> Record:
    """A record in binary mode."""
    return Record(offset, 0, b"m1", as_bytes(data), headers(**changes))


def structured(data: object = None, *, content_type: str = "application/cloudevents+json", **attributes: Any) -> Record:
    """A record in structured mode; bytes are spliced in as they are, as the value of ``data``."""
    event = {"specversion": "1.0", "id": "e1", "source": SOURCE, "type": COMPLETED, **attributes}
    value = as_bytes({name: value for name, value in event.items() if value is not ...})
    if data is not None:
        value = value[:-1] + b',"data":' + as_bytes(data) + b"}"
    return Record(0, 0, None, value, (("content-type", content_type.encode()),))


def read(*records: Record) -> Decoded:
    return decode(records, {COMPLETED: PURCHASE_COMPLETED}, RECORD_BYTES)


def program(*rules: str, version: int = 1, **fields: str) -> Program:
    """A program of one wallet, whose points never expire; a rule is the inside of a YAML flow mapping."""
    return compile_program(load(program_text(*rules, **fields)), version)


def program_text(*rules: str, **fields: str) -> str:
    base: Mapping[str, str] = {
        "program": "corner-shop",
        "name": "Corner Shop",
        "currency": "USD",
        "time_zone": "America/New_York",
        "effective": "2017-01-01",
        "wallets": "{points: {name: Points, unit: point, expiry: never}}",
        "earning": "".join(f"\n  - {{rule: rule-{number}, {rule}}}" for number, rule in enumerate(rules)),
    }
    return "".join(f"{name}: {text}\n" for name, text in {**base, **fields}.items())


def only(record: Record) -> Received:
    """What a record that can be read holds."""
    decoded = read(record)
    assert decoded.refused == []
    (received,) = decoded.events
    return received
