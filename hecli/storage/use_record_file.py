"""The record beside a secret: which files of which plans it was used for."""

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader

KIND = "use record"

Uses = frozenset[tuple[bytes, bytes]]
"""Pairs of a plan's digest and that of the file the secret was used on."""


def record_header(uses: Uses) -> Map:
    """Give the header of a record file.

    Args:
        uses: What it says.

    Returns:
        The map.
    """
    return {"uses": [list(pair) for pair in sorted(uses)]}


def parse_record(reader: Reader) -> Uses:
    """Read the uses in a record file.

    Args:
        reader: The opened file.

    Returns:
        The uses.

    Raises:
        FormatError: It is none, or not a sound one.
    """
    reader.require(KIND)
    reader.require_sections()
    fields(reader.header, reader.name, "its header", {"uses": list})
    pairs = []
    for item in reader.header["uses"]:
        match item:
            case [bytes(plan), bytes(file)] if len(plan) == len(file) == DIGEST_SIZE:
                pairs.append((plan, file))
            case _:
                raise FormatError(f"{reader.name}: a use in it is malformed")
    if pairs != sorted(set(pairs)):
        raise FormatError(f"{reader.name}: its uses are out of order")
    return frozenset(pairs)
