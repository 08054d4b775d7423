"""What a step of the codec is."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

from hecli.formats.canonical import Map
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    # Only to name types: whoever looks at a plan, or adds ciphertexts, needs no arrays.
    from hecli.codec.arrays import Values


@dataclass
class Encoding:
    """What the steps are told of one party's encoding, and what they tell.

    Args:
        name: The party's file, for errors.
        specs: The plan's tensors.
        fraction: The party's weight over the largest.
        strict: Whether a value out of range is refused.
        clipped: How many values were out of range, by the number of the tensor.
    """

    name: str
    specs: tuple[TensorSpec, ...]
    fraction: float
    strict: bool
    clipped: Counter[int] = field(default_factory=Counter)


class Decoding(NamedTuple):
    """What the steps are told of a sum.

    Args:
        contributors: How many parties are in it.
        factor: The largest weight over the total weight.
    """

    contributors: int
    factor: float


class Step(Protocol):
    """One step of a plan's codec, which works tensor by tensor.

    `name` is what the plan calls it. It takes real `values` or `lanes`, and
    gives one of them: the steps of a codec fit together.
    """

    name: ClassVar[str]
    takes: ClassVar[str]
    gives: ClassVar[str]

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

    def decode(self, tensor: int, values: Iterable["Values"], decoding: Decoding) -> Iterator["Values"]:
        """Undo the step to one tensor of a sum: encoding is linear but for rounding.

        Args:
            tensor: The number of the tensor.
            values: What the inverse of the step after gives, in pieces.
            decoding: What the steps are told.

        Yields:
            What the inverse of the step before takes.
        """
        ...
