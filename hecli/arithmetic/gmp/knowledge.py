"""Proofs that the maker of ciphertexts knows their plaintexts, one for a whole group.

A ciphertext modulo n is its random part modulo n: g^a with g = h_s mod n, or
in the textbook r^n. Whoever knows a, or r, knows the plaintext, since the rest
of the ciphertext is 1 + m*n. So one proof modulo n, after C. P. Schnorr
("Efficient signature generation by smart cards", 1991), or for the textbook
after L. C. Guillou and J.-J. Quisquater (Eurocrypt 1988), on the product of
all c_i^(e_i) with e_i from a hash of all ciphertexts, shows it of a whole
group. Why that is sound stands in docs/security.md.
"""

import functools
import hashlib
import secrets
from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.moduli import derived_base, powers_of
from hecli.arithmetic.gmp.multiexp import PowerProducts
from hecli.arithmetic.gmp.numbers import challenges, check_range, joined, numbers_of, random_unit
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import (
    CHALLENGE_BITS,
    NUMBER_SIZE,
    SEED_SIZE,
    InvalidCiphertextError,
    ciphertext_size,
    knowledge_size,
    plaintext_size,
    response_bits,
)


class Knowledge:
    """Prove and check under one n.

    Args:
        kernels: What computes.
        n: The modulus.
        randomness: The random exponent: `short`, `half`, or `full` for that of the textbook.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """

    def __init__(self, kernels: Kernels, n: int, randomness: str) -> None:
        self._kernels = kernels
        self._n = mpz(n)
        self._size = plaintext_size(n)
        self._proof_size = knowledge_size(n, randomness)
        self._textbook = randomness == "full"
        if not self._textbook:
            self._limit = mpz(1) << response_bits(n, randomness)
            self._g = gmpy2.powmod(derived_base(n), self._n, self._n)

    def prove(self, statement: bytes, number: bytes, blocks: bytes, openings: Sequence[mpz]) -> bytes:
        """Prove that whoever made a group knows what is in it.

        Args:
            statement: What the proof is bound to, 32 bytes.
            number: The group's number, 4 bytes.
            blocks: The ciphertexts, fixed-width big-endian.
            openings: Of each its random exponent, in the textbook its r.

        Returns:
            The commitment A, as wide as n, and the answer.
        """
        while True:
            random, commitment = self._commitment()
            start = commitment.to_bytes(self._size, "big")
            exponents = self._challenges(statement, number, blocks, len(openings), start)
            if self._textbook:
                product = PowerProducts(self._kernels, int(self._n), self._size)
                (power,) = product(joined(openings, self._size), exponents, CHALLENGE_BITS)
                answer = random * power % self._n
            else:
                pairs = zip(numbers_of(exponents, CHALLENGE_BITS // 8), openings, strict=True)
                answer = random + sum(e * a for e, a in pairs)
                # One that shows that the random number was at its border would tell of the rest.
                if not 0 <= answer < self._limit:
                    continue
            return bytes(start + answer.to_bytes(self._proof_size - self._size, "big"))

    def check(self, statement: bytes, number: bytes, blocks: bytes, proof: bytes) -> bool:
        """Tell whether a proof holds.

        Args:
            statement: What it must be bound to, 32 bytes.
            number: The group's number, 4 bytes.
            blocks: The ciphertexts, fixed-width big-endian.
            proof: The proof.

        Returns:
            Whether it holds.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        n, size = self._n, ciphertext_size(int(self._n))
        check_range(self._kernels, blocks, size, int(n**2), 0)
        start = proof[: self._size]
        commitment, answer = mpz.from_bytes(start, "big"), mpz.from_bytes(proof[self._size :], "big")
        if not 0 < commitment < n or not 0 <= answer < (n if self._textbook else self._limit):
            return False
        exponents = self._challenges(statement, number, blocks, len(blocks) // size, start)
        left = gmpy2.powmod(answer, n, n) if self._textbook else mpz(1)
        numbers, powers = self._other_side(answer)
        (power,) = self._product(blocks + numbers, exponents + powers, CHALLENGE_BITS)
        right = commitment * power % n
        # A number on the right that shares a factor with n shows in the product.
        for at, value in enumerate(numbers_of(blocks, size) if gmpy2.gcd(right, n) != 1 else ()):
            if gmpy2.gcd(value, n) != 1:
                raise InvalidCiphertextError(0, at, "shares a factor with the key")
        return bool(left == right and gmpy2.gcd(left, n) == 1)

    @functools.cached_property
    def _product(self) -> PowerProducts:
        return PowerProducts(self._kernels, int(self._n), ciphertext_size(int(self._n)))

    @functools.cached_property
    def _inverses(self) -> bytes:
        """g^(-2^(128 i)) for each part of an answer that is as long as a challenge."""
        parts = -(-(self._limit.bit_length() - 1) // CHALLENGE_BITS)
        bases = powers_of(gmpy2.invert(self._g, self._n), self._n, CHALLENGE_BITS, parts)
        return joined(map(mpz, bases), ciphertext_size(int(self._n)))

    def _other_side(self, answer: mpz) -> tuple[bytes, bytes]:
        """Numbers and exponents of g^(-answer), which among the ciphertexts costs next to nothing."""
        if self._textbook:
            return b"", b""
        width = CHALLENGE_BITS // 8
        parts = len(self._inverses) // ciphertext_size(int(self._n))
        little = answer.to_bytes(parts * width, "little")
        return self._inverses, b"".join(
            [little[at : at + width][::-1] for at in range(0, len(little), width)]
        )

    def _commitment(self) -> tuple[mpz, mpz]:
        n = self._n
        if not self._textbook:
            random = mpz(secrets.randbelow(int(self._limit)))
            return random, gmpy2.powmod(self._g, random, n)
        random = random_unit(n, n)
        return random, gmpy2.powmod(random, n, n)

    def _challenges(
        self, statement: bytes, number: bytes, blocks: bytes, count: int, commitment: bytes
    ) -> bytes:
        # The ciphertexts at full width: their residues alone would let (1 + k*n) pass.
        seed = hashlib.sha256(b"hecli knowledge v2\0" + statement + number + count.to_bytes(4, "big"))
        seed.update(blocks)
        seed.update(commitment)
        return challenges(seed.digest(), count)


class KnowledgeChecker:
    """Check proofs of groups.

    Args:
        kernels: What computes.
        n: The modulus.
        randomness: As for Knowledge.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """

    def __init__(self, kernels: Kernels, n: int, randomness: str) -> None:
        self.releases_gil = kernels.releases_gil
        self._knowledge = Knowledge(kernels, n, randomness)
        self._proof_size = knowledge_size(n, randomness)

    def __call__(self, group: bytes) -> bytes:
        """Check a group.

        Args:
            group: The statement (32 bytes), the group's number (4 bytes), the
                ciphertexts, fixed-width big-endian, and the proof.

        Returns:
            A byte, 1 where the proof holds.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        at, end = SEED_SIZE + NUMBER_SIZE, len(group) - self._proof_size
        statement, number = group[:SEED_SIZE], group[SEED_SIZE:at]
        return bytes([self._knowledge.check(statement, number, group[at:end], group[end:])])
