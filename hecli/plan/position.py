"""Where in a training a round stands, and what it builds on."""

from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE

LAST_ROUND = 99_999


class Position(NamedTuple):
    """A round's place in its training.

    Args:
        training: The digest of the training file.
        round: The number of the round, from 1.
        attempt: How many plans there were for this round, this one included.
        model: The digest of the model that updates start from.
        previous: The digest of the sum file of the round before; nothing in the first.
    """

    training: bytes
    round: int
    attempt: int
    model: bytes
    previous: bytes

    def to_map(self) -> Map:
        """Write it as it stands in a plan.

        Returns:
            The map.
        """
        return self._asdict()

    @classmethod
    def parse(cls, value: Map, file: str) -> "Position":
        """Read what stands in a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            The position.

        Raises:
            FormatError: It cannot be.
        """
        what = "the training in its plan"
        types = {"training": bytes, "round": int, "attempt": int, "model": bytes, "previous": bytes}
        fields(value, file, what, types)
        found = cls(**value)
        digests = len(found.training) == len(found.model) == DIGEST_SIZE
        numbers = 1 <= found.round <= LAST_ROUND and 1 <= found.attempt <= LAST_ROUND
        previous = len(found.previous) == (DIGEST_SIZE if found.round > 1 else 0)
        if not (digests and numbers and previous):
            raise FormatError(f"{file}: {what} is malformed")
        return found
