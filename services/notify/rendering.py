"""A member's words for some news: the template in their language, with their values."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from jinja2 import Template

from services.notify.triggers import News
from shared.contracts.notifications import Rendered
from shared.program.compiled.program import Program
from shared.program.templates import compile_template, parts


class TemplateFailed(NamedTuple):
    """A template that gave no text. Messages of errors may show values, so only the error's kind is kept."""

    template: str
    error: str


def template_name(program: Program, news: News, locale: str) -> str:
    """Return the file name of the template in the member's language, else in the program's first one."""
    assert program.notifications is not None, "without the section there is no news"
    language = locale.partition("-")[0].lower()
    name = f"{news.kind}.{language}.txt"
    if language in program.notifications.languages and name in program.templates:
        return name
    return f"{news.kind}.{program.notifications.languages[0]}.txt"


def render(program: Program, news: News, template: str, name: str | None) -> Rendered | TemplateFailed:
    """Render some news for a member whose name may be known."""
    text = program.templates.get(template)
    if text is None:
        return TemplateFailed(template, "missing")
    try:
        subject, body = parts(_compiled(text).render({**news.parameters, "name": name}))
    except Exception as problem:  # noqa: BLE001 - whatever a template does wrong, the batch goes on
        return TemplateFailed(template, type(problem).__name__)
    return {"subject": subject, "text": body}


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    return compile_template(text)
