"""What may be a name, of a party or of a round."""

import unicodedata

from hecli.errors import FormatError

NAME_LIMIT = 64


def check_name(name: str) -> None:
    """Raise FormatError unless `name` may name a party or a round.

    It is short, printable, neither begins nor ends with a blank, and is in
    Unicode's form NFC, so that no two names look the same for so little.
    """
    looks = name == name.strip() == unicodedata.normalize("NFC", name) and name.isprintable()
    if not (looks and 0 < len(name) <= NAME_LIMIT):
        raise FormatError(
            f"{name[:NAME_LIMIT]!r} cannot be a name",
            f"use 1 to {NAME_LIMIT} printable characters, no blank at either end",
        )
