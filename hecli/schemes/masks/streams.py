"""Pairwise masks: what hides one party's update and cancels in the sum of all.

K. Bonawitz et al., "Practical secure aggregation for privacy-preserving
machine learning" (CCS 2017), section 4.0.1: every two parties agree on a
pseudo-random sequence, which one adds and the other subtracts. Here a mask is
a residue modulo n, as wide as the plaintext it hides.

Like arithmetic.py, it takes and gives batches of fixed-width big-endian bytes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hecli.arithmetic.gmp import InvalidCiphertextError, plaintext_size

RING = (1 << 8192) - 1
"""The modulus where masks are all there is: as odd as a key's, and known to everybody."""

SLACK = 16
"""Bytes by which a random number is longer than the modulus, so that its residue is uniform."""


class Pair(NamedTuple):
    """What a party shares with one other: a key of 32 bytes, used for one round only, and who subtracts."""

    key: bytes
    subtract: bool


class Masks:
    """Adds the masks of all pairs to one plaintext after the other; it goes on where it stopped."""

    def __init__(self, n: int, pairs: Sequence[Pair]) -> None:
        self._n = n
        self._size = plaintext_size(n)
        self._streams = [(_keystream(pair.key), pair.subtract) for pair in pairs]

    def __call__(self, plaintexts: bytes) -> bytes:
        """(m + sum of masks) mod n for each plaintext m."""
        size, wide = self._size, self._size + SLACK
        totals = [int.from_bytes(plaintexts[at : at + size], "big") for at in range(0, len(plaintexts), size)]
        zeros = bytes(wide * len(totals))
        for stream, subtract in self._streams:
            random = stream.update(zeros)
            for at in range(len(totals)):
                mask = int.from_bytes(random[at * wide : at * wide + wide], "big")
                totals[at] += -mask if subtract else mask
        return b"".join([(total % self._n).to_bytes(size, "big") for total in totals])


class Adder:
    """Adds batches of several sources modulo n, position by position."""

    def __init__(self, n: int, sources: int) -> None:
        self._n = n
        self._size = plaintext_size(n)
        self._sources = sources

    def __call__(self, batches: bytes) -> bytes:
        """The sums modulo n of equally long batches, one source after the other.

        Raises InvalidCiphertextError for what is not below n.
        """
        size, length = self._size, len(batches) // self._sources
        sums = [0] * (length // size)
        for source in range(self._sources):
            for index in range(len(sums)):
                at = source * length + index * size
                value = int.from_bytes(batches[at : at + size], "big")
                if value >= self._n:
                    raise InvalidCiphertextError(source, index, "is not below the modulus of masks")
                sums[index] += value
        return b"".join([(total % self._n).to_bytes(size, "big") for total in sums])


def _keystream(key: bytes) -> Any:
    """AES-256 in counter mode from zero: the key is used once."""
    # Imported here because it takes longer to import than most commands take to run.
    from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.modes import CTR  # noqa: PLC0415

    return Cipher(AES256(key), CTR(bytes(16))).encryptor()
