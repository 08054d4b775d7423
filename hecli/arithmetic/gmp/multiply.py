"""Products of ciphertexts, which encrypt sums."""

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import check_range, numbers_of
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import InvalidCiphertextError, ciphertext_size


class Multiplier:
    """Multiply batches of ciphertexts of several sources, position by position.

    Args:
        kernels: What computes.
        n: The modulus.
        sources: How many batches a call gives.
    """

    def __init__(self, kernels: Kernels, n: int, sources: int) -> None:
        self.releases_gil = kernels.releases_gil
        self._kernels = kernels
        self._n = n
        self._size = ciphertext_size(n)
        self._sources = sources
        self._multiply = kernels.multiply(n**2, self._size, sources)

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
        n, size = mpz(self._n), self._size
        length = len(batches) // self._sources
        for source in range(self._sources):
            batch = batches[source * length : (source + 1) * length]
            check_range(self._kernels, batch, size, self._n**2, source)
        products, units = self._multiply(batches)
        # A product has a factor in common with n if and only if one of its parts has.
        if any(gmpy2.gcd(unit, n) != 1 for unit in numbers_of(units, size)):
            self._blame(batches, length)
        return products

    def _blame(self, batches: bytes, length: int) -> None:
        for at, value in enumerate(numbers_of(batches, self._size)):
            if gmpy2.gcd(value, self._n) != 1:
                source, index = divmod(at, length // self._size)
                raise InvalidCiphertextError(source, index, "shares a factor with the key")
