"""Big integers as they stand in headers."""

from hecli.errors import FormatError

MODULUS_LIMIT = 2048
"""Most bytes of a modulus: 16,384 bits."""


def int_bytes(value: int) -> bytes:
    """Write a positive integer as big-endian bytes, as many as it needs.

    Args:
        value: The integer, above 0.

    Returns:
        The bytes.
    """
    return value.to_bytes(-(-value.bit_length() // 8), "big")


def parse_int(data: bytes, name: str, limit: int = MODULUS_LIMIT) -> int:
    """Read the integer that `int_bytes` wrote.

    Args:
        data: The bytes.
        name: The file, for errors.
        limit: The most bytes there may be.

    Returns:
        The integer.

    Raises:
        FormatError: There are leading zeros, or too many bytes.
    """
    if not data or data[0] == 0:
        raise FormatError(f"{name}: a number in it is not in canonical form")
    if len(data) > limit:
        raise FormatError(f"{name}: a number in it has {len(data):,} bytes, more than {limit:,}")
    return int.from_bytes(data, "big")
