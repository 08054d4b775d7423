"""Proofs, as schemes have them in updates and sums."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hecli.arithmetic.sizes import NUMBER_SIZE
from hecli.executors.interface import Executor, Run, Task


@dataclass(frozen=True)
class GroupProofs:
    """Proofs of whole groups of blocks.

    Args:
        proof_size: The bytes of a proof.
        checker: Makes what tells, of a group and its proof, in the byte 1 that it holds.
    """

    proof_size: int
    checker: Callable[[], Task]

    @contextmanager
    def checking(self, groups: int, work: Executor) -> Iterator[Run]:
        """Get ready to check.

        Args:
            groups: How many groups there are.
            work: Who works.

        Yields:
            What tells of each group, in the byte 1, that its proof holds. A group
            is what the proof is bound to (32 bytes), its number (4 bytes), its
            blocks, what else the proof is about, and the proof. It raises
            InvalidCiphertextError for a block that cannot be.
        """
        with work(self.checker(), groups) as run:
            yield run


class SumProof(Protocol):
    """How a sum proves that it is what its aggregate holds: in `proof_size` bytes."""

    @property
    def proof_size(self) -> int: ...  # noqa: D102 - said above

    def check(self, bound: bytes, groups: Iterable[bytes], proof: bytes, count: int, work: Executor) -> bool:
        """Tell whether a proof holds.

        Args:
            bound: What it must be bound to, 32 bytes.
            groups: Each group of the aggregate: what the proof is bound to, its
                number (4 bytes), its blocks, and as many plaintexts.
            proof: The proof.
            count: How many groups there are.
            work: Who works.

        Returns:
            Whether it holds.

        Raises:
            HecliError: No proof can hold, for the key is worthless.
        """
        ...


def numbered(number: int, group: bytes) -> bytes:
    """Put its number before a group.

    Args:
        number: The number, from 0.
        group: The group.

    Returns:
        Both.
    """
    return number.to_bytes(NUMBER_SIZE, "big") + group
