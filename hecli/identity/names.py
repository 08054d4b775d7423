"""Names of people: which there may be, and which a reader would take for one another."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from hecli.errors import FormatError, HecliError
from hecli.formats.text import NAME_LIMIT, check_name

_NO_FILE = re.compile(r"""[/\\:*?"<>|\[\]&]|^[-.]|\.$""")
_DEVICES = {"CON", "PRN", "AUX", "NUL"} | {f"{port}{at}" for port in ("COM", "LPT") for at in range(10)}
"""What Windows takes for a device, whatever follows the first full stop."""

_FINGERPRINT = re.compile("[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}")

_DIRECTION = "\u200e"
"""The mark that the table of look-alikes puts around letters written from right to left."""


def check_person(name: str) -> None:
    """Refuse what cannot name a person on a card.

    It is a name that is also that of a file, on any system, that no terminal
    or page takes for markup, and that cannot be read as a fingerprint.

    Args:
        name: The name.

    Raises:
        FormatError: It is none.
    """
    check_name(name)
    stem = name.partition(".")[0].rstrip(" ").upper()
    sound = len(name.encode()) <= NAME_LIMIT and not _NO_FILE.search(name) and stem not in _DEVICES
    if not sound or _FINGERPRINT.search(name.lower()):
        raise FormatError(
            f"{name!r} cannot be the name of a person",
            f"use at most {NAME_LIMIT} bytes that can name a file everywhere, and no fingerprint",
        )


def check_distinct(names: Sequence[str]) -> None:
    """Refuse names of which two look alike, or differ in capital letters alone.

    Such as one with a Cyrillic letter in place of a Latin one. What looks like
    what is known to the Unicode Consortium (Technical Standard 39, section 4),
    whose table a library brings.

    Args:
        names: The names, each once.

    Raises:
        HecliError: Two look alike.
    """
    # Imported here: the table is large, and only whoever makes a plan needs it.
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415

    # With letters and their accents apart.
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


def _prototype(letter: str, table: Mapping[str, Any]) -> str:
    """The letter that stands for all that look like this one: each of them lists it alone."""
    alike = [each["c"].strip(_DIRECTION) for each in table.get(letter, ())]
    if len(alike) != 1:
        return letter
    # Of two that list each other, the lesser.
    return min(letter, alike[0]) if len(table.get(alike[0], ())) == 1 else str(alike[0])
