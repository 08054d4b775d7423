"""What a plan promises of the data behind updates: differential privacy, of the noise that parties add.

P. Kairouz, Z. Liu and T. Steinke, "The distributed discrete Gaussian mechanism
for federated learning with secure aggregation" (ICML 2021), theorem 1 for zCDP:
each party adds discrete Gaussian noise to whole numbers, and the sum's noise is
as good as a discrete Gaussian of the sum of the variances.
"""

import math
from fractions import Fraction
from typing import NamedTuple

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, Types, fields
from hecli.privacy.accounting import TAIL_BITS

PARTY, RECORD = "party", "record"
UNITS = (PARTY, RECORD)
"""Whose data is protected: all of one party's, or one record of its data."""

LEAST_VARIANCE = 1 << 4
"""With less, sums of noise are not those that the account is about.

With a standard deviation of 4 they differ by less than 10^-60 a value (Kairouz,
Liu and Steinke, theorem 1: tau, with exp(-2 pi^2 16 / 2) as its largest term).
"""

LARGEST_VARIANCE = 1 << 44
"""With more, float64 would not tell what noise is drawn."""

LARGEST_NORM2 = (1 << 63) - 1

LARGEST_DELTA = 2.0**-7
"""A delta is the probability with which a promise may fail: with a larger one it is none."""

LEAST_DELTA = 2.0**-60
"""With less, what is charged for noise that is cut off would leave nothing to promise."""

LEAST, LARGEST = 2.0**-400, 2.0**400
"""Between these are clip norms, ranges and what else is asked for, so that float64 holds what follows."""

LARGEST_SUM = 1 << 24
"""The largest value of a party where records are protected: float64 must not add to what a record changes."""

MARGIN = 1 + Fraction(1, 1 << 12)
"""What float64 adds to it at most, in what is done before rounding."""

_LN2_TWICE = Fraction(1420, 1024)
"""A little above 2 ln 2."""


class Privacy(NamedTuple):
    """Noise that adds up.

    Args:
        unit: Whose data is protected, one of UNITS.
        clip: The largest norm: of a party's update, or of what one record adds to it.
        norm2: The square of the most that one of them changes in quantised
            values, in steps. A party's quantised update has no larger one.
        variance: That of the noise of each party, in steps squared.
        colluders: How many contributors' noise does not count: everybody knows their own.
        delta: The delta for which epsilon is shown.
    """

    unit: str
    clip: float
    norm2: int
    variance: int
    colluders: int
    delta: float

    def to_map(self) -> Map:
        """Write it as it stands in a plan.

        Returns:
            The map.
        """
        return self._asdict()

    @classmethod
    def parse(cls, value: Map, file: str) -> "Privacy":
        """Read what stands in a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            It.

        Raises:
            FormatError: It is malformed.
        """
        fields(value, file, "the privacy of its plan", _FIELDS)
        found = cls(**value)
        try:
            found.check()
        except HecliError as error:
            raise FormatError(f"{file}: in its plan, {error.message}", error.hint) from error
        return found

    def check(self) -> None:
        """Refuse what no plan can promise.

        Raises:
            HecliError: It cannot be.
        """
        check_asked(self.unit, self.clip, self.colluders, self.delta)
        if not 1 <= self.norm2 <= LARGEST_NORM2:
            raise HecliError(f"a squared norm of {self.norm2:,} cannot be", "give another --clip")
        if not LEAST_VARIANCE <= self.variance <= LARGEST_VARIANCE:
            raise HecliError(
                f"noise of {math.sqrt(max(0, self.variance)):.3g} steps a party cannot be accounted for: "
                f"it must have from {math.isqrt(LEAST_VARIANCE)} to {math.isqrt(LARGEST_VARIANCE):,}",
                "use more or fewer --bits",
            )

    @property
    def sigma(self) -> float:
        """The standard deviation of a party's noise, in steps."""
        return math.sqrt(self.variance)


_FIELDS: Types = {
    "unit": str,
    "clip": float,
    "norm2": int,
    "variance": int,
    "colluders": int,
    "delta": float,
}


def check_asked(unit: str, clip: float, colluders: int, delta: float) -> None:
    """Refuse what cannot be asked for.

    Args:
        unit: Whose data is protected.
        clip: The largest norm.
        colluders: How many contributors' noise does not count.
        delta: The delta.

    Raises:
        HecliError: It cannot be.
    """
    for wrong, what, hint in (
        (unit not in UNITS, f"{unit[:64]!r} is no unit of privacy", f"use {' or '.join(UNITS)}"),
        (not LEAST <= clip <= LARGEST, f"a clip norm of {clip:g} leaves nothing", "give a number above 0"),
        (
            colluders < 1,
            "at least one colluder is counted: every party knows its own noise",
            "use --colluders 1 or more",
        ),
        (
            not LEAST_DELTA <= delta <= LARGEST_DELTA,
            f"a delta of {delta:g} promises nothing",
            "give one such as 1e-5",
        ),
    ):
        if wrong:
            raise HecliError(what, hint)


def squared_norm(unit: str, clip: float, step: float, values: int, stretch: Fraction) -> int:
    """Say what one of those who are protected can change in quantised values: the square of its norm.

    Of a party it is the clip norm, and room for what rounding adds in the mean
    (a twelfth a value, of which the exact check takes what is too much). A record
    changes what is rounded by the clip norm at most, and each of two roundings is
    off by half a step a value: (clip / step + sqrt(values))^2.

    Args:
        unit: Whose data is protected.
        clip: The largest norm.
        step: The distance between neighbouring quantised values.
        values: How many there are.
        stretch: How many times longer what is done before rounding may make a vector.

    Returns:
        It, in steps squared.
    """
    ratio = Fraction(clip) / Fraction(step)
    if unit == PARTY:
        return math.floor(ratio**2) + values // 4
    square = math.ceil((ratio * stretch * MARGIN) ** 2)
    return square + values + _root_above(4 * square * values)


def tail_of(variance: int, draws: int) -> int:
    """Say beyond which size noise is cut off.

    A discrete Gaussian is sub-Gaussian: beyond T with a probability of at most
    2 exp(-T^2 / (2 variance)) (Canonne, Kamath and Steinke, on its tails).

    Args:
        variance: The variance of one draw.
        draws: How many draws there are in a round, of all parties.

    Returns:
        The least T with which all of them together are within it, but with a
        probability of 2^-TAIL_BITS.
    """
    bits = draws.bit_length() + 1 + TAIL_BITS
    return _root_above(math.ceil(_LN2_TWICE * variance * bits))


def _root_above(value: int) -> int:
    """The square root, rounded up."""
    return math.isqrt(value - 1) + 1 if value else 0
