"""Batches of bytes as numbers, and back."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Literal

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import CHALLENGE_BITS, InvalidCiphertextError, plaintext_size


def numbers_of(data: bytes, size: int, order: Literal["big", "little"] = "big") -> list[mpz]:
    """Read numbers.

    Args:
        data: Numbers, fixed-width.
        size: The bytes of each.
        order: Which end comes first.

    Returns:
        The numbers.
    """
    return [mpz.from_bytes(data[at : at + size], order) for at in range(0, len(data), size)]


def from_pairs(data: bytes, modulus: mpz) -> list[mpz]:
    """Read what `powers` of the kernels gives: numbers modulo a square, as a + b times its root.

    Args:
        data: a and b of each number, fixed-width big-endian.
        modulus: The root.

    Returns:
        The numbers.
    """
    parts = numbers_of(data, plaintext_size(int(modulus)))
    return [low + high * modulus for low, high in zip(parts[::2], parts[1::2], strict=True)]


def check_range(kernels: Kernels, data: bytes, size: int, n_squared: int, source: int) -> None:
    """Refuse numbers that are no ciphertexts by their range.

    Args:
        kernels: What looks.
        data: Numbers, fixed-width big-endian.
        size: The bytes of each.
        n_squared: What they lie below; they lie above 0.
        source: What to say which batch it is.

    Raises:
        InvalidCiphertextError: One is out of range.
    """
    at = kernels.out_of_range(data, size, n_squared)
    if at is not None:
        zero = not any(data[at * size : (at + 1) * size])
        reason = "is zero" if zero else "is not below the square of the key's modulus"
        raise InvalidCiphertextError(source, at, reason)


def joined(values: Iterable[mpz], size: int) -> bytes:
    """Write numbers one after the other.

    Args:
        values: The numbers.
        size: The bytes of each.

    Returns:
        Them, fixed-width big-endian.
    """
    return b"".join([value.to_bytes(size, "big") for value in values])


def random_unit(n: mpz, limit: mpz) -> mpz:
    """Draw a unit modulo n.

    Args:
        n: The modulus.
        limit: What it lies below: n, or a power of n.

    Returns:
        The unit.
    """
    while True:
        value = mpz(secrets.randbelow(int(limit)))
        if gmpy2.gcd(value, n) == 1:
            return value


def challenges(seed: bytes, count: int) -> bytes:
    """Draw challenges from what they are about, as Fiat and Shamir do (Crypto 1986).

    Args:
        seed: A digest of all that the proof is about.
        count: How many.

    Returns:
        Numbers of CHALLENGE_BITS bits, big-endian, of SHAKE-256.
    """
    return hashlib.shake_256(seed).digest(CHALLENGE_BITS // 8 * count)
