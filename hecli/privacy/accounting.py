"""The account of noise: what openings cost together, and what that promises.

Costs are in zero-concentrated differential privacy (M. Bun and T. Steinke, TCC
2016, definition 1.1): openings add up, in exact fractions. Only what is shown
becomes epsilon at a delta, which is float64.
"""

import math
from fractions import Fraction
from typing import NamedTuple, Self

TAIL_BITS = 80
"""Noise of all parties together is cut off with a probability of at most 2^-TAIL_BITS a round."""

_LARGEST = 600.0
"""Beyond this epsilon nothing is promised: its exponential leaves float64."""

_STEPS = 100
"""Steps of a search; float64 has no more to tell apart."""


class Cost(NamedTuple):
    """What openings cost one of those whose data is protected.

    Args:
        rho: Their zCDP together.
        openings: How many there are.
    """

    rho: Fraction = Fraction(0)
    openings: int = 0

    def plus(self, other: Self) -> "Cost":
        """Add openings.

        Args:
            other: What they cost.

        Returns:
            What all cost together (Bun and Steinke, lemma 1.7).
        """
        return Cost(self.rho + other.rho, self.openings + other.openings)

    def scaled(self, times: int) -> "Cost":
        """Give what the same openings cost somebody who changes more.

        Args:
            times: How many times the square of the norm is what they change.

        Returns:
            The cost.
        """
        return Cost(self.rho * times, self.openings)

    def times(self, openings: int) -> "Cost":
        """Repeat openings.

        Args:
            openings: How often.

        Returns:
            What all cost together.
        """
        return Cost(self.rho * openings, self.openings * openings)

    def epsilon(self, delta: float) -> float:
        """Say what openings of this cost promise.

        C. Canonne, G. Kamath and T. Steinke, "The discrete Gaussian for
        differential privacy" (NeurIPS 2020), proposition 12; noise that is cut off
        charges (1 + e^epsilon) 2^-TAIL_BITS of delta for each opening.

        Args:
            delta: Delta, between 0 and 1.

        Returns:
            Epsilon; infinity where nothing is promised.
        """
        if self.rho > _LARGEST:
            return math.inf
        first = _converted(self.rho, delta)
        # Twice of what the first guess is charged: it pays for the second, which is larger.
        left = delta - 2 * self._charge(first)
        if left <= 0:
            return math.inf
        found = _converted(self.rho, left)
        return found if self._charge(found) <= 2 * self._charge(first) else math.inf

    def _charge(self, epsilon: float) -> float:
        if epsilon > _LARGEST:
            return math.inf
        return self.openings * (1 + math.exp(epsilon)) * 2.0**-TAIL_BITS


def rho_within(epsilon: float, delta: float, openings: int) -> float:
    """Say what an opening may cost, so that all together keep a promise.

    Args:
        epsilon: Epsilon, above 0.
        delta: Delta, between 0 and 1.
        openings: How many openings there are.

    Returns:
        The largest rho of an opening, but for what float64 rounds.
    """
    low, high = 0.0, 1.0
    while Cost(Fraction(high), 1).times(openings).epsilon(delta) <= epsilon:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if Cost(Fraction(middle), 1).times(openings).epsilon(delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low


def _converted(rho: Fraction, delta: float) -> float:
    """The least epsilon over all orders alpha = 1 + e^x of the Renyi divergence, which has one minimum."""
    cost = float(rho)
    if cost == 0:
        return 0.0
    low, high = -40.0, 40.0
    for _ in range(_STEPS):
        third = (high - low) / 3
        if _at_order(cost, delta, low + third) <= _at_order(cost, delta, high - third):
            high -= third
        else:
            low += third
    return max(0.0, _at_order(cost, delta, (low + high) / 2))


def _at_order(rho: float, delta: float, x: float) -> float:
    above = math.exp(x)
    order = 1 + above
    # log(1 - 1 / order), without the digits that 1 - 1 / order would lose.
    inverse = -math.log1p(1 / above)
    return rho * order + inverse - (math.log(delta) + math.log(order)) / above
