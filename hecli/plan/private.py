"""Plans with noise: how one is made, and what it is held to."""

import math
from fractions import Fraction

from hecli.codec.chain import Coding, sizes_of
from hecli.codec.interface import Step
from hecli.codec.quantise import Quantise
from hecli.errors import HecliError
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.data import Plan
from hecli.privacy.choosing import FINENESS, Asked, Field, fit
from hecli.privacy.guarantee import LARGEST_SUM, RECORD, Privacy, squared_norm, tail_of

_EXACT = 1 << 42
"""What float64 adds to what a record changes is small where terms^(3/2) times the largest value is no larger.

What is added up of so many terms is off by at most terms * 2^-53 times the sum
of their sizes, which is at most the root of the terms times the largest value
(times the norm of what they are multiplied with, which is 1): below 2^-11 of a
step, for which MARGIN makes up, where a clip norm has as many steps as FINENESS
calls for. A rotation adds up 4,096, but in two goes of 64: that is 2^-40 times
the largest value, and less.
"""


def with_noise(
    asked: Asked,
    specs: tuple[TensorSpec, ...],
    steps: tuple[Step, ...],
    parties: int,
    fewest: int,
    bits: int | None,
    value_range: float | None = None,
) -> tuple[Quantise, Privacy]:
    """Choose how values are quantised, and the noise for it.

    Args:
        asked: What was asked for.
        specs: The tensors.
        steps: What is done to each before lanes are made.
        parties: The most parties.
        fewest: The fewest contributors of a sum that may be opened.
        bits: The bits of a value with its noise; None for as few as do.
        value_range: The largest value of a party, where records are protected; None for the usual one.

    Returns:
        Both.

    Raises:
        HecliError: There can be no such noise.
    """
    values = sum(sizes_of(spec, steps)[-1] for spec in specs)
    field = Field(values, parties, fewest, Coding(0, steps).stretch, value_range)
    found = fit(asked, field, bits)
    quantise = Quantise(found.bits, "nearest", (found.step,) * len(specs), tail=found.tail)
    return quantise, found.privacy


def with_noise_again(plan: Plan, steps: tuple[Step, ...], bits: int | None) -> tuple[Quantise, Privacy]:
    """Choose noise for a round after another, which costs no more.

    Args:
        plan: The plan of the other.
        steps: What is done to each tensor in this one.
        bits: The bits of a value with its noise; None for as many as before.

    Returns:
        How values are quantised, and the noise.

    Raises:
        HecliError: There is no noise in the other, or can be none in this one.
    """
    last, spending = plan.privacy, plan.spending
    if last is None or spending is None:
        raise HecliError(f"there is no noise in {plan.name!r}", "give --clip")
    quantise = plan.codec.quantise
    asked = Asked(last.unit, last.clip, None, spending.cost.rho, last.colluders, last.delta)
    # As steps may change, so may the range; noise and values keep to the bits.
    value_range = None if last.unit != RECORD else quantise.bound(0) * quantise.steps[0]
    fewest = plan.min_parties
    return with_noise(asked, plan.tensors, steps, plan.capacity, fewest, bits or quantise.bits, value_range)


def check_private(plan: Plan, privacy: Privacy) -> None:
    """Refuse a plan whose noise does not promise what its account says.

    Args:
        plan: The plan.
        privacy: Its noise.

    Raises:
        HecliError: It does not.
    """
    quantise, specs = plan.codec.quantise, plan.tensors
    for wrong, why, hint in (
        (
            plan.roster is None,
            "without a roster nobody knows whose noise is in a sum",
            "name each party with --party",
        ),
        (
            plan.min_parties <= privacy.colluders,
            f"of {plan.min_parties:,} contributors {privacy.colluders:,} may collude: no noise is left",
            "raise --min-parties, or lower --colluders",
        ),
        (
            privacy.colluders > _held(plan),
            f"{privacy.colluders:,} who collude could open single updates of this round",
            "lower --colluders or --dropouts, or have more shares open",
        ),
        (
            plan.min_parties - privacy.colluders > _together(plan),
            f"{privacy.colluders:,} who collude could open sums of only {_together(plan):,} others",
            "lower --dropouts, or --min-parties",
        ),
        (
            privacy.unit == RECORD and any(spec.dtype != "float64" for spec in specs),
            "sums over records are float64: what is rounded off would tell of single ones",
            "make a new plan",
        ),
        (plan.max_weight > 1, "a weight tells of a party's data", "leave out --max-weight"),
        (bool(plan.metrics), "metrics tell of a party's data", "leave out --metric"),
        (bool(plan.plain), "noise does not protect what is in the clear", "leave out what makes it plain"),
        (len({*quantise.steps}) > 1, "noise is for values that all have one step", "make a new plan"),
        (quantise.rounding != "nearest", "noise is for values rounded to the nearest", "make a new plan"),
    ):
        if wrong:
            raise HecliError(why, hint)
    values = plan.geometry.values
    expected = squared_norm(privacy.unit, privacy.clip, quantise.steps[0], values, plan.codec.coding.stretch)
    if privacy.norm2 != expected:
        raise HecliError(
            f"its squared norm is {privacy.norm2:,}, and its clip norm calls for {expected:,}",
            "make a new plan",
        )
    needed = tail_of(privacy.variance, values * plan.capacity)
    if quantise.tail < needed:
        raise HecliError(
            f"there is room for noise of {quantise.tail:,} steps, of the {needed:,} it may come to",
            "use more --bits",
        )
    bound = quantise.bound(0)
    ratio = Fraction(privacy.clip) / Fraction(quantise.steps[0])
    if ratio**2 < FINENESS[privacy.unit].least ** 2 * values:
        raise HecliError("its steps are too coarse for its clip norm", "use more --bits")
    if privacy.unit != RECORD:
        if bound < math.isqrt(privacy.norm2):
            raise HecliError("a value as large as the clip norm has no room", "use more --bits")
        return
    if bound > LARGEST_SUM:
        raise HecliError(f"values of up to {bound:,} steps are not exact", "use a smaller --range")
    terms = max(step.terms(spec) for step in plan.codec.steps for spec in specs) if plan.codec.steps else 1
    if Fraction(terms) ** 3 * bound**2 > _EXACT**2:
        raise HecliError(
            f"records cannot be protected where {terms:,} values are added up to one",
            "use a smaller --range, or leave out --rank",
        )


def _together(plan: Plan) -> int:
    """How many honest parties are in every sum that those who collude may open."""
    masking, colluders = plan.masking, plan.privacy.colluders if plan.privacy else 0
    honest = plan.capacity - colluders
    # Beyond what the masks hold against, which is refused for itself.
    if masking is None or honest <= 2 * masking.dropouts:
        return honest
    return masking.fewest_honest(plan.capacity, colluders)


def _held(plan: Plan) -> int:
    """How many may collude without opening single updates, where that is less than who contributes."""
    masking, sharing, held = plan.masking, plan.scheme.sharing, plan.capacity
    if masking is not None and masking.dropouts:
        held = plan.capacity - 2 * masking.dropouts - 1
    return held if sharing is None else min(held, sharing.threshold - 1)
