"""Lanes kept aside, for whoever needs them more than once, or in another order than they come in."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from hecli.codec.arrays import Lanes
from hecli.errors import HecliError
from hecli.formats.tensors.arrays import PIECE


class Spool:
    """The lanes of one update, in a file that has no name and ends with the process.

    Args:
        lanes: The lanes in pieces, which are all read now.
        size: Bytes that hold a lane: 1, 2 or 4.
    """

    def __init__(self, lanes: Iterable[Lanes], size: int) -> None:
        self._word = np.dtype(f"u{size}")
        # They tell what a gradient does: nobody else can open a file without a name.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the spool lasts
        try:
            for piece in lanes:
                self._file.write(piece.astype(self._word).tobytes())
            self._file.flush()
        except OSError as error:
            self.close()
            raise HecliError(
                f"cannot keep an update aside: {(error.strerror or str(error)).lower()}",
                "set TMPDIR to a folder with room",
            ) from error
        except BaseException:
            self.close()
            raise

    def read(self, start: int, count: int) -> Iterator[Lanes]:
        """Read some of the lanes.

        Args:
            start: The place of the first.
            count: How many.

        Yields:
            PIECE of them at a time.
        """
        size = self._word.itemsize
        for at in range(start, start + count, PIECE):
            self._file.seek(at * size)
            data = self._file.read(min(PIECE, start + count - at) * size)
            yield np.frombuffer(data, self._word).astype(np.uint64)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@contextmanager
def spooled(lanes: Iterable[Lanes], size: int) -> Iterator[Spool]:
    """Keep lanes aside for a while.

    Args:
        lanes: The lanes in pieces.
        size: Bytes that hold a lane: 1, 2 or 4.

    Yields:
        What reads them.
    """
    spool = Spool(lanes, size)
    try:
        yield spool
    finally:
        spool.close()
