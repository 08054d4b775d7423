"""What a step of the codec is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

from hecli.formats.canonical import Map
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    # Only to name types: whoever looks at a plan, or adds ciphertexts, needs no arrays.
    from hecli.codec.arrays import Values
    from hecli.codec.basis import Columns


class Common(NamedTuple):
    """What all parties of a round know.

    Args:
        specs: The plan's tensors.
        seed: What random signs and places follow from: the digest of the plan.
        columns: The bases of matrices that go as factors, by the tensors' names.
    """

    specs: tuple[TensorSpec, ...]
    seed: bytes = b""
    columns: "Mapping[str, Columns]" = MappingProxyType({})


@dataclass
class Encoding:
    """What the steps are told of one party's encoding, and what they tell.

    Args:
        name: The party's file, for errors.
        common: What all parties know.
        fraction: What values are multiplied with before they are rounded: the party's weight over the
            largest, or what brings its update to the norm that it is clipped to.
        strict: Whether a value out of range is refused.
        clipped: How many values were out of range, by the number of the tensor.
    """

    name: str
    common: Common
    fraction: float
    strict: bool
    clipped: Counter[int] = field(default_factory=Counter)


class Decoding(NamedTuple):
    """What the steps are told of a sum.

    Args:
        common: What all parties know.
        contributors: How many parties are in it.
        factor: The largest weight over the total weight.
    """

    common: Common
    contributors: int
    factor: float


class Step(Protocol):
    """A step of a plan's codec before lanes are made, which works tensor by tensor.

    `name` is what the plan calls it. It is linear. Undoing it is exact, and so
    the same on every machine: it is done to whole numbers, and may make them
    longer by `exact_bits` bits. Whether it `leaves_out` a part of the values. It
    makes no vector more than `stretch` times longer, and adds up no more than
    `terms` values of a tensor to one.
    """

    name: ClassVar[str]
    leaves_out: ClassVar[bool]
    stretch: ClassVar[Fraction]

    @property
    def exact_bits(self) -> int: ...  # noqa: D102 - said above

    def terms(self, tensor: TensorSpec) -> int:
        """Say how many values are added up to one, at most.

        Args:
            tensor: The tensor.

        Returns:
            How many.
        """
        ...

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        ...

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            The step.

        Raises:
            FormatError: It is no such step.
        """
        ...

    def describe(self) -> str:
        """Say what the step does, for people."""
        ...

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse what cannot be done.

        Args:
            specs: The plan's tensors.

        Raises:
            HecliError: The step cannot be done to them.
        """
        ...

    def size(self, tensor: TensorSpec, values: int) -> int:
        """Say how many values the step makes of a tensor's.

        Args:
            tensor: The tensor.
            values: How many the step before made of it.

        Returns:
            How many it makes.
        """
        ...

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Do the step to one tensor.

        Args:
            tensor: The number of the tensor.
            values: What the step before gives, in pieces.
            encoding: What the steps are told, and tell.

        Yields:
            What the step after takes.

        Raises:
            DataError: A value cannot be encoded.
        """
        ...

    def decode(
        self, tensor: int, values: Iterable["Values"], decoding: Decoding, size: int
    ) -> Iterator["Values"]:
        """Undo the step to one tensor of a sum: what was coded comes out as it went in.

        Args:
            tensor: The number of the tensor.
            values: What the inverse of the step after gives, in pieces.
            decoding: What the steps are told.
            size: How many values the step made its own of.

        Yields:
            What the inverse of the step before takes.
        """
        ...
