"""What this machine takes."""

import functools
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.decrypt import Opener
from hecli.arithmetic.gmp.encrypt import Encryptor
from hecli.arithmetic.gmp.knowledge import Knowledge, KnowledgeChecker
from hecli.arithmetic.gmp.moduli import powers_of
from hecli.arithmetic.gmp.multiexp import PowerProducts
from hecli.arithmetic.gmp.sum_proofs import OpeningCombiner, check_sum_proof
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import (
    CHALLENGE_BITS,
    COMBINE,
    NUMBER_SIZE,
    OPEN,
    PROVE,
    SEED_SIZE,
    ciphertext_size,
    exponent_bits,
    plaintext_size,
)
from hecli.arithmetic.threshold import GROUP

REPEATS = 3

SPREAD = 1.2
"""How much longer a step of an encryption takes with a whole table than with a small one."""

SAMPLE = 64
"""So many numbers are enough to measure with."""

FEW, MANY = 8, 16
SMALL, LARGE = 4, 6
"""How many digits the tables have that are made to measure, and of how many bits."""

PROVEN = 18
"""About how many decryptions take as long as what the proof of a sum takes once."""

PARTIAL, PROOF = 2.0, 2.1
"""How many powers with an exponent as long as n a partial takes, and how many of two at once its proof."""

PART = 8
"""Such a part of an exponent is measured."""


class Costs(NamedTuple):
    """What one core of this machine takes.

    Args:
        prepare: Seconds to prepare an Encryptor.
        encrypt: Seconds of one encryption,
        check: of checking what one ciphertext has to do with its proof,
        multiply: of one product of ciphertexts,
        decrypt: of one decryption, with what its proof takes,
        prove: of what the proof of a whole sum takes beside,
        partial: of one partial with its part of a proof,
        combine: and of checking that, and opening with it.
    """

    prepare: float
    encrypt: float
    check: float
    multiply: float
    decrypt: float
    prove: float
    partial: float
    combine: float


class ProofCosts(NamedTuple):
    """What proofs take beside the work that they are about.

    Args:
        prove: Proving to know a group of plaintexts, over encrypting them.
        check: Checking that, likewise.
        prove_sum: Proving what a group of ciphertexts holds, over decrypting them.
        check_sum: Checking that, likewise.
    """

    prove: float
    check: float
    prove_sum: float
    check_sum: float


