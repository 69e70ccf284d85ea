"""YAML text to plain data, with the line and column of everything in it.

Every scalar stays the text that was written: ``no``, ``0330`` and ``1_000`` mean what the reader sees, and the
model decides what each field is. Duplicate keys and aliases are mistakes, not features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.errors import ProgramFileError

Path = tuple[str | int, ...]

FILE_BYTES_MAX = 1_000_000
_DEPTH_MAX = 32


@dataclass(slots=True)
class Source:
    """A parsed file.

    Attributes:
        data: Dictionaries, lists and strings.
        values: Where the value at a path begins, as (line, column), both from 1.
        keys: Where the key of a path stands.
    """

    filename: str
    data: Any = None
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def at(self, path: Path, *, key: bool = False) -> str:
        """Return ``file:line:column`` of the path, or of the nearest thing above it that the file has."""
        while path and path not in self.values:
            path, key = path[:-1], False
        line, column = (self.keys if key else self.values).get(path, (1, 1))
        return f"{self.filename}:{line}:{column}"


def parse(text: str, filename: str) -> Source:
    """Parse the text of a program file.

    Raises:
        ProgramFileError: It is not YAML, too large, or uses duplicate keys, aliases or non-text keys.
    """
    if len(text.encode()) > FILE_BYTES_MAX:
        raise ProgramFileError([f"{filename}:1:1: the file is larger than {FILE_BYTES_MAX:,} bytes"])
    source = Source(filename)
    problems: list[str] = []
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if getattr(event, "anchor", None):
                mark = event.start_mark
                where = f"{filename}:{mark.line + 1}:{mark.column + 1}"
                raise ProgramFileError([f"{where}: found an anchor or alias (& or *); write the value out instead"])
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ProgramFileError(
            [f"{filename}:{line}:{column}: not YAML: {problem.problem or problem.context}"]
        ) from None
    except (YAMLError, ValueError, RecursionError) as problem:
        raise ProgramFileError([f"{filename}:1:1: not YAML: {str(problem).splitlines()[0]}"]) from None
    if node is None:
        raise ProgramFileError([f"{filename}:1:1: the file is empty"])
    source.data = _plain(node, (), source, problems)
    if problems:
        raise ProgramFileError(problems)
    return source


def _plain(node: Node, path: Path, source: Source, problems: list[str]) -> Any:
    source.values[path] = _position(node)
    if len(path) > _DEPTH_MAX:
        problems.append(f"{source.at(path)}: nested deeper than {_DEPTH_MAX} levels")
        return ""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [_plain(child, (*path, index), source, problems) for index, child in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = _position(key_node)
        where = f"{source.filename}:{line}:{column}"
        if not isinstance(key_node, ScalarNode):
            problems.append(f"{where}: a key must be plain text")
            continue
        key = key_node.value
        if key in mapping:
            problems.append(f"{where}: {key}: found twice; a key may stand once")
            continue
        source.keys[*path, key] = (line, column)
        mapping[key] = _plain(value_node, (*path, key), source, problems)
    return mapping


def _position(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
