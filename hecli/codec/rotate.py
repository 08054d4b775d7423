"""A rotation that spreads what a tensor holds evenly over all its values.

A. T. Suresh et al., "Distributed mean estimation with limited communication"
(ICML 2017), section 3: signs at random, then a Hadamard matrix. Rotated values
are about as large as each other, so few bits do for them, and their range
follows from the norm of the tensor alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self

from hecli.codec.interface import Decoding, Encoding
from hecli.formats.canonical import Map, fields
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values
    from hecli.codec.interface import Common

LABEL = "rotate"

PEAK = 3
"""How many times as large as the root of their mean square rotated values may be.

They are about normal: 0.27 % of them are larger.
"""


@dataclass(frozen=True)
class Rotate:
    """Signs from the plan, and Hadamard matrices in blocks of up to 4,096 values."""

    leaves_out: ClassVar[bool] = False
    stretch: ClassVar[Fraction] = Fraction(1)
    name: ClassVar[str] = "rotate"

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        return {"step": self.name}

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        fields(value, file, "its codec", {"step": str})
        return cls()

    def describe(self) -> str:
        """Say what the step does, for people."""
        return "rotated"

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Nothing can be wrong with it."""

    @property
    def exact_bits(self) -> int:
        """A block of 4,096 whole numbers is added up."""
        return 12

    def terms(self, tensor: TensorSpec) -> int:
        """Add up a block's, in two goes of 64."""
        del tensor
        return 2 << 6

    def size(self, tensor: TensorSpec, values: int) -> int:
        """Make as many."""
        del tensor
        return values

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Rotate: signs first, then the matrices."""
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec import hadamard  # noqa: PLC0415

        for piece, signs in _with_signs(tensor, values, encoding.common):
            yield hadamard.turn(piece * signs)

    def decode(
        self, tensor: int, values: Iterable["Values"], decoding: Decoding, size: int
    ) -> Iterator["Values"]:
        """Rotate back: the matrices are their own inverses, and so are signs."""
        from hecli.codec import hadamard  # noqa: PLC0415 - as in encode

        del size
        for piece, signs in _with_signs(tensor, values, decoding.common):
            yield hadamard.turn(piece) * signs


def range_of(norm_squared: Fraction, values: int) -> Fraction:
    """Choose the range of rotated values, PEAK times what the root of their mean square may be.

    Args:
        norm_squared: The square of the largest norm that a party's tensor may have.
        values: How many values are rotated, 1 or more.

    Returns:
        The square of the range.
    """
    return PEAK**2 * norm_squared / values


def norm_of(range_squared: Fraction, values: int) -> Fraction:
    """Say for which norm a range was chosen.

    Args:
        range_squared: The square of the range.
        values: How many values are rotated, 1 or more.

    Returns:
        The square of the norm.
    """
    return range_squared * values / PEAK**2


def _with_signs(
    tensor: int, values: Iterable["Values"], common: "Common"
) -> Iterator[tuple["Values", "Values"]]:
    """Values in pieces of whole blocks, with their signs."""
    from hecli.codec import hadamard  # noqa: PLC0415 - as in encode
    from hecli.codec.pieces import regrouped  # noqa: PLC0415
    from hecli.codec.randomness import Stream  # noqa: PLC0415
    from hecli.formats.tensors.arrays import PIECE  # noqa: PLC0415

    stream = Stream(LABEL, common.seed, tensor)
    for piece in regrouped(values, PIECE):
        yield piece, hadamard.signs(stream, len(piece))
