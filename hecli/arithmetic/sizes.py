"""How wide the numbers under a key are, and which sizes a key may have."""

from hecli.errors import HecliError

MIN_BITS = 2048
MAX_BITS = 16384
SHORT_EXPONENT_BITS = {2048: 448, 3072: 512, 7680: 768, 15360: 1024}
"""Bits of a short exponent for a modulus of up to so many bits: four times the
security level, the sizes of Ma, Han and Wang, "Optimized Paillier's Cryptosystem
with Fast Encryption and Decryption" (ACSAC 2021)."""


CHALLENGE_BITS = 128
"""Bits of a proof's challenge: whoever cheats passes with a chance of one in 2^128."""

STATISTICAL_BITS = 128
"""Bits by which a random number exceeds what it hides."""


OPEN, COMBINE, PROVE = b"\0", b"\1", b"\2"
"""What an opener is asked to do."""

SUM_REPETITIONS, SUM_CHALLENGE_BITS = 7, 20
"""How many products and answers a sum's proof has, and the bits of a challenge: less than any factor has."""

SEED_SIZE = 32
"""Bytes of what a proof is bound to."""

NUMBER_SIZE = 4
"""Bytes of a group's number."""

LARGEST_GROUP = 1024
"""Most ciphertexts that have one proof of plaintext knowledge together."""


class InvalidCiphertextError(HecliError):
    """A number that no encryption can have produced.

    Args:
        source: Which batch of those given together holds it, from 0.
        index: Its place in that batch, from 0.
        reason: What is wrong with it, as the rest of a sentence.
    """

    def __init__(self, source: int, index: int, reason: str) -> None:
        super().__init__(f"ciphertext {index} {reason}", "the file is corrupt or forged")
        self.source = source
        self.index = index
        self.reason = reason


class InvalidModulusError(HecliError):
    """A public key that has no allowed size or is visibly not the product of two large primes."""


def ciphertext_size(n: int) -> int:
    """Count the bytes of one ciphertext.

    Args:
        n: The modulus.

    Returns:
        The width of n^2 in bytes.
    """
    return -(-2 * n.bit_length() // 8)


def plaintext_size(n: int) -> int:
    """Count the bytes of one plaintext.

    Args:
        n: The modulus.

    Returns:
        The width of n in bytes.
    """
    return -(-n.bit_length() // 8)


def exponent_bits(n: int, randomness: str) -> int:
    """Count the bits of the random exponent.

    Args:
        n: The modulus.
        randomness: `short` for four security levels, `half` for half the bits of n.

    Returns:
        The bits of the exponent.
    """
    if randomness == "half":
        return n.bit_length() // 2
    for bits, exponent in SHORT_EXPONENT_BITS.items():
        if n.bit_length() <= bits:
            return exponent
    return n.bit_length() // 12


def response_bits(n: int, randomness: str) -> int:
    """Count the bits of a proof's answer, which hides the exponents of a whole group.

    Exponents of signed digits are a few bits longer than their nominal length.

    Args:
        n: The modulus.
        randomness: `short` or `half`.

    Returns:
        The bits.
    """
    slack = 16
    combined = exponent_bits(n, randomness) + slack + CHALLENGE_BITS + (LARGEST_GROUP - 1).bit_length()
    return combined + STATISTICAL_BITS


def knowledge_size(n: int, randomness: str) -> int:
    """Count the bytes of a proof that the maker of a group of ciphertexts knows what is in them.

    Args:
        n: The modulus.
        randomness: The random exponent: `short`, `half`, or `full` for that of the textbook.

    Returns:
        The bytes of the commitment and the answer.
    """
    if randomness == "full":
        return 2 * plaintext_size(n)
    return plaintext_size(n) + -(-response_bits(n, randomness) // 8)


def sum_proof_size(n: int) -> int:
    """Count the bytes of a proof that ciphertexts hold what was said of them.

    Args:
        n: The modulus.

    Returns:
        The bytes of the seed of its challenges, the answers and the roots.
    """
    return SEED_SIZE + 2 * SUM_REPETITIONS * plaintext_size(n)


def check_modulus_size(n: int) -> None:
    """Refuse a modulus that is even, too short or too long.

    Args:
        n: The modulus.

    Raises:
        InvalidModulusError: It is even, or under 2048 or above 16,384 bits.
    """
    bits = n.bit_length()
    if bits < MIN_BITS:
        raise InvalidModulusError(
            f"a key of {bits} bits is too short", f"the least is {MIN_BITS}, the default 3072"
        )
    if bits > MAX_BITS:
        raise InvalidModulusError(
            f"a key of {bits} bits is too long", f"the most is {MAX_BITS}, the default 3072"
        )
    if n % 2 == 0:
        raise InvalidModulusError("the key's modulus is even")


def check_bits(bits: int) -> None:
    """Refuse a size that no new key has.

    Args:
        bits: The bits of the modulus of a key that is to be made.

    Raises:
        HecliError: It is odd, or under 2048 or above 16,384.
    """
    if bits < MIN_BITS:
        raise HecliError(f"a key of {bits} bits is too short", f"the least is {MIN_BITS}, the default 3072")
    if bits > MAX_BITS or bits % 2:
        raise HecliError(f"a key of {bits} bits cannot be made", f"use an even number up to {MAX_BITS}")
