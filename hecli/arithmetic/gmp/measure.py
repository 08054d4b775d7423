"""What this machine takes."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.decrypt import Opener
from hecli.arithmetic.gmp.encrypt import Encryptor, window_width
from hecli.arithmetic.gmp.knowledge import Knowledge, KnowledgeChecker
from hecli.arithmetic.gmp.multiexp import products
from hecli.arithmetic.gmp.sum_proofs import OpeningCombiner, check_sum_proof
from hecli.arithmetic.sizes import (
    COMBINE,
    NUMBER_SIZE,
    OPEN,
    PROVE,
    SEED_SIZE,
    ciphertext_size,
    exponent_bits,
    plaintext_size,
    response_bits,
)
from hecli.arithmetic.threshold import GROUP

REPEATS = 3

SPREAD = 1.2
"""How much longer a product takes of numbers from all over a table or a file than of the same two again."""

PROVEN = 18
"""About how many decryptions take as long as what the proof of a sum takes once."""

PARTIAL, PROOF = 2.0, 4.2
"""How many powers with an exponent as long as n take as long as a partial, and as a proof of partials."""


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


def measure(n: int, randomness: str, count: int, group: int) -> Costs:
    """Measure this machine quickly, in some 300 ms.

    Args:
        n: The modulus.
        randomness: The random exponent: `short`, `half` or `full`.
        count: About how many ciphertexts one process will make.
        group: How many ciphertexts have one proof of plaintext knowledge together.

    Returns:
        Seconds on one core.
    """
    modulus = mpz(n)
    square, size = modulus**2, ciphertext_size(n)
    value = mpz(secrets.randbelow(n))
    wide = mpz(secrets.randbelow(n * n))
    step = SPREAD * _least(lambda: wide * value % square, 200)
    product = _least(lambda: wide * wide % square, 200)
    # Read, multiplied twice, modulo n^2 and into what shows that it is a unit, and written.
    multiply = product + _least(lambda: mpz.from_bytes(wide.to_bytes(size, "big"), "big") % modulus, 200)
    narrow = SPREAD * _least(lambda: value * value % modulus, 200)
    half = _least(lambda: gmpy2.powmod(value, modulus >> (n.bit_length() // 2), modulus), 2)
    answer = 1 if randomness == "full" else response_bits(n, randomness) / n.bit_length()
    check = (narrow * products(group) + answer * 2 * half) / group + multiply - product
    power = _least(lambda: gmpy2.powmod(value, modulus, square), 1)
    proof = PROOF * power / GROUP + 2 * products(GROUP) / GROUP * product
    unit = _least(lambda: gmpy2.gcd(wide, modulus), 20)
    shared = {"partial": PARTIAL * power + proof + unit, "combine": proof + unit}
    others = {"check": check, "multiply": multiply, "decrypt": 2 * half, "prove": PROVEN * 2 * half}
    if randomness == "full":
        return Costs(prepare=0.0, encrypt=power, **others, **shared)
    bits = exponent_bits(n, randomness)
    window = window_width(bits, count)
    windows = -(-bits // window)
    # The base, and for each entry of the table about what a step takes.
    return Costs(prepare=power + (windows << window) * step, encrypt=windows * step, **others, **shared)


def proof_costs(p: int, q: int, count: int) -> ProofCosts:
    """Measure what the proofs of one group take beside the work that they are about.

    Args:
        p: One prime of a private key.
        q: The other.
        count: How many ciphertexts the group has.

    Returns:
        The ratios, on one core.
    """
    n, bound, number = p * q, bytes(SEED_SIZE), bytes(NUMBER_SIZE)
    size = plaintext_size(n)
    plaintexts = b"".join([secrets.randbelow(n).to_bytes(size, "big") for _ in range(count)])
    made = Encryptor(n, "short", count, bound)
    encrypting = _seconds(lambda: made(number + plaintexts), REPEATS)
    group = made(number + plaintexts)
    blocks = group[: count * ciphertext_size(n)]
    openings = [mpz(secrets.randbits(exponent_bits(n, "short"))) for _ in range(count)]
    knowledge = Knowledge(n, "short")
    proving = _seconds(lambda: knowledge.prove(bound, number, blocks, openings), REPEATS)
    checker = KnowledgeChecker(n, "short")
    checking = _seconds(lambda: checker(bound + number + group), REPEATS)
    opener = Opener(p, q)
    opening = _seconds(lambda: opener(OPEN + blocks), 1)
    products = opener(COMBINE + bound + number + blocks)
    opening_proving = _seconds(lambda: opener(COMBINE + bound + number + blocks), REPEATS)
    opening_proving += _seconds(lambda: opener(PROVE + bound + products), REPEATS)
    proof = opener(PROVE + bound + products)
    combiner, task = OpeningCombiner(n), bound + number + blocks + plaintexts
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
