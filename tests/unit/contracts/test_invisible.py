"""Invisible characters: refused in ids, kept and shown in labels; cells that a spreadsheet would execute."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any

import pytest

from cli.output import console, show
from services.earn.handler import EarnHandler
from shared.contracts import purchases
from shared.invisible import escaped, is_invisible
from shared.runtime.batch.decode import decode
from shared.runtime.records import Decoded, Record
from tests.support.events import SOURCE, event, purchase

#: What must never be in an id, with what it is called.
HIDDEN = {
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "Arabic letter mark": "\u061c",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte-order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "Hangul filler": "\u3164",
    "variation selector": "\ufe0f",
    "tag": "\U000e0041",
    "line separator": "\u2028",
}


def decoded(data: dict[str, Any], event_id: str = "1", source: str = SOURCE) -> Decoded:
    sent = event(data, event_id, source)
    return decode([Record(0, 0, None, sent.value, tuple(sent.headers))], EarnHandler.contracts, 1_000_000)


def with_id(field: str, value: str) -> dict[str, Any]:
    data: dict[str, Any] = purchase("4711")
    if field in {"line_id", "product_id"}:
        data["lines"][0][field] = value
    else:
        data[field] = value
    return data


@pytest.mark.parametrize("field", ["order_id", "member_id", "line_id", "product_id"])
@pytest.mark.parametrize("name", HIDDEN)
def test_an_id_with_a_hidden_character_is_refused(field: str, name: str) -> None:
    (refused,) = decoded(with_id(field, f"47{HIDDEN[name]}11")).refused
    assert refused.reason == "invalid"
    assert field in refused.detail
    assert f"U+{ord(HIDDEN[name]):04X}" in refused.detail


def test_an_id_that_looks_like_another_one_is_refused() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert not decoded(purchase(composed)).refused
    (refused,) = decoded(purchase(decomposed)).refused
    assert "NFC" in refused.detail


@pytest.mark.parametrize("name", HIDDEN)
def test_the_envelope_likewise(name: str) -> None:
    for envelope in ({"source": f"/stores/{HIDDEN[name]}1"}, {"event_id": f"e{HIDDEN[name]}"}):
        (refused,) = decoded(purchase("4711"), **envelope).refused
        assert refused.reason == "not-a-cloudevent"
    (refused,) = decoded(purchase("4711"), source="/stores/cafe\u0301").refused
    assert "normal form C" in refused.detail


@pytest.mark.parametrize("order", ["4711", "a b", "Straße-7", "注文-1", "طلب١", "đơn-1", "🛒", "a\u00a0b"])
def test_an_id_that_can_be_seen_is_kept_as_it_is(order: str) -> None:
    (received,) = decoded(purchase(order)).events
    assert received.event.order_id == order


def test_the_published_pattern_says_the_same() -> None:
    """For all characters that UTF-16 encodes as one unit: a portable pattern cannot name others."""
    pattern = purchases.PURCHASE_COMPLETED.adapter.json_schema()["properties"]["order_id"]["pattern"]
    for code in range(0x10000):
        character = chr(code)
        if not 0xD800 <= code < 0xE000:
            assert bool(re.fullmatch(pattern, character)) is not is_invisible(character), f"U+{code:04X}"


def test_categories_decide() -> None:
    for code in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(code), "")
        # Numbers and ends of verses that stand around other characters, in Arabic, Syriac and Kaithi.
        if unicodedata.category(chr(code)) == "Cf" and not re.match("(ARABIC|SYRIAC|KAITHI) (?!LETTER)", name):
            assert is_invisible(chr(code)), name
    assert not any(map(is_invisible, "abc XYZ 123 äß 漢字 العربية"))


def test_labels_are_kept_and_shown_escaped() -> None:
    brand = "evil\u202ebrand"
    data = purchase("4711")
    data["lines"][0]["brand"] = brand
    (received,) = decoded(data).events
    assert received.event.lines[0].brand == brand
    with console.capture() as shown:
        show(("brand",), [(brand,)])
    assert "evil\\u202ebrand" in shown.get()
    assert escaped("a\x1b[31mb\ufeff\tc\n") == "a\\x1b[31mb\\ufeff\tc\n"


def test_csv_has_no_cell_that_a_spreadsheet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        ("member", "points", "money"),
        [("=cmd|' /C calc'!A0", -5, "-5.00 USD"), ("@SUM(A1)", 7, "+1,200.00 USD"), ("-2+3", 0, ""), ("ada", 1, "-")],
        as_csv=True,
    )
    assert capsys.readouterr().out.splitlines() == [
        "member,points,money",
        "'=cmd|' /C calc'!A0,-5,-5.00 USD",
        '\'@SUM(A1),7,"+1,200.00 USD"',
        "'-2+3,0,",
        "ada,1,'-",
    ]
