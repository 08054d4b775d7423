"""Products of many powers whose exponents are short challenges."""

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.sizes import CHALLENGE_BITS


def product_of_powers(
    bases: Sequence[mpz], exponents: Sequence[mpz], modulus: mpz, bits: int = CHALLENGE_BITS
) -> mpz:
    """Multiply base^exponent for all bases, modulo a number.

    By buckets: N. Pippenger, "On the evaluation of powers and monomials"
    (1980). Each window of the exponents costs a product for each base and two
    for each bucket, instead of the squarings of one power after the other.

    Args:
        bases: The bases.
        exponents: As many exponents.
        modulus: The modulus.
        bits: The most bits of an exponent.

    Returns:
        The product.
    """
    window = window_width(len(bases), bits)
    # One bit above the highest keeps the length of each list of digits the same.
    top = mpz(1) << bits
    digits = [gmpy2.unpack(top | exponent, window) for exponent in exponents]
    product = mpz(1)
    for at in range(-(-bits // window) - 1, -1, -1):
        buckets = [mpz(1)] * (1 << window)
        # In the last window the bit above stands too, unless the window is full.
        mask = (1 << min(window, bits - window * at)) - 1
        for base, own in zip(bases, digits, strict=True):
            digit = own[at] & mask
            buckets[digit] = buckets[digit] * base % modulus
        for _ in range(window):
            product = product * product % modulus
        running = mpz(1)
        for bucket in reversed(buckets[1:]):
            running = running * bucket % modulus
            product = product * running % modulus
    return product


def window_width(count: int, bits: int) -> int:
    """Choose the window that makes a product of powers cheapest.

    Args:
        count: How many powers there are.
        bits: The bits of an exponent.

    Returns:
        The bits of the window.
    """
    return min(range(1, 12), key=lambda width: products(count, bits, width))


def products(count: int, bits: int = CHALLENGE_BITS, window: int | None = None) -> int:
    """Count the products that a product of powers takes.

    Args:
        count: How many powers there are.
        bits: The bits of an exponent.
        window: The bits of the window, where it is not the cheapest.

    Returns:
        How many products, about.
    """
    width = window or window_width(count, bits)
    return -(-bits // width) * (count + (2 << width) + width)
