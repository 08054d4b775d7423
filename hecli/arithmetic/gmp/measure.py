"""What this machine takes."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.encrypt import window_width
from hecli.arithmetic.gmp.multiexp import products
from hecli.arithmetic.sizes import exponent_bits

CHECKED = 512
"""Ciphertexts in a group of a middling size."""


class Costs(NamedTuple):
    """What one core of this machine takes.

    Args:
        prepare: Seconds to prepare an Encryptor.
        encrypt: Seconds of one encryption,
        check: of checking what one ciphertext has to do with its proof,
        multiply: of one product of ciphertexts,
        decrypt: and of one decryption.
    """

    prepare: float
    encrypt: float
    check: float
    multiply: float
    decrypt: float


def measure(n: int, randomness: str, count: int) -> Costs:
    """Measure this machine quickly, in some 100 ms.

    Args:
        n: The modulus.
        randomness: The random exponent: `short`, `half` or `full`.
        count: About how many ciphertexts one process will make.

    Returns:
        Seconds on one core.
    """
    modulus = mpz(n)
    square = modulus**2
    value = mpz(secrets.randbelow(n))
    wide = mpz(secrets.randbelow(n * n))
    prime_square = modulus | 1
    step = _seconds(lambda: wide * value % square, 200)
    product = _seconds(lambda: wide * wide % square, 200)
    check = _seconds(lambda: value * value % modulus, 200) * products(CHECKED) / CHECKED
    opening = _seconds(lambda: gmpy2.powmod(value, modulus >> (n.bit_length() // 2), prime_square), 3)
    power = _seconds(lambda: gmpy2.powmod(value, modulus, square), 1)
    if randomness == "full":
        return Costs(0.0, power, check, product, 2 * opening)
    bits = exponent_bits(n, randomness)
    window = window_width(bits, count)
    windows = -(-bits // window)
    # The base, and for each entry of the table about what a step takes.
    return Costs(power + (windows << window) * step, windows * step, check, product, 2 * opening)


def _seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times
