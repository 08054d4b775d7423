"""Secret sharing: A. Shamir, "How to share a secret" (CACM 1979).

Of our own, because there is no library that fits: pycryptodome's shares 16
bytes, and what else there is shares strings or is not kept up.
"""

import secrets
from collections.abc import Mapping

PRIME = (1 << 521) - 1
"""The field: the Mersenne prime of P-521, with room for secrets of 64 bytes."""


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
    secret = 0
    for x, share in shares.items():
        above = below = 1
        for other in shares:
            if other != x:
                above = above * other % prime
                below = below * (other - x) % prime
        secret += share * above * pow(below, -1, prime)
    return secret % prime
