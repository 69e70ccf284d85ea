"""Templates of notifications: read from beside the program file, checked like it, and rendered in a sandbox.

A template is ``<kind>.<language>.txt``: a first line ``Subject: …``, an empty line, the text. It may insert values and
choose between texts, nothing else: no loops, no calls, no attributes. So whatever a template contains, rendering ends
quickly, uses little memory, and sees nothing but the values passed to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import SandboxedEnvironment

from shared.contracts.fields import in_money
from shared.errors import UsageError
from shared.program.language.grammar import MONTHS
from shared.program.language.model import ProgramFile
from shared.program.language.sections import Kind

#: The longest template, and the longest rendered text.
TEXT_BYTES_MAX = 10_000
_FILES_MAX = 1_000
_NAME = re.compile(r"([a-z-]+)\.([a-z]{2,3})\.txt")
_SUBJECT = "Subject: "
#: The values that a template of each kind may use; all may also use ``name``, which is none where it is unknown.
PARAMETERS: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "points-expiring": "wallet points days_left expires_at last_day",
        "points-earned": "wallet points order_id available_on last_day",
        "tier-upgraded": (
            "tier tier_name last_day metric currency old_tier old_tier_name next_tier next_tier_name to_next"
        ),
        "tier-expiring": "tier tier_name last_day metric currency to_keep",
        "referral-rewarded": "role points referral_id",
        "redemption-done": "reward wallet points worth currency redemption_id",
    }.items()
}
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.CondExpr,
    nodes.Name,
    nodes.Const,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Concat,
)


def _in_words(day: str) -> str:
    """``2026-01-31`` as ``31 January 2026``."""
    year, month, number = day.split("-")
    return f"{int(number)} {MONTHS[int(month) - 1]} {year}"


def _thousands(number: int) -> str:
    return f"{number:,}"


def _words(slug: str) -> str:
    """``free-coffee`` as ``free coffee``."""
    return slug.replace("-", " ")


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # plain text
        trim_blocks=True,
    )
    kept = {name: environment.filters[name] for name in ("capitalize", "default", "lower", "trim", "upper")}
    ours: dict[str, Any] = {"in_words": _in_words, "money": in_money, "thousands": _thousands, "words": _words}
    environment.filters = {**kept, **ours}
    environment.tests = {name: environment.tests[name] for name in ("defined", "none", "odd", "even")}
    environment.globals = {}
    return environment


_ENVIRONMENT = _environment()


def compile_template(text: str) -> Template:
    """Compile a template.

    Raises:
        TemplateSyntaxError: It is not a template, or does what templates may not do.
    """
    tree = _ENVIRONMENT.parse(text)
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            what = type(node).__name__.lower()
            raise TemplateSyntaxError(f"found {what}; allowed: values, filters and if", node.lineno)
        known = _ENVIRONMENT.filters if isinstance(node, nodes.Filter) else _ENVIRONMENT.tests
        # Inside an if, jinja itself would notice an unknown name only when that branch is rendered.
        if isinstance(node, (nodes.Filter, nodes.Test)) and node.name not in known:
            raise TemplateSyntaxError(f'found "{node.name}"; allowed: {", ".join(sorted(known))}', node.lineno)
    return _ENVIRONMENT.from_string(tree)


def read_templates(path: Path, program: ProgramFile) -> dict[str, str]:
    """Return the templates in the folder beside a program file, by file name; none if it has no notifications.

    Raises:
        UsageError: A file cannot be read, or there are far too many.
    """
    if program.notifications is None:
        return {}
    folder = path.parent / program.notifications.templates
    found = sorted(folder.glob("*.txt"))
    if len(found) > _FILES_MAX:
        raise UsageError(f"{folder} holds {len(found):,} templates; at most {_FILES_MAX:,} are read")
    try:
        return {file.name: _read(file) for file in found}
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read the templates in {folder}: {problem}") from None


def _read(file: Path) -> str:
    """Return a file's text; if it is too long, only as much as shows that."""
    with file.open(encoding="utf-8") as opened:
        return opened.read(TEXT_BYTES_MAX + 1)


def check_templates(program: ProgramFile, templates: Mapping[str, str]) -> list[str]:
    """Return the problems of a program's templates, one per line: ``folder/file:line: problem``."""
    section = program.notifications
    if section is None:
        return []
    problems = []
    for kind in section.tell:
        name = f"{kind}.{section.languages[0]}.txt"
        if name not in templates:
            problems.append(
                f"{section.templates}/{name}:1: found no such file; allowed: one for each kind that is told"
            )
    for name, text in sorted(templates.items()):
        where = f"{section.templates}/{name}"
        problems += [f"{where}:{line}: {what}" for line, what in _mistakes(name, text, section.languages)]
    return problems


def _mistakes(name: str, text: str, languages: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in get_args(Kind) or match[2] not in languages:
        yield 1, f"no template has this name; allowed: <kind>.<language>.txt with a language of {', '.join(languages)}"
        return
    if len(text.encode()) > TEXT_BYTES_MAX:
        yield 1, f"found more than {TEXT_BYTES_MAX:,} bytes"
        return
    lines = text.splitlines()
    if not lines or not lines[0].startswith(_SUBJECT):
        yield 1, f'the first line must begin with "{_SUBJECT}"'
    elif len(lines) < 3 or lines[1].strip():
        yield 2, "the second line must be empty, and the text must follow"
    try:
        compile_template(text)
    except (TemplateSyntaxError, RecursionError) as problem:
        yield getattr(problem, "lineno", 1), str(getattr(problem, "message", None) or "nested too deeply")
        return
    known = PARAMETERS[match[1]] | {"name"}
    for node in _ENVIRONMENT.parse(text).find_all(nodes.Name):
        if node.name not in known:
            yield node.lineno, f'found the unknown name "{node.name}"; allowed: {", ".join(sorted(known))}'


def parts(rendered: str) -> tuple[str, str]:
    """Return subject and text of a rendered template.

    Raises:
        ValueError: It has no subject or no text, or is too long.
    """
    first, _, rest = rendered.partition("\n")
    subject, text = " ".join(first.removeprefix(_SUBJECT).split()), rest.strip()
    if not first.startswith(_SUBJECT) or not subject or not text or len(rendered.encode()) > TEXT_BYTES_MAX:
        raise ValueError("not a subject and a text of bearable length")
    return subject, text
