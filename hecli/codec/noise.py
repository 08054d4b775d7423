"""Discrete Gaussian noise, exact to the last of 256 bits, as array work.

A value is a sign, and 2^s Y + U. Y is drawn by inversion: a random number of 256
bits is looked up among the cumulative probabilities of all values, of which there
are few whatever the variance. Its first 64 bits decide but for about one draw in
10^16, for which the others are drawn, too. U has s random bits, and the value is
kept with the probability that is missing: exp(-(2 (2^s Y) U + U^2) / (2 variance))
(as C. F. F. Karney does in "Sampling exactly from the normal distribution", ACM
Transactions on Mathematical Software 42, 2016). Where float64 cannot tell whether
it is, it is worked out.
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

_CONTEXT = Context(prec=_WORKING * 3 // 10 + 10)

_GUIDE = 16
"""The first bits of a random number by which values are looked up."""

_TABLE = 1 << 14
"""A variance of more bits than this has: then low bits of noise are drawn apart."""

_UNSURE = 2.0**-46
"""Closer to a probability than this, float64 does not tell whether a random number is below it."""

Integers = npt.NDArray[np.int64]


class Noise:
    """Noise for the lanes of one update, of the operating system's randomness.

    Args:
        variance: That of the Gaussian, in steps squared.
        largest: How large noise can be; what is larger never comes up.
    """

    def __init__(self, variance: int, largest: int) -> None:
        self._variance, self._largest = variance, largest
        # The least shift with which few values are left.
        self._shift = max(0, (variance.bit_length() - _TABLE.bit_length() + 1) // 2)
        # A key for each update, so that one counter block of zeros does for all.
        self._stream = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor()
        self._table = _table(variance, self._shift, (largest >> self._shift) + 1)

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
        found = np.empty(count, np.int64)
        done = 0
        while done < count:
            # A few more than are missing, for those that are not kept.
            drawn = self._drawn(count - done + (count - done) // 16 + 8)
            taken = min(len(drawn), count - done)
            found[done : done + taken] = drawn[:taken]
            done += taken
        return found

    def _drawn(self, count: int) -> Integers:
        """So many values, less those that are not kept."""
        high = self._looked_up(self._words(count)) << self._shift
        words = self._words(count)
        negative = words >> np.uint64(_WORD - 1) == 1
        low = (words & np.uint64((1 << self._shift) - 1)).astype(np.int64)
        sizes = high + low
        # Zero has no sign: of two ways to draw it one counts.
        kept = ~(negative & (sizes == 0)) & (sizes <= self._largest)
        if self._shift:
            kept &= self._kept(high, low, words)
        drawn: Integers = np.where(negative, -sizes, sizes)[kept]
        return drawn

    def _kept(self, high: Integers, low: Integers, words: Lanes) -> npt.NDArray[np.bool_]:
        """Which values are kept, by the bits of random words that nothing else was made of."""
        missing = low * (2 * high + low)
        exact = np.exp(missing / (-2.0 * self._variance))
        bits = _WORD - 1 - self._shift
        drawn = (words << np.uint64(1) >> np.uint64(_WORD - bits)).astype(np.float64) * 2.0**-bits
        kept = drawn < exact
        for at in np.flatnonzero(np.abs(drawn - exact) <= _UNSURE):
            number = int(words[at]) % (1 << (_WORD - 1)) >> self._shift
            kept[at] = self._compared(number, bits, int(missing[at]))
        return kept

    def _compared(self, number: int, bits: int, missing: int) -> bool:
        """Whether a random number, of which some bits are drawn, is below the probability of a value."""
        number = number << BITS | int.from_bytes(self._stream.update(bytes(BITS // 8)), "big")
        exact = _CONTEXT.exp(_CONTEXT.divide(Decimal(-missing), Decimal(2 * self._variance)))
        return number < int(_CONTEXT.multiply(exact, Decimal(1 << (BITS + bits))))

    def _words(self, count: int) -> Lanes:
        """Random words."""
        return np.frombuffer(self._stream.update(bytes(_WORD // 8 * count)), np.uint64)

    def _looked_up(self, words: Lanes) -> Integers:
        """The places in the table of random numbers with these first words."""
        first, below, above = self._table
        guide = (words >> np.uint64(_WORD - _GUIDE)).astype(np.intp)
        places = below[guide]
        unsure = np.flatnonzero(places != above[guide])
        places[unsure] = np.searchsorted(first, words[unsure], side="right")
        # A threshold that begins like the number lies just below its place.
        for at in np.flatnonzero(first[np.maximum(places - 1, 0)] == words):
            places[at] = self._told_apart(int(words[at]))
        return places.astype(np.int64)

    def _told_apart(self, word: int) -> int:
        """The place of a random number that begins like a threshold does: its other bits are drawn now."""
        rest = BITS - _WORD
        number = word << rest | int.from_bytes(self._stream.update(bytes(rest // 8)), "big")
        # So rare that the thresholds are not kept.
        every = thresholds(self._variance, self._shift, (self._largest >> self._shift) + 1)
        return sum(each <= number for each in every)


def thresholds(variance: int, shift: int, count: int) -> Iterator[int]:
    """Work out the cumulative probabilities of sizes.

    That of y is exp(-(2^shift y)^2 / (2 variance)) over the sum of them all.

    Args:
        variance: The variance, from 1.
        shift: How many bits of a size are drawn otherwise.
        count: How many sizes there are, from 0 on.

    Yields:
        For all but the last, the probability that y is no larger: a whole number
        of BITS bits, of numbers of that many bits the least that means a larger y.
    """
    total, up_to = sum(_weights(variance, shift, count)), 0
    for _, weight in zip(range(count - 1), _weights(variance, shift, count), strict=False):
        up_to += weight
        yield (up_to << BITS) // total


def _weights(variance: int, shift: int, count: int) -> Iterator[int]:
    """exp(-(2^shift y)^2 / (2 variance)) for y from 0 on, as whole numbers of _WORKING bits."""
    weight = 1 << _WORKING
    # From y = 0 on it changes by exp(-(2 y + 1) 2^(2 shift) / (2 variance)): by more each time, as much more.
    first = _CONTEXT.exp(_CONTEXT.divide(Decimal(-1 << 2 * shift), Decimal(2 * variance)))
    factor = int(_CONTEXT.multiply(first, Decimal(weight)))
    square = factor * factor >> _WORKING
    for _ in range(count):
        yield weight
        weight = weight * factor >> _WORKING
        factor = factor * square >> _WORKING


class _Table(NamedTuple):
    """What sizes are looked up by.

    Args:
        first: The first words of all thresholds.
        below: By the first bits of a random number, the least place that it may have, and
        above: the largest.
    """

    first: Lanes
    below: npt.NDArray[np.int32]
    above: npt.NDArray[np.int32]


def _table(variance: int, shift: int, count: int) -> _Table:
    words = (each >> (BITS - _WORD) for each in thresholds(variance, shift, count))
    first = np.fromiter(words, np.uint64, count - 1)
    least = np.arange(1 << _GUIDE, dtype=np.uint64) << np.uint64(_WORD - _GUIDE)
    most = least | np.uint64((1 << (_WORD - _GUIDE)) - 1)
    places = (np.searchsorted(first, each, side="right").astype(np.int32) for each in (least, most))
    return _Table(first, *places)
