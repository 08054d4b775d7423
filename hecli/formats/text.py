"""What text may stand in a file: names, and whatever else a person reads.

The rules hang on no version of Unicode: the code points refused are listed,
and the normal form is that of Unicode 3.2, which never changes.
"""

import itertools
import re
import unicodedata

from hecli.errors import FormatError

NAME_LIMIT = 64
SMALLEST_SHARE = 0.00001

UNPRINTABLE = (
    (0x0000, 0x001F),  # control characters
    (0x007F, 0x00A0),  # more of them, and the no-break space
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x1680, 0x1680),  # Ogham space
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2000, 0x200F),  # spaces, joiners, marks of direction
    (0x2028, 0x202F),  # line and paragraph separators, embeddings of direction
    (0x205F, 0x206F),  # invisible operators, isolates of direction
    (0x2800, 0x2800),  # blank Braille pattern
    (0x3000, 0x3000),  # ideographic space
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xF8FF),  # surrogates, private use
    (0xFDD0, 0xFDEF),  # no characters
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFF0, 0xFFFF),  # annotations, no characters
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical control characters
    (0xE0000, 0x10FFFF),  # tags, private use
)
"""The code points that are not printable, as ranges with both ends."""

_TIMES = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))

_UNPRINTABLE = re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in UNPRINTABLE) + "]")


def is_printable(text: str) -> bool:
    """Tell whether `text` has only characters that a reader sees.

    Args:
        text: The text.

    Returns:
        Whether it has.
    """
    return _UNPRINTABLE.search(text) is None


def visible(text: str) -> str:
    """Write out everything in a text that a reader would not see, ends of lines too.

    Args:
        text: The text.

    Returns:
        The text.
    """
    if is_printable(text):
        return text
    return "".join(each if is_printable(each) else each.encode("unicode_escape").decode() for each in text)


def check_name(name: str) -> None:
    """Refuse what cannot name a party or a round.

    A name is short, printable, neither begins nor ends with a blank, and is in
    Unicode's form NFC, so that no two names look the same for so little.

    Args:
        name: The name.

    Raises:
        FormatError: It is none.
    """
    looks = name == name.strip(" ") == _normal(name) and is_printable(name)
    if not (looks and 0 < len(name) <= NAME_LIMIT):
        raise FormatError(
            f"{name[:NAME_LIMIT]!r} cannot be a name",
            f"use 1 to {NAME_LIMIT} printable characters, no blank at either end",
        )


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun, in the plural where it is not one.

    Args:
        number: How many.
        noun: Of what.
        plural: Its plural, where that is not the noun with an s.

    Returns:
        The words.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def count_bytes(size: float) -> str:
    """Write a size in the unit that suits it: 6.1 MB.

    Args:
        size: In bytes.

    Returns:
        The text.
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def duration(seconds: float) -> str:
    """Write a time as people read it: 0.4 s, 25 min, 3 h.

    Args:
        seconds: The time.

    Returns:
        The words.
    """
    if 0 < seconds < 0.05:
        return "less than 0.1 s"
    size, unit = next(each for each in _TIMES if seconds >= 2 * each[0] or each[0] == 1)
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0") + f" {unit}"


def percent(share: float) -> str:
    """Write a share as people read it: 12 %, 0.3 %.

    Args:
        share: The part of one.

    Returns:
        The words.
    """
    if 0 < share < SMALLEST_SHARE:
        return f"less than {100 * SMALLEST_SHARE:.3f} %"
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _normal(text: str) -> str:
    """`text` in the form NFC of Unicode 3.2.

    Python composes what later versions compose, too: what 3.2 does not know is
    therefore set aside. It composes with nothing, and nothing reaches over it.
    """
    old = unicodedata.ucd_3_2_0
    runs = itertools.groupby(text, lambda character: old.category(character) != "Cn")
    return "".join(old.normalize("NFC", "".join(run)) if known else "".join(run) for known, run in runs)
