"""A common random part: places that everybody draws from the plan, anew in each round.

J. Konecny et al., "Federated learning: strategies for improving communication
efficiency" (2016), section 2, with one mask for all, as sums need it. Places are
drawn without replacement by sorting random integers, within blocks, so that
memory does not grow with the model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self

from hecli.codec.interface import Decoding, Encoding
from hecli.errors import HecliError
from hecli.formats.canonical import Map, fields
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values

LABEL = "sample"

BLOCK = 4096
"""Values of which a share is drawn."""

LEAST = 64
"""A tensor with fewer values goes whole."""


@dataclass(frozen=True)
class Sample:
    """Some of the values of each block.

    Args:
        count: How many of BLOCK values.
    """

    leaves_out: ClassVar[bool] = True
    stretch: ClassVar[Fraction] = Fraction(1)
    name: ClassVar[str] = "sample"

    count: int

    @classmethod
    def of_share(cls, share: float) -> Self:
        """Make the step that draws a share.

        Args:
            share: The share, between 0 and 1.

        Returns:
            The step.

        Raises:
            HecliError: It is no such share.
        """
        if not 0 < share < 1:
            raise HecliError(f"a sample of {share} is none", "give a share between 0 and 1")
        return cls(min(BLOCK - 1, max(1, round(share * BLOCK))))

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        return {"step": self.name, "count": self.count}

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        fields(value, file, "its codec", {"step": str, "count": int})
        return cls(value["count"])

    def describe(self) -> str:
        """Say what the step does, for people."""
        return f"a random {self.count / BLOCK:.3g} of the values"

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse to draw nothing, or all; raises HecliError."""
        del specs
        if not 1 <= self.count < BLOCK:
            raise HecliError(
                f"a sample of {self.count:,} values in {BLOCK:,} is none", "draw a share between 0 and 1"
            )

    @property
    def exact_bits(self) -> int:
        """Values only change their places."""
        return 0

    def terms(self, tensor: TensorSpec) -> int:
        """Add up nothing."""
        del tensor
        return 1

    def size(self, tensor: TensorSpec, values: int) -> int:
        """Draw from each block, and at least one from the last."""
        del tensor
        if values < LEAST:
            return values
        blocks, rest = divmod(values, BLOCK)
        return blocks * self.count + self.drawn(rest)

    def drawn(self, values: int) -> int:
        """Count what is drawn of a block.

        Args:
            values: How many values it has.

        Returns:
            The share of them, rounded up.
        """
        return -(-values * self.count // BLOCK)

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Keep the values at the places that are drawn."""
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec import drawing  # noqa: PLC0415
        from hecli.codec.pieces import regrouped  # noqa: PLC0415
        from hecli.codec.randomness import Stream  # noqa: PLC0415
        from hecli.formats.tensors.arrays import PIECE  # noqa: PLC0415

        stream = Stream(LABEL, encoding.common.seed, tensor)
        first = True
        for piece in regrouped(values, PIECE):
            # Only the first piece of a tensor can be all of a small one.
            small = first and len(piece) < LEAST
            yield piece if small else piece[drawing.places(stream, len(piece), BLOCK, self.drawn)]
            first = False

    def decode(
        self, tensor: int, values: Iterable["Values"], decoding: Decoding, size: int
    ) -> Iterator["Values"]:
        """Put values back to their places, and zeros to all others."""
        from hecli.codec import drawing  # noqa: PLC0415 - as in encode
        from hecli.codec.pieces import regrouped  # noqa: PLC0415
        from hecli.codec.randomness import Stream  # noqa: PLC0415
        from hecli.formats.tensors.arrays import PIECE  # noqa: PLC0415

        if size < LEAST:
            yield from values
            return
        stream = Stream(LABEL, decoding.common.seed, tensor)
        left = size
        for piece in regrouped(values, PIECE // BLOCK * self.count):
            length = min(left, PIECE)
            found = drawing.zeros(length)
            found[drawing.places(stream, length, BLOCK, self.drawn)] = piece
            yield found
            left -= length
