"""The control block: how many parties, their weights, and how many of their values were clipped."""

from dataclasses import dataclass

FIELD = 64
"""Bits of each of its three numbers."""

SIZE = 3 * FIELD // 8
"""Its bytes where it stands in the clear, and the least bytes of a plaintext that holds it."""


@dataclass(frozen=True)
class Control:
    """What the control block says, of one party or of a sum.

    Args:
        count: How many parties.
        weight: Their weights together.
        clipped: How many of their values were clipped.
    """

    count: int
    weight: int
    clipped: int

    def pack(self, size: int = SIZE) -> bytes:
        """Write the control block.

        Args:
            size: In how many bytes.

        Returns:
            The plaintext.
        """
        value = (self.count << 2 * FIELD) | (self.weight << FIELD) | self.clipped
        return value.to_bytes(size, "big")

    @classmethod
    def unpack(cls, plaintext: bytes) -> "Control":
        """Read the control block.

        Args:
            plaintext: Any: what is no control block shows in a count out of all proportion.

        Returns:
            What it says.
        """
        value, mask = int.from_bytes(plaintext, "big"), (1 << FIELD) - 1
        return cls(value >> 2 * FIELD, (value >> FIELD) & mask, value & mask)
