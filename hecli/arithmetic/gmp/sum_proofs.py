"""Proofs that ciphertexts hold what was said of them, checked.

c_i * (1 + n)^(-m_i) is an n-th residue if m_i is what c_i holds, and so is C,
the product of all of them, over all groups, to powers e_i from a hash. Whoever
has the key proves to know an n-th root of C, as L. C. Guillou and J.-J.
Quisquater do (Eurocrypt 1988) with the exponent n.

All is done with several short challenges instead of a long one: whoever proves
has made n, which may have a factor that is only a little larger than those that
are looked for. Challenges and their differences have no factor in common with n
as long as they are below 2^20, under which no modulus has one. So there are
SUM_REPETITIONS products C_j with exponents of SUM_CHALLENGE_BITS, and as many
answers, each about all of the products with challenges of its own: to be lucky
with some products and with other answers is not enough, it must be all of one
or all of the other.

For the same reason a proof has n-th roots of numbers that follow from n: in
nearly all cases some of them have none unless gcd(n, phi(n)) = 1 (S. Goldberg,
L. Reyzin, O. Sagga and F. Baldimtsi, "Efficient noninteractive certification
of RSA moduli and beyond", Asiacrypt 2019, section 3). Without that, such as
where n has a square in it, a ciphertext could be said to hold several numbers.
"""

import functools
import hashlib
from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.multiexp import PowerProducts
from hecli.arithmetic.gmp.numbers import check_range, joined, numbers_of
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import (
    NUMBER_SIZE,
    SEED_SIZE,
    STATISTICAL_BITS,
    SUM_CHALLENGE_BITS,
    SUM_REPETITIONS,
    ciphertext_size,
    plaintext_size,
)

