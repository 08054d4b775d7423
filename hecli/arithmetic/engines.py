# ruff: noqa: PLC0415 - a command imports only the arithmetic that it uses
"""The big-integer arithmetic that callers use: whole engines, of plain numbers and bytes.

An engine takes and gives many numbers at once, as fixed-width big-endian
bytes. It is built once and then called from as many processes or threads as
there are cores; it holds no mutable state. What is behind the engines, the
protocols in `gmp` and the kernels that `choosing` chooses, is imported when one
is made and never seen by a caller.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hecli.arithmetic.choosing import kernels, named

if TYPE_CHECKING:
    from hecli.arithmetic.gmp.measure import Costs, ProofCosts
    from hecli.arithmetic.threshold import ThresholdKey

Engine = Callable[[bytes], bytes]
"""Work on a batch. It raises InvalidCiphertextError for what it refuses to work on."""


def encryptor(n: int, randomness: str, count: int, statement: bytes) -> Engine:
    """Make what encrypts a group of plaintexts, and proves that whoever did knows them.

    The engine takes the group's number (4 bytes) and the plaintexts, each below
    n, and gives the ciphertexts and a proof of `sizes.knowledge_size` bytes.

    Args:
        n: The modulus.
        randomness: The random exponent: `short`, `half`, or `full` for that of the textbook.
        count: About how many ciphertexts each process will make.
        statement: What the proofs are bound to, besides number and ciphertexts: 32 bytes.

    Returns:
        The engine.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """
    from hecli.arithmetic.gmp.encrypt import Encryptor

    return Encryptor(kernels(), n, randomness, count, statement)


def knowledge_checker(n: int, randomness: str) -> Engine:
    """Make what checks the proofs that `encryptor` makes.

    The engine takes statement, number, ciphertexts and proof of a group, and
    gives a byte, 1 where the proof holds. It raises InvalidCiphertextError for
    what is no ciphertext.

    Args:
        n: The modulus.
        randomness: As for `encryptor`.

    Returns:
        The engine.

    Raises:
        InvalidModulusError: The modulus has a factor that anyone can find.
    """
    from hecli.arithmetic.gmp.knowledge import KnowledgeChecker

    return KnowledgeChecker(kernels(), n, randomness)


def multiplier(n: int, sources: int) -> Engine:
    """Make what multiplies: equally long batches, one source after the other, into one batch of products.

    The engine raises InvalidCiphertextError for a number that is not above 0
    and below n^2, or that has a factor in common with n.

    Args:
        n: The modulus.
        sources: How many batches a call gives.

    Returns:
        The engine.
    """
    from hecli.arithmetic.gmp.multiply import Multiplier

    return Multiplier(kernels(), n, sources)


def opener(p: int, q: int) -> Engine:
    """Make what opens: ciphertexts into as many plaintexts, and the proof that it did.

    The engine takes the byte OPEN and ciphertexts. For a proof it takes, group
    by group, the byte COMBINE, what the proof is bound to (32 bytes, over the
    plaintexts too), the group's number (4 bytes) and its ciphertexts, and gives
    SUM_REPETITIONS numbers as wide as n, of which those of all groups are
    multiplied modulo n; then the byte PROVE, what it is bound to, and the
    products, and gives the proof. It raises InvalidCiphertextError for what is
    no ciphertext.

    Args:
        p: One prime of the private key.
        q: The other.

    Returns:
        The engine.
    """
    from hecli.arithmetic.gmp.decrypt import Opener

    return Opener(kernels(), p, q)


def opening_combiner(n: int) -> Engine:
    """Make what combines groups, to check the proof that `opener` makes.

    The engine takes what the proof is bound to, the number, ciphertexts and
    plaintexts of a group, and gives SUM_REPETITIONS numbers as wide as n^2, of
    which those of all groups are multiplied modulo n^2. It raises
    InvalidCiphertextError for a number that is out of range.

    Args:
        n: The modulus.

    Returns:
        The engine.
    """
    from hecli.arithmetic.gmp.sum_proofs import OpeningCombiner

    return OpeningCombiner(kernels(), n)


def check_sum_proof(n: int, bound: bytes, products: bytes, proof: bytes) -> bool:
    """Tell whether the proof of a sum holds.

    Args:
        n: The modulus, which `check_modulus` must have passed.
        bound: What the proof is bound to.
        products: The products of what `opening_combiner` gave for all groups.
        proof: The proof.

    Returns:
        Whether it holds.
    """
    from hecli.arithmetic.gmp import sum_proofs

    return sum_proofs.check_sum_proof(n, bound, products, proof)


def partial_maker(key: "ThresholdKey", index: int, share: int, session: bytes) -> Engine:
    """Make what opens with one share: ciphertexts into as many partials, and the proof in PROOF_RECORDS more.

    The engine raises InvalidCiphertextError for what is no ciphertext.

    Args:
        key: The key that was dealt.
        index: The number of the share, from 1.
        share: The share.
        session: What the proof is bound to, besides the ciphertexts: plan and aggregate.

    Returns:
        The engine.
    """
    from hecli.arithmetic.gmp.partials import Sharer

    return Sharer(kernels(), key, index, share, session)


def combiner(key: "ThresholdKey", indices: Sequence[int], session: bytes) -> Engine:
    """Make what checks partials and opens: a batch, and behind it what each partial maker made of it.

    The engine gives a byte for each partial, 1 where its proof holds, then the
    plaintexts where enough do. It raises InvalidCiphertextError for what the
    batch holds; a partial that is not sound does not hold.

    Args:
        key: The key that was dealt.
        indices: The numbers of the shares, from 1, in the order of their partials.
        session: What the proofs are bound to, besides the ciphertexts.

    Returns:
        The engine.
    """
    from hecli.arithmetic.gmp.partials import Combiner

    return Combiner(kernels(), key, indices, session)


def check_modulus(n: int) -> None:
    """Refuse an n under which encryption is worthless; it costs some 20 ms, once.

    Args:
        n: The modulus.

    Raises:
        InvalidModulusError: It has no allowed size, or is visibly not the product of two large primes.
    """
    from hecli.arithmetic.gmp import moduli

    moduli.check_modulus(n)


def check_primes(p: int, q: int) -> None:
    """Refuse primes that do not make a working key.

    Args:
        p: One prime of the private key.
        q: The other.

    Raises:
        InvalidModulusError: They are not two different primes, or do not fit together.
    """
    from hecli.arithmetic.gmp import moduli

    moduli.check_primes(p, q)


def generate_primes(bits: int) -> tuple[int, int]:
    """Find the two primes of a fresh key.

    Args:
        bits: The bits of their product.

    Returns:
        p and q.
    """
    from hecli.arithmetic.gmp import primes

    return primes.generate_primes(bits)


def deal(
    bits: int, threshold: int, shares: int, progress: Callable[[], None] = lambda: None
) -> tuple["ThresholdKey", list[int]]:
    """Make a fresh key in shares and forget its primes.

    Args:
        bits: The bits of the modulus.
        threshold: How many shares open.
        shares: How many there are.
        progress: Called for every candidate for a prime.

    Returns:
        The key, and its shares in their order.

    Raises:
        HecliError: No key has such numbers.
    """
    from hecli.arithmetic.gmp import dealing

    return dealing.deal(bits, threshold, shares, progress)


def check_share(key: "ThresholdKey", index: int, share: int) -> bool:
    """Tell whether a share is the one that its verification key was made of.

    Args:
        key: The key that was dealt.
        index: The number of the share, from 1.
        share: The share.

    Returns:
        Whether it is.
    """
    from hecli.arithmetic.gmp import dealing

    return dealing.check_share(key, index, share)


def measure(n: int, randomness: str, count: int, group: int, native: str | None = None) -> "Costs":
    """Measure this machine quickly, to foresee what a round will take.

    Args:
        n: The modulus.
        randomness: As for `encryptor`.
        count: As for `encryptor`.
        group: How many ciphertexts have one proof of plaintext knowledge together.
        native: What computes, as HECLI_NATIVE names it; what is chosen where it is None.

    Returns:
        Seconds on one core.

    Raises:
        HecliError: This machine does not have what is named.
    """
    from hecli.arithmetic.gmp import measure

    return measure.measure(named(native) if native else kernels(), n, randomness, count, group)


def proof_costs(p: int, q: int, count: int) -> "ProofCosts":
    """Measure what the proofs of one group take beside the work that they are about.

    Args:
        p: One prime of a private key.
        q: The other.
        count: How many ciphertexts the group has.

    Returns:
        The ratios, on one core.
    """
    from hecli.arithmetic.gmp import measure

    return measure.proof_costs(kernels(), p, q, count)


def proof_cost(key: "ThresholdKey", index: int, share: int, batch: bytes) -> float:
    """Measure what the proof takes beside the partials that it is about.

    Args:
        key: The key that was dealt.
        index: The number of the share, from 1.
        share: The share.
        batch: Ciphertexts.

    Returns:
        The seconds of the proof over those of the partials.

    Raises:
        InvalidCiphertextError: A number in the batch is no ciphertext.
    """
    from hecli.arithmetic.gmp.partials import Sharer

    return Sharer(kernels(), key, index, share, b"").proof_cost(batch)
