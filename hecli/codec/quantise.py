"""Signed fixed point in offset binary: real values to lanes, and lane sums to means.

A value x becomes q = round(x / step), clipped to [-qmax, qmax], and the lane
q + qmax, from 0 to 2*qmax. A sum of k lanes is therefore at most 2*qmax*k, and
(sum - k*qmax) * step is the sum of the values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from hecli.codec.interface import Decoding, Encoding
from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.canonical import Map, fields
from hecli.formats.tensors.specs import HALF_ULPS, SMALLEST, TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values

ROUNDINGS = ("nearest", "stochastic")
MAX_BITS = 32
LEAST_STEP, STEP_LIMIT = 2.0**-512, 2.0**512

Number = TypeVar("Number", float, Fraction)


@dataclass(frozen=True)
class Quantise:
    """The step from real values to lanes.

    Args:
        bits: The bits of a quantised value, sign included.
        rounding: One of ROUNDINGS.
        steps: The distance between neighbouring values, one for each tensor.
    """

    name: ClassVar[str] = "quantise"
    takes: ClassVar[str] = "values"
    gives: ClassVar[str] = "lanes"

    bits: int
    rounding: str
    steps: tuple[float, ...]

    @property
    def qmax(self) -> int:
        """The largest quantised value, 2^(bits-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        return {
            "step": self.name,
            "bits": self.bits,
            "rounding": self.rounding,
            "steps": list(self.steps),
        }

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        fields(value, file, "its codec", {"step": str, "bits": int, "rounding": str, "steps": list})
        if not all(type(step) is float for step in value["steps"]):
            raise FormatError(f"{file}: the list of steps in its codec is malformed")
        return cls(value["bits"], value["rounding"], tuple(value["steps"]))

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse numbers of bits, roundings and steps that cannot be; raises HecliError."""
        if not 2 <= self.bits <= MAX_BITS:
            raise HecliError(f"bits must be from 2 to {MAX_BITS}, not {self.bits:,}")
        if self.rounding not in ROUNDINGS:
            raise HecliError(f"{self.rounding[:64]!r} is none of {', '.join(ROUNDINGS)}")
        if len(self.steps) != len(specs):
            raise HecliError(f"its codec has {len(self.steps):,} steps for {len(specs):,} tensors")
        for spec, step in zip(specs, self.steps, strict=True):
            if not LEAST_STEP <= step < STEP_LIMIT:
                raise HecliError(f"tensor {spec.name} has the impossible step {step!r}")

    def size(self, tensor: TensorSpec, values: int) -> int:
        """Make a lane of each value."""
        del tensor
        return values

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Round values to lanes (uint64, from 0 to 2*qmax), and count those that are out of range.

        Nearest rounding is off by half a step at most. Stochastic rounding
        goes up or down at random so that the mean is exact, and is off by less
        than one step; the randomness is the operating system's.
        """
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec.fixed_point import to_lanes  # noqa: PLC0415

        step, stochastic = self.steps[tensor], self.rounding == "stochastic"
        for piece in values:
            lanes, outside = to_lanes(piece, encoding.fraction, step, self.qmax, stochastic=stochastic)
            if outside is not None:
                if encoding.strict:
                    raise DataError(
                        f"{encoding.name}: tensor {encoding.specs[tensor].name} holds {piece[outside][0]}, "
                        f"out of its range of ±{self.qmax * step:.6g}",
                        "make a plan with a larger --range, or leave out --strict to clip it",
                    )
                encoding.clipped[tensor] += int(outside.sum())
            yield lanes

    def decode(self, tensor: int, values: Iterable["Values"], decoding: Decoding) -> Iterator["Values"]:
        """Turn lane sums into means (float64)."""
        from hecli.codec.fixed_point import to_means  # noqa: PLC0415 - as in encode

        # In this order: the specification fixes every rounding.
        scale = self.steps[tensor] * decoding.factor
        return (to_means(sums, decoding.contributors * self.qmax, scale) for sums in values)

    def error_bound(self, tensor: int, spec: TensorSpec, factor: float) -> float:
        """Give the most that a mean can differ from the true mean where nothing is clipped.

        That is half a step (nearest) or one step (stochastic), times the
        largest weight over the mean weight, which in the worst case is 1. The
        small factor covers the float64 arithmetic around the rounding. To it
        comes what rounding the mean to the tensor's own dtype can change: half
        an ulp at the end of the range, and of float16's smallest numbers, or
        half of 1 for integers.

        Args:
            tensor: The number of the tensor.
            spec: The tensor.
            factor: The largest weight over the mean weight.

        Returns:
            The bound, in the unit of the values.
        """
        steps = 0.5 if self.rounding == "nearest" else 1.0
        bound = steps * (1 + 2.0**-16) * self.steps[tensor] * factor
        largest = self.qmax * self.steps[tensor] * factor
        return bound + HALF_ULPS.get(spec.dtype, 0.0) * largest + SMALLEST.get(spec.dtype, 0.0)


def step_of(value_range: Number, bits: int) -> Number:
    """Choose the step with which a range just fits.

    Args:
        value_range: The largest size of a value.
        bits: The bits of a quantised value, sign included.

    Returns:
        The step, exact where the range is a fraction.
    """
    return value_range / max(1, (1 << (max(bits, 1) - 1)) - 1)
