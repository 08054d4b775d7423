"""Proofs that partials were made with a share. The notation is that of `arithmetic.threshold`."""

import hashlib
import secrets
from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.multiexp import PowerProducts
from hecli.arithmetic.gmp.numbers import challenges, check_range, from_pairs, joined, numbers_of
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import (
    CHALLENGE_BITS,
    STATISTICAL_BITS,
    InvalidCiphertextError,
    ciphertext_size,
)
from hecli.arithmetic.threshold import PROOF_RECORDS, ThresholdKey
from hecli.errors import HecliError


class Proofs:
    """Proofs that log_(c^4)(c_i^2) = log_v(v_i), one for a batch.

    Fiat and Shamir's over the full statement; a batch is proven on the products
    of its c^t and c_i^t with t of 128 bits from a hash of all of them (Aditya,
    Peng, Boyd, Dawson and Lee, "Batch verification for equality of discrete
    logarithms and threshold decryptions", ACNS 2004).

    Args:
        kernels: What computes.
        key: The key that was dealt.
        session: What the proofs are bound to, besides the ciphertexts.
    """

    def __init__(self, kernels: Kernels, key: ThresholdKey, session: bytes) -> None:
        self._kernels = kernels
        self._key = key
        self._session = session
        self.n_squared = mpz(key.n) ** 2
        self.size = ciphertext_size(key.n)
        self._products = PowerProducts(kernels, key.n**2, self.size)
        self.delta = mpz(key.delta)
        # A random part so much longer than what it hides that the sum tells nothing.
        hidden = self.n_squared.bit_length() + self.delta.bit_length() + CHALLENGE_BITS
        self._random_bits = hidden + STATISTICAL_BITS

    def numbers(self, data: bytes, source: int) -> list[mpz]:
        """Read numbers and check that they are units modulo n^2.

        Args:
            data: The numbers, fixed-width big-endian.
            source: What to say which batch it is.

        Returns:
            The numbers.

        Raises:
            InvalidCiphertextError: One is no such unit.
        """
        check_range(self._kernels, data, self.size, int(self.n_squared), source)
        values, n = numbers_of(data, self.size), mpz(self._key.n)
        for at, value in enumerate(values):
            if gmpy2.gcd(value, n) != 1:
                raise InvalidCiphertextError(source, at, "shares a factor with the key")
        return values

    def join(self, values: Sequence[mpz]) -> bytes:
        """Write numbers one after the other.

        Args:
            values: The numbers.

        Returns:
            Them, each as wide as a ciphertext.
        """
        return joined(values, self.size)

    def prove(self, index: int, share: mpz, numbers: list[mpz], partials: list[mpz]) -> bytes:
        """Prove that partials were made with a share.

        Args:
            index: The number i of the share, from 1.
            share: The share s_i.
            numbers: The ciphertexts.
            partials: The partials, in their order.

        Returns:
            The challenge e (16 bytes) and z = r + e D s_i, as wide as PROOF_RECORDS ciphertexts.
        """
        seed, c, _ = self._batch(index, numbers, partials)
        r = mpz(secrets.randbits(self._random_bits))
        commitments = self._powers(c, r)
        e = self._challenge(seed, *commitments)
        z = r + e * self.delta * share
        width = PROOF_RECORDS * self.size - CHALLENGE_BITS // 8
        return bytes(e.to_bytes(CHALLENGE_BITS // 8, "big") + z.to_bytes(width, "big"))

    def check(self, index: int, numbers: list[mpz], data: bytes) -> list[mpz] | None:
        """Check partials by their proof.

        Args:
            index: The number of the share, from 1.
            numbers: The ciphertexts.
            data: The partials, and the proof behind them.

        Returns:
            The partials, None unless the proof holds.
        """
        end = len(numbers) * self.size
        try:
            partials = self.numbers(data[:end], index)
        except HecliError:
            return None
        e = mpz.from_bytes(data[end : end + CHALLENGE_BITS // 8], "big")
        z = mpz.from_bytes(data[end + CHALLENGE_BITS // 8 :], "big")
        if z.bit_length() > self._random_bits + 1:
            return None
        seed, c, c_i = self._batch(index, numbers, partials)
        n_squared = self.n_squared
        key = mpz(self._key.keys[index - 1])
        of_c, of_v = self._powers(c, z)
        a = of_c * gmpy2.powmod(c_i, -2 * e, n_squared) % n_squared
        b = of_v * gmpy2.powmod(key, -e, n_squared) % n_squared
        return partials if self._challenge(seed, a, b) == e else None

    def _powers(self, c: mpz, exponent: mpz) -> tuple[mpz, mpz]:
        """(c^4)^exponent and v^exponent, at once."""
        n, bases = self._key.n, [c**4 % self.n_squared, mpz(self._key.v)]
        raised = self._kernels.powers(n, int(exponent), self.size)(self.join(bases))
        of_c, of_v = from_pairs(raised, mpz(n))
        return of_c, of_v

    def _batch(self, index: int, numbers: list[mpz], partials: list[mpz]) -> tuple[bytes, mpz, mpz]:
        """A digest of the statement, and the two products that stand for the batch."""
        key = self._key
        statement = hashlib.sha256(b"hecli partial v2\0" + self._session)
        statement.update(index.to_bytes(2, "big") + len(numbers).to_bytes(4, "big"))
        statement.update(self.join([mpz(key.n), mpz(key.v), mpz(key.keys[index - 1])]))
        both = self.join(numbers), self.join(partials)
        statement.update(b"".join(both))
        seed = statement.digest()
        exponents = challenges(seed, len(numbers))
        (one,), (other,) = (self._products(each, exponents, CHALLENGE_BITS) for each in both)
        return seed, one, other

    def _challenge(self, seed: bytes, a: mpz, b: mpz) -> mpz:
        digest = hashlib.sha256(b"hecli challenge v2\0" + seed + self.join([a, b])).digest()
        return mpz.from_bytes(digest[: CHALLENGE_BITS // 8], "big")
