"""Lanes read from files, in the clear: those of one party, or the sums of many."""

from collections.abc import Iterator

import numpy as np

from hecli.codec.arrays import Lanes
from hecli.errors import FormatError
from hecli.formats.reader import Reader
from hecli.formats.tensors.arrays import PIECE


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
