"""Discrete Gaussian noise, exact to the last of 256 bits, as array work.

Draws by inversion: a random number of 256 bits is looked up among the
cumulative probabilities of all values. Its first 64 bits decide but for about
one draw in 10^13, for which the others are drawn, too.
"""

import os
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from hecli.codec.arrays import Lanes

BITS = 256
"""Bits of a cumulative probability."""

_WORD = 64
_WORKING = 416
"""Bits with which probabilities are worked out: what is rounded off, over all values, stays below BITS."""

_GUIDE = 16
"""The first bits of a random number by which values are looked up."""

Integers = npt.NDArray[np.int64]


class Noise:
    """Noise for the lanes of one update, of the operating system's randomness.

    Args:
        variance: That of the Gaussian, in steps squared.
        largest: How large noise can be; what is larger never comes up.
    """

    def __init__(self, variance: int, largest: int) -> None:
        self._variance, self._largest = variance, largest
        # A key for each update, so that one counter block of zeros does for all.
        self._stream = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor()
        self._table = _table(variance, largest)

    def added(self, lanes: Lanes) -> Lanes:
        """Add noise to lanes, which have room for it.

        Args:
            lanes: The lanes.

        Returns:
            As many.
        """
        return (lanes.astype(np.int64) + self.draw(len(lanes))).astype(np.uint64)

    def draw(self, count: int) -> Integers:
        """Draw values.

        Args:
            count: How many.

        Returns:
            Them, from -largest to largest.
        """
        words = np.frombuffer(self._stream.update(bytes(8 * count)), np.uint64)
        return self._looked_up(words) - self._largest

    def _looked_up(self, words: Lanes) -> Integers:
        """The places in the table of random numbers with these first words."""
        first, below, above = self._table
        guide = (words >> np.uint64(_WORD - _GUIDE)).astype(np.intp)
        places = below[guide]
        unsure = np.flatnonzero(places != above[guide])
        places[unsure] = np.searchsorted(first, words[unsure], side="right")
        # A threshold that begins like the number lies just below its place.
        ties = np.flatnonzero(first[np.maximum(places - 1, 0)] == words)
        for at in ties:
            places[at] = self._told_apart(int(words[at]))
        return places.astype(np.int64)

    def _told_apart(self, word: int) -> int:
        """The place of a random number that begins like a threshold does: its other bits are drawn now."""
        rest = BITS - _WORD
        number = word << rest | int.from_bytes(self._stream.update(bytes(rest // 8)), "big")
        # So rare that the thresholds are not kept.
        pairs = thresholds(self._variance, self._largest)
        return sum((upper <= number) + (lower <= number) for lower, upper in pairs)


def thresholds(variance: int, largest: int) -> Iterator[tuple[int, int]]:
    """Work out the cumulative probabilities of all values but the last.

    The probability of x is exp(-x^2 / (2 variance)) over the sum of them all. As
    they are symmetric, those up to -x - 1 and those beyond x are as probable.

    Args:
        variance: The variance, from 1.
        largest: The largest value, from 1.

    Yields:
        For x from 0 on, the probabilities of all values up to -x - 1 and up to x:
        whole numbers of BITS bits, the least that mean a larger value.
    """
    total = 2 * sum(_weights(variance, largest)) - (1 << _WORKING)
    # Half of all is below 0, but for 0 itself.
    up_to = (total - (1 << _WORKING)) // 2
    for _, weight in zip(range(largest), _weights(variance, largest), strict=False):
        up_to += weight
        yield ((total - up_to) << BITS) // total, (up_to << BITS) // total


def _weights(variance: int, largest: int) -> Iterator[int]:
    """exp(-x^2 / (2 variance)) for x from 0 to the largest, as whole numbers of _WORKING bits."""
    context = Context(prec=_WORKING * 3 // 10 + 10)
    weight = 1 << _WORKING
    # From one to the next it changes by exp(-(2 x + 1) / (2 variance)), and that by its square at 0.
    first = context.exp(context.divide(Decimal(-1), Decimal(2 * variance)))
    factor = int(context.multiply(first, Decimal(weight)))
    square = factor * factor >> _WORKING
    for _ in range(largest + 1):
        yield weight
        weight = weight * factor >> _WORKING
        factor = factor * square >> _WORKING


class _Table(NamedTuple):
    """What values are looked up by.

    Args:
        first: The first words of all thresholds.
        below: By the first bits of a random number, the least place that it may have, and
        above: the largest.
    """

    first: Lanes
    below: npt.NDArray[np.int32]
    above: npt.NDArray[np.int32]


def _table(variance: int, largest: int) -> _Table:
    first = np.empty(2 * largest, np.uint64)
    for at, (lower, upper) in enumerate(thresholds(variance, largest)):
        first[largest - at - 1], first[largest + at] = lower >> (BITS - _WORD), upper >> (BITS - _WORD)
    least = np.arange(1 << _GUIDE, dtype=np.uint64) << np.uint64(_WORD - _GUIDE)
    most = least | np.uint64((1 << (_WORD - _GUIDE)) - 1)
    places = (np.searchsorted(first, each, side="right").astype(np.int32) for each in (least, most))
    return _Table(first, *places)
