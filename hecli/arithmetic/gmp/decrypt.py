"""Decryption with the primes, and the proof that a sum is what was decrypted."""

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.multiexp import PowerProducts
from hecli.arithmetic.gmp.numbers import check_range, joined, numbers_of, random_unit
from hecli.arithmetic.gmp.sum_proofs import (
    answer,
    combined,
    group_exponents,
    matrix_of,
    rooted,
    seed_of,
)
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import (
    COMBINE,
    NUMBER_SIZE,
    OPEN,
    SEED_SIZE,
    InvalidCiphertextError,
    ciphertext_size,
    plaintext_size,
)


class Opener:
    """Decrypt batches with the primes, by the Chinese remainder theorem, and prove it.

    Args:
        kernels: What computes.
        p: One prime of the private key.
        q: The other.
    """

    def __init__(self, kernels: Kernels, p: int, q: int) -> None:
        self.releases_gil = kernels.releases_gil
        self._kernels = kernels
        self._p, self._q = _Half(kernels, mpz(p), mpz(q)), _Half(kernels, mpz(q), mpz(p))
        self._q_inverse = gmpy2.invert(mpz(q), mpz(p))
        self._square_inverse = gmpy2.invert(mpz(q) ** 2, mpz(p) ** 2)
        self._n = mpz(p) * q
        self._sizes = plaintext_size(p * q), ciphertext_size(p * q)

    def __call__(self, task: bytes) -> bytes:
        """Decrypt, or take a step of a proof; the notation is that of `sum_proofs`.

        Args:
            task: A byte and its operand: OPEN and ciphertexts; COMBINE, what the
                proof is bound to, the number of a group and its ciphertexts; or
                PROVE, what it is bound to and the products over all groups.

        Returns:
            The plaintexts; the group's products, which all groups' are
            multiplied of, modulo n; or the proof.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        kind, operand = task[:1], task[1:]
        if kind == OPEN:
            return self._open(operand)
        if kind == COMBINE:
            at = SEED_SIZE + NUMBER_SIZE
            return self._combine(operand[:at], operand[at:])
        return self._prove(operand[:SEED_SIZE], operand[SEED_SIZE:])

    def _open(self, batch: bytes) -> bytes:
        size, in_size = self._sizes
        check_range(self._kernels, batch, in_size, int(self._n**2), 0)
        pairs = zip(self._p.open(batch), self._q.open(batch), strict=True)
        return joined([self._joined(m_p, m_q) for m_p, m_q in pairs], size)

    def _combine(self, statement: bytes, batch: bytes) -> bytes:
        """The products modulo n, where 1 + n is 1: what the ciphertexts hold makes no difference there."""
        size, in_size = self._sizes
        check_range(self._kernels, batch, in_size, int(self._n**2), 0)
        exponents = group_exponents(statement, len(batch) // in_size)
        halves = [combined(half.products, batch, exponents) for half in (self._p, self._q)]
        return joined([self._joined(*each) for each in zip(*halves, strict=True)], size)

    def _prove(self, bound: bytes, products: bytes) -> bytes:
        n, (size, in_size) = self._n, self._sizes
        values = numbers_of(products, size)
        secret = [random_unit(n, n) for _ in values]
        seed = seed_of(bound, joined(map(self._power, secret), in_size))
        roots = list(map(self._root, values))
        answers = [answer(s, roots, row, n) for s, row in zip(secret, matrix_of(seed), strict=True)]
        return seed + joined([*answers, *map(self._root, rooted(int(n)))], size)

    def _root(self, value: mpz) -> mpz:
        """The n-th root modulo n."""
        return self._joined(self._p.root(value), self._q.root(value))

    def _power(self, value: mpz) -> mpz:
        """value^n modulo n^2."""
        a_p, a_q = (gmpy2.powmod(value, self._n, half.square) for half in (self._p, self._q))
        return a_q + self._q.square * ((a_p - a_q) * self._square_inverse % self._p.square)

    def _joined(self, of_p: mpz, of_q: mpz) -> mpz:
        """The number below n with these residues."""
        p, q = self._p.prime, self._q.prime
        return of_q + q * ((of_p - of_q) * self._q_inverse % p)


class _Half:
    """What decryption needs modulo one prime's square."""

    def __init__(self, kernels: Kernels, prime: mpz, other: mpz) -> None:
        size = ciphertext_size(int(prime * other))
        self.prime, self.square = prime, prime**2
        self.products = PowerProducts(kernels, int(prime), size)
        self._size = plaintext_size(int(prime))
        self._powers = kernels.powers(int(prime), int(prime) - 1, size)
        # L(g^(prime-1) mod prime^2) = (prime-1)*other = -other for g = n+1.
        self._h = gmpy2.invert(-other, prime)
        self._root_exponent = gmpy2.invert(prime * other, prime - 1)

    def open(self, batch: bytes) -> list[mpz]:
        """The messages modulo the prime (Paillier 1999, section 7): L(1 + b*prime) = b."""
        parts = numbers_of(self._powers(batch), self._size)
        messages = []
        for index, (low, high) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            if low != 1:
                raise InvalidCiphertextError(0, index, "shares a factor with the key")
            messages.append(high * self._h % self.prime)
        return messages

    def root(self, value: mpz) -> mpz:
        """The n-th root modulo the prime."""
        return gmpy2.powmod_sec(value, self._root_exponent, self.prime)
