"""Lanes into plaintexts and out again.

A plaintext is a big-endian bit string of fixed width: unused zero bits, then
the lanes, `width` bits each, the first lane in the highest bits. The first is
the count lane: every party puts 1 into it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from hecli.formats.canonical import Map, fields

if TYPE_CHECKING:
    from hecli.codec.arrays import Lanes


class Packing(NamedTuple):
    """How lanes lie in plaintexts.

    Args:
        width: Bits of a lane.
        lanes: Lanes in a plaintext, the count lane included.
        size: Bytes of a plaintext.
    """

    width: int
    lanes: int
    size: int

    @property
    def values(self) -> int:
        """Lanes that hold values: all but the count lane."""
        return self.lanes - 1

    def pack(self, values: "Lanes", count: int = 1) -> bytes:
        """Put values into plaintexts, and zeros where lanes are left over.

        Args:
            values: The values, each below 2^width.
            count: What the count lanes say: how many parties' values these are.

        Returns:
            As many plaintexts as they need.
        """
        # Imported here: whoever only looks at a plan needs no arrays.
        from hecli.codec import bits  # noqa: PLC0415

        return bits.pack(bits.filled(values, self.lanes, count), self.width, self.size)

    def unpack(self, plaintexts: bytes, count: int, values: int) -> "Lanes | None":
        """Take values out of the plaintexts of a sum.

        Args:
            plaintexts: The plaintexts.
            count: How many parties are in the sum.
            values: How many values there are at most: what else the last lanes hold must be zero.

        Returns:
            The values; None where a count lane does not say `count`, or something else is not zero.
        """
        from hecli.codec import bits  # noqa: PLC0415 - as in pack

        lanes, clean = bits.unpack(plaintexts, self.width, self.lanes, self.size)
        found = lanes[:, 1:].reshape(-1)
        if not clean or (lanes[:, 0] != count).any() or found[values:].any():
            return None
        return found[:values]


@dataclass(frozen=True)
class Pack:
    """The last step of a codec: lanes as wide as the largest sum needs."""

    name: ClassVar[str] = "pack"
    takes: ClassVar[str] = "lanes"
    gives: ClassVar[str] = "plaintexts"

    def to_map(self) -> Map:
        """Write the step as it stands in a plan."""
        return {"step": self.name}

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the step from a plan; raises FormatError."""
        fields(value, file, "its codec", {"step": str})
        return cls()

    def packing(self, largest: int, room: int, size: int) -> Packing:
        """Lay out lanes for sums.

        Args:
            largest: The largest sum that a lane must hold.
            room: The bits of a plaintext that lanes may take.
            size: The bytes of a plaintext.

        Returns:
            The packing.
        """
        width = largest.bit_length()
        return Packing(width, room // width, size)
