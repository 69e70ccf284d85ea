"""YAML that is more, or less, than a program file."""

from __future__ import annotations

import pytest

from shared.errors import ProgramFileError
from shared.program.language.loader import load
from tests.support.build import program_text
from tests.support.program_texts import TEXT, problems_of, with_line

# ---- YAML traps


@pytest.mark.parametrize(
    "word", ["no", "on", "off", "y", "~", "null", "true", "0330", "1_000", "1e3", "0x10", "12:30:00"]
)
def test_a_word_is_what_the_reader_sees(word: str) -> None:
    program = load(
        program_text(f"give: 1 point per item, for: {{brand: {word}}}, when: {{store: [{word}]}}", name=word)
    )
    assert program.name == word
    assert program.earning[0].for_ is not None
    assert program.earning[0].for_[0].brand == (word,)
    assert program.earning[0].when is not None
    assert program.earning[0].when.store == (word,)


@pytest.mark.parametrize("version", ["%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "---\n"])
def test_the_version_of_yaml_changes_no_word(version: str) -> None:
    assert load(version + program_text("give: 1 point per item", name="no")).name == "no"


def test_a_tag_makes_no_object() -> None:
    with pytest.raises(ProgramFileError, match="found a tag"):
        load(with_line(2, "name: !!python/object/apply:os.getcwd x"))


BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)
TRAPS: list[tuple[str, str, str]] = [
    ("empty", "", "1:1: the file is empty"),
    ("only a comment", "# program: x\n", "1:1: the file is empty"),
    ("a list at the top", "- program: x\n", "1:1: the file must be a mapping"),
    ("a word at the top", "program\n", "1:1: the file must be a mapping"),
    ("null at the top", "null\n", "1:1: the file must be a mapping"),
    ("2 MB", "name: " + "x" * 2_000_000, "1:1: the file is larger than 1,000,000 bytes"),
    ("1 MB in characters, 2 MB in bytes", "name: " + "é" * 999_000, "the file is larger"),
    ("tab", with_line(8, "\tname: Points"), "8:1: not YAML: found character '\\t'"),
    ("duplicate key", TEXT + "name: Other\n", "24:1: name: found twice"),
    ("nested duplicate key", with_line(9, "    unit: point\n    unit: star"), "10:5: unit: found twice"),
    ("duplicate key, otherwise written", TEXT + '"name": Other\n', "24:1: name: found twice"),
    ("anchor", with_line(8, "    name: &name Points"), "8:11: found an anchor or alias"),
    ("alias", with_line(8, "    name: *name"), "8:11: found an anchor or alias"),
    ("aliases bomb", BOMB, "1:4: found an anchor or alias"),
    ("merge key", with_line(8, "    name: Points\n    <<: { unit: star }"), "9:5: wallets.points.<<: found an unknown"),
    ("list as key", "? [a, b]\n: c\n", "1:3: a key must be plain text"),
    ("two documents", TEXT + "---\n" + TEXT, "not YAML: but found another document"),
    ("unclosed quote", with_line(23, '      dates: "2017'), "not YAML: found unexpected end of stream"),
    ("unclosed bracket", with_line(12, "  category: [FUEL"), "13:"),
    ("control character", "name: a\x01b\n", "1:8: found U+0001, a character that nobody sees"),
    ("escape beyond Unicode", 'name: "\\U00110000"\n', "not YAML"),
    ("escape beyond an int", 'name: "\\UFFFFFFFF"\n', "not YAML"),
    ("nested 100 deep", with_line(12, "  category: " + "[" * 100 + "]" * 100), "nested deeper than 32 levels"),
    ("nested 1000 deep", "[" * 1000 + "]" * 1000, "nested deeper than 32 levels"),
    ("other YAML", "%YAML 9.1\n---\n" + TEXT, "not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), [pytest.param(text, answer, id=name) for name, text, answer in TRAPS])
def test_a_trap_of_yaml_is_a_mistake_with_a_place(text: str, answer: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith("shop.yaml:")
    assert answer in problem
