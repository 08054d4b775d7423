"""Signed fixed point in offset binary: real values to lane values and back.

A value x becomes q = round(x / step), clipped to [-qmax, qmax], and the lane
value u = q + qmax, from 0 to 2*qmax. A sum of k lane values is therefore at
most 2*qmax*k, and (sum - k*qmax) * step is the sum of the values.
"""

import os

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Lanes = npt.NDArray[np.uint64]


def scaled(values: npt.NDArray[np.generic], step: float, fraction: float) -> Floats:
    """`values` times `fraction` (a party's weight over the largest), in steps."""
    # Beyond the range of float64 is beyond the range of any lane: it is clipped.
    with np.errstate(over="ignore"):
        return values.astype(np.float64) * fraction / step


def count_clipped(steps: Floats, qmax: int) -> int:
    """How many of the values (in steps) round to something beyond the range."""
    return int(np.count_nonzero(np.abs(np.rint(steps)) > qmax))


def to_lanes(steps: Floats, qmax: int, *, stochastic: bool) -> Lanes:
    """Lane values (uint64, 0 to 2*qmax) of finite values given in steps.

    Nearest: half a step of error at most. Stochastic: up or down at random so
    that the mean is exact, less than one step of error; the randomness is the
    operating system's.
    """
    if stochastic:
        noise = np.frombuffer(os.urandom(4 * steps.size), np.uint32).reshape(steps.shape)
        rounded = np.floor(steps + noise * 2.0**-32)
    else:
        rounded = np.rint(steps)
    return (np.clip(rounded, -qmax, qmax) + qmax).astype(np.uint64)


def from_sums(sums: Lanes, qmax: int, contributors: int) -> npt.NDArray[np.int64]:
    """The sums of q (int64) that lane sums of so many contributors stand for."""
    return sums.astype(np.int64) - contributors * qmax
