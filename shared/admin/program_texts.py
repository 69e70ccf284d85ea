"""A program file with its templates, read from where an operator names it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from shared.errors import ProgramFileError, UsageError
from shared.program.language.loader import load
from shared.program.language.model import ProgramFile
from shared.program.language.source import FILE_BYTES_MAX
from shared.program.shipped import program_file
from shared.program.templates import check_templates, read_templates


class ProgramTexts(NamedTuple):
    """A program file as text and as it was read, and its templates by file name."""

    filename: str
    text: str
    program: ProgramFile
    templates: dict[str, str]


def read_program(path: Path) -> ProgramTexts:
    """Return a program file without mistakes, with the templates in the folder beside it.

    Args:
        path: The file, or the name of one that comes with the product.

    Raises:
        UsageError: There is no such file, or it is not text.
        ProgramFileError: The file, or a template, has mistakes.
    """
    path = program_file(path)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read the program file {path}: {problem}") from None
    program = load(text, str(path))
    templates = read_templates(path, program)
    if problems := check_templates(program, templates):
        raise ProgramFileError(problems)
    return ProgramTexts(str(path), text, program, templates)
