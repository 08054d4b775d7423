"""Batches of bytes as numbers, and back."""

import hashlib
from collections.abc import Iterable

from gmpy2 import mpz

from hecli.arithmetic.sizes import CHALLENGE_BITS, InvalidCiphertextError


def ciphertexts(data: bytes, size: int, n_squared: mpz, source: int) -> list[mpz]:
    """Read ciphertexts and check their range.

    Args:
        data: Numbers, fixed-width big-endian.
        size: The bytes of each.
        n_squared: What they lie below; they lie above 0.
        source: What to say which batch it is.

    Returns:
        The numbers.

    Raises:
        InvalidCiphertextError: One is out of range.
    """
    values = [mpz.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    # All at once first: the culprit is only looked for when there is one.
    if values and not (min(values) > 0 and max(values) < n_squared):
        for index, value in enumerate(values):
            if value == 0:
                raise InvalidCiphertextError(source, index, "is zero")
            if value >= n_squared:
                raise InvalidCiphertextError(source, index, "is not below the square of the key's modulus")
    return values


def joined(values: Iterable[mpz], size: int) -> bytes:
    """Write numbers one after the other.

    Args:
        values: The numbers.
        size: The bytes of each.

    Returns:
        Them, fixed-width big-endian.
    """
    return b"".join([value.to_bytes(size, "big") for value in values])


def challenges(seed: bytes, count: int) -> list[mpz]:
    """Draw challenges from what they are about, as Fiat and Shamir do (Crypto 1986).

    Args:
        seed: A digest of all that the proof is about.
        count: How many.

    Returns:
        Numbers below 2^CHALLENGE_BITS, of SHAKE-256.
    """
    width = CHALLENGE_BITS // 8
    stream = hashlib.shake_256(seed).digest(width * count)
    return [mpz.from_bytes(stream[at : at + width], "big") for at in range(0, len(stream), width)]
