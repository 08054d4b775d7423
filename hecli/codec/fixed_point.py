"""Signed fixed point as array work: real values to lanes, and lane sums to means."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from hecli.codec.arrays import Floats, Lanes, Values


def to_lanes(
    values: Values, fraction: float, step: float, qmax: int, *, stochastic: bool
) -> tuple[Lanes, npt.NDArray[np.bool_] | None]:
    """Round finite values to lanes.

    Args:
        values: The values.
        fraction: What they are multiplied with.
        step: The distance between neighbouring values.
        qmax: The largest quantised value; what is beyond is clipped.
        stochastic: Whether to round up or down at random, so that the mean is exact.

    Returns:
        The lanes, from 0 to 2*qmax; and which values were clipped, None where none was.
    """
    # Beyond the range of float64 is beyond the range of any lane: it is clipped.
    with np.errstate(over="ignore"):
        exact = values.astype(np.float64) * fraction / step
    rounded = np.floor(exact + _uniform(exact.shape)) if stochastic else np.rint(exact)
    outside = None
    if max(rounded.max(initial=0.0), -rounded.min(initial=0.0)) > qmax:
        outside = np.abs(rounded) > qmax
        rounded = np.clip(rounded, -qmax, qmax)
    return (rounded + qmax).astype(np.uint64), outside


def to_means(sums: Lanes, offset: int, scale: float) -> Floats:
    """Turn lane sums into means.

    Args:
        sums: The lane sums.
        offset: The sum of zeros.
        scale: What one lane is worth in the mean.

    Returns:
        The means.
    """
    return (sums.astype(np.int64) - offset).astype(np.float64) * scale


def _uniform(shape: tuple[int, ...]) -> Any:
    """Numbers from 0 to below 1, from the operating system's randomness."""
    count = int(np.prod(shape))
    return np.frombuffer(os.urandom(4 * count), np.uint32).reshape(shape) * 2.0**-32
