"""Products of many powers whose exponents are short challenges."""

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import numbers_of
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import plaintext_size


class PowerProducts:
    """Multiply powers modulo a number.

    By buckets: N. Pippenger, "On the evaluation of powers and monomials"
    (1980). Each window of the exponents costs a product for each base and two
    for each bucket, instead of the squarings of one power after the other.

    Args:
        kernels: What computes.
        modulus: The modulus.
        size: The bytes of a base, which need not be below the modulus.
    """

    def __init__(self, kernels: Kernels, modulus: int, size: int) -> None:
        self._buckets = kernels.buckets(modulus, size)
        self._m = mpz(modulus)
        self._sizes = size, plaintext_size(modulus)

    def __call__(
        self, numbers: bytes, exponents: bytes, bits: int, *, width: int | None = None, repetitions: int = 1
    ) -> list[mpz]:
        """Multiply the powers of all numbers, once for each repetition.

        Args:
            numbers: The bases, fixed-width big-endian.
            exponents: For each repetition an exponent for each base, likewise.
            bits: How many bits of an exponent count, the lowest.
            width: The bytes of an exponent; as many as the bits take where it is None.
            repetitions: How many there are.

        Returns:
            The products.
        """
        size, out_size = self._sizes
        width = width or -(-bits // 8)
        window = self._buckets.window(len(numbers) // size, repetitions, bits)
        found = numbers_of(self._buckets(numbers, exponents, width, repetitions, bits, window), out_size)
        windows = -(-bits // window)
        return [self._joined(found[at : at + windows], window) for at in range(0, len(found), windows)]

    def _joined(self, products: list[mpz], window: int) -> mpz:
        """What the products of the windows come to, from the highest on."""
        m, total = self._m, mpz(1)
        for product in reversed(products):
            total = gmpy2.powmod(total, 1 << window, m) * product % m
        return total
