"""What follows from a plan: lanes, plaintexts, blocks, and how they lie in files."""

from dataclasses import dataclass
from functools import cached_property

from hecli.arithmetic.sizes import LARGEST_GROUP
from hecli.codec import control
from hecli.codec.chain import Codec
from hecli.codec.pack import Packing
from hecli.formats.envelope import CHUNK_SIZE, Section
from hecli.formats.tensors.specs import TensorSpec
from hecli.schemes.interface import Scheme, Sharing

LEAST_GROUP = 64
GROUPS = 16
"""An update has about so many groups, for as many to work on, as far as a proof each is cheap."""

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
        return tuple(self.codec.size(at, spec) for at, spec in enumerate(self.specs))

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
        return _word((self.codec.largest * self.parties).bit_length())

    @property
    def encoded(self) -> tuple[Section, ...]:
        """The sections of an encoded file."""
        lanes = Section.of("lanes", self.lane_size, self.values)
        return lanes, Section.of("control", control.SIZE, 1)

    @cached_property
    def group(self) -> int:
        """Blocks of an update that are encrypted together, and proven together where there are proofs."""
        wanted = min(max(LEAST_GROUP, -(-self.lane_blocks // GROUPS)), LARGEST_GROUP)
        most = self._most_in_chunk
        return min(1 << (wanted - 1).bit_length(), 1 << (most.bit_length() - 1))

    @property
    def groups(self) -> int:
        """How many groups an update has: those of its lanes, and the control block's own."""
        return -(-self.lane_blocks // self.group) + 1

    @property
    def _most_in_chunk(self) -> int:
        return max(1, CHUNK_SIZE // self.scheme.block_size)

    @property
    def aggregate(self) -> tuple[Section, ...]:
        """The sections of an aggregate; no group crosses a chunk."""
        size, chunk = self.scheme.block_size, self._most_in_chunk
        lanes = Section("lanes", size, self.lane_blocks, chunk - chunk % self.group)
        return lanes, Section.of("control", size, 1)

    @property
    def update(self) -> tuple[Section, ...]:
        """The sections of an update: those of an aggregate, and the proofs where the scheme has them."""
        knowledge = self.scheme.knowledge
        if knowledge is None:
            return self.aggregate
        return *self.aggregate, Section.of("proofs", knowledge.proof_size, self.groups)

    @property
    def sum(self) -> tuple[Section, ...]:
        """The sections of a sum: its lanes, and the proof where the scheme has one."""
        lanes = Section.of("lanes", self.sum_size, self.values)
        correctness = self.scheme.correctness
        if correctness is None:
            return (lanes,)
        return lanes, Section.of("proof", correctness.proof_size, 1)

    def partial(self, sharing: Sharing) -> tuple[Section, ...]:
        """Lay out a partial.

        Args:
            sharing: How the key in shares opens.

        Returns:
            Its sections: the blocks of each group, with their proof behind them.
        """
        size = self.scheme.block_size
        proofs = sharing.proof_records
        lanes = self.lane_blocks + proofs * (self.partial_groups(sharing) - 1)
        return Section.of("lanes", size, lanes), Section.of("control", size, 1 + proofs)

    def partial_groups(self, sharing: Sharing) -> int:
        """Count the groups of a partial, which have a proof each.

        Args:
            sharing: How the key in shares opens.

        Returns:
            How many there are.
        """
        return -(-self.lane_blocks // sharing.group) + 1


def _word(bits: int) -> int:
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
