"""Big-integer arithmetic, in batches of fixed-width big-endian bytes.

The only module that knows gmpy2. What a caller gives and gets is bytes of
many numbers at once, so that a backend which works on 8 or 16 of them
together can take its place. The engines are built once and then called from
as many processes as there are cores; they hold no mutable state.

Notation as in P. Paillier, "Public-key cryptosystems based on composite
degree residuosity classes" (Eurocrypt 1999): n = p*q, g = n+1,
c = (1 + m*n) * rho mod n^2 with rho an n-th residue.
"""

import functools
import hashlib
import os
import secrets
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

import gmpy2
from gmpy2 import mpz

from hecli.errors import HecliError

MIN_BITS = 2048
SHORT_EXPONENT_BITS = {2048: 448, 3072: 512, 7680: 768, 15360: 1024}
"""Bits of a short exponent for a modulus of up to so many bits: four times the
security level, the sizes of Ma, Han and Wang, "Optimized Paillier's Cryptosystem
with Fast Encryption and Decryption" (ACSAC 2021)."""

SMALL_FACTOR_LIMIT = 1 << 20
PRIMALITY_ROUNDS = 64
FERMAT_STEPS = 1000
TABLE_LIMIT = 1 << 15
"""Entries of the fixed-base table, of about 1 kB each at 3072 bits."""


class InvalidCiphertextError(HecliError):
    """A number that no encryption can have produced, at `index` in its batch of `source`."""

    def __init__(self, source: int, index: int, reason: str) -> None:
        super().__init__(f"ciphertext {index} {reason}", "the file is corrupt or forged")
        self.source = source
        self.index = index
        self.reason = reason


class InvalidModulusError(HecliError):
    """A public key that is too short or visibly not the product of two large primes."""


