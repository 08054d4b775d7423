"""How much noise, and on which steps, for what was asked for: in whole numbers and fractions alone."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from hecli.errors import HecliError
from hecli.formats.canonical import Map, Types, fields
from hecli.privacy.accounting import Cost
from hecli.privacy.guarantee import (
    LARGEST,
    LARGEST_NORM2,
    LARGEST_SUM,
    LARGEST_VARIANCE,
    LEAST,
    LEAST_VARIANCE,
    PARTY,
    RECORD,
    Privacy,
    check_asked,
    squared_norm,
    tail_of,
)

MOST_BITS = 32
"""Bits of a quantised value with its noise, sign included."""


class Fineness(NamedTuple):
    """How many steps a clip norm is long, as multiples of the square root of the number of values.

    Args:
        wanted: Rounding then adds next to nothing to what one of those who are protected can change.
        least: With fewer, rounding would call for much more noise.
    """

    wanted: int
    least: int


FINENESS = {PARTY: Fineness(2, 2), RECORD: Fineness(32, 8)}
"""By the unit: a party's rounding is checked behind it, a record's is counted at its worst."""

RANGE_IN_CLIPS = 32.0
"""The largest value of a party where records are protected and nobody says it, in clip norms."""

LEAST_RHO, LARGEST_RHO = 2.0**-64, 2.0**9
"""What an opening may cost: with less, noise drowns everything, and with more, nothing is promised."""


class Asked(NamedTuple):
    """What was asked for.

    Args:
        unit: Whose data is to be protected, one of UNITS.
        clip: The largest norm, of a party's update or of what one record adds.
        noise: The standard deviation of the honest contributors' noise together,
            in clip norms; None where `rho` says it.
        rho: What an opening may cost.
        colluders: How many contributors' noise does not count.
        delta: The delta for which epsilon is shown.
    """

    unit: str
    clip: float
    noise: float | None
    rho: float | Fraction | None
    colluders: int
    delta: float


class Promise(NamedTuple):
    """What a training promises for all its rounds together.

    Args:
        unit: Whose data is protected, one of UNITS.
        clip: The largest norm, of a party's update or of what one record adds.
        rho: What a round may cost.
        epsilon: What all rounds together promise, with
        delta: this delta.
        colluders: How many contributors' noise does not count.
    """

    unit: str
    clip: float
    rho: float
    epsilon: float
    delta: float
    colluders: int

    @property
    def asked(self) -> Asked:
        """The noise of a round."""
        return Asked(self.unit, self.clip, None, self.rho, self.colluders, self.delta)

    def cost(self, rounds: int) -> Cost:
        """Say what so many rounds may cost.

        Args:
            rounds: How many.

        Returns:
            The cost, by their sums.
        """
        return Cost(Fraction(self.rho), 1).times(rounds)

    def to_map(self) -> Map:
        """Write it as it stands in the terms of a training.

        Returns:
            The map.
        """
        return self._asdict()

    @classmethod
    def parse(cls, value: Map, file: str) -> "Promise":
        """Read what stands in the terms of a training.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            It.

        Raises:
            FormatError: It is malformed.
        """
        fields(value, file, "what it promises of privacy", _FIELDS)
        return cls(**value)

    def check(self, rounds: int) -> None:
        """Refuse a promise that so many rounds do not keep.

        Args:
            rounds: How many rounds there are at most.

        Raises:
            HecliError: They do not.
        """
        check_asked(self.unit, self.clip, self.colluders, self.delta)
        if not LEAST_RHO <= self.rho <= LARGEST_RHO or not 0 < self.epsilon < math.inf:
            raise HecliError("a promise of nothing", "give an --epsilon above 0")
        found = self.cost(rounds).epsilon(self.delta)
        if found > self.epsilon * _TOLERANCE:
            raise HecliError(
                f"{rounds:,} rounds come to epsilon {found:.4g}, of {self.epsilon:.4g} that are promised",
                "whoever began the training has to do it anew",
            )


_TOLERANCE = 1 + 1e-6
"""Machines' logarithms differ in their last bits."""

_FIELDS: Types = {
    "unit": str,
    "clip": float,
    "rho": float,
    "epsilon": float,
    "delta": float,
    "colluders": int,
}


class Field(NamedTuple):
    """What noise is to be added to.

    Args:
        values: How many values there are.
        parties: The most parties.
        fewest: The fewest contributors of a sum that may be opened.
        stretch: How many times longer what is done before rounding may make a vector.
        range: The largest value of a party, where records are protected; None for the usual one.
    """

    values: int
    parties: int
    fewest: int
    stretch: Fraction
    range: float | None


class Fitted(NamedTuple):
    """How values are quantised, and the noise for it.

    Args:
        bits: The bits of a value with its noise.
        step: The distance between neighbouring quantised values.
        bound: The largest value of a party before noise, in steps.
        privacy: The noise.
    """

    bits: int
    step: float
    bound: int
    privacy: Privacy

    @property
    def tail(self) -> int:
        """How much room there is for noise, in steps: all that values leave."""
        return (1 << (self.bits - 1)) - 1 - self.bound


