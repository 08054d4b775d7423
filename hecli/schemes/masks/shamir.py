"""Secret sharing: A. Shamir, "How to share a secret" (CACM 1979).

Of our own, because there is no library that fits: pycryptodome's shares 16
bytes, and what else there is shares strings or is not kept up.
"""

import secrets
from collections.abc import Mapping
from functools import lru_cache

PRIME = (1 << 521) - 1
"""The field: the Mersenne prime of P-521, with room for secrets of 64 bytes."""

PRIME_257 = (1 << 257) - 93
"""The largest prime of 257 bits: a smaller field, for the many secrets of 32 bytes."""


def split(secret: int, threshold: int, shares: int, prime: int = PRIME) -> list[int]:
    """Split a secret in shares, of which fewer than the threshold tell nothing.

    Args:
        secret: The secret, below the prime.
        threshold: How many give it.
        shares: How many there are.
        prime: The field.

    Returns:
        The shares numbered from 1.
    """
    coefficients = [secret, *(secrets.randbelow(prime) for _ in range(threshold - 1))]
    found = []
    for x in range(1, shares + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % prime
        found.append(value)
    return found


def join(shares: Mapping[int, int], prime: int = PRIME) -> int:
    """Join shares to the secret: Lagrange's polynomial at 0.

    Args:
        shares: As many as it was split for, by number.
        prime: The field.

    Returns:
        The secret.
    """
    weights = _weights(tuple(shares), prime)
    return sum(share * weight for share, weight in zip(shares.values(), weights, strict=True)) % prime


@lru_cache(64)
def _weights(numbers: tuple[int, ...], prime: int) -> list[int]:
    """What each share counts: the same for all secrets that the same holders reveal."""
    found = []
    for x in numbers:
        above = below = 1
        for other in numbers:
            if other != x:
                above = above * other % prime
                below = below * (other - x) % prime
        found.append(above * pow(below, -1, prime) % prime)
    return found
