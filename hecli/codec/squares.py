"""Squares of whole numbers, added up exactly."""

import numpy as np

from hecli.codec.arrays import Values

_HALF = 23
"""Bits of half a number."""

_EXACT = 1 << 16
"""So many squares of halves are added without overflow."""


def sum_of_squares(values: Values) -> int:
    """Add up squares, exactly.

    Args:
        values: Whole numbers below 2^46.

    Returns:
        The sum of their squares.
    """
    total = 0
    for at in range(0, len(values), _EXACT):
        high, low = np.divmod(values[at : at + _EXACT].astype(np.int64), 1 << _HALF)
        total += int((high * high).sum()) << 2 * _HALF
        total += (int((high * low).sum()) << (_HALF + 1)) + int((low * low).sum())
    return total
