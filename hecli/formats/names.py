"""What may be a name, of a party or of a round."""

from hecli.errors import FormatError

NAME_LIMIT = 64


def check_name(name: str) -> None:
    """Raise FormatError unless `name` may name a party or a round: short, printable, not blank."""
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise FormatError(
            f"{name[:NAME_LIMIT]!r} cannot be a name",
            f"use 1 to {NAME_LIMIT} printable characters",
        )
