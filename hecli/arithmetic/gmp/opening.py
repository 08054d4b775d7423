"""Decryption with the primes, and proofs that ciphertexts hold what was said of them.

The proof for a group: c_i * (1 + n)^(-m_i) is an n-th residue if m_i is what
c_i holds, and so is C, the product of all of them to the power e_i with e_i
from a hash. The keyholder proves to know an n-th root of C, as L. C. Guillou
and J.-J. Quisquater do (Eurocrypt 1988), with the exponent n, all of whose
factors exceed every challenge.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import NamedTuple, Self

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.multiexp import product_of_powers
from hecli.arithmetic.gmp.numbers import challenges, ciphertexts, joined
from hecli.arithmetic.sizes import (
    CHALLENGE_BITS,
    NUMBER_SIZE,
    OPEN,
    SEED_SIZE,
    InvalidCiphertextError,
    ciphertext_size,
    opening_proof_size,
    plaintext_size,
)

_CHALLENGE_SIZE = CHALLENGE_BITS // 8


class Opener:
    """Decrypt batches with the primes, by the Chinese remainder theorem, and prove it.

    Args:
        p: One prime of the private key.
        q: The other.
    """

    def __init__(self, p: int, q: int) -> None:
        self._p, self._q = _Half.of(mpz(p), mpz(q)), _Half.of(mpz(q), mpz(p))
        self._q_inverse = gmpy2.invert(mpz(q), mpz(p))
        self._square_inverse = gmpy2.invert(mpz(q) ** 2, mpz(p) ** 2)
        self._n = mpz(p) * q
        self._sizes = plaintext_size(p * q), ciphertext_size(p * q)

    def __call__(self, task: bytes) -> bytes:
        """Decrypt, or prove what a group holds.

        Args:
            task: The byte OPEN and ciphertexts, fixed-width big-endian; or the
                byte PROVE, a seed of SEED_SIZE bytes, the number of a group
                (NUMBER_SIZE) and its ciphertexts.

        Returns:
            As many plaintexts, likewise; or the proof.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        if task[:1] == OPEN:
            return self._open(task[1:])
        at = 1 + SEED_SIZE + NUMBER_SIZE
        return self._prove(task[1:at], task[at:])

    def _open(self, batch: bytes) -> bytes:
        size, in_size = self._sizes
        numbers = ciphertexts(batch, in_size, self._n**2, 0)
        pairs = zip(self._p.open(numbers), self._q.open(numbers), strict=True)
        return joined([self._joined(m_p, m_q) for m_p, m_q in pairs], size)

    def _prove(self, statement: bytes, batch: bytes) -> bytes:
        """The challenge e and z = s * R^e, where R is the root of C, which is the same modulo n^2 and n."""
        n, (size, in_size) = self._n, self._sizes
        numbers = ciphertexts(batch, in_size, n**2, 0)
        exponents = _exponents(statement, len(numbers))
        root = self._joined(self._p.root(numbers, exponents), self._q.root(numbers, exponents))
        s = mpz(secrets.randbelow(int(n)))
        a_p, a_q = (gmpy2.powmod(s, n, half.square) for half in (self._p, self._q))
        commitment = a_q + self._q.square * ((a_p - a_q) * self._square_inverse % self._p.square)
        e = _challenge(statement, len(numbers), commitment.to_bytes(in_size, "big"))
        z = s * gmpy2.powmod(root, mpz.from_bytes(e, "big"), n) % n
        return bytes(e + z.to_bytes(size, "big"))

    def _joined(self, of_p: mpz, of_q: mpz) -> mpz:
        """The number below n with these residues."""
        p, q = self._p.prime, self._q.prime
        return of_q + q * ((of_p - of_q) * self._q_inverse % p)


class OpeningChecker:
    """Check proofs of what groups hold.

    Args:
        n: The modulus.
    """

    def __init__(self, n: int) -> None:
        self._n = mpz(n)
        self._sizes = plaintext_size(n), ciphertext_size(n)
        self._proof_size = opening_proof_size(n)

    def __call__(self, group: bytes) -> bytes:
        """Check a group.

        Args:
            group: The seed (SEED_SIZE bytes), the number (NUMBER_SIZE), the
                ciphertexts, as many plaintexts, and the proof.

        Returns:
            A byte, 1 where the proof holds.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        n, n_squared, (size, in_size) = self._n, self._n**2, self._sizes
        at, end = SEED_SIZE + NUMBER_SIZE, len(group) - self._proof_size
        statement, proof = group[:at], group[end:]
        e, z = proof[:_CHALLENGE_SIZE], mpz.from_bytes(proof[_CHALLENGE_SIZE:], "big")
        count = (end - at) // (size + in_size)
        middle = at + count * in_size
        numbers = ciphertexts(group[at:middle], in_size, n_squared, 0)
        plaintexts = [mpz.from_bytes(group[i : i + size], "big") for i in range(middle, end, size)]
        exponents = _exponents(statement, count)
        total = sum(e_i * m for e_i, m in zip(exponents, plaintexts, strict=True)) % n
        combined = product_of_powers(numbers, exponents, n_squared) * (1 - n * total) % n_squared
        if not 0 < z < n or gmpy2.gcd(combined, n) != 1:
            return b"\0"
        power = gmpy2.powmod(combined, -mpz.from_bytes(e, "big"), n_squared)
        commitment = gmpy2.powmod(z, n, n_squared) * power % n_squared
        return bytes([_challenge(statement, count, commitment.to_bytes(in_size, "big")) == e])


class _Half(NamedTuple):
    """What decryption needs modulo one prime's square."""

    prime: mpz
    square: mpz
    h: mpz
    root_exponent: mpz

    @classmethod
    def of(cls, prime: mpz, other: mpz) -> Self:
        # L(g^(prime-1) mod prime^2) = (prime-1)*other = -other for g = n+1.
        inverse = gmpy2.invert(prime * other, prime - 1)
        return cls(prime, prime**2, gmpy2.invert(-other, prime), inverse)

    def open(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """The messages modulo the prime (Paillier 1999, section 7)."""
        prime, square, h = self.prime, self.square, self.h
        powers = gmpy2.powmod_base_list([c % square for c in ciphertexts], prime - 1, square)
        messages = []
        for index, power in enumerate(powers):
            quotient, remainder = gmpy2.f_divmod(power - 1, prime)
            if remainder:
                raise InvalidCiphertextError(0, index, "shares a factor with the key")
            messages.append(quotient * h % prime)
        return messages

    def root(self, ciphertexts: Sequence[mpz], exponents: Sequence[mpz]) -> mpz:
        """The n-th root of the product of all c^e, modulo the prime; 1 + n is 1 there, whatever they hold."""
        product = product_of_powers([c % self.prime for c in ciphertexts], exponents, self.prime)
        return gmpy2.powmod(product, self.root_exponent, self.prime)


def _exponents(statement: bytes, count: int) -> list[mpz]:
    return challenges(_digest("opening", statement, count), count)


def _challenge(statement: bytes, count: int, commitment: bytes) -> bytes:
    return _digest("opening challenge", statement, count, commitment)[:_CHALLENGE_SIZE]


def _digest(label: str, statement: bytes, count: int, more: bytes = b"") -> bytes:
    return hashlib.sha256(
        f"hecli {label} v2\0".encode() + statement + count.to_bytes(4, "big") + more
    ).digest()
