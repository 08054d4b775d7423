"""Pairwise masks: what hides one party's update and cancels in the sum of all.

K. Bonawitz et al., "Practical secure aggregation for privacy-preserving
machine learning" (CCS 2017), section 4.0.1: every two parties agree on a
pseudo-random sequence, which one adds and the other subtracts. Here a mask is
a residue modulo n, as wide as the plaintext it hides.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hecli.arithmetic.sizes import plaintext_size

SLACK = 16
"""Bytes by which a random number is longer than the modulus, so that its residue is uniform."""

_CIPHER_BLOCK = 16


class Pair(NamedTuple):
    """What a party shares with one other, or has alone.

    Args:
        key: 32 bytes, used for one round only.
        subtract: Whether its sequence is subtracted, not added.
    """

    key: bytes
    subtract: bool


class Masks:
    """Add the masks of all pairs to plaintexts.

    Args:
        n: The modulus.
        pairs: The pairs.
    """

    def __init__(self, n: int, pairs: Sequence[Pair]) -> None:
        self._n = n
        self._size = plaintext_size(n)
        self._pairs = pairs

    def __call__(self, batches: Iterable[bytes], first: int = 0) -> Iterator[bytes]:
        """Add masks to batches of plaintexts m: (m + sum of masks) mod n.

        Args:
            batches: The plaintexts.
            first: The number of the first in its update.

        Yields:
            The masked plaintexts, batch by batch.
        """
        size, wide = self._size, self._size + SLACK
        streams = [(_keystream(pair.key, first * wide), pair.subtract) for pair in self._pairs]
        for batch in batches:
            totals = [int.from_bytes(batch[at : at + size], "big") for at in range(0, len(batch), size)]
            zeros = bytes(wide * len(totals))
            for stream, subtract in streams:
                random = stream.update(zeros)
                for at in range(len(totals)):
                    mask = int.from_bytes(random[at * wide : at * wide + wide], "big")
                    totals[at] += -mask if subtract else mask
            yield b"".join([(total % self._n).to_bytes(size, "big") for total in totals])


def _keystream(key: bytes, at: int) -> Any:
    """AES-256 in counter mode from zero, where `at` bytes are behind: the key is used once."""
    # Imported here because it takes longer to import than most commands take to run.
    from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.modes import CTR  # noqa: PLC0415

    blocks, rest = divmod(at, _CIPHER_BLOCK)
    stream = Cipher(AES256(key), CTR(blocks.to_bytes(_CIPHER_BLOCK, "big"))).encryptor()
    stream.update(bytes(rest))
    return stream
