"""Encryption with a fixed-base table, by gmpy2."""

from collections.abc import Sequence
from typing import NamedTuple

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import joined, numbers_of
from hecli.arithmetic.sizes import ciphertext_size, plaintext_size


class _Row(NamedTuple):
    """Powers x^d of one base x, each as a and z with x^d = a * (1 + z*n).

    d is a signed digit of w bits, in two's complement: the powers from 0 to
    2^(w-1) - 1, then those from -2^(w-1) to -1.
    """

    a: list[mpz]
    z: list[mpz]


class GmpComb:
    """Encrypt with a table of powers.

    A random part is a product over the windows of its exponent. Each table
    entry is kept as a pair (a, z) with value a * (1 + z*n) mod n^2 and a < n: in
    a product the a multiply (an operand half as long as n^2), the z merely add,
    and the sum of the z joins the message in the one factor 1 + (m + z)*n that
    the encryption needs anyway. That nearly halves the work of a table of
    plain residues.

    Args:
        n: The modulus.
        bases: For each digit the base x^(2^(w*i)) modulo n^2, and its inverse modulo n.
        window: The bits w of a digit.
    """

    def __init__(self, n: int, bases: Sequence[tuple[int, int]], window: int) -> None:
        self._n = mpz(n)
        self._sizes = plaintext_size(n), ciphertext_size(n)
        self._window = window
        self._rows = [_row(self._n, window, mpz(base), mpz(inverse)) for base, inverse in bases]

    def __call__(self, messages: bytes, exponents: bytes) -> bytes:
        """Encrypt."""
        size, out_size = self._sizes
        bits = self._window * len(self._rows)
        pairs = zip(numbers_of(messages, size), numbers_of(exponents, -(-bits // 8), "little"), strict=True)
        return joined([self._one(message, random & ((1 << bits) - 1)) for message, random in pairs], out_size)

    def _one(self, exponent: mpz, random: mpz) -> mpz:
        """One ciphertext; the sum of the z joins the message in `exponent`."""
        n, n_squared, window = self._n, self._n**2, self._window
        product = mpz(1)
        # A bit above the highest keeps zeros there.
        digits = gmpy2.unpack(random | (1 << window * len(self._rows)), window)
        for (a, z), digit in zip(self._rows, digits, strict=False):
            product = product * a[digit] % n_squared
            exponent = exponent + z[digit]
        return (product + n * (product * exponent % n)) % n_squared


def _row(n: mpz, window: int, base: mpz, inverse1: mpz) -> _Row:
    """The row of the base x = a1 * (1 + z1*n)."""
    high, a1 = gmpy2.f_divmod(base, n)
    z1 = high * inverse1 % n
    a, z, inverse = mpz(1), mpz(0), mpz(1)
    row, opposite = _Row([a], [z]), _Row([], [])
    for _ in range(1 << (window - 1)):
        # a * a1 = a' + carry*n, so the carry goes into z as carry / a'.
        carry, a = gmpy2.f_divmod(a * a1, n)
        inverse = inverse * inverse1 % n
        z = (z + z1 + carry * inverse) % n
        row.a.append(a)
        row.z.append(z)
        # a * inverse = 1 + t*n: the opposite power, for one product more.
        opposite.a.append(inverse)
        opposite.z.append(-(z + a * inverse // n) % n)
    # The highest is left to its opposite.
    row.a.pop()
    row.z.pop()
    row.a.extend(reversed(opposite.a))
    row.z.extend(reversed(opposite.z))
    return row
