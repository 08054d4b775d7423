"""What follows from a plan: lanes, plaintexts, blocks, and how they lie in files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from hecli.arithmetic.sizes import LARGEST_GROUP
from hecli.codec import control
from hecli.codec.chain import Codec
from hecli.codec.pack import Packing
from hecli.formats.envelope import CHUNK_SIZE, Section
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.parts import CONTROL, MAIN, Masked, Part, Published, parts_of
from hecli.schemes.interface import Carrier, Scheme, Sharing

LEAST_GROUP = 64
GROUPS = 16
"""An update has about so many groups, for as many to work on, as far as a proof each is cheap."""


@dataclass(frozen=True)
class Geometry:
    """The sizes of everything in a round.

    Args:
        sizes: Lanes of each tensor.
        codec: How tensors become plaintexts.
        scheme: How the plaintexts of the main part become blocks.
        parties: The most parties.
        parts: The parts of the round, the main one last.
    """

    sizes: tuple[int, ...]
    codec: Codec
    scheme: Scheme
    parties: int
    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls,
        specs: tuple[TensorSpec, ...],
        codec: Codec,
        scheme: Scheme,
        parties: int,
        masked: Masked | None = None,
        plain: tuple[Published, ...] = (),
    ) -> Self:
        """Work out the sizes of a round.

        Args:
            specs: The tensors.
            codec: How they become plaintexts.
            scheme: How the plaintexts of the main part become blocks.
            parties: The most parties.
            masked: What travels under masks alone.
            plain: What travels in the clear.

        Returns:
            The sizes.
        """
        sizes = tuple(codec.size(at, spec) for at, spec in enumerate(specs))

        def packing(carrier: Carrier) -> Packing:
            return codec.packing(parties, carrier.room, carrier.plaintext_size)

        parts = parts_of(list(zip(specs, sizes, strict=True)), packing, scheme, masked, plain)
        return cls(sizes, codec, scheme, parties, parts)

    @property
    def main(self) -> Part:
        """The part under the plan's scheme."""
        return self.parts[-1]

    @property
    def others(self) -> tuple[Part, ...]:
        """The other parts, in the order of their sections."""
        return self.parts[:-1]

    @property
    def packing(self) -> Packing:
        """How the main part's lanes lie in plaintexts."""
        return self.main.packing

    @property
    def values(self) -> int:
        """Lanes of all tensors together."""
        return sum(self.sizes)

    @property
    def lane_blocks(self) -> int:
        """Blocks of an update that hold lanes of the main part."""
        return self.main.blocks

    @property
    def blocks(self) -> int:
        """Blocks of the main part: those that hold lanes, and the control block, which is the last."""
        return self.lane_blocks + 1

    @property
    def all_blocks(self) -> int:
        """Blocks of an update in all its parts."""
        return sum(self.blocks_of(part) for part in self.parts)

    def blocks_of(self, part: Part) -> int:
        """Count the blocks of a part, with the control block where it is the main one.

        Args:
            part: The part.

        Returns:
            How many there are.
        """
        return part.blocks + (part is self.main)

    def batches(self, part: Part, sources: int = 1) -> int:
        """Count the batches of a part that are worth a worker each: the control block's own is none.

        Args:
            part: The part.
            sources: How many files are read side by side.

        Returns:
            How many there are.
        """
        return -(-self.blocks_of(part) // part.batch(sources))

    @property
    def bytes(self) -> int:
        """Bytes of all blocks of an update together."""
        return sum(self.blocks_of(part) * part.carrier.block_size for part in self.parts)

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
        """Blocks of the main part that are encrypted together, and proven together where there are proofs."""
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
        """The sections of an aggregate, the control block's behind all parts; no group crosses a chunk."""
        size, chunk = self.scheme.block_size, self._most_in_chunk
        lanes = Section(MAIN, size, self.lane_blocks, chunk - chunk % self.group)
        return *(part.section for part in self.others), lanes, Section.of(CONTROL, size, 1)

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
