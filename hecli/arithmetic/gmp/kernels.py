"""The kernels as gmpy2 computes them: everywhere, one number after the other."""

from collections.abc import Callable, Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.comb import GmpComb
from hecli.arithmetic.gmp.numbers import joined, numbers_of
from hecli.arithmetic.sizes import plaintext_size

TABLE_LIMIT = 1 << 15
"""Entries of the fixed-base table, of about 1 kB each at 3072 bits."""


class GmpKernels:
    """The kernels of gmpy2."""

    name = "gmpy2"
    releases_gil = False

    def out_of_range(self, numbers: bytes, size: int, limit: int) -> int | None:
        """Find a number that is 0, or not below a limit."""
        least, most = bytes(size), limit.to_bytes(size, "big")
        each = [numbers[at : at + size] for at in range(0, len(numbers), size)]
        # All at once first: the culprit is only looked for when there is one.
        if not each or (min(each) > least and max(each) < most):
            return None
        return next(at for at, number in enumerate(each) if not least < number < most)

    def comb(self, n: int, bases: Sequence[tuple[int, int]], window: int) -> GmpComb:
        """Make a table of powers modulo n^2."""
        return GmpComb(n, bases, window)

    def comb_window(self, bits: int, count: int) -> int:
        """Choose the window that makes encryptions cheapest, table included."""
        # A table entry costs more than a step of an exponentiation, and larger tables miss the cache.
        widths = [w for w in range(1, 11) if -(-bits // w) << w <= TABLE_LIMIT]
        return min(widths, key=lambda w: -(-bits // w) * (count + (3 << w)))

    def powers(self, modulus: int, exponent: int, size: int) -> Callable[[bytes], bytes]:
        """Make what raises numbers to one power modulo the square of a modulus."""
        m, square, width = mpz(modulus), mpz(modulus) ** 2, plaintext_size(modulus)

        def raised(numbers: bytes) -> bytes:
            bases = [number % square for number in numbers_of(numbers, size)]
            powers = gmpy2.powmod_base_list(bases, exponent, square)
            pairs = (gmpy2.f_divmod(power, m) for power in powers)
            return joined([part for high, low in pairs for part in (low, high)], width)

        return raised

    def multiply(self, modulus: int, size: int, sources: int) -> Callable[[bytes], tuple[bytes, bytes]]:
        """Make what multiplies equally long batches, one source after the other, place by place."""
        m = mpz(modulus)

        def multiplied(batches: bytes) -> tuple[bytes, bytes]:
            length = len(batches) // sources
            products = numbers_of(batches[:length], size)
            for source in range(1, sources):
                factors = numbers_of(batches[source * length : (source + 1) * length], size)
                products = [a * b % m for a, b in zip(products, factors, strict=True)]
            unit = mpz(1)
            for product in products:
                unit = unit * product % m
            return joined(products, size), unit.to_bytes(size, "big")

        return multiplied

    def buckets(self, modulus: int, size: int) -> "GmpBuckets":
        """Make what multiplies powers."""
        return GmpBuckets(modulus, size)


class GmpBuckets:
    """Products of powers, one window after the other.

    Args:
        modulus: The modulus.
        size: The bytes of a base.
    """

    def __init__(self, modulus: int, size: int) -> None:
        self._m = mpz(modulus)
        self._sizes = size, plaintext_size(modulus)

    def __call__(
        self, numbers: bytes, exponents: bytes, width: int, repetitions: int, bits: int, window: int
    ) -> bytes:
        """Multiply all numbers, each to the power of its digit."""
        size, out_size = self._sizes
        bases = [base % self._m for base in numbers_of(numbers, size)]
        # One bit above the highest keeps the length of each list of digits the same.
        top, mask = mpz(1) << bits, (mpz(1) << bits) - 1
        digits = [gmpy2.unpack(top | exponent & mask, window) for exponent in numbers_of(exponents, width)]
        found = []
        for repetition in range(repetitions):
            own = digits[repetition * len(bases) : (repetition + 1) * len(bases)]
            found += [self._product(bases, own, at, bits, window) for at in range(-(-bits // window))]
        return joined(found, out_size)

    def window(self, count: int, repetitions: int, bits: int) -> int:
        """Choose the window that makes products of powers cheapest."""
        del repetitions
        return min(range(1, 12), key=lambda width: -(-bits // width) * (count + (2 << width) + width))

    def _product(self, bases: list[mpz], digits: list[list[mpz]], at: int, bits: int, window: int) -> mpz:
        """The product for one window, each power of it a product for each bucket and one more."""
        m, buckets = self._m, [mpz(1)] * (1 << window)
        # In the last window the bit above stands too, unless the window is full.
        mask = (1 << min(window, bits - window * at)) - 1
        for base, own in zip(bases, digits, strict=True):
            digit = own[at] & mask
            buckets[digit] = buckets[digit] * base % m
        product = running = mpz(1)
        for bucket in reversed(buckets[1:]):
            running = running * bucket % m
            product = product * running % m
        return product
