"""Decryption with the primes."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import ciphertexts, joined
from hecli.arithmetic.sizes import InvalidCiphertextError, ciphertext_size, plaintext_size


class Decryptor:
    """Decrypt batches with the primes, by the Chinese remainder theorem.

    Args:
        p: One prime of the private key.
        q: The other.
    """

    def __init__(self, p: int, q: int) -> None:
        self._p, self._q = _Half.of(mpz(p), mpz(q)), _Half.of(mpz(q), mpz(p))
        self._q_inverse = gmpy2.invert(mpz(q), mpz(p))
        self._n_squared = (mpz(p) * q) ** 2
        self._sizes = plaintext_size(p * q), ciphertext_size(p * q)

    def __call__(self, batch: bytes) -> bytes:
        """Decrypt a batch.

        Args:
            batch: Ciphertexts, fixed-width big-endian.

        Returns:
            Their plaintexts, likewise.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        size, in_size = self._sizes
        numbers = ciphertexts(batch, in_size, self._n_squared, 0)
        p, q = self._p.prime, self._q.prime
        pairs = zip(self._p.open(numbers), self._q.open(numbers), strict=True)
        return joined([m_q + q * ((m_p - m_q) * self._q_inverse % p) for m_p, m_q in pairs], size)


class _Half(NamedTuple):
    """What decryption needs modulo one prime's square."""

    prime: mpz
    square: mpz
    h: mpz

    @classmethod
    def of(cls, prime: mpz, other: mpz) -> Self:
        # L(g^(prime-1) mod prime^2) = (prime-1)*other = -other for g = n+1.
        return cls(prime, prime**2, gmpy2.invert(-other, prime))

    def open(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """The messages modulo the prime (Paillier 1999, section 7)."""
        prime, square, h = self
        powers = gmpy2.powmod_base_list([c % square for c in ciphertexts], prime - 1, square)
        messages = []
        for index, power in enumerate(powers):
            quotient, remainder = gmpy2.f_divmod(power - 1, prime)
            if remainder:
                raise InvalidCiphertextError(0, index, "shares a factor with the key")
            messages.append(quotient * h % prime)
        return messages
