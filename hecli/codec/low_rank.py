"""Matrices as one of two factors, of a rank agreed beforehand.

T. Vogels, S. P. Karimireddy and M. Jaggi, "PowerSGD" (NeurIPS 2019), algorithm
1, with one factor a round, as in S. Li and T. Hoefler, "ACP-SGD" (2023): a matrix
M goes as M Q, and in the next round as M' P, where P is a basis of what the sum
of the first showed. With a basis that all have, that is linear.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self

from hecli.codec.interface import Decoding, Encoding
from hecli.errors import HecliError, MismatchError, RefusedError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values
    from hecli.codec.basis import Basis

RIGHT, LEFT = "right", "left"
SIDES = (RIGHT, LEFT)
"""Whether matrices go as M Q, Q being on the right, or as M' P."""

MAX_RANK = 256

SAVING = 8
"""A matrix goes as factors where both together are so many times smaller than it is.

Small ones, such as the last layer of a classifier, matter more than what they take.
"""

LONGEST = 1 << 20
"""A matrix with more rows or columns goes whole: longer sums would not be exact."""


@dataclass(frozen=True)
class LowRank:
    """One factor of each matrix.

    Args:
        rank: How many columns a factor has.
        side: One of SIDES.
        basis: The digest of the file that has the bases.
    """

    leaves_out: ClassVar[bool] = True
    stretch: ClassVar[Fraction] = Fraction(129, 128)
    name: ClassVar[str] = "low rank"

    rank: int
    side: str
    basis: bytes

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        return {"step": self.name, "rank": self.rank, "side": self.side, "basis": self.basis}

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        fields(value, file, "its codec", {"step": str, "rank": int, "side": str, "basis": bytes})
        return cls(value["rank"], value["side"], value["basis"])

    def describe(self) -> str:
        """Say what the step does, for people."""
        return f"matrices as a factor of rank {self.rank}"

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse ranks and sides that cannot be, and a round without a matrix; raises HecliError."""
        if not 1 <= self.rank <= MAX_RANK:
            raise HecliError(f"the rank must be from 1 to {MAX_RANK}, not {self.rank:,}")
        if self.side not in SIDES or len(self.basis) != DIGEST_SIZE:
            raise HecliError("the basis of its codec is malformed")
        if not any(factored(spec, self.rank) for spec in specs):
            raise HecliError(
                f"no tensor is a matrix large enough for rank {self.rank}", "use a lower --rank, or none"
            )

    def check_basis(self, basis: "Basis | None", specs: tuple[TensorSpec, ...]) -> None:
        """Refuse bases that are not those of the round.

        Args:
            basis: The bases.
            specs: The plan's tensors.

        Raises:
            MismatchError: They are others, or do not fit the tensors.
            RefusedError: There are none.
        """
        if basis is None:
            raise RefusedError(
                "the plan is of low rank, and its basis is not here",
                "pass --basis, the .basis file that was made with the plan",
            )
        if basis.digest != self.basis:
            raise MismatchError(
                f"the basis (digest {basis.digest.hex()[:16]}) is not the plan's ({self.basis.hex()[:16]})",
                "pass the .basis file that was made with this plan",
            )
        wanted = {spec.name: self._length(spec) for spec in specs if factored(spec, self.rank)}
        found = {name: each.numbers.shape for name, each in basis.columns.items()}
        if found != {name: (length, self.rank) for name, length in wanted.items()}:
            raise MismatchError(
                "the plan and its basis do not fit together", "whoever made them has to make both anew"
            )
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec.basis import within  # noqa: PLC0415

        for name, each in basis.columns.items():
            if not within(each, self.stretch):
                raise MismatchError(
                    f"the basis of tensor {name} is none: its columns are not orthonormal",
                    "whoever made it has to make it anew; with this one updates would come out longer",
                )

    def _length(self, spec: TensorSpec) -> int:
        """The rows of a matrix's basis."""
        rows, columns = shape_of(spec)
        return columns if self.side == RIGHT else rows

    @property
    def exact_bits(self) -> int:
        """Products with numbers of 15 bits, of which `rank` are added."""
        return 15 + self.rank.bit_length()

    def terms(self, tensor: TensorSpec) -> int:
        """Add up a row or a column."""
        return max(shape_of(tensor)) if factored(tensor, self.rank) else 1

    def size(self, tensor: TensorSpec, values: int) -> int:
        """Make a factor's values of a matrix."""
        if not factored(tensor, self.rank):
            return values
        rows, columns = shape_of(tensor)
        return self.rank * (rows if self.side == RIGHT else columns)

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Project a matrix on its basis."""
        spec = encoding.common.specs[tensor]
        basis = encoding.common.columns.get(spec.name)
        if basis is None:
            return iter(values)
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec import projection  # noqa: PLC0415

        project = projection.rows_onto if self.side == RIGHT else projection.columns_onto
        return project(values, shape_of(spec)[1], basis)

    def decode(
        self, tensor: int, values: Iterable["Values"], decoding: Decoding, size: int
    ) -> Iterator["Values"]:
        """Make a matrix of the factor and the basis."""
        del size
        spec = decoding.common.specs[tensor]
        basis = decoding.common.columns.get(spec.name)
        if basis is None:
            return iter(values)
        from hecli.codec import projection  # noqa: PLC0415 - as in encode

        unproject = projection.from_rows if self.side == RIGHT else projection.from_columns
        return unproject(values, shape_of(spec)[1], basis)


def shape_of(spec: TensorSpec) -> tuple[int, int]:
    """Take a tensor for a matrix: the first axis by all others, such as output by the rest of a convolution.

    Args:
        spec: A tensor of two axes or more.

    Returns:
        Rows and columns.
    """
    rows = spec.shape[0]
    return rows, spec.size // rows


def factored(spec: TensorSpec, rank: int) -> bool:
    """Tell whether a tensor goes as a factor: both factors together must be much smaller than it is.

    Args:
        spec: The tensor.
        rank: The rank.

    Returns:
        Whether it does.
    """
    if len(spec.shape) < 2 or spec.size == 0:
        return False
    rows, columns = shape_of(spec)
    return SAVING * rank * (rows + columns) < spec.size and max(rows, columns) <= LONGEST
