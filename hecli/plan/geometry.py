"""What follows from a plan: lanes, plaintexts, blocks, and how they lie in files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hecli.codec import control
from hecli.codec.chain import Codec
from hecli.codec.pack import Packing
from hecli.formats.envelope import Section
from hecli.formats.tensors.specs import TensorSpec
from hecli.schemes.interface import Scheme, Sharing

BATCH = 64
"""Most blocks in a task for a worker: few enough to share out evenly, and to show progress."""

BATCH_BYTES = 4 << 20
"""Most bytes of blocks in a task, so that memory does not grow with the parties or the scheme."""


@dataclass(frozen=True)
class Geometry:
    """The sizes of everything in a round.

    Args:
        specs: The tensors.
        codec: How they become plaintexts.
        scheme: How plaintexts become blocks.
        parties: The most parties.
    """

    specs: tuple[TensorSpec, ...]
    codec: Codec
    scheme: Scheme
    parties: int

    @cached_property
    def packing(self) -> Packing:
        """How lanes lie in plaintexts."""
        return self.codec.packing(self.parties, self.scheme.room, self.scheme.plaintext_size)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Lanes of each tensor."""
        return tuple(self.codec.size(spec) for spec in self.specs)

    @property
    def values(self) -> int:
        """Lanes of all tensors together."""
        return sum(self.sizes)

    @property
    def lane_blocks(self) -> int:
        """Blocks of an update that hold lanes."""
        return -(-self.values // self.packing.values)

    @property
    def blocks(self) -> int:
        """Blocks of an update: those that hold lanes, and the control block, which is the last."""
        return self.lane_blocks + 1

    def batch(self, sources: int = 1) -> int:
        """Choose how many blocks of each source are worked on at once.

        Args:
            sources: How many files are read side by side.

        Returns:
            The number of blocks.
        """
        return max(1, min(BATCH, BATCH_BYTES // (sources * self.scheme.block_size)))

    def batches(self, sources: int = 1) -> int:
        """Count the batches that are worth a worker each: the control block's own is none.

        Args:
            sources: How many files are read side by side.

        Returns:
            How many there are.
        """
        return -(-self.blocks // self.batch(sources))

    @property
    def bytes(self) -> int:
        """Bytes of all blocks of an update together."""
        return self.blocks * self.scheme.block_size

    @property
    def lane_size(self) -> int:
        """Bytes of a lane in an encoded file: the least power of two that holds it."""
        return _word(self.codec.largest.bit_length())

    @property
    def sum_size(self) -> int:
        """Bytes of a lane sum in a sum file: the least power of two that holds it."""
        return _word(self.packing.width)

    @property
    def encoded(self) -> tuple[Section, ...]:
        """The sections of an encoded file."""
        lanes = Section.of("lanes", self.lane_size, self.values)
        return lanes, Section.of("control", control.SIZE, 1)

    @property
    def update(self) -> tuple[Section, ...]:
        """The sections of an update, and of an aggregate."""
        size = self.scheme.block_size
        return Section.of("lanes", size, self.lane_blocks), Section.of("control", size, 1)

    @property
    def sum(self) -> tuple[Section, ...]:
        """The section of a sum."""
        return (Section.of("lanes", self.sum_size, self.values),)

    def partial(self, sharing: Sharing) -> tuple[Section, ...]:
        """Lay out a partial.

        Args:
            sharing: How the key in shares opens.

        Returns:
            Its sections: the blocks of each group, with their proof behind them.
        """
        size = self.scheme.block_size
        proofs = sharing.proof_records
        lanes = self.lane_blocks + proofs * -(-self.lane_blocks // sharing.group)
        return Section.of("lanes", size, lanes), Section.of("control", size, 1 + proofs)

    def groups(self, sharing: Sharing) -> Iterator[tuple[str, int]]:
        """Walk through the groups that have a proof each.

        Args:
            sharing: How the key in shares opens.

        Yields:
            The section and the number of blocks of each group.
        """
        left = self.lane_blocks
        while left:
            count = min(left, sharing.group)
            yield "lanes", count
            left -= count
        yield "control", 1


def _word(bits: int) -> int:
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
