"""The search for primes of a fresh key."""

import math
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import gmpy2
from gmpy2 import mpz

if TYPE_CHECKING:
    import numpy as np

PRIMALITY_ROUNDS = 64
SIEVE_LIMIT = 1 << 20
SIEVE_WIDTH = 1 << 18


def generate_primes(bits: int) -> tuple[int, int]:
    """Find two fresh primes whose product has exactly `bits` bits.

    p and q are 3 modulo 4 with gcd(p-1, q-1) = 2, far apart, and such that
    gcd(n, phi(n)) = 1, as Paillier (1999) and the base that is derived from n
    need.

    Args:
        bits: The bits of their product.

    Returns:
        p and q.
    """
    half = bits // 2
    while True:
        p, q = _prime(half), _prime(bits - half)
        if (
            (p * q).bit_length() == bits
            and abs(p - q).bit_length() > half - 100
            and gmpy2.gcd(p - 1, q - 1) == 2
            and gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1
        ):
            return int(p), int(q)


def safe_prime(bits: int, progress: Callable[[], None] = lambda: None) -> int:
    """Find a random p with its top two bits set, p and (p - 1) / 2 prime.

    A sieve strikes out what has a small factor on either side; what is left is tested.

    Args:
        bits: The bits of p.
        progress: Called for every candidate.

    Returns:
        p.
    """
    import numpy as np  # noqa: PLC0415 - nothing else here needs it

    primes = _small_primes()
    while True:
        # The half of it, odd; p = 2h + 1.
        start = mpz(secrets.randbits(bits - 1) | (3 << (bits - 3)) | 1)
        alive = np.ones(SIEVE_WIDTH, bool)
        inverse = (primes + 1) // 2
        residues = np.array([int(start % int(prime)) for prime in primes], np.int64)
        # start + 2k is 0, or 2 (start + 2k) + 1 is 0, modulo the prime.
        for first in ((-residues) * inverse % primes, (-(2 * residues + 1)) * inverse * inverse % primes):
            for prime, at in zip(primes.tolist(), first.tolist(), strict=True):
                alive[at::prime] = False
        for step in np.flatnonzero(alive).tolist():
            half = start + 2 * step
            progress()
            if (
                gmpy2.is_strong_prp(half, 2)
                and gmpy2.is_strong_prp(2 * half + 1, 2)
                and gmpy2.is_prime(half, PRIMALITY_ROUNDS)
                and gmpy2.is_prime(2 * half + 1, PRIMALITY_ROUNDS)
                and (2 * half + 1).bit_length() == bits
            ):
                return int(2 * half + 1)


def _prime(bits: int) -> mpz:
    while True:
        # The two top bits make the product of two such primes full length; 3 modulo 4.
        candidate = mpz(secrets.randbits(bits) | (3 << (bits - 2)) | 3)
        if gmpy2.is_prime(candidate, PRIMALITY_ROUNDS):
            return candidate


def _small_primes() -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """The odd primes below SIEVE_LIMIT."""
    import numpy as np  # noqa: PLC0415 - as in safe_prime

    sieve = np.ones(SIEVE_LIMIT, bool)
    sieve[:3] = False
    sieve[4::2] = False
    for value in range(3, math.isqrt(SIEVE_LIMIT) + 1, 2):
        if sieve[value]:
            sieve[value * value :: value] = False
    return np.flatnonzero(sieve).astype(np.int64)
