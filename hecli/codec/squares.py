"""Squares of whole numbers, added up exactly."""

import numpy as np

from hecli.codec.arrays import Values

_HALF = 23
"""Bits of half a number: 65,536 squares of such are added without overflow."""


def sum_of_squares(values: Values) -> int:
    """Add up squares, exactly.

    Args:
        values: Whole numbers below 2^46, no more than a piece of them.

    Returns:
        The sum of their squares.
    """
    high, low = np.divmod(values.astype(np.int64), 1 << _HALF)
    return (
        (int((high * high).sum()) << 2 * _HALF)
        + (int((high * low).sum()) << (_HALF + 1))
        + int((low * low).sum())
    )
