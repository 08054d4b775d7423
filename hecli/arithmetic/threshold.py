"""Threshold Paillier: a key that is dealt in shares, of which some open together and fewer learn nothing.

I. Damgard and M. Jurik, "A generalisation, a simplification and some
applications of Paillier's probabilistic public-key system" (PKC 2001),
section 4.1, with s = 1, after V. Shoup, "Practical threshold signatures"
(Eurocrypt 2000) and Fouque, Poupard and Stern (FC 2000).

Notation: p = 2p' + 1 and q = 2q' + 1 safe primes, n = pq, m = p'q', N shares
of which T open, D = N!. A share is s_i = f(i) for a polynomial f of degree
T - 1 modulo nm, with f(0) = 0 modulo m and 1 modulo n. v is a square modulo
n^2 and v_i = v^(D s_i).

Like arithmetic.py, it takes and gives batches of fixed-width big-endian bytes.
"""

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gmpy2
import numpy as np
from gmpy2 import mpz

from hecli.arithmetic.gmp import (
    PRIMALITY_ROUNDS,
    InvalidCiphertextError,
    ciphertext_size,
    ciphertexts,
    plaintext_size,
)
from hecli.errors import HecliError
from hecli.schemes.paillier.keys import check_bits

GROUP = 64
"""Ciphertexts that have one proof together."""

PROOF_RECORDS = 2
"""A proof is wider than a ciphertext, and takes the room of two."""

MAX_SHARES = 64
CHALLENGE_BITS = 128
STATISTICAL_BITS = 128
SIEVE_LIMIT = 1 << 20
SIEVE_WIDTH = 1 << 18


@dataclass(frozen=True)
class ThresholdKey:
    """What everyone may know of a dealt key: n, how many shares open, and what proofs are checked with."""

    n: int
    threshold: int
    v: int
    keys: tuple[int, ...]

    @property
    def shares(self) -> int:
        """How many shares there are."""
        return len(self.keys)

    @property
    def delta(self) -> int:
        """The factorial of the number of shares, which makes Lagrange's coefficients integers."""
        return math.factorial(self.shares)

    def check(self) -> None:
        """Raise HecliError unless shares can be dealt so, and all numbers are units modulo n^2."""
        _check_numbers(self.threshold, self.shares)
        for value in (self.v, *self.keys):
            if not 1 < value < self.n**2 or math.gcd(value, self.n) != 1:
                raise HecliError("a verification key is no unit modulo the key's square")


