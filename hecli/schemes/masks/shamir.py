"""Secret sharing: A. Shamir, "How to share a secret" (CACM 1979).

Of our own, because there is no library that fits: pycryptodome's shares 16
bytes, and what else there is shares strings or is not kept up.
"""

import secrets
from collections.abc import Mapping

PRIME = (1 << 521) - 1
"""The field: the Mersenne prime of P-521, with room for secrets of 64 bytes."""


def split(secret: int, threshold: int, shares: int, prime: int = PRIME) -> list[int]:
    """The shares numbered 1 to `shares`, of which any `threshold` give the secret and fewer nothing."""
    coefficients = [secret, *(secrets.randbelow(prime) for _ in range(threshold - 1))]
    found = []
    for x in range(1, shares + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % prime
        found.append(value)
    return found


def join(shares: Mapping[int, int], prime: int = PRIME) -> int:
    """The secret, from as many shares by number as it was split for: Lagrange's polynomial at 0."""
    secret = 0
    for x, share in shares.items():
        above = below = 1
        for other in shares:
            if other != x:
                above = above * other % prime
                below = below * (other - x) % prime
        secret += share * above * pow(below, -1, prime)
    return secret % prime
