"""Signed fixed point as array work: real values to lanes, and lane sums to means."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from hecli.codec.arrays import Floats, Lanes, Values


def to_lanes(
    values: Values, fraction: float, step: float, bound: int, zero: int, *, stochastic: bool
) -> tuple[Lanes, npt.NDArray[np.bool_] | None]:
    """Round finite values to lanes.

    Args:
        values: The values.
        fraction: What they are multiplied with.
        step: The distance between neighbouring values.
        bound: The largest quantised value; what is beyond is clipped.
        zero: The lane of 0.
        stochastic: Whether to round up or down at random, so that the mean is exact.

    Returns:
        The lanes, from zero - bound to zero + bound; and which values were clipped, None where none was.
    """
    # Beyond the range of float64 is beyond the range of any lane: it is clipped.
    with np.errstate(over="ignore"):
        exact = values.astype(np.float64) * fraction / step
    rounded = np.floor(exact + _uniform(exact.shape)) if stochastic else np.rint(exact)
    outside = None
    if max(rounded.max(initial=0.0), -rounded.min(initial=0.0)) > bound:
        outside = np.abs(rounded) > bound
        rounded = np.clip(rounded, -bound, bound)
    return (rounded + zero).astype(np.uint64), outside


def to_digits(values: Lanes, base: int, digits: int) -> Lanes:
    """Write values as digits, the lowest first.

    Args:
        values: The values, below base^digits.
        base: What digits are below.
        digits: How many a value has.

    Returns:
        The digits of the first value, then those of the second, and so on.
    """
    if digits == 1:
        return values
    return np.stack([values // base**at % base for at in range(digits)], axis=1).reshape(-1)


def of_digits(sums: Lanes, base: int, digits: int, offset: int) -> Floats:
    """Turn sums of digits into sums of quantised values.

    Args:
        sums: The lane sums, in the order of `to_digits`.
        base: What the digits of one party are below.
        digits: How many a value has.
        offset: The sum of zeros.

    Returns:
        Whole numbers.
    """
    places = base ** np.arange(digits, dtype=np.int64)
    return (sums.astype(np.int64).reshape(-1, digits) @ places - offset).astype(np.float64)


def _uniform(shape: tuple[int, ...]) -> Any:
    """Numbers from 0 to below 1, from the operating system's randomness."""
    count = int(np.prod(shape))
    return np.frombuffer(os.urandom(4 * count), np.uint32).reshape(shape) * 2.0**-32
