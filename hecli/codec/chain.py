"""The codec of a plan: its steps in their order, and the registry of all steps."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from hecli.codec.interface import Decoding, Encoding, Step
from hecli.codec.low_rank import LowRank
from hecli.codec.pack import MixedRadix, Pack, Packing
from hecli.codec.quantise import Quantise
from hecli.codec.rotate import Rotate
from hecli.codec.sample import Sample
from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values

STEPS: dict[str, type[Step]] = {step.name: step for step in (LowRank, Rotate, Sample)}
"""The steps that may come before lanes are made, by name, in the order in which they come."""

PACKS = {step.name: step for step in (Pack, MixedRadix)}
"""The steps that end a codec, by name."""

FEEDBACK_BITS = 3
"""The fewest bits with which error feedback goes well."""

EXACT = 53
"""Bits of a whole number that float64 holds exactly."""

FEW = 4
"""A tensor with fewer values is no matrix of low rank, and its rotation only changes signs."""

Chosen = TypeVar("Chosen")


class Coding(NamedTuple):
    """How values are coded, but for the distances between them.

    Args:
        bits: The bits of a quantised value, sign included.
        steps: What is done to each tensor before.
    """

    bits: int
    steps: tuple[Step, ...] = ()

    @property
    def rotates(self) -> bool:
        """Whether what is quantised are rotated values, whose range follows from a norm."""
        return any(isinstance(step, Rotate) for step in self.steps)

    @property
    def stretch(self) -> Fraction:
        """How many times longer a vector can be behind the steps."""
        return math.prod((step.stretch for step in self.steps), start=Fraction(1))

    def rotated(self, spec: TensorSpec) -> int:
        """Count the values that are rotated of a tensor, or would be.

        Args:
            spec: The tensor.

        Returns:
            How many there are.
        """
        before = takewhile(lambda step: not isinstance(step, Rotate), self.steps)
        return sizes_of(spec, before)[-1]


def compressing(
    *, low_rank: LowRank | None = None, sample: Sample | None = None, rotate: bool = False
) -> tuple[Step, ...]:
    """Put the steps before lanes in their order: factors and samples are rotated, too.

    Args:
        low_rank: Sends matrices as factors.
        sample: Sends a part of the values.
        rotate: Whether to rotate where there is neither.

    Returns:
        The steps.
    """
    rotates = rotate or low_rank is not None or sample is not None
    steps = (low_rank, Rotate() if rotates else None, sample)
    return tuple(step for step in steps if step is not None)


def sizes_of(spec: TensorSpec, steps: Iterable[Step]) -> list[int]:
    """Count the values of a tensor before each step, and behind the last one.

    Args:
        spec: The tensor.
        steps: The steps.

    Returns:
        How many there are, one more than steps.
    """
    sizes = [spec.size]
    for step in steps:
        sizes.append(step.size(spec, sizes[-1]))
    return sizes


@dataclass(frozen=True)
class Codec:
    """How tensors become plaintexts.

    Args:
        quantise: What makes lanes of each tensor.
        pack: What puts lanes into plaintexts.
        steps: What is done to each tensor before.
    """

    quantise: Quantise
    pack: Pack = field(default_factory=Pack)
    steps: tuple[Step, ...] = ()

    def step(self, kind: type[Chosen]) -> Chosen | None:
        """Find a step.

        Args:
            kind: Which.

        Returns:
            It; None where the codec has none such.
        """
        return next((each for each in self.steps if isinstance(each, kind)), None)

    @property
    def largest(self) -> int:
        """The largest lane of one party."""
        return 2 * self.quantise.qmax

    def to_list(self) -> list[Map]:
        """Write the codec as it stands in a plan.

        Returns:
            A map for each step.
        """
        return [*(step.to_map() for step in self.steps), self.quantise.to_map(), self.pack.to_map()]

    @classmethod
    def parse(cls, items: list[object], file: str) -> Self:
        """Read the codec of a plan.

        Args:
            items: What stands there.
            file: The file, for errors.

        Returns:
            The codec.

        Raises:
            FormatError: A step is unknown or malformed, or they do not fit together.
        """
        maps = [item for item in items if isinstance(item, dict) and isinstance(item.get("step"), str)]
        if len(maps) != len(items) or not maps:
            raise FormatError(f"{file}: its codec is malformed")
        names = [item["step"] for item in maps]
        for name in names:
            if name not in STEPS.keys() | PACKS.keys() | {Quantise.name}:
                raise FormatError(
                    f"{file}: its codec has the unknown step {name[:64]!r}", "a newer hecli may know it"
                )
        # Each at most once, and in their order.
        *first, quantise, last = names if len(names) > 1 else ["", *names]
        if (
            first != [name for name in STEPS if name in first]
            or quantise != Quantise.name
            or last not in PACKS
        ):
            raise FormatError(f"{file}: the steps of its codec do not fit together")
        return cls(
            Quantise.parse(maps[-2], file),
            PACKS[last].parse(maps[-1], file),
            tuple(STEPS[item["step"]].parse(item, file) for item in maps[:-2]),
        )

    def check(self, specs: tuple[TensorSpec, ...], parties: int) -> None:
        """Refuse a codec that cannot work.

        Args:
            specs: The plan's tensors.
            parties: The most parties of a sum.

        Raises:
            HecliError: A step cannot be done to them, or is not exact for so many.
        """
        for step in self.steps:
            step.check(specs)
        self.quantise.check(specs)
        if not self.feeds_back and any(step.leaves_out for step in self.steps):
            raise HecliError(
                f"with {self.quantise.bits} bits, what is left out of an update would never get through",
                f"use {FEEDBACK_BITS} bits or more with a rank or a sample",
            )
        # Values of several lanes are larger. Where there are few, such as in metrics, nothing is added up.
        wide = (self.quantise.largest(at) for at, spec in enumerate(specs) if spec.size >= FEW)
        largest = max(self.quantise.qmax, *wide, 0)
        bits = (largest * parties).bit_length() + sum(step.exact_bits for step in self.steps)
        if self.steps and bits > EXACT:
            raise HecliError(
                f"sums of {parties:,} parties with {self.quantise.bits} bits would not be exact behind "
                + ", ".join(step.name for step in self.steps),
                "use fewer bits or fewer parties, or a lower rank",
            )

    def size(self, tensor: int, spec: TensorSpec) -> int:
        """Count the lanes of a tensor.

        Args:
            tensor: The number of the tensor.
            spec: The tensor.

        Returns:
            How many there are.
        """
        return self.quantise.lanes(tensor, self.coded(spec))

    def coded(self, spec: TensorSpec) -> int:
        """Count the values that are quantised of a tensor.

        Args:
            spec: The tensor.

        Returns:
            How many there are.
        """
        return sizes_of(spec, self.steps)[-1]

    @property
    def feeds_back(self) -> bool:
        """Whether what does not get through may be sent with the next update.

        Error feedback adds up only where coding loses less than it sends, which
        rounding to -1, 0 or 1 at random does not; that is right in the mean by itself.
        """
        return self.quantise.bits >= FEEDBACK_BITS

    @property
    def coding(self) -> Coding:
        """How values are coded."""
        return Coding(self.quantise.bits, self.steps)

    def packing(self, parties: int, room: int, size: int) -> Packing:
        """Lay out lanes in plaintexts.

        Args:
            parties: The most parties of a sum.
            room: The bits of a plaintext that lanes may take.
            size: The bytes of a plaintext.

        Returns:
            The packing.
        """
        return self.pack.packing(self.largest * parties, room, size)

    def encode(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterator["Values"]:
        """Turn one tensor of a party into lanes.

        Args:
            tensor: The number of the tensor.
            values: Its values in pieces.
            encoding: What the steps are told, and tell.

        Returns:
            Its lanes in pieces.

        Raises:
            DataError: A value cannot be encoded, which shows while they are read.
        """
        return self.quantise.encode(tensor, self.stepped(tensor, values, encoding), encoding)

    def stepped(self, tensor: int, values: Iterable["Values"], encoding: Encoding) -> Iterable["Values"]:
        """Do the steps before lanes to one tensor of a party.

        Args:
            tensor: The number of the tensor.
            values: Its values in pieces.
            encoding: What the steps are told.

        Returns:
            What is quantised, in pieces.

        Raises:
            DataError: A value cannot be encoded, which shows while they are read.
        """
        if self.steps:
            # Imported here: whoever only looks at a plan needs no arrays.
            from hecli.codec.values import checked_to_add  # noqa: PLC0415

            values = checked_to_add(encoding.name, encoding.common.specs[tensor], values)
        for step in self.steps:
            values = step.encode(tensor, values, encoding)
        return values

    def decode(self, tensor: int, sums: Iterable["Values"], decoding: Decoding) -> Iterator["Values"]:
        """Turn one tensor of a sum into means.

        Args:
            tensor: The number of the tensor.
            sums: Its lane sums in pieces.
            decoding: What the steps are told.

        Returns:
            Its means (float64) in pieces, as tensor files give theirs.
        """
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec.pieces import regrouped  # noqa: PLC0415
        from hecli.formats.tensors.arrays import PIECE  # noqa: PLC0415

        # In this order: all is exact up to the one product, which the specification fixes.
        scale = self.quantise.scale(tensor, decoding)
        # Zeros are made positive first: which sign sums of zeros have is up to the library.
        return ((values + 0.0) * scale for values in regrouped(self.undone(tensor, sums, decoding), PIECE))

    def undone(
        self, tensor: int, sums: Iterable["Values"], decoding: Decoding, kept: int = 0
    ) -> Iterator["Values"]:
        """Undo what was done to one tensor of a sum, exactly.

        Args:
            tensor: The number of the tensor.
            sums: Its lane sums in pieces.
            decoding: What the steps are told.
            kept: How many of the first steps are not undone.

        Returns:
            The sums of its values in the quantised values' unit (float64), in pieces.
        """
        values = self.quantise.decode(tensor, sums, decoding)
        sizes = sizes_of(decoding.common.specs[tensor], self.steps)
        for step, size in [*zip(self.steps, sizes, strict=False)][kept:][::-1]:
            values = step.decode(tensor, values, decoding, size)
        return values
