"""Rotations of values in blocks, as array work.

A block of 4^j values is turned by the Hadamard matrix of that order (J. J.
Sylvester, 1867), divided by 2^j, its square root: an orthonormal matrix that is
its own inverse. As blocks have powers of four, all of it is done with whole
numbers and powers of two, and where values are whole numbers it is exact: every
machine comes to the same last bit, however its library orders additions.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from hecli.codec.arrays import Floats, Values
from hecli.codec.randomness import Stream

LARGEST = 6
"""The largest block has 4^6 = 4,096 values."""


def signs(stream: Stream, count: int) -> Floats:
    """Take random signs.

    Args:
        stream: Where from: one bit for each, the highest of a byte first, 1 for minus.
        count: How many.

    Returns:
        1.0 or -1.0 each.
    """
    bits = np.unpackbits(np.frombuffer(stream.take(-(-count // 8)), np.uint8), count=count)
    return 1.0 - 2.0 * bits.astype(np.float64)


def turn(values: Values) -> Floats:
    """Turn values, block by block: the largest blocks first that fit.

    Args:
        values: The values; of a tensor in pieces, all pieces but the last are
            a multiple of the largest block long.

    Returns:
        As many.
    """
    found = np.empty(len(values), np.float64)
    for start, count, order in _blocks(len(values)):
        side = 1 << order
        matrix = _sylvester(order)
        part = slice(start, start + count * side * side)
        squares = values[part].astype(np.float64, copy=False).reshape(count, side, side)
        # The matrix of order 4^j is that of order 2^j for rows, and again for columns.
        found[part] = ((matrix @ squares) @ matrix).reshape(-1) * 2.0**-order
    return found


def _blocks(values: int) -> Iterator[tuple[int, int, int]]:
    """Where blocks of one size begin, how many there are, and their order: each has 4^order values."""
    start = 0
    for order in range(LARGEST, -1, -1):
        count = (values - start) >> 2 * order
        if count:
            yield start, count, order
            start += count << 2 * order


@cache
def _sylvester(order: int) -> Floats:
    """The Hadamard matrix of order 2^order."""
    matrix = np.ones((1, 1))
    for _ in range(order):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix
