"""Names that a reader takes for one another, such as one with a Cyrillic letter in place of a Latin one."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from hecli.errors import HecliError

_DIRECTION = "\u200e"
"""The mark that the table puts around letters that are written from right to left."""


def check_distinct(names: Sequence[str]) -> None:
    """Refuse names of which two look alike, or differ in capital letters alone.

    What looks like what is known to the Unicode Consortium (Technical Standard
    39, section 4), whose table a library brings.

    Args:
        names: The names, each once.

    Raises:
        HecliError: Two look alike.
    """
    # Imported here: the table is large, and only whoever makes a plan needs it.
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415

    spelled = {
        name: [unicodedata.normalize("NFKD", each) for each in (name, name.casefold())] for name in names
    }
    letters = {letter for both in spelled.values() for each in both for letter in each}
    prototypes = {ord(letter): _prototype(letter, confusables_data) for letter in letters}
    seen: dict[str, str] = {}
    for name, both in spelled.items():
        for each in both:
            other = seen.setdefault(each.translate(prototypes), name)
            if other != name:
                raise HecliError(
                    f"the names {other!a} and {name!a} look alike",
                    "nobody could tell these two apart: one of them needs another name",
                )


def _apart(name: str) -> str:
    """A name with its letters and their accents apart."""
    return unicodedata.normalize("NFKD", name)


def _prototype(letter: str, table: Mapping[str, Any]) -> str:
    """The letter that stands for all that look like this one: each of them lists it alone."""
    alike = [each["c"].strip(_DIRECTION) for each in table.get(letter, ())]
    if len(alike) != 1:
        return letter
    # Of two that list each other, the lesser.
    return min(letter, alike[0]) if len(table.get(alike[0], ())) == 1 else str(alike[0])
