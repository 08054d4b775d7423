"""Encryption, with a random part by fixed-base exponentiation, and the proof of knowing the plaintexts."""

import functools
import os
import secrets
from collections.abc import Sequence
from typing import NamedTuple

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.knowledge import Knowledge
from hecli.arithmetic.gmp.moduli import derived_base
from hecli.arithmetic.gmp.numbers import joined
from hecli.arithmetic.sizes import NUMBER_SIZE, ciphertext_size, exponent_bits, plaintext_size

TABLE_LIMIT = 1 << 15
"""Entries of the fixed-base table, of about 1 kB each at 3072 bits."""


class _Row(NamedTuple):
    """Powers x^d of one base x, each as a and z with x^d = a * (1 + z*n).

    d is a signed digit of w bits, in two's complement: the powers from 0 to
    2^(w-1) - 1, then those from -2^(w-1) to -1.
    """

    a: list[mpz]
    z: list[mpz]


class Encryptor:
    """Encrypt groups under one n, and prove that whoever did knows what is in them.

    The random part h_s^e is a product over the windows of e. Each table entry
    is kept as a pair (a, z) with value a * (1 + z*n) mod n^2 and a < n: in a
    product the a multiply (an operand half as long as n^2), the z merely add,
    and the sum of the z joins the message in the one factor 1 + (m + z)*n that
    the encryption needs anyway. That nearly halves the work of a table of
    plain residues.

    Args:
        n: The modulus.
        randomness: The random exponent: `short`, `half`, or `full` for that of the textbook.
        count: About how many ciphertexts each process will make.
        statement: What the proofs are bound to, besides the ciphertexts.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """

    def __init__(self, n: int, randomness: str, count: int, statement: bytes) -> None:
        self._n = mpz(n)
        self._n_squared = self._n**2
        self._sizes = plaintext_size(n), ciphertext_size(n)
        self._knowledge = Knowledge(n, randomness)
        self._statement = statement
        self._textbook = randomness == "full"
        self._rows: Sequence[_Row] = ()
        if not self._textbook:
            bits = exponent_bits(n, randomness)
            self._window = window_width(bits, count)
            windows = -(-bits // self._window)
            self._rows = _table(n, self._window, windows)
            # What makes digits negative: the highest bit of each.
            self._signs = mpz(((1 << self._window * windows) - 1) // ((1 << self._window) - 1)) << (
                self._window - 1
            )

    def __call__(self, group: bytes) -> bytes:
        """Encrypt a group.

        Args:
            group: The group's number (4 bytes), then numbers below n, fixed-width big-endian.

        Returns:
            Their ciphertexts, likewise, then the proof.
        """
        size, out_size = self._sizes
        encrypt = self._textbook_one if self._textbook else self._one
        messages = (
            mpz.from_bytes(group[at : at + size], "big") for at in range(NUMBER_SIZE, len(group), size)
        )
        ciphertexts, openings = zip(*map(encrypt, messages), strict=True)
        blocks = joined(ciphertexts, out_size)
        return blocks + self._knowledge.prove(self._statement, group[:NUMBER_SIZE], blocks, openings)

    def _one(self, exponent: mpz) -> tuple[mpz, mpz]:
        """One ciphertext, and its random exponent; the sum of the z joins the message in `exponent`."""
        n, n_squared, window, windows = self._n, self._n_squared, self._window, len(self._rows)
        bits = window * windows
        random = mpz.from_bytes(os.urandom(-(-bits // 8)), "big") & ((1 << bits) - 1)
        product = mpz(1)
        # Uniform digits, signed or not, are a uniform exponent. A bit above the highest keeps zeros there.
        digits = gmpy2.unpack(random | (1 << bits), window)
        for (a, z), digit in zip(self._rows, digits, strict=False):
            product = product * a[digit] % n_squared
            exponent = exponent + z[digit]
        ciphertext = (product + n * (product * exponent % n)) % n_squared
        # A digit of which the highest bit is set is so much less, and that is the lowest bit of the next.
        return ciphertext, random - ((random & self._signs) << 1)

    def _textbook_one(self, message: mpz) -> tuple[mpz, mpz]:
        """One ciphertext, and the number r whose power n its random part is."""
        n = self._n
        while True:
            r = mpz(secrets.randbelow(int(n)))
            if gmpy2.gcd(r, n) == 1:
                power = gmpy2.powmod(r, n, self._n_squared)
                return (1 + message * n) * power % self._n_squared, r


@functools.lru_cache(maxsize=1)
def _table(n: int, window: int, windows: int) -> Sequence[_Row]:
    """Powers of the base h_s; kept, for a process of many rounds makes the same again in each."""
    modulus = mpz(n)
    base = gmpy2.powmod(derived_base(n), modulus, modulus**2)
    high, a = gmpy2.f_divmod(base, modulus)
    z = high * gmpy2.invert(a, modulus) % modulus
    rows = []
    for _ in range(windows):
        row, a, z = _row(modulus, window, a, z)
        rows.append(row)
    return rows


def _row(n: mpz, window: int, a1: mpz, z1: mpz) -> tuple[_Row, mpz, mpz]:
    """The row of the base x = a1 * (1 + z1*n), and the base x^(2^w) of the next."""
    inverse1 = gmpy2.invert(a1, n)
    a, z, inverse = mpz(1), mpz(0), mpz(1)
    row = _Row([a], [z])
    opposite = _Row([], [])
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
    # The highest is left to its opposite; squared it is the base of the next row.
    row.a.pop()
    row.z.pop()
    row.a.extend(reversed(opposite.a))
    row.z.extend(reversed(opposite.z))
    carry, square = gmpy2.f_divmod(a * a, n)
    return row, square, (2 * z + carry * inverse**2) % n


def window_width(bits: int, count: int) -> int:
    """Choose the window that makes exponentiations cheapest, table included.

    Args:
        bits: The bits of an exponent.
        count: About how many exponentiations there will be.

    Returns:
        The bits of the window.
    """
    # A table entry costs more than a step of an exponentiation, and larger tables miss the cache.
    widths = [w for w in range(1, 11) if -(-bits // w) << w <= TABLE_LIMIT]
    return min(widths, key=lambda w: -(-bits // w) * (count + (3 << w)))
