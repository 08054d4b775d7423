"""How much went to and came from storage that is far away, for those who wait for it."""

from dataclasses import dataclass


@dataclass
class Traffic:
    """Bytes that were moved since this process began.

    Args:
        received: Bytes that were read.
        sent: Bytes that were written.
    """

    received: int = 0
    sent: int = 0


TRAFFIC = Traffic()
"""That of this process."""