def deal(
    bits: int, threshold: int, shares: int, progress: Callable[[], None] = lambda: None
) -> tuple[ThresholdKey, list[int]]:
    """A fresh key of `bits` bits and its shares, in their order; the primes are forgotten.

    `progress` is told of every candidate. Raises HecliError for numbers that cannot be.
    """
    _check_numbers(threshold, shares)
    check_bits(bits)
    while True:
        p, q = safe_prime(bits // 2, progress), safe_prime(bits - bits // 2, progress)
        n, m = p * q, (p // 2) * (q // 2)
        if p != q and n.bit_length() == bits and gmpy2.gcd(n, 4 * m) == 1:
            break
    # 0 modulo m, 1 modulo n.
    secret = m * gmpy2.invert(m, n)
    coefficients = [secret, *(mpz(secrets.randbelow(int(n * m))) for _ in range(threshold - 1))]
    dealt = []
    for index in range(1, shares + 1):
        value = mpz(0)
        for coefficient in reversed(coefficients):
            value = (value * index + coefficient) % (n * m)
        dealt.append(value)
    v = gmpy2.powmod(_unit(n), 2, n**2)
    delta = math.factorial(shares)
    keys = tuple(int(gmpy2.powmod(v, delta * share, n**2)) for share in dealt)
    return ThresholdKey(int(n), threshold, int(v), keys), [int(share) for share in dealt]


def safe_prime(bits: int, progress: Callable[[], None] = lambda: None) -> mpz:
    """A random p of exactly `bits` bits, the top two set, with p and (p - 1) / 2 prime.

    A sieve strikes out what has a small factor on either side; what is left is tested.
    """
    primes = _small_primes()
    while True:
        # The half of it, odd; p = 2h + 1.
        start = mpz(secrets.randbits(bits - 1) | (3 << (bits - 3)) | 1)
        alive = np.ones(SIEVE_WIDTH, bool)
        inverse = (primes + 1) // 2
        residues = np.array([int(start % int(prime)) for prime in primes], np.int64)
        # start + 2k is 0, or 2 (start + 2k) + 1 is 0, modulo the prime.
        for first in ((-residues) * inverse % primes, (-(2 * residues + 1)) * inverse * inverse % primes):
            for prime, at in zip(primes.tolist(), first.tolist(), strict=True):
                alive[at::prime] = False
        for step in np.flatnonzero(alive).tolist():
            half = start + 2 * step
            progress()
            if (
                gmpy2.is_strong_prp(half, 2)
                and gmpy2.is_strong_prp(2 * half + 1, 2)
                and gmpy2.is_prime(half, PRIMALITY_ROUNDS)
                and gmpy2.is_prime(2 * half + 1, PRIMALITY_ROUNDS)
                and (2 * half + 1).bit_length() == bits
            ):
                return 2 * half + 1


def check_share(key: ThresholdKey, index: int, share: int) -> bool:
    """Whether a share is the one that v_i was made of."""
    if not 0 < share < key.n**2:
        return False
    return bool(gmpy2.powmod(key.v, key.delta * mpz(share), mpz(key.n) ** 2) == key.keys[index - 1])


class Sharer:
    """Makes partials: what one share contributes to opening a batch, with the proof that it did.

    `session` is what the proof is bound to, besides the ciphertexts: plan and aggregate.
    """

    def __init__(self, key: ThresholdKey, index: int, share: int, session: bytes) -> None:
        self._proofs = _Proofs(key, session)
        self._index = index
        self._share = mpz(share)

    def __call__(self, batch: bytes) -> bytes:
        """c^(2 D s_i) for each ciphertext, then the proof: records as wide as ciphertexts.

        Raises InvalidCiphertextError.
        """
        numbers = self._proofs.numbers(batch, 0)
        partials = self._powers(numbers)
        return self._proofs.join(partials) + self._proofs.prove(self._index, self._share, numbers, partials)

    def proof_cost(self, batch: bytes) -> float:
        """What the proof takes, as a share of the partials it is about."""
        start = time.perf_counter()
        numbers = self._proofs.numbers(batch, 0)
        partials = self._powers(numbers)
        half = time.perf_counter()
        self._proofs.prove(self._index, self._share, numbers, partials)
        return (time.perf_counter() - half) / (half - start)

    def _powers(self, numbers: list[mpz]) -> list[mpz]:
        exponent = 2 * self._proofs.delta * self._share
        return list(gmpy2.powmod_base_list(numbers, exponent, self._proofs.n_squared))


class Combiner:
    """Checks partials and opens batches with those that hold."""

    def __init__(self, key: ThresholdKey, indices: Sequence[int], session: bytes) -> None:
        self._key = key
        self._proofs = _Proofs(key, session)
        self._indices = tuple(indices)

    def __call__(self, blob: bytes) -> bytes:
        """A byte for each partial, 1 where its proof holds, then the plaintexts where enough do.

        `blob` is a batch of ciphertexts, and behind it what each Sharer made of
        it. Raises InvalidCiphertextError for what `source` 0, the batch, holds;
        a partial that is not sound does not hold.
        """
        proofs = self._proofs
        records, others = len(blob) // proofs.size, len(self._indices)
        count = (records - PROOF_RECORDS * others) // (1 + others)
        width = (count + PROOF_RECORDS) * proofs.size
        numbers = proofs.numbers(blob[: count * proofs.size], 0)
        good: dict[int, list[mpz]] = {}
        holds = bytearray(others)
        for at, index in enumerate(self._indices):
            start = count * proofs.size + at * width
            partials = proofs.check(index, numbers, blob[start : start + width])
            if partials is not None:
                holds[at] = 1
                good[index] = partials
        if len(good) < self._key.threshold:
            return bytes(holds)
        chosen = sorted(good)[: self._key.threshold]
        return bytes(holds) + self._open([good[index] for index in chosen], chosen)

    def _open(self, partials: list[list[mpz]], indices: list[int]) -> bytes:
        """M = L(prod c_i^(2 lambda_i)) / (4 D^2), with Lagrange's coefficients times D."""
        n, n_squared, delta = mpz(self._key.n), self._proofs.n_squared, self._proofs.delta
        exponents = []
        for index in indices:
            above = math.prod(other for other in indices if other != index)
            below = math.prod(other - index for other in indices if other != index)
            exponents.append(2 * delta * above // below)
        factor = gmpy2.invert(4 * delta**2, n)
        size = plaintext_size(self._key.n)
        plaintexts = []
        for position in zip(*partials, strict=True):
            product = mpz(1)
            for value, exponent in zip(position, exponents, strict=True):
                product = product * gmpy2.powmod(value, exponent, n_squared) % n_squared
            plaintexts.append((product - 1) // n * factor % n)
        return b"".join([each.to_bytes(size, "big") for each in plaintexts])


class _Proofs:
    """Proofs that log_(c^4)(c_i^2) = log_v(v_i), one for a batch.

    Fiat and Shamir's over the full statement; a batch is proven on the products
    of its c^t and c_i^t with t of 128 bits from a hash of all of them (Aditya,
    Peng, Boyd, Dawson and Lee, "Batch verification for equality of discrete
    logarithms and threshold decryptions", ACNS 2004).
    """

    def __init__(self, key: ThresholdKey, session: bytes) -> None:
        self._key = key
        self._session = session
        self.n_squared = mpz(key.n) ** 2
        self.size = ciphertext_size(key.n)
        self.delta = mpz(key.delta)
        # A random part so much longer than what it hides that the sum tells nothing.
        hidden = self.n_squared.bit_length() + self.delta.bit_length() + CHALLENGE_BITS
        self._random_bits = hidden + STATISTICAL_BITS

    def numbers(self, data: bytes, source: int) -> list[mpz]:
        """The units modulo n^2 in `data`; raises InvalidCiphertextError."""
        values = ciphertexts(data, self.size, self.n_squared, source)
        n = mpz(self._key.n)
        for at, value in enumerate(values):
            if gmpy2.gcd(value, n) != 1:
                raise InvalidCiphertextError(source, at, "shares a factor with the key")
        return values

    def join(self, values: Sequence[mpz]) -> bytes:
        """Numbers as bytes, each as wide as a ciphertext."""
        return b"".join([value.to_bytes(self.size, "big") for value in values])

    def prove(self, index: int, share: mpz, numbers: list[mpz], partials: list[mpz]) -> bytes:
        """The challenge e (16 bytes) and z = r + e D s_i, as wide as PROOF_RECORDS ciphertexts."""
        seed, c, _ = self._batch(index, numbers, partials)
        r = mpz(secrets.randbits(self._random_bits))
        commitments = gmpy2.powmod(c, 4 * r, self.n_squared), self._power_of_v(r)
        e = self._challenge(seed, *commitments)
        z = r + e * self.delta * share
        width = PROOF_RECORDS * self.size - CHALLENGE_BITS // 8
        return bytes(e.to_bytes(CHALLENGE_BITS // 8, "big") + z.to_bytes(width, "big"))

    def check(self, index: int, numbers: list[mpz], data: bytes) -> list[mpz] | None:
        """The partials in `data`, None unless the proof behind them holds."""
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
        a = gmpy2.powmod(c, 4 * z, n_squared) * gmpy2.powmod(c_i, -2 * e, n_squared) % n_squared
        b = self._power_of_v(z) * gmpy2.powmod(key, -e, n_squared) % n_squared
        return partials if self._challenge(seed, a, b) == e else None

    def _power_of_v(self, exponent: mpz) -> mpz:
        return gmpy2.powmod(mpz(self._key.v), exponent, self.n_squared)

    def _batch(self, index: int, numbers: list[mpz], partials: list[mpz]) -> tuple[bytes, mpz, mpz]:
        """A digest of the statement, and the two products that stand for the batch."""
        key = self._key
        statement = hashlib.sha256(b"hecli partial v1\0" + self._session)
        statement.update(index.to_bytes(2, "big") + len(numbers).to_bytes(4, "big"))
        statement.update(self.join([mpz(key.n), mpz(key.v), mpz(key.keys[index - 1])]))
        statement.update(self.join(numbers) + self.join(partials))
        seed = statement.digest()
        width = CHALLENGE_BITS // 8
        stream = hashlib.shake_256(seed).digest(width * len(numbers))
        exponents = [int.from_bytes(stream[at : at + width], "big") for at in range(0, len(stream), width)]
        return seed, self._product(numbers, exponents), self._product(partials, exponents)

    def _challenge(self, seed: bytes, a: mpz, b: mpz) -> mpz:
        digest = hashlib.sha256(b"hecli challenge v1\0" + seed + self.join([a, b])).digest()
        return mpz.from_bytes(digest[: CHALLENGE_BITS // 8], "big")

    def _product(self, bases: list[mpz], exponents: list[int], window: int = 4) -> mpz:
        """The product of all base^exponent, by buckets (Pippenger), for exponents of a challenge's length."""
        n_squared = self.n_squared
        product = mpz(1)
        for shift in range(CHALLENGE_BITS - window, -1, -window):
            buckets = [mpz(1)] * (1 << window)
            for base, exponent in zip(bases, exponents, strict=True):
                digit = exponent >> shift & ((1 << window) - 1)
                buckets[digit] = buckets[digit] * base % n_squared
            product = gmpy2.powmod(product, 1 << window, n_squared)
            running = mpz(1)
            for bucket in reversed(buckets[1:]):
                running = running * bucket % n_squared
                product = product * running % n_squared
        return product


def _check_numbers(threshold: int, shares: int) -> None:
    if not 2 <= threshold <= shares <= MAX_SHARES:
        raise HecliError(
            f"{threshold} of {shares} shares cannot be what opens",
            f"deal from 2 to {MAX_SHARES} shares, of which at least 2 open",
        )


def _unit(n: mpz) -> mpz:
    while True:
        value = mpz(secrets.randbelow(int(n**2)))
        if gmpy2.gcd(value, n) == 1:
            return value


def _small_primes() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The odd primes below SIEVE_LIMIT."""
    sieve = np.ones(SIEVE_LIMIT, bool)
    sieve[:3] = False
    sieve[4::2] = False
    for value in range(3, math.isqrt(SIEVE_LIMIT) + 1, 2):
        if sieve[value]:
            sieve[value * value :: value] = False
    return np.flatnonzero(sieve).astype(np.int64)
