"""The command line shows what the read side returns: it sends no SQL, and every view is typed and frozen."""

from __future__ import annotations

import dataclasses
import re
from typing import get_type_hints

from shared.queries.views import of_causes as views_of_causes
from shared.queries.views import of_lists as views_of_lists
from shared.queries.views import of_members as views
from shared.queries.views.of_causes import Explanation, OrderName, ReturnView, VerdictView
from shared.queries.views.of_members import CauseView, as_json
from tools.documents import ROOT

MODULES = (views, views_of_causes, views_of_lists)


def test_no_command_sends_sql() -> None:
    sent = re.compile(r"\.(fetch|fetchrow|fetchval|execute|executemany|cursor)\(")
    found = [path for path in (ROOT / "cli").rglob("*.py") if sent.search(path.read_text())]
    assert not found


def test_views_are_frozen_and_typed() -> None:
    found = [
        value for module in MODULES for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]  # fmt: skip
    assert len(found) > 30
    for view in found:
        assert dataclasses.is_dataclass(view), view
        assert view.__dataclass_params__.frozen, view  # type: ignore[attr-defined]
        assert set(view.__slots__) == {field.name for field in dataclasses.fields(view)}, view  # type: ignore[attr-defined]
        assert set(get_type_hints(view)) >= {field.name for field in dataclasses.fields(view)}, view


def test_json_keeps_the_order_of_fields_and_leaves_out_what_is_said_around() -> None:
    assert as_json([CauseView("order", "o1", "/shop")]) == [{"kind": "order", "id": "o1", "source": "/shop"}]
    assert list(as_json(VerdictView("r", "paid", 1, "why"))) == ["rule", "outcome", "points", "detail"]
    back = ReturnView("r1", "return", "/shop", "ann", None, (), (), ())
    assert "order" not in as_json(back)
    found = Explanation("return", "/shop", dataclasses.replace(back, order=OrderName("o1", "/shop"))).as_json()
    assert found["order"] == {"id": "o1", "source": "/shop"}
    assert (list(found)[:3], found["occurred_at"]) == (["kind", "source", "id"], None)