def fit(asked: Asked, field: Field, bits: int | None) -> Fitted:
    """Choose steps and noise.

    Whoever does it comes to the same: the clip norm is a whole number of steps,
    the largest for which values and noise have room in their bits.

    Args:
        asked: What was asked for.
        field: What noise is to be added to.
        bits: The bits of a value with its noise; None for as few as do.

    Returns:
        Them.

    Raises:
        HecliError: There can be no such noise.
    """
    check_asked(asked.unit, asked.clip, asked.colluders, asked.delta)
    for what, value in (("noise", asked.noise), ("range", field.range)):
        if value is not None and not LEAST <= value <= LARGEST:
            raise HecliError(f"a {what} of {value:g} promises nothing", "give a number above 0")
    if asked.rho is not None and not LEAST_RHO <= asked.rho <= LARGEST_RHO:
        raise HecliError(
            f"a cost of {float(asked.rho):.3g} a round promises nothing, or leaves nothing of updates",
            "ask for another --epsilon, or fewer rounds",
        )
    if field.fewest - asked.colluders < 1:
        raise HecliError(
            f"with {field.fewest:,} contributors, of whom {asked.colluders:,} may collude, no noise counts",
            "raise --min-parties, or lower --colluders",
        )
    if field.range is not None and asked.unit == PARTY:
        raise HecliError("a party's values are clipped by their norm, and have no range", "leave out --range")
    fineness = FINENESS[asked.unit]
    wanted = _times_root(fineness.wanted, field.values)
    finest = _largest(lambda steps: _possible(asked, field, steps), MOST_BITS)
    loud = _least(lambda steps: _made(asked, field, steps).privacy.variance >= LEAST_VARIANCE)
    least = max(loud, _times_root(fineness.least, field.values))
    if finest < least:
        raise HecliError(
            "there is no step with which this noise is fine enough, and has room in "
            f"{MOST_BITS} bits: a party would add {_made(asked, field, least).privacy.sigma:,.3g} steps",
            "ask for more noise if that is little, and for less, or fewer values, if it is much",
        )
    if bits is None:
        bits = _made(asked, field, min(max(loud, wanted), finest)).bits
    found = _largest(lambda steps: steps <= finest and _made(asked, field, steps).bits <= bits, MOST_BITS)
    if found < least:
        raise HecliError(
            f"{bits} bits are too coarse for this noise: rounding to them would need more of it",
            f"use --bits {_made(asked, field, least).bits} or more",
        )
    return _made(asked, field, found)._replace(bits=bits)


def _made(asked: Asked, field: Field, steps: int) -> Fitted:
    """What follows from how many steps the clip norm is long."""
    step = float(Fraction(asked.clip) / steps)
    norm2 = squared_norm(asked.unit, asked.clip, step, field.values, field.stretch)
    honest = field.fewest - asked.colluders
    if asked.noise is not None:
        each = (Fraction(asked.noise) * Fraction(asked.clip) / Fraction(step)) ** 2 / honest
    else:
        each = Fraction(norm2) / (2 * honest * Fraction(asked.rho or 0))
    variance = math.ceil(each)
    bound = _bound(asked, field.range, step, norm2)
    bits = (bound + tail_of(variance, field.values * field.parties)).bit_length() + 1
    return Fitted(
        bits, step, bound, Privacy(asked.unit, asked.clip, norm2, variance, asked.colluders, asked.delta)
    )


def _bound(asked: Asked, value_range: float | None, step: float, norm2: int) -> int:
    """The largest value of a party before noise, in steps."""
    if asked.unit == PARTY:
        return math.isqrt(norm2)
    most = Fraction(RANGE_IN_CLIPS) * Fraction(asked.clip) if value_range is None else Fraction(value_range)
    return math.ceil(most / Fraction(step))


def _possible(asked: Asked, field: Field, steps: int) -> bool:
    made = _made(asked, field, steps)
    return (
        made.bits <= MOST_BITS
        and made.privacy.norm2 <= LARGEST_NORM2
        and made.privacy.variance <= LARGEST_VARIANCE
        and (asked.unit == PARTY or made.bound <= LARGEST_SUM)
    )


def _largest(holds: Callable[[int], bool], bits: int) -> int:
    """The largest number below 2^bits for which something holds, as it does for all smaller ones; else 0."""
    found = 0
    for at in reversed(range(bits)):
        if holds(found | 1 << at):
            found |= 1 << at
    return found


def _least(holds: Callable[[int], bool]) -> int:
    """The least number for which something holds that holds for all larger ones."""
    return _largest(lambda steps: not holds(steps), MOST_BITS) + 1


def _times_root(factor: int, values: int) -> int:
    """The least number above so many square roots of the number of values, whatever a step is rounded to."""
    return math.isqrt(factor**2 * values) + 1
