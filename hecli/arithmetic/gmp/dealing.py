"""Keys in shares: dealing one, and whether a share fits. The notation is that of `arithmetic.threshold`."""

import secrets
from collections.abc import Callable
from math import factorial

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import random_unit
from hecli.arithmetic.gmp.primes import safe_prime
from hecli.arithmetic.sizes import check_bits
from hecli.arithmetic.threshold import ThresholdKey, check_numbers


def deal(
    bits: int, threshold: int, shares: int, progress: Callable[[], None] = lambda: None
) -> tuple[ThresholdKey, list[int]]:
    """Make a fresh key in shares and forget its primes.

    Args:
        bits: The bits of the modulus.
        threshold: How many shares open.
        shares: How many there are.
        progress: Called for every candidate for a prime.

    Returns:
        The key, and its shares in their order.

    Raises:
        HecliError: No key has such numbers.
    """
    check_numbers(threshold, shares)
    check_bits(bits)
    while True:
        p, q = mpz(safe_prime(bits // 2, progress)), mpz(safe_prime(bits - bits // 2, progress))
        n, m = p * q, (p // 2) * (q // 2)
        if p != q and n.bit_length() == bits and gmpy2.gcd(n, 4 * m) == 1:
            break
    # 0 modulo m, 1 modulo n.
    secret = m * gmpy2.invert(m, n)
    coefficients = [secret, *(mpz(secrets.randbelow(int(n * m))) for _ in range(threshold - 1))]
    dealt = []
    for index in range(1, shares + 1):
        value = mpz(0)
        for coefficient in reversed(coefficients):
            value = (value * index + coefficient) % (n * m)
        dealt.append(value)
    v = gmpy2.powmod(random_unit(n, n**2), 2, n**2)
    delta = factorial(shares)
    keys = tuple(int(gmpy2.powmod_sec(v, delta * share, n**2)) for share in dealt)
    return ThresholdKey(int(n), threshold, int(v), keys), [int(share) for share in dealt]


def check_share(key: ThresholdKey, index: int, share: int) -> bool:
    """Tell whether a share is the one that v_i was made of.

    Args:
        key: The key that was dealt.
        index: The number i of the share, from 1.
        share: The share.

    Returns:
        Whether it is.
    """
    if not 0 < share < key.n**2:
        return False
    power = gmpy2.powmod_sec(mpz(key.v), key.delta * mpz(share), mpz(key.n) ** 2)
    return bool(power == key.keys[index - 1])
