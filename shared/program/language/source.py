"""Parses YAML text to plain data, and keeps the line and column of everything in it.

Every scalar stays the text that was written: ``no``, ``0330`` and ``1_000`` mean what a reader sees, and the model
decides what each field is. Duplicate keys and aliases are mistakes, not features.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from shared.errors import ProgramFileError

Path = tuple[str | int, ...]

FILE_BYTES_MAX = 1_000_000
_DEPTH_MAX = 32
#: Characters that no person writes into a file: control characters, lone surrogates, non-characters.
_NEVER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
#: Characters that no text of a program may contain, even escaped: those above, line ends, tabs, and what is copied
#: from web pages unseen: zero-width spaces, soft hyphens, direction marks.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
    "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)


@dataclass(slots=True)
class Source:
    """A parsed file.

    Attributes:
        data: Dictionaries, lists and strings.
        values: Where the value at a path begins: (line, column), both from 1.
        keys: Where the key of a path begins.
    """

    filename: str
    data: Any = None
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def real(self, path: Path) -> Path:
        """Return a path of the model as in the file, where a single value may stand for a list of one."""
        found: Path = ()
        for part in path:
            if part == 0 and (*found, part) not in self.values:
                continue
            found = (*found, part)
        return found

    def at(self, path: Path, *, key: bool = False) -> str:
        """Return ``file:line:column`` of a path, or of its nearest parent that is in the file."""
        path = self.real(path)
        while path and path not in self.values:
            path, key = path[:-1], False
        line, column = (self.keys if key else self.values).get(path, (1, 1))
        return f"{self.filename}:{line}:{column}"


def parse(text: str, filename: str) -> Source:
    """Parse the text of a program file.

    Raises:
        ProgramFileError: It is not YAML, too large, or uses duplicate keys, aliases or non-text keys.
    """
    _refuse_unseen(text, filename)
    if len(text.encode()) > FILE_BYTES_MAX:
        raise ProgramFileError([f"{filename}:1:1: the file is larger than {FILE_BYTES_MAX:,} bytes"])
    source = Source(filename)
    problems: list[str] = []
    try:
        # All events first: a malicious file is refused before anything is built from it.
        nodes = _only_document(list(_events(text, filename)))
    except MarkedYAMLError as problem:
        raise ProgramFileError([f"{filename}:{_not_yaml(problem, text)}"]) from None
    except (YAMLError, ValueError, OverflowError, RecursionError, AssertionError) as problem:
        said = str(problem).splitlines() or ["not a version of YAML that is known; take the line with % out"]
        raise ProgramFileError([f"{filename}:1:1: not YAML: {said[0]}"]) from None
    if not nodes:
        raise ProgramFileError([f"{filename}:1:1: the file is empty"])
    events = iter(nodes)
    source.data = _plain(next(events), events, (), source, problems)
    if problems:
        raise ProgramFileError(problems)
    return source


def _events(text: str, filename: str) -> Iterator[Event]:
    """Yield the YAML events of a text, and refuse malicious ones."""
    depth = 0
    lines = text.splitlines()
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        problem = None
        if getattr(event, "anchor", None):
            problem = "found an anchor or alias (& or *); write the value out instead"
        elif depth > _DEPTH_MAX:
            problem = f"nested deeper than {_DEPTH_MAX} levels"
        elif getattr(event, "tag", None):
            problem = f"found a tag, {event.tag}; if it is part of a text, put the text in quotes"
        elif isinstance(event, ScalarEvent) and _UNSEEN.search(_text_of(event)):
            problem = "found a character that nobody sees, or an end of a line; take it out"
        elif isinstance(event, ScalarEvent) and (comment := _glued_comment(event, lines)):
            problem = (
                f'found "{event.value}" and the comment "{comment}"; put the whole in quotes if it is one text, '
                "write a space after the # if it is a comment"
            )
        if problem:
            mark = event.start_mark
            raise ProgramFileError([f"{filename}:{mark.line + 1}:{mark.column + 1}: {problem}"])
        yield event


def _only_document(events: Sequence[Event]) -> list[Event]:
    """Return the events of the content, without those of the stream and the document around it.

    Raises:
        ComposerError: There is a second document.
    """
    begins = [event for event in events if isinstance(event, DocumentStartEvent)]
    if len(begins) > 1:
        raise ComposerError(
            "expected a single document in the stream",
            begins[0].start_mark,
            "but found another document",
            begins[1].start_mark,
        )
    return [event for event in events if isinstance(event, NodeEvent | CollectionEndEvent)]


def _glued_comment(scalar: ScalarEvent, lines: Sequence[str]) -> str | None:
    """Return a comment after a value that was probably meant as part of it: ``brand: Joe #1 Tea``."""
    mark = scalar.end_mark
    if scalar.style or not scalar.value or mark.line >= len(lines):
        return None
    found = re.match(r"\s*(#\w.*)", lines[mark.line][mark.column :])
    if found is None:
        return None
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in found[1].rstrip())


