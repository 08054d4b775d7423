"""The codec of a plan: its steps in their order, and the registry of all steps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hecli.codec.interface import Decoding, Encoding, Step
from hecli.codec.pack import Pack, Packing
from hecli.codec.quantise import Quantise
from hecli.errors import FormatError
from hecli.formats.canonical import Map
from hecli.formats.tensors.specs import TensorSpec

if TYPE_CHECKING:
    from hecli.codec.arrays import Values

STEPS: dict[str, type[Step]] = {step.name: step for step in (Quantise,)}
"""The steps that work tensor by tensor, by name."""

PACKS = {step.name: step for step in (Pack,)}
"""The steps that end a codec, by name."""


@dataclass(frozen=True)
class Codec:
    """How tensors become plaintexts.

    Args:
        steps: What is done to each tensor, of which one makes lanes.
        pack: What puts lanes into plaintexts.
    """

    steps: tuple[Step, ...]
    pack: Pack

    @property
    def quantise(self) -> Quantise:
        """The step that makes lanes."""
        return next(step for step in self.steps if isinstance(step, Quantise))

    @property
    def largest(self) -> int:
        """The largest lane of one party."""
        return 2 * self.quantise.qmax

    def to_list(self) -> list[Map]:
        """Write the codec as it stands in a plan.

        Returns:
            A map for each step.
        """
        return [*(step.to_map() for step in self.steps), self.pack.to_map()]

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
        for item in maps:
            if item["step"] not in STEPS.keys() | PACKS.keys():
                raise FormatError(
                    f"{file}: its codec has the unknown step {item['step'][:64]!r}",
                    "a newer hecli may know it",
                )
        *first, last = (item["step"] for item in maps)
        given = "values"
        for name in first:
            if name not in STEPS or STEPS[name].takes != given:
                raise FormatError(f"{file}: the steps of its codec do not fit together")
            given = STEPS[name].gives
        if last not in PACKS or PACKS[last].takes != given:
            raise FormatError(f"{file}: the steps of its codec do not fit together")
        steps = tuple(STEPS[item["step"]].parse(item, file) for item in maps[:-1])
        return cls(steps, PACKS[last].parse(maps[-1], file))

    def check(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse a codec that cannot work.

        Args:
            specs: The plan's tensors.

        Raises:
            HecliError: A step cannot be done to them.
        """
        for step in self.steps:
            step.check(specs)

    def size(self, spec: TensorSpec) -> int:
        """Count the lanes of a tensor.

        Args:
            spec: The tensor.

        Returns:
            How many there are.
        """
        values = spec.size
        for step in self.steps:
            values = step.size(spec, values)
        return values

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
        for step in self.steps:
            values = step.encode(tensor, values, encoding)
        return iter(values)

    def decode(self, tensor: int, sums: Iterable["Values"], decoding: Decoding) -> Iterator["Values"]:
        """Turn one tensor of a sum into means.

        Args:
            tensor: The number of the tensor.
            sums: Its lane sums in pieces.
            decoding: What the steps are told.

        Returns:
            Its means (float64) in pieces.
        """
        for step in reversed(self.steps):
            sums = step.decode(tensor, sums, decoding)
        return iter(sums)