def measure(kernels: Kernels, n: int, randomness: str, count: int, group: int) -> Costs:
    """Measure this machine quickly, in some 300 ms.

    Args:
        kernels: What computes.
        n: The modulus.
        randomness: The random exponent: `short`, `half` or `full`.
        count: About how many ciphertexts one process will make.
        group: How many ciphertexts have one proof of plaintext knowledge together.

    Returns:
        Seconds on one core.
    """
    modulus, size = mpz(n), ciphertext_size(n)
    square = modulus**2
    numbers = b"".join([secrets.randbelow(n * n).to_bytes(size, "big") for _ in range(SAMPLE)])

    def combine(modulus: int, count: int) -> float:
        """Seconds for each of so many numbers, whose powers with challenges are multiplied."""
        products, many = PowerProducts(kernels, modulus, size), numbers * -(-count // SAMPLE)
        drawn = secrets.token_bytes(count * CHALLENGE_BITS // 8)
        return _seconds(lambda: products(many[: count * size], drawn, CHALLENGE_BITS), 1) / count

    def power(modulus: int, count: int) -> float:
        """Seconds for each of so many powers with an exponent as long as the modulus."""
        powers = kernels.powers(modulus, modulus >> modulus.bit_length() * (PART - 1) // PART, size)
        return PART * _seconds(lambda: powers(numbers[: count * size]), 1) / count

    product = kernels.multiply(int(square), size, SAMPLE // 8)
    multiply = _least(lambda: product(numbers), 1) / SAMPLE
    # A number as long as the primes of the key, which nobody knows here.
    half = int(modulus >> n.bit_length() // 2) | 1
    root = _least(lambda: gmpy2.powmod(half - 2, half, mpz(half) ** 2), 1)
    slow = _least(lambda: gmpy2.powmod(modulus - 2, modulus, square), 1)
    proof = PROOF * 2 * power(n, 2) / GROUP + 2 * combine(int(square), GROUP)
    unit = _least(lambda: gmpy2.gcd(square - 2, modulus), 20)
    later = {"partial": PARTIAL * power(n, 8) + proof + unit, "combine": proof + unit}
    others = {
        "check": combine(n, group),
        "multiply": multiply,
        "decrypt": 2 * power(half, 8),
        "prove": PROVEN * 2 * root,
    }
    if randomness == "full":
        return Costs(prepare=0.0, encrypt=slow, **others, **later)
    bits = exponent_bits(n, randomness)
    window = kernels.comb_window(bits, count)
    windows = -(-bits // window)
    row, entry, step, rest = _comb_costs(kernels, n, square)
    prepare = slow + windows * (row + (entry * (1 << window)))
    return Costs(prepare=prepare, encrypt=windows * SPREAD * step + rest, **others, **later)


def _comb_costs(kernels: Kernels, n: int, square: mpz) -> tuple[float, float, float, float]:
    """What a row of a table takes, an entry in it, a step of an encryption, and the rest of an encryption."""
    size = plaintext_size(n)
    messages = b"".join([secrets.randbelow(n).to_bytes(size, "big") for _ in range(SAMPLE)])
    made, used = {}, {}
    for windows, window in ((FEW, SMALL), (FEW, LARGE), (MANY, SMALL)):
        powers = powers_of(square - 2, square, window, windows)
        bases = [(each, int(gmpy2.invert(each, n))) for each in powers]
        start = time.perf_counter()
        comb = kernels.comb(n, bases, window)
        made[windows, window] = (time.perf_counter() - start) / windows
        drawn = secrets.token_bytes(SAMPLE * -(-window * windows // 8))
        used[windows, window] = _least(functools.partial(comb, messages, drawn), 1) / SAMPLE
    entry = max((made[FEW, LARGE] - made[FEW, SMALL]) / ((1 << LARGE) - (1 << SMALL)), 0.0)
    step = max((used[MANY, SMALL] - used[FEW, SMALL]) / (MANY - FEW), 0.0)
    rest = max(used[FEW, SMALL] - FEW * step, 0.0)
    return max(made[FEW, SMALL] - (entry * (1 << SMALL)), 0.0), entry, step, rest


def proof_costs(kernels: Kernels, p: int, q: int, count: int) -> ProofCosts:
    """Measure what the proofs of one group take beside the work that they are about.

    Args:
        kernels: What computes.
        p: One prime of a private key.
        q: The other.
        count: How many ciphertexts the group has.

    Returns:
        The ratios, on one core.
    """
    n, bound, number = p * q, bytes(SEED_SIZE), bytes(NUMBER_SIZE)
    size = plaintext_size(n)
    plaintexts = b"".join([secrets.randbelow(n).to_bytes(size, "big") for _ in range(count)])
    made = Encryptor(kernels, n, "short", count, bound)
    encrypting = _seconds(lambda: made(number + plaintexts), REPEATS)
    group = made(number + plaintexts)
    blocks = group[: count * ciphertext_size(n)]
    openings = [mpz(secrets.randbits(exponent_bits(n, "short"))) for _ in range(count)]
    knowledge = Knowledge(kernels, n, "short")
    proving = _seconds(lambda: knowledge.prove(bound, number, blocks, openings), REPEATS)
    checker = KnowledgeChecker(kernels, n, "short")
    checking = _seconds(lambda: checker(bound + number + group), REPEATS)
    opener = Opener(kernels, p, q)
    opening = _seconds(lambda: opener(OPEN + blocks), 1)
    products = opener(COMBINE + bound + number + blocks)
    opening_proving = _seconds(lambda: opener(COMBINE + bound + number + blocks), REPEATS)
    opening_proving += _seconds(lambda: opener(PROVE + bound + products), REPEATS)
    proof = opener(PROVE + bound + products)
    combiner, task = OpeningCombiner(kernels, n), bound + number + blocks + plaintexts
    both = combiner(task)
    opening_checking = _seconds(lambda: combiner(task), REPEATS)
    opening_checking += _seconds(lambda: check_sum_proof(n, bound, both, proof), REPEATS)
    return ProofCosts(
        prove=proving / (encrypting - proving),
        check=checking / (encrypting - proving),
        prove_sum=opening_proving / opening,
        check_sum=opening_checking / opening,
    )


def _seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def _least(work: Callable[[], object], times: int) -> float:
    """What it takes where nothing else is in the way."""
    return min(_seconds(work, times) for _ in range(REPEATS))
