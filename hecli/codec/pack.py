"""Lanes into plaintexts and out again.

A plaintext is a big-endian bit string of fixed width: unused zero bits, then
words of `width` bits each, the first in the highest bits. A word is a lane, or
holds several as digits of a number, the first one the lowest. The first lane is
the count lane: every party puts 1 into it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from hecli.formats.canonical import Map, fields

if TYPE_CHECKING:
    from hecli.codec.arrays import Lanes


WORD_BITS = 63
"""The most bits of a word with several lanes: it is worked on as a 64-bit integer."""


class Packing(NamedTuple):
    """How lanes lie in plaintexts.

    Args:
        width: Bits of a word.
        lanes: Lanes in a plaintext, the count lane included.
        size: Bytes of a plaintext.
        digits: Lanes in a word.
        radix: What the sum in a lane is below, where a word has more than one.
    """

    width: int
    lanes: int
    size: int
    digits: int = 1
    radix: int = 0

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

        rows = bits.filled(values, self.lanes, count)
        return bits.pack(bits.joined(rows, self.radix, self.digits), self.width, self.size)

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

        words, clean = bits.unpack(plaintexts, self.width, self.lanes // self.digits, self.size)
        lanes = bits.split(words, self.radix, self.digits)
        found = lanes[:, 1:].reshape(-1)
        if not clean or (lanes[:, 0] != count).any() or found[values:].any():
            return None
        return found[:values]


@dataclass(frozen=True)
class Pack:
    """The last step of a codec: lanes as wide as the largest sum needs."""

    name: ClassVar[str] = "pack"

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


@dataclass(frozen=True)
class MixedRadix(Pack):
    """The last step of a codec where sums fill no whole number of bits: several lanes in a word of 63 bits.

    A word is the number whose digits are its lanes, to a base of one more than
    the largest sum: digits of a sum never carry.
    """

    name: ClassVar[str] = "mixed radix"

    def packing(self, largest: int, room: int, size: int) -> Packing:
        """Lay out lanes for sums, with as many lanes in a plaintext as any number of them in a word gives."""
        radix = largest + 1
        found = [
            Packing(width, room // width * digits, size, digits, radix)
            for digits in range(1, WORD_BITS + 1)
            if (width := (radix**digits - 1).bit_length()) <= WORD_BITS
        ]
        return max(found, key=lambda each: each.lanes)
