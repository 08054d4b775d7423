"""Places drawn at random without replacement, as array work."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hecli.codec.arrays import Floats
from hecli.codec.randomness import Stream


def places(stream: Stream, values: int, block: int, drawn: Callable[[int], int]) -> npt.NDArray[np.int64]:
    """Draw places from each block: those with the least random numbers.

    Args:
        stream: Where numbers come from: 8 bytes for each value, big-endian, of
            which the lowest bits make way for the value's place in its block,
            so that no two are equal.
        values: How many values there are.
        block: How many a block has, a power of two; the last may be shorter.
        drawn: Says how many places are drawn of a block of so many values.

    Returns:
        The places, in their order.
    """
    numbers = np.frombuffer(stream.take(8 * values), ">u8").astype(np.uint64)
    full, place = values - values % block, np.uint64(block - 1)
    found = []
    for start, part in ((0, numbers[:full].reshape(-1, block)), (full, numbers[full:].reshape(1, -1))):
        if not part.size:
            continue
        keys = (part & ~place) | np.arange(part.shape[1], dtype=np.uint64)
        count = drawn(part.shape[1])
        least = np.partition(keys, count - 1, axis=1)[:, :count] & place
        rows = np.arange(len(part), dtype=np.int64)[:, None] * block
        found.append((start + rows + np.sort(least.astype(np.int64), axis=1)).reshape(-1))
    return np.concatenate(found)


def zeros(count: int) -> Floats:
    """Make zeros.

    Args:
        count: How many.

    Returns:
        Them.
    """
    return np.zeros(count)
