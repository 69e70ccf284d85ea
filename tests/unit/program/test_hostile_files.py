"""Files in other encodings, with invisible characters, or meant to do harm: refused at once, with the place."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable

import pytest

from shared.program.language.loader import load
from tests.support.build import program_text
from tests.support.program_texts import problems_of

GIVE = "give: 1 point per item"
#: Seven lines, and the rules from the eighth on.
TEXT = program_text(GIVE)

# ---- characters and files


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff# a comment\r\n" + text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: f"---\n{text}...\n",
        lambda text: f"%YAML 1.2\n---\n{text}...\n# the end\n",
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n \n\n",
        lambda text: text.replace("{", "{\t").replace(", unit", ",\tunit"),
        lambda text: text.replace("currency: USD", "currency:   USD   # dollars"),
        lambda text: text.replace("USD", "'USD'").replace("name: Corner Shop", '"name": "Corner Shop"'),
    ],
)
def test_how_a_file_is_written_down_does_not_matter(change: Callable[[str], str]) -> None:
    assert load(change(TEXT)) == load(TEXT)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\ufeff", "1:1: the file is empty"),
        (" \n\n", "1:1: the file is empty"),
        ("---\n", "the file must be a mapping"),
        ("---\n...\n", "the file must be a mapping"),
        ("[]\n", "1:1: the file must be a mapping"),
        ('"program: x"\n', "1:1: the file must be a mapping"),
        ("{}\n", "1:1: program: found nothing; this field is required"),
        (f"---\n---\n{TEXT}", "2:1: not YAML: but found another document"),
        (f"{TEXT}---\n", "9:1: not YAML: but found another document"),
        (f"{TEXT}...\nname: Other\n", "10:1: not YAML: but found another document"),
        ("...\n", "1:1: not YAML"),
        (f"%YAML 1.2\n%YAML 1.2\n---\n{TEXT}", "2:1: not YAML"),
        (f"%YAML 1.3\n---\n{TEXT}", "1:1: not YAML: "),
        (TEXT.replace("Corner", "Cor\u200bner"), "2:7: found a character that nobody sees"),
        (TEXT.replace("Corner", "\u202eCorner"), "2:7: found a character that nobody sees"),
        (TEXT.replace("Corner", "Corner #1"), 'found "Corner" and the comment "#1 '),
        (TEXT.replace("currency", "\ufeffcurrency"), "3:1: found a character that nobody sees"),
        (TEXT.replace("name: Corner", "name:\tCorner"), "2:6: not YAML: found character '\\t'"),
        (TEXT.replace("USD\n", "USD\t\n"), "3:14: not YAML: found character '\\t'"),
    ],
)
def test_another_file_is_refused(text: str, answer: str) -> None:
    problem = problems_of(text)[0]
    assert problem.startswith("shop.yaml:")
    assert answer in problem


def test_a_tab_is_answered_with_what_to_write() -> None:
    assert "spaces" in problems_of(TEXT.replace("\n  -", "\n\t-"))[0]


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x80", "\ufffe", "\ud800"])
def test_a_character_that_nobody_sees_is_refused_where_it_stands(character: str) -> None:
    (problem,) = problems_of(TEXT.replace("USD", f"US{character}D"))
    assert problem.startswith("shop.yaml:3:13: ")


@pytest.mark.parametrize("escape", ["\\0", "\\a", "\\e[31m", "\\x7f", "\\x80", "\\n", "\\t"])
def test_neither_is_it_written_as_an_escape_nor_repeated_to_the_terminal(escape: str) -> None:
    for text in (TEXT.replace("Corner Shop", f'"a{escape}b"'), TEXT + f'"a{escape}b": x\n'):
        (problem,) = problems_of(text)
        assert re.match(r"shop\.yaml:\d+:\d+: ", problem)
        assert problem.isprintable(), "one problem is one line, without what moves a cursor"


@pytest.mark.parametrize("text", ['"a\\qb"', '"C:\\Users"', '"a\\', "'a", '"\\ud83d"', '"\\u12"'])
def test_an_escape_that_is_none_is_refused_on_its_line(text: str) -> None:
    # A quote that is not closed is told where the file ends.
    assert re.match(r"shop\.yaml:(2|7|8|9):\d+: ", problems_of(program_text(GIVE, name=text))[0])


# ---- files that are meant to do harm: refused at once, in little memory

OPENINGS = ["[", "{", "[{", "{a: ", "[a, ", "- ", "- - ", "? ", "? - ", "[? ", "!!seq [", "&a [", "- &a ", "{? ["]


def refused_at_once(text: str) -> str:
    """The one problem with a text, once it was found fast, and again in little more memory than the text has."""
    begun = time.process_time()
    (problem,) = problems_of(text)
    assert time.process_time() - begun < 5, "seconds of this process; a tenth of one is usual"
    tracemalloc.start()
    problems_of(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000 + 20 * min(len(text), 1_000_000) + len(text)
    return problem


@pytest.mark.parametrize("opening", OPENINGS)
def test_depth_costs_nothing(opening: str) -> None:
    assert refused_at_once(opening * (300_000 // len(opening))).startswith("shop.yaml:1:")


def test_depth_by_indentation_is_refused_on_the_first_line_that_is_too_deep() -> None:
    (problem,) = problems_of("".join(f"{' ' * depth}a:\n" for depth in range(1000)))
    assert problem == "shop.yaml:33:33: nested deeper than 32 levels"


ALIASES = ["*a, ", "- *a\n", "a: *a\n", "&a x: *a\n", "<<: *a\n"]


@pytest.mark.parametrize("size", [900_000, 10_000_000])
@pytest.mark.parametrize("alias", ALIASES)
def test_a_mountain_of_aliases_is_refused_at_once(alias: str, size: int) -> None:
    text = f"a: &a [x]\nb: [{alias * (size // len(alias))}" if alias.endswith(" ") else alias * (size // len(alias))
    problem = refused_at_once(text)
    assert ("larger than 1,000,000 bytes" if size > 1_000_000 else "found an anchor or alias") in problem


def test_laughs_by_the_billion_are_refused_at_the_first_one() -> None:
    text = "a0: &a0 [lol, lol]\n" + "".join(
        f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 20)
    )
    assert refused_at_once(text + TEXT).startswith("shop.yaml:1:5: found an anchor or alias")
