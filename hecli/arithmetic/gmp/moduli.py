"""Moduli: which are refused, and the base of the random parts that each has."""

import functools
import hashlib

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.sizes import InvalidModulusError, check_modulus_size, plaintext_size

SMALL_FACTOR_LIMIT = 1 << 20
FERMAT_STEPS = 1000


@functools.lru_cache(maxsize=4)
def check_modulus(n: int) -> None:
    """Refuse an n under which encryption is worthless; it costs some 20 ms, once.

    Check size, oddness, that n is composite, no perfect power, without a
    factor below 2^20, and without two primes so close that Fermat's method
    finds them: a^2 - n is no square for the first a from isqrt(n) + 1 on.
    Whether n has exactly two prime factors only its owner can tell.

    Args:
        n: The modulus.

    Raises:
        InvalidModulusError: A check failed.
    """
    check_modulus_size(n)
    value = mpz(n)
    if gmpy2.gcd(value, gmpy2.primorial(SMALL_FACTOR_LIMIT)) != 1:
        raise InvalidModulusError("the key's modulus has a small factor")
    if gmpy2.is_prime(value):
        raise InvalidModulusError("the key's modulus is prime")
    if gmpy2.is_power(value):
        raise InvalidModulusError("the key's modulus is a perfect power")
    root = gmpy2.isqrt(value) + 1
    for step in range(FERMAT_STEPS):
        if gmpy2.is_square((root + step) ** 2 - value):
            raise InvalidModulusError("the key's modulus has two primes too close together")


def check_primes(p: int, q: int) -> None:
    """Refuse primes that do not make a working Paillier key.

    Args:
        p: One prime of the private key.
        q: The other.

    Raises:
        InvalidModulusError: They are not two different primes, or do not fit together.
    """
    n = mpz(p) * q
    if p == q or not (gmpy2.is_prime(mpz(p)) and gmpy2.is_prime(mpz(q))):
        raise InvalidModulusError("the private key is not two different primes")
    if gmpy2.gcd(n, (mpz(p) - 1) * (q - 1)) != 1:
        raise InvalidModulusError("the private key's primes do not fit together")


def derived_base(n: int) -> mpz:
    """Derive the number behind the base of the random parts, as everyone can from n alone.

    h = -x^2 mod n as in Damgard, Jurik and Nielsen, "A generalization of
    Paillier's public-key system with applications to electronic voting"
    (2010), section 4, with x from SHAKE-256 over n. The base itself is
    h_s = h^n mod n^2. Nobody chooses x, so nobody can plant a base that shows
    the plaintext.

    Args:
        n: The modulus.

    Returns:
        h.

    Raises:
        InvalidModulusError: x has a factor in common with n.
    """
    size = plaintext_size(n)
    label = b"hecli derived base v1\0"
    modulus = mpz(n)
    x = mpz.from_bytes(hashlib.shake_256(label + n.to_bytes(size, "big")).digest(size + 16), "big") % modulus
    if gmpy2.gcd(x, modulus) != 1:
        raise InvalidModulusError("the key's modulus has a factor that anyone can find")
    return -x * x % modulus


def powers_of(base: mpz, modulus: mpz, window: int, windows: int) -> list[int]:
    """Raise a base to the powers that digits stand for.

    Args:
        base: The base.
        modulus: The modulus.
        window: The bits of a digit.
        windows: How many digits there are.

    Returns:
        For each digit i, from the lowest, base^(2^(window*i)).
    """
    bases = []
    for _ in range(windows):
        bases.append(int(base))
        base = gmpy2.powmod(base, 1 << window, modulus)
    return bases