_WIDTH = -(-SUM_CHALLENGE_BITS // 8)
_MASK = (1 << SUM_CHALLENGE_BITS) - 1


class OpeningCombiner:
    """Combine groups, of ciphertexts and what they are said to hold.

    Args:
        kernels: What computes.
        n: The modulus.
    """

    def __init__(self, kernels: Kernels, n: int) -> None:
        self.releases_gil = kernels.releases_gil
        self._kernels = kernels
        self._n = mpz(n)
        self._products = PowerProducts(kernels, n**2, ciphertext_size(n))
        self._sizes = plaintext_size(n), ciphertext_size(n)

    def __call__(self, group: bytes) -> bytes:
        """Combine a group.

        Args:
            group: What the proof is bound to (SEED_SIZE bytes), the group's
                number (NUMBER_SIZE), its ciphertexts, and as many plaintexts.

        Returns:
            For each repetition the product of c^e (1 + n)^(-m e), modulo n^2.

        Raises:
            InvalidCiphertextError: A number is out of range.
        """
        n, n_squared, (size, in_size) = self._n, self._n**2, self._sizes
        at = SEED_SIZE + NUMBER_SIZE
        count = (len(group) - at) // (size + in_size)
        middle = at + count * in_size
        check_range(self._kernels, group[at:middle], in_size, int(n_squared), 0)
        plaintexts = numbers_of(group[middle:], size)
        exponents = group_exponents(group[:at], count)
        drawn = _numbers(exponents)
        rows = [drawn[start : start + count] for start in range(0, len(drawn), count)]
        totals = [sum(e * m for e, m in zip(row, plaintexts, strict=True)) % n for row in rows]
        products = combined(self._products, group[at:middle], exponents)
        values = [c * (1 - n * total) % n_squared for c, total in zip(products, totals, strict=True)]
        return joined(values, in_size)


def check_sum_proof(n: int, bound: bytes, products: bytes, proof: bytes) -> bool:
    """Tell whether the proof of a sum holds.

    Args:
        n: The modulus, which has no factor below 2^20.
        bound: What the proof is bound to, SEED_SIZE bytes.
        products: For each repetition the product over all groups, modulo n^2.
        proof: A seed of challenges, the answers, and roots of numbers that follow from n.

    Returns:
        Whether it holds.
    """
    modulus, n_squared = mpz(n), mpz(n) ** 2
    size, in_size = plaintext_size(n), ciphertext_size(n)
    seed = proof[:SEED_SIZE]
    numbers = numbers_of(proof[SEED_SIZE:], size)
    answers, roots = numbers[:SUM_REPETITIONS], numbers[SUM_REPETITIONS:]
    bases = numbers_of(products, in_size)
    # What is no unit is 0 modulo a factor to any power, and would prove whatever is said modulo that factor.
    if not all(0 < each < modulus for each in numbers):
        return False
    if any(gmpy2.gcd(each, modulus) != 1 for each in (*numbers, *bases)):
        return False
    if not _are_roots(n, tuple(roots)):
        return False
    commitments = [
        gmpy2.powmod(z, modulus, n_squared)
        * gmpy2.invert(_powers(bases, row, n_squared), n_squared)
        % n_squared
        for z, row in zip(answers, matrix_of(seed), strict=True)
    ]
    return seed_of(bound, joined(commitments, in_size)) == seed


@functools.lru_cache(maxsize=4)
def _are_roots(n: int, roots: tuple[mpz, ...]) -> bool:
    """Whether these are n-th roots of the numbers that follow from n; they are the same in every proof."""
    return all(gmpy2.powmod(root, n, n) == value for root, value in zip(roots, rooted(n), strict=True))


def rooted(n: int) -> list[mpz]:
    """Derive the numbers of which a proof has n-th roots.

    Args:
        n: The modulus.

    Returns:
        SUM_REPETITIONS numbers below n.
    """
    size = plaintext_size(n)
    label = b"hecli roots v2\0" + n.to_bytes(size, "big")
    # Longer than n, so that the residues are uniform.
    width = size + STATISTICAL_BITS // 8
    stream = hashlib.shake_256(label).digest(SUM_REPETITIONS * width)
    return [number % n for number in numbers_of(stream, width)]


def group_exponents(statement: bytes, count: int) -> bytes:
    """Draw the exponents of a group.

    Args:
        statement: What the proof is bound to, and the group's number.
        count: How many ciphertexts it has.

    Returns:
        As many for each repetition, of which the lowest SUM_CHALLENGE_BITS count.
    """
    label = b"hecli opening v2\0"
    seed = hashlib.sha256(label + statement + count.to_bytes(4, "big")).digest()
    return hashlib.shake_256(seed).digest(SUM_REPETITIONS * count * _WIDTH)


def combined(products: PowerProducts, numbers: bytes, exponents: bytes) -> list[mpz]:
    """Multiply the powers of all numbers, once for each repetition.

    Args:
        products: What multiplies.
        numbers: The numbers.
        exponents: As `group_exponents` draws them.

    Returns:
        The products.
    """
    return products(numbers, exponents, SUM_CHALLENGE_BITS, repetitions=SUM_REPETITIONS)


def seed_of(bound: bytes, commitments: bytes) -> bytes:
    """Draw the seed of all challenges, from all commitments.

    Args:
        bound: What the proof is bound to.
        commitments: A commitment for each answer, as wide as n^2.

    Returns:
        The seed, SEED_SIZE bytes.
    """
    return hashlib.sha256(b"hecli opening challenge v2\0" + bound + commitments).digest()


def matrix_of(seed: bytes) -> list[list[mpz]]:
    """Draw the challenges.

    Args:
        seed: Their seed.

    Returns:
        For each answer a challenge for each product.
    """
    numbers = _numbers(hashlib.shake_256(seed).digest(SUM_REPETITIONS**2 * _WIDTH))
    return [numbers[at : at + SUM_REPETITIONS] for at in range(0, len(numbers), SUM_REPETITIONS)]


def answer(secret: mpz, roots: Sequence[mpz], row: Sequence[mpz], n: mpz) -> mpz:
    """Answer the challenges of one row.

    Args:
        secret: What the commitment is the n-th power of.
        roots: The n-th roots of the products.
        row: The challenges.
        n: The modulus.

    Returns:
        The answer.
    """
    return secret * _powers(roots, row, n) % n


def _powers(bases: Sequence[mpz], exponents: Sequence[mpz], modulus: mpz) -> mpz:
    product = mpz(1)
    for base, exponent in zip(bases, exponents, strict=True):
        product = product * gmpy2.powmod(base, exponent, modulus) % modulus
    return product


def _numbers(data: bytes) -> list[mpz]:
    """Challenges, of which each has so many bytes and leaves some bits of the first unused."""
    return [number & _MASK for number in numbers_of(data, _WIDTH)]
