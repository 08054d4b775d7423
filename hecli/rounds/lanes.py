"""Lanes read from files, in the clear: those of one party, or the sums of many."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hecli.codec.arrays import Lanes
from hecli.errors import FormatError
from hecli.formats.reader import Reader
from hecli.formats.tensors.arrays import PIECE
from hecli.plan.parts import Runs


def read_lanes(reader: Reader, count: int, largest: int) -> Iterator[Lanes]:
    """Read the next lanes of an opened file.

    Args:
        reader: The file, whose section `lanes` has been found as it should be.
        count: How many.
        largest: The largest there may be.

    Yields:
        PIECE of them at a time.

    Raises:
        FormatError: One is larger, or the file was damaged.
    """
    section = reader.section("lanes")
    word = f">u{section.section.record_size}"
    while count:
        lanes = np.frombuffer(section.read(min(count, PIECE)), word).astype(np.uint64)
        if lanes.max() > largest:
            raise FormatError(f"{reader.name}: holds a lane value above {largest:,}, which is out of range")
        count -= len(lanes)
        yield lanes


def selected(pieces: Iterable[Lanes], runs: Runs) -> Iterator[Lanes]:
    """Pick the lanes of one part out of all.

    Args:
        pieces: All lanes, in pieces.
        runs: The part's.

    Yields:
        They, in pieces.
    """
    left = list(reversed(runs))
    at = 0
    for piece in pieces:
        end = at + len(piece)
        while left and left[-1][0] < end:
            start, stop = left[-1]
            yield piece[max(start, at) - at : stop - at]
            if stop > end:
                break
            left.pop()
        at = end


def merged(parts: Sequence[tuple[Runs, Iterator[Lanes]]]) -> Iterator[Lanes]:
    """Put the lanes of all parts back in their order.

    Args:
        parts: The runs of each part, and its lanes in pieces.

    Yields:
        All lanes, in pieces.
    """
    if len(parts) == 1:
        yield from parts[0][1]
        return
    taken = [_Taken(pieces) for _, pieces in parts]
    order = sorted((run, number) for number, (runs, _) in enumerate(parts) for run in runs)
    for (start, stop), number in order:
        yield from taken[number].take(stop - start)


class _Taken:
    """Lanes in pieces, taken in other pieces."""

    def __init__(self, pieces: Iterator[Lanes]) -> None:
        self._pieces = pieces
        self._held: Lanes = np.empty(0, np.uint64)

    def take(self, count: int) -> Iterator[Lanes]:
        while count:
            if not len(self._held):
                self._held = next(self._pieces)
            yield self._held[:count]
            taken = min(count, len(self._held))
            self._held, count = self._held[taken:], count - taken