def ciphertext_size(n: int) -> int:
    """Bytes of one ciphertext: the width of n^2."""
    return -(-2 * n.bit_length() // 8)


def plaintext_size(n: int) -> int:
    """Bytes of one plaintext: the width of n."""
    return -(-n.bit_length() // 8)


@functools.lru_cache(maxsize=4)
def check_modulus(n: int) -> None:
    """Refuse an n under which encryption is worthless; it costs some 20 ms, once.

    Checks size, oddness, that n is composite, no perfect power, without a
    factor below 2^20, and without two primes so close that Fermat's method
    finds them. Whether n has exactly two prime factors only its owner can
    tell. Raises InvalidModulusError.
    """
    check_modulus_size(n)
    value = mpz(n)
    if gmpy2.gcd(value, gmpy2.primorial(SMALL_FACTOR_LIMIT)) != 1:
        raise InvalidModulusError("the key's modulus has a small factor")
    if gmpy2.is_prime(value):
        raise InvalidModulusError("the key's modulus is prime")
    if gmpy2.is_power(value):
        raise InvalidModulusError("the key's modulus is a perfect power")
    root = gmpy2.isqrt(value) + 1
    for step in range(FERMAT_STEPS):
        if gmpy2.is_square((root + step) ** 2 - value):
            raise InvalidModulusError("the key's modulus has two primes too close together")


def check_modulus_size(n: int) -> None:
    """Refuse an n that is even or under 2048 bits; raises InvalidModulusError."""
    if n.bit_length() < MIN_BITS:
        raise InvalidModulusError(
            f"a key of {n.bit_length()} bits is too short", f"the least is {MIN_BITS}, the default 3072"
        )
    if n % 2 == 0:
        raise InvalidModulusError("the key's modulus is even")


def check_primes(p: int, q: int) -> None:
    """Refuse primes that do not make a working Paillier key; raises InvalidModulusError."""
    n = mpz(p) * q
    if p == q or not (gmpy2.is_prime(mpz(p)) and gmpy2.is_prime(mpz(q))):
        raise InvalidModulusError("the private key is not two different primes")
    if gmpy2.gcd(n, (mpz(p) - 1) * (q - 1)) != 1:
        raise InvalidModulusError("the private key's primes do not fit together")


def generate_primes(bits: int) -> tuple[int, int]:
    """Two fresh primes whose product has exactly `bits` bits.

    p and q are 3 modulo 4 with gcd(p-1, q-1) = 2, far apart, and such that
    gcd(n, phi(n)) = 1, as Paillier (1999) and the derived base of
    `derived_base` need.
    """
    half = bits // 2
    while True:
        p, q = _prime(half), _prime(bits - half)
        if (
            (p * q).bit_length() == bits
            and abs(p - q).bit_length() > half - 100
            and gmpy2.gcd(p - 1, q - 1) == 2
            and gmpy2.gcd(p * q, (p - 1) * (q - 1)) == 1
        ):
            return int(p), int(q)


def derived_base(n: int) -> tuple[int, int]:
    """H and h_s = h^n mod n^2, which everyone derives from n alone.

    h = -x^2 mod n as in Damgard, Jurik and Nielsen, "A generalization of
    Paillier's public-key system with applications to electronic voting"
    (2010), section 4, with x from SHAKE-256 over n. Nobody chooses x, so
    nobody can plant a base that shows the plaintext.
    """
    size = plaintext_size(n)
    label = b"hecli derived base v1\0"
    modulus = mpz(n)
    x = mpz.from_bytes(hashlib.shake_256(label + n.to_bytes(size, "big")).digest(size + 16), "big") % modulus
    if gmpy2.gcd(x, modulus) != 1:
        raise InvalidModulusError("the key's modulus has a factor that anyone can find")
    h = -x * x % modulus
    return int(h), int(gmpy2.powmod(h, modulus, modulus**2))


def exponent_bits(n: int, randomness: str) -> int:
    """Bits of the random exponent under n: four security levels (`short`) or half of n (`half`)."""
    if randomness == "half":
        return n.bit_length() // 2
    for bits, exponent in SHORT_EXPONENT_BITS.items():
        if n.bit_length() <= bits:
            return exponent
    return n.bit_length() // 12


class _Row(NamedTuple):
    """Powers x^d of one base x, each as a and z with x^d = a * (1 + z*n).

    d is a signed digit of w bits, in two's complement: the powers from 0 to
    2^(w-1) - 1, then those from -2^(w-1) to -1.
    """

    a: list[mpz]
    z: list[mpz]


class Encryptor:
    """Encrypts batches under one n, with a random part by fixed-base exponentiation.

    The random part h_s^e is a product over the windows of e. Each table entry
    is kept as a pair (a, z) with value a * (1 + z*n) mod n^2 and a < n: in a
    product the a multiply (an operand half as long as n^2), the z merely add,
    and the sum of the z joins the message in the one factor 1 + (m + z)*n that
    the encryption needs anyway. That nearly halves the work of a table of
    plain residues.
    """

    def __init__(self, n: int, randomness: str, count: int) -> None:
        """Prepare to make about `count` ciphertexts in each process."""
        self._n = mpz(n)
        self._n_squared = self._n**2
        self._sizes = plaintext_size(n), ciphertext_size(n)
        self._textbook = randomness == "full"
        self._rows: list[_Row] = []
        if not self._textbook:
            bits = exponent_bits(n, randomness)
            self._window = _window(bits, count)
            self._rows = self._table(mpz(derived_base(n)[1]), -(-bits // self._window))

    def __call__(self, plaintexts: bytes) -> bytes:
        """Ciphertexts of the plaintexts, both fixed-width big-endian, each m below n."""
        size, out_size = self._sizes
        encrypt = self._textbook_one if self._textbook else self._one
        messages = (
            mpz.from_bytes(plaintexts[at : at + size], "big") for at in range(0, len(plaintexts), size)
        )
        return b"".join([encrypt(message).to_bytes(out_size, "big") for message in messages])

    def _one(self, exponent: mpz) -> mpz:
        """One ciphertext; `exponent` is the message, which the z of the random part join."""
        n, n_squared = self._n, self._n_squared
        mask = (1 << self._window) - 1
        product = mpz(1)
        # Uniform digits, signed or not, are a uniform exponent; two bytes hold any window.
        for (a, z), digit in zip(self._rows, array("H", os.urandom(2 * len(self._rows))), strict=True):
            product = product * a[digit & mask] % n_squared
            exponent = exponent + z[digit & mask]
        return (product + n * (product * exponent % n)) % n_squared

    def _textbook_one(self, message: mpz) -> mpz:
        n = self._n
        while True:
            r = mpz(secrets.randbelow(int(n)))
            if gmpy2.gcd(r, n) == 1:
                return (1 + message * n) * gmpy2.powmod(r, n, self._n_squared) % self._n_squared

    def _table(self, base: mpz, windows: int) -> list[_Row]:
        n = self._n
        high, a = gmpy2.f_divmod(base, n)
        z = high * gmpy2.invert(a, n) % n
        rows = []
        for _ in range(windows):
            row, a, z = self._row(a, z)
            rows.append(row)
        return rows

    def _row(self, a1: mpz, z1: mpz) -> tuple[_Row, mpz, mpz]:
        """The row of the base x = a1 * (1 + z1*n), and the base x^(2^w) of the next."""
        n = self._n
        inverse1 = gmpy2.invert(a1, n)
        a, z, inverse = mpz(1), mpz(0), mpz(1)
        row = _Row([a], [z])
        opposite = _Row([], [])
        for _ in range(1 << (self._window - 1)):
            # a * a1 = a' + carry*n, so the carry goes into z as carry / a'.
            carry, a = gmpy2.f_divmod(a * a1, n)
            inverse = inverse * inverse1 % n
            z = (z + z1 + carry * inverse) % n
            row.a.append(a)
            row.z.append(z)
            # a * inverse = 1 + t*n: the opposite power, for one product more.
            opposite.a.append(inverse)
            opposite.z.append(-(z + a * inverse // n) % n)
        # The highest is left to its opposite; squared it is the base of the next row.
        row.a.pop()
        row.z.pop()
        row.a.extend(reversed(opposite.a))
        row.z.extend(reversed(opposite.z))
        carry, square = gmpy2.f_divmod(a * a, n)
        return row, square, (2 * z + carry * inverse**2) % n


class Multiplier:
    """Multiplies batches of ciphertexts of several sources, position by position."""

    def __init__(self, n: int, sources: int) -> None:
        self._n = mpz(n)
        self._n_squared = self._n**2
        self._size = ciphertext_size(n)
        self._sources = sources

    def __call__(self, batches: bytes) -> bytes:
        """The products modulo n^2 of equally long batches, one source after the other.

        Every number is checked to lie above 0 and below n^2 and to have no
        factor in common with n. Raises InvalidCiphertextError.
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
        return b"".join([product.to_bytes(self._size, "big") for product in products])

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


class Decryptor:
    """Decrypts batches with the primes, by the Chinese remainder theorem."""

    def __init__(self, p: int, q: int) -> None:
        self._p, self._q = _Half.of(mpz(p), mpz(q)), _Half.of(mpz(q), mpz(p))
        self._q_inverse = gmpy2.invert(mpz(q), mpz(p))
        self._n_squared = (mpz(p) * q) ** 2
        self._sizes = plaintext_size(p * q), ciphertext_size(p * q)

    def __call__(self, batch: bytes) -> bytes:
        """Plaintexts of the ciphertexts in `batch`, both fixed-width big-endian.

        Raises InvalidCiphertextError.
        """
        size, in_size = self._sizes
        numbers = ciphertexts(batch, in_size, self._n_squared, 0)
        p, q = self._p.prime, self._q.prime
        pairs = zip(self._p.open(numbers), self._q.open(numbers), strict=True)
        messages = [m_q + q * ((m_p - m_q) * self._q_inverse % p) for m_p, m_q in pairs]
        return b"".join([message.to_bytes(size, "big") for message in messages])


class Costs(NamedTuple):
    """Seconds on one core of this machine: to prepare an Encryptor, then for one ciphertext each."""

    prepare: float
    encrypt: float
    multiply: float
    decrypt: float


def measure(n: int, randomness: str, count: int) -> Costs:
    """A quick measurement of this machine (some 100 ms), to foresee what `count` ciphertexts will take."""
    modulus = mpz(n)
    square = modulus**2
    value = mpz(secrets.randbelow(n))
    wide = mpz(secrets.randbelow(n * n))
    prime_square = modulus | 1
    step = _seconds(lambda: wide * value % square, 200)
    product = _seconds(lambda: wide * wide % square, 200)
    opening = _seconds(lambda: gmpy2.powmod(value, modulus >> (n.bit_length() // 2), prime_square), 3)
    power = _seconds(lambda: gmpy2.powmod(value, modulus, square), 1)
    if randomness == "full":
        return Costs(0.0, power, product, 2 * opening)
    bits = exponent_bits(n, randomness)
    window = _window(bits, count)
    windows = -(-bits // window)
    # The base, and for each entry of the table about what a step takes.
    return Costs(power + (windows << window) * step, windows * step, product, 2 * opening)


def _seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def ciphertexts(data: bytes, size: int, n_squared: mpz, source: int) -> list[mpz]:
    """The numbers in `data`, each above 0 and below n^2; raises InvalidCiphertextError."""
    values = [mpz.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    # All at once first: the culprit is only looked for when there is one.
    if values and not (min(values) > 0 and max(values) < n_squared):
        for index, value in enumerate(values):
            if value == 0:
                raise InvalidCiphertextError(source, index, "is zero")
            if value >= n_squared:
                raise InvalidCiphertextError(source, index, "is not below the square of the key's modulus")
    return values


def _window(bits: int, count: int) -> int:
    """Window width that makes `count` exponentiations cheapest, table included."""
    # A table entry costs more than a step of an exponentiation, and larger tables miss the cache.
    widths = [w for w in range(1, 11) if -(-bits // w) << w <= TABLE_LIMIT]
    return min(widths, key=lambda w: -(-bits // w) * (count + (3 << w)))


def _prime(bits: int) -> mpz:
    while True:
        # The two top bits make the product of two such primes full length; 3 modulo 4.
        candidate = mpz(secrets.randbits(bits) | (3 << (bits - 2)) | 3)
        if gmpy2.is_prime(candidate, PRIMALITY_ROUNDS):
            return candidate
