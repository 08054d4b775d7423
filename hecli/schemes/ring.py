"""Numbers modulo 2^8192 - 1: the blocks of schemes without a key, which anybody adds."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from hecli.arithmetic.sizes import InvalidCiphertextError, plaintext_size
from hecli.executors.interface import SERIAL, Executor, Run

RING = (1 << 8192) - 1
"""The modulus: as odd as a key's, and known to everybody."""

ABOVE = "is not below the modulus"


class Adder:
    """Add batches of several sources modulo n, position by position.

    Args:
        n: The modulus.
        sources: How many batches a call gives.
    """

    def __init__(self, n: int, sources: int) -> None:
        self._n = n
        self._size = plaintext_size(n)
        self._sources = sources

    def __call__(self, batches: bytes) -> bytes:
        """Add modulo n.

        Args:
            batches: Equally long batches, one source after the other.

        Returns:
            A batch of the sums.

        Raises:
            InvalidCiphertextError: A number is not below n.
        """
        size, length = self._size, len(batches) // self._sources
        sums = [0] * (length // size)
        for source in range(self._sources):
            for index in range(len(sums)):
                at = source * length + index * size
                value = int.from_bytes(batches[at : at + size], "big")
                if value >= self._n:
                    raise InvalidCiphertextError(source, index, ABOVE)
                sums[index] += value
        return b"".join([(total % self._n).to_bytes(size, "big") for total in sums])


class InRing:
    """What schemes have in common whose blocks are plaintexts modulo RING."""

    room: ClassVar[int] = RING.bit_length() - 1
    plaintext_size: ClassVar[int] = plaintext_size(RING)
    block_size: ClassVar[int] = plaintext_size

    @contextmanager
    def adding(self, sources: int, batches: int, work: Executor) -> Iterator[Run]:
        """Get ready to add updates."""
        # Here: handing them to other processes takes longer than adding them.
        del work
        with SERIAL(Adder(RING, sources), batches) as run:
            yield run


def below_modulus(batches: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on blocks of a sum, which are its plaintexts.

    Args:
        batches: The blocks.

    Yields:
        The same.

    Raises:
        InvalidCiphertextError: One is not below the modulus.
    """
    size = InRing.block_size
    for batch in batches:
        for index, at in enumerate(range(0, len(batch), size)):
            if int.from_bytes(batch[at : at + size], "big") >= RING:
                raise InvalidCiphertextError(0, index, ABOVE)
        yield batch
