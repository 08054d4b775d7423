"""Signed fixed point in offset binary: real values to lanes, and lane sums to means.

A value x becomes q = round(x / step), clipped to [-qmax, qmax], and the lane
q + qmax, from 0 to 2*qmax. A sum of k lanes is therefore at most 2*qmax*k, and
(sum - k*qmax) * step is the sum of the values. Where the bits are few, values of
some tensors, such as metrics, take several lanes each, as digits to the base
2*qmax + 1. Where parties add noise, values are clipped to leave room for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from hecli.codec.interface import Decoding, Encoding
from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.canonical import Map, Types, fields
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
        digits: How many lanes a value takes, one for each tensor; empty where all take one.
        tail: How much room there is for noise that is added behind this step; 0 where there is none.
    """

    name: ClassVar[str] = "quantise"

    bits: int
    rounding: str
    steps: tuple[float, ...]
    digits: tuple[int, ...] = ()
    tail: int = 0

    @property
    def qmax(self) -> int:
        """The largest quantised value in one lane, 2^(bits-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    def largest(self, tensor: int) -> int:
        """Give the largest quantised value of a tensor.

        Args:
            tensor: The number of the tensor.

        Returns:
            It: ((2*qmax + 1)^digits - 1) / 2.
        """
        base: int = 2 * self.qmax + 1
        return int(base ** self._digits(tensor) - 1) // 2

    def bound(self, tensor: int) -> int:
        """Give the largest quantised value of a tensor that is not clipped: the largest without noise.

        Args:
            tensor: The number of the tensor.

        Returns:
            It.
        """
        return self.largest(tensor) - self.tail

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        value: Map = {
            "step": self.name,
            "bits": self.bits,
            "rounding": self.rounding,
            "steps": list(self.steps),
        }
        # What a round does without does not stand in its plan.
        if self.digits:
            value["digits"] = list(self.digits)
        if self.tail:
            value["tail"] = self.tail
        return value

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        types: Types = {"step": str, "bits": int, "rounding": str, "steps": list}
        fields(value, file, "its codec", types, {"digits": list, "tail": int})
        if not all(type(step) is float for step in value["steps"]):
            raise FormatError(f"{file}: the list of steps in its codec is malformed")
        digits = value.get("digits", [])
        if "digits" in value and not (all(type(each) is int for each in digits) and set(digits) - {1}):
            raise FormatError(f"{file}: the list of digits in its codec is malformed")
        if value.get("tail") == 0:
            raise FormatError(f"{file}: its codec has a tail of 0, which is left out")
        steps = tuple(value["steps"])
        return cls(value["bits"], value["rounding"], steps, tuple(digits), value.get("tail", 0))

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
        if self.digits and len(self.digits) != len(specs):
            raise HecliError(f"its codec has {len(self.digits):,} digits for {len(specs):,} tensors")
        for at, digits in enumerate(self.digits):
            if not 1 <= digits <= MAX_BITS or (digits > 1 and self.largest(at) >= 1 << (MAX_BITS - 1)):
                raise HecliError(f"tensor {specs[at].name} has the impossible number of {digits:,} digits")
        if self.tail and (not 0 < self.tail < self.qmax or self.digits or self.rounding != "nearest"):
            raise HecliError(
                f"noise of up to {self.tail:,} steps cannot be added to values of {self.bits} bits",
                "use more bits, and nearest rounding",
            )

    def lanes(self, tensor: int, values: int) -> int:
        """Count the lanes of a tensor.

        Args:
            tensor: The number of the tensor.
            values: How many values the steps before make of it.

        Returns:
            How many lanes.
        """
        return values * self._digits(tensor)

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Round values to lanes (uint64, from 0 to 2*qmax), and count those that are out of range.

        Nearest rounding is off by half a step at most. Stochastic rounding
        goes up or down at random so that the mean is exact, and is off by less
        than one step; the randomness is the operating system's.
        """
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec.fixed_point import to_digits, to_lanes  # noqa: PLC0415

        step, bound, zero = self.steps[tensor], self.bound(tensor), self.largest(tensor)
        stochastic = self.rounding == "stochastic"
        for piece in values:
            lanes, outside = to_lanes(piece, encoding.fraction, step, bound, zero, stochastic=stochastic)
            if outside is not None:
                if encoding.strict:
                    raise DataError(
                        f"{encoding.name}: tensor {encoding.common.specs[tensor].name} "
                        f"holds {piece[outside][0]}, "
                        f"out of its range of ±{bound * step:.6g}",
                        "make a plan with a larger --range, or leave out --strict to clip it",
                    )
                encoding.clipped[tensor] += int(outside.sum())
            yield to_digits(lanes, 2 * self.qmax + 1, self._digits(tensor))

    def decode(self, tensor: int, values: Iterable["Values"], decoding: Decoding) -> Iterator["Values"]:
        """Turn lane sums into sums of quantised values: whole numbers, as float64."""
        from hecli.codec.fixed_point import of_digits  # noqa: PLC0415 - as in encode
        from hecli.codec.pieces import regrouped  # noqa: PLC0415
        from hecli.formats.tensors.arrays import PIECE  # noqa: PLC0415

        digits = self._digits(tensor)
        offset = decoding.contributors * self.largest(tensor)
        pieces = values if digits == 1 else regrouped(values, PIECE * digits)
        return (of_digits(sums, 2 * self.qmax + 1, digits, offset) for sums in pieces)

    def scale(self, tensor: int, decoding: Decoding) -> float:
        """Say what 1 in a sum of quantised values is worth in the mean.

        Args:
            tensor: The number of the tensor.
            decoding: What is told of the sum.

        Returns:
            The factor.
        """
        return self.steps[tensor] * decoding.factor

    def _digits(self, tensor: int) -> int:
        return self.digits[tensor] if self.digits else 1

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
        largest = self.bound(tensor) * self.steps[tensor] * factor
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
