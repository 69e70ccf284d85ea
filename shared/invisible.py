"""Characters that nobody sees: in an id they hide that it is another one, in a terminal they turn text around."""

from __future__ import annotations

import unicodedata

#: Controls, formats (bidirectional controls, zero-width characters, byte-order marks, tags), line and paragraph
#: separators, halves of surrogate pairs. Source: Unicode Standard, general categories.
_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
#: Formats that can be seen. Source: PropList.txt, Prepended_Concatenation_Mark.
_SEEN = frozenset({*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD})
#: What Unicode calls default ignorable, or shows as nothing, outside those categories: the grapheme joiner, fillers of
#: Hangul and Khmer, variation selectors. Source: DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
_IGNORABLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip


def is_invisible(character: str) -> bool:
    """Tell whether a character shows as nothing, or moves those around it."""
    code = ord(character)
    if unicodedata.category(character) in _CATEGORIES:
        return code not in _SEEN
    return any(first <= code <= last for first, last in _IGNORABLE)


def escaped(text: str) -> str:
    r"""Return text with invisible characters written as escapes, such as ``\u202e``; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if character not in "\n\t" and is_invisible(character)
        else character
        for character in text
    )
