"""Encryption, with a random part by fixed-base exponentiation, and the proof of knowing the plaintexts."""

import functools
import os

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.knowledge import Knowledge
from hecli.arithmetic.gmp.moduli import derived_base, powers_of
from hecli.arithmetic.gmp.numbers import joined, numbers_of, random_unit
from hecli.arithmetic.kernels import Comb, Kernels
from hecli.arithmetic.sizes import NUMBER_SIZE, ciphertext_size, exponent_bits, plaintext_size


class Encryptor:
    """Encrypt groups under one n, and prove that whoever did knows what is in them.

    Args:
        kernels: What computes.
        n: The modulus.
        randomness: The random exponent: `short`, `half`, or `full` for that of the textbook.
        count: About how many ciphertexts there will be.
        statement: What the proofs are bound to, besides the ciphertexts.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """

    def __init__(self, kernels: Kernels, n: int, randomness: str, count: int, statement: bytes) -> None:
        self.releases_gil = kernels.releases_gil
        self._n = mpz(n)
        self._size = plaintext_size(n)
        self._knowledge = Knowledge(kernels, n, randomness)
        self._statement = statement
        self._textbook = randomness == "full"
        if not self._textbook:
            bits = exponent_bits(n, randomness)
            window = kernels.comb_window(bits, count)
            windows = -(-bits // window)
            self._bits = window * windows
            self._comb = _comb(kernels, n, window, windows)
            # What makes digits negative: the highest bit of each.
            self._signs = mpz(((1 << self._bits) - 1) // ((1 << window) - 1)) << (window - 1)

    def __call__(self, group: bytes) -> bytes:
        """Encrypt a group.

        Args:
            group: The group's number (4 bytes), then numbers below n, fixed-width big-endian.

        Returns:
            Their ciphertexts, likewise, then the proof.
        """
        number, messages = group[:NUMBER_SIZE], group[NUMBER_SIZE:]
        blocks, openings = self._textbook_group(messages) if self._textbook else self._group(messages)
        return blocks + self._knowledge.prove(self._statement, number, blocks, openings)

    def _group(self, messages: bytes) -> tuple[bytes, list[mpz]]:
        """The ciphertexts, and their random exponents."""
        width, mask = -(-self._bits // 8), (1 << self._bits) - 1
        # Uniform digits, signed or not, are a uniform exponent.
        drawn = os.urandom(len(messages) // self._size * width)
        blocks = self._comb(messages, drawn)
        # A digit of which the highest bit is set is so much less, and that is the lowest bit of the next.
        return blocks, [
            (each & mask) - ((each & self._signs) << 1) for each in numbers_of(drawn, width, "little")
        ]

    def _textbook_group(self, messages: bytes) -> tuple[bytes, list[mpz]]:
        """The ciphertexts, and the numbers r whose powers n their random parts are."""
        n, n_squared = self._n, self._n**2
        openings = [random_unit(n, n) for _ in range(len(messages) // self._size)]
        pairs = zip(numbers_of(messages, self._size), openings, strict=True)
        values = [(1 + message * n) * gmpy2.powmod(r, n, n_squared) % n_squared for message, r in pairs]
        return joined(values, ciphertext_size(int(n))), openings


@functools.lru_cache(maxsize=1)
def _comb(kernels: Kernels, n: int, window: int, windows: int) -> Comb:
    """A table of the base h_s; kept, for a process of many rounds makes the same again in each."""
    n_squared = mpz(n) ** 2
    base = gmpy2.powmod(derived_base(n), mpz(n), n_squared)
    bases = powers_of(base, n_squared, window, windows)
    return kernels.comb(n, [(each, int(gmpy2.invert(each, n))) for each in bases], window)