def _refuse_unseen(text: str, filename: str) -> None:
    found = _NEVER.search(text)
    if found is not None:
        before = text[: found.start()]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        code = f"U+{ord(found[0]):04X}"
        raise ProgramFileError([f"{filename}:{line}:{column}: found {code}, a character that nobody sees; take it out"])


def _text_of(scalar: ScalarEvent) -> str:
    """Return the text of a scalar, without the line end of a block (| or >)."""
    value: str = scalar.value
    return value.rstrip("\n") if scalar.style in {"|", ">"} else value


def _not_yaml(problem: MarkedYAMLError, text: str) -> str:
    """Return where a file is not YAML, and what to write instead: ``line:column: not YAML: …``."""
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = problem.problem or problem.context or ""
    hint = "a text with a character that means something to YAML must stand in quotes"
    if "\\t" in what:
        hint = "write spaces instead of a tab"
    for number, written in enumerate(text.splitlines()[:line], start=1):
        glued = re.match(r"\s*(?:- )?[a-z_]+:(?=[^\s/'\"])", written)
        if glued is not None:
            line, column, hint = number, glued.end() + 1, "write a space after the colon"
            break
    return f"{line}:{column}: not YAML: {what}; {hint}"


def _plain(event: Event, events: Iterator[Event], path: Path, source: Source, problems: list[str]) -> Any:
    """Return the data that begins with an event; its children are taken from the events that follow."""
    source.values[path] = _position(event)
    if isinstance(event, ScalarEvent):
        return _text_of(event)
    if isinstance(event, SequenceStartEvent):
        return [
            _plain(child, events, (*path, index), source, problems) for index, child in enumerate(_children(events))
        ]
    mapping: dict[str, Any] = {}
    for key_event in _children(events):
        line, column = _position(key_event)
        key = _key(key_event, f"{source.filename}:{line}:{column}", mapping, problems)
        if key is None:
            _skip(key_event, events)
            _skip(next(events), events)
            continue
        value_event = next(events)
        source.keys[*path, key] = (line, column)
        mapping[key] = _plain(value_event, events, (*path, key), source, problems)
        if isinstance(value_event, ScalarEvent) and not value_event.value and not value_event.style:
            source.values[*path, key] = (line, column)  # an empty value: point at the key, not at what follows
    return mapping


def _children(events: Iterator[Event]) -> Iterator[Event]:
    """Yield the first event of each child; the caller must consume the rest of the child."""
    for event in events:
        if isinstance(event, CollectionEndEvent):
            return
        yield event


def _skip(event: Event, events: Iterator[Event]) -> None:
    """Consume the children of an event."""
    if isinstance(event, CollectionStartEvent):
        for child in _children(events):
            _skip(child, events)


def _key(event: Event, where: str, known: Container[str], problems: list[str]) -> str | None:
    """Return the key of a field; None if there is a problem with it, which is added to ``problems``."""
    if not isinstance(event, ScalarEvent):
        problems.append(f"{where}: a key must be plain text")
        return None
    key: str = event.value
    if not key.isprintable():
        problems.append(f"{where}: found a key with a character that nobody sees; take it out")
        return None
    if key in known:
        problems.append(f"{where}: {key}: found twice; a key may stand once")
        return None
    return key


def _position(event: Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
