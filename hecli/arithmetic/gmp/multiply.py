"""Products of ciphertexts, which encrypt sums."""

from collections.abc import Iterable

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import ciphertexts, joined
from hecli.arithmetic.sizes import InvalidCiphertextError, ciphertext_size


class Multiplier:
    """Multiply batches of ciphertexts of several sources, position by position.

    Args:
        n: The modulus.
        sources: How many batches a call gives.
    """

    def __init__(self, n: int, sources: int) -> None:
        self._n = mpz(n)
        self._n_squared = self._n**2
        self._size = ciphertext_size(n)
        self._sources = sources

    def __call__(self, batches: bytes) -> bytes:
        """Multiply modulo n^2.

        Check of every number that it lies above 0 and below n^2 and has no
        factor in common with n.

        Args:
            batches: Equally long batches, one source after the other.

        Returns:
            A batch of the products.

        Raises:
            InvalidCiphertextError: A number failed the check.
        """
        length = len(batches) // self._sources
        products = self._numbers(batches, 0, length)
        for source in range(1, self._sources):
            factors = self._numbers(batches, source, length)
            n_squared = self._n_squared
            products = [a * b % n_squared for a, b in zip(products, factors, strict=True)]
        # A product has a factor in common with n if and only if one of its parts has.
        if not self._units(products):
            self._blame(batches, length)
        return joined(products, self._size)

    def _numbers(self, batches: bytes, source: int, length: int) -> list[mpz]:
        start = source * length
        return ciphertexts(batches[start : start + length], self._size, self._n_squared, source)

    def _units(self, values: Iterable[mpz]) -> bool:
        product = mpz(1)
        for value in values:
            product = product * (value % self._n) % self._n
        return bool(gmpy2.gcd(product, self._n) == 1)

    def _blame(self, batches: bytes, length: int) -> None:
        for source in range(self._sources):
            for index, value in enumerate(self._numbers(batches, source, length)):
                if gmpy2.gcd(value, self._n) != 1:
                    raise InvalidCiphertextError(source, index, "shares a factor with the key")
