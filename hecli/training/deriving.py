"""The plan of a round, which follows from the training and from the round before, for everybody alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from hecli.codec.chain import Coding, compressing
from hecli.codec.interface import Step
from hecli.codec.low_rank import LEFT, RIGHT, LowRank
from hecli.codec.quantise import Quantise, step_of
from hecli.codec.sample import Sample
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.tensors.specs import TensorSpec, by_name
from hecli.plan.checks import check_plan
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.making import codec_of
from hecli.plan.parts import Published
from hecli.plan.position import Position
from hecli.plan.private import with_noise
from hecli.privacy.choosing import Promise
from hecli.privacy.guarantee import Privacy
from hecli.training.metrics import specs_of
from hecli.training.terms import Training

FIRST_BITS, FIRST_RANGE = 32, 128.0
"""Of the first round's values where nobody knows their range: more than any other round needs."""

METRIC_LARGEST = (1 << 14) - 1
"""Metrics are told apart to about this part of their range at least, however few bits values have."""

DIFFERS = (
    "the coordinator has to make the plan that follows from the training: ask, and do not send an update"
)


def update_specs(training: Training) -> tuple[TensorSpec, ...]:
    """Say what tensors an update has.

    Those of the model but the skipped ones, of which integers travel as
    float64, for their differences are below zero too, and all of them where
    records are protected; and the metrics.

    Args:
        training: The terms.

    Returns:
        The tensors, sorted by name.
    """
    moved = (spec for spec in training.tensors if spec.name not in training.skipped)
    floats = (
        TensorSpec(each.name, "float64", each.shape) if each.is_integer or training.protects_records else each
        for each in moved
    )
    return by_name([*floats, *specs_of(training.metrics)])


class After(NamedTuple):
    """What a plan takes from the sum of the round before.

    Args:
        steps: The distances between neighbouring quantised values, of each tensor.
        low_rank: The step that has the digest of the bases, where matrices go as factors.
    """

    steps: tuple[float, ...]
    low_rank: LowRank | None = None


def coding_of(training: Training, low_rank: LowRank | None) -> Coding:
    """Say how values are coded in all rounds but the first.

    Args:
        training: The terms.
        low_rank: The step that has the digest of the bases, where matrices go as factors.

    Returns:
        It.
    """
    sample = None if training.sample is None else Sample(training.sample)
    return Coding(training.bits, compressing(low_rank=low_rank, sample=sample, rotate=training.rotate))


def derive_plan(training: Training, position: Position, after: After | None, id: bytes) -> Plan:
    """Derive the plan of a round.

    Args:
        training: The terms.
        position: Which round it is, and what it builds on.
        after: What follows from the sum before; None in the first round.
        id: The plan's random id.

    Returns:
        The plan.

    Raises:
        HecliError: No such plan can be kept.
    """
    specs, capacity = update_specs(training), len(training.roster.parties)
    coding, rounding = Coding(training.bits), training.rounding
    if after is not None:
        coding, steps = coding_of(training, after.low_rank), after.steps
    else:
        # Whole, also where later rounds are not: it shows how large values are, and where matrices lie.
        if training.range is None:
            coding, rounding = Coding(FIRST_BITS), "nearest"
        steps = (step_of(training.range or FIRST_RANGE, coding.bits),) * len(specs)
    of_metrics = {
        spec.name: each.range for each, spec in zip(training.metrics, specs_of(training.metrics), strict=True)
    }
    noise = None
    if training.privacy is None:
        quantise = with_metrics(Quantise(coding.bits, rounding, steps), specs, of_metrics)
    else:
        # Steps and ranges follow from the noise alone: those of private data would tell of it.
        quantise, noise = _with_noise(training, training.privacy, specs, coding.steps, training.bits)
    plan = Plan(
        name=round_name(training, position),
        id=id,
        tensors=specs,
        codec=codec_of(quantise, coding.steps, specs, capacity, training.scheme),
        scheme=training.scheme,
        capacity=capacity,
        min_parties=training.min_parties,
        max_weight=training.max_weight,
        roster=training.roster,
        skipped=training.skipped,
        position=position,
        metrics=tuple(sorted(of_metrics)),
        masked=training.masked,
        plain=tuple(Published(spec.name, ((0, spec.size),)) for spec in specs if spec.name in training.plain),
        privacy=noise,
    )
    check_plan(plan)
    return plan


def _with_noise(
    training: Training,
    privacy: Promise,
    specs: tuple[TensorSpec, ...],
    steps: tuple[Step, ...],
    bits: int | None,
) -> tuple[Quantise, Privacy]:
    """How values are quantised in a round with noise, and the noise."""
    parties, fewest = len(training.roster.parties), training.min_parties
    return with_noise(privacy.asked, specs, steps, parties, fewest, bits, training.range)


def with_fewest_bits(training: Training) -> Training:
    """Choose the bits of values with noise: as few as the first round needs, which sends most.

    Args:
        training: The terms.

    Returns:
        The terms with these bits; the same where there is no noise.

    Raises:
        HecliError: There can be no such noise.
    """
    if training.privacy is None:
        return training
    quantise, _ = _with_noise(training, training.privacy, update_specs(training), (), None)
    return replace(training, bits=quantise.bits, rounding=quantise.rounding)


def with_metrics(quantise: Quantise, specs: tuple[TensorSpec, ...], ranges: Mapping[str, float]) -> Quantise:
    """Give metrics as many lanes as they need, and the steps of their own ranges.

    Args:
        quantise: How values are quantised.
        specs: The tensors.
        ranges: The ranges of the metrics among them.

    Returns:
        The same, for them too.
    """
    digits = tuple(_digits(quantise.qmax) if spec.name in ranges else 1 for spec in specs)
    found = replace(quantise, digits=digits if {*digits} - {1} else ())
    return replace(
        found,
        steps=tuple(
            ranges[spec.name] / found.largest(at) if spec.name in ranges else step
            for at, (spec, step) in enumerate(zip(specs, quantise.steps, strict=True))
        ),
    )


def _digits(qmax: int) -> int:
    """The fewest lanes that tell METRIC_LARGEST values of each sign apart."""
    digits = 1
    while (2 * qmax + 1) ** digits < 2 * METRIC_LARGEST + 1:
        digits += 1
    return digits


def first_plan(training: Training) -> Plan:
    """Derive a plan like that of the first round, to see what it will be, before the terms have a digest.

    Args:
        training: The terms.

    Returns:
        The plan, of another training than this, and without an id.

    Raises:
        HecliError: No such plan can be kept.
    """
    position = Position(bytes(DIGEST_SIZE), 1, 1, training.model, b"")
    return derive_plan(training, position, None, bytes(ID_SIZE))


def later_plan(training: Training, number: int = 2) -> Plan:
    """Derive a plan like that of a round behind the first.

    Args:
        training: The terms.
        number: The number of the round: with low rank, factors take turns.

    Returns:
        The plan, of another training than this, and without an id.

    Raises:
        HecliError: No such plan can be kept.
    """
    nothing = bytes(DIGEST_SIZE)
    low_rank = (
        None if training.rank is None else LowRank(training.rank, LEFT if number % 2 else RIGHT, nothing)
    )
    after = After((1.0,) * len(update_specs(training)), low_rank)
    return derive_plan(training, Position(nothing, number, 1, nothing, nothing), after, bytes(ID_SIZE))


def check_terms(training: Training, file: str) -> None:
    """Refuse terms from which no plan follows.

    Args:
        training: The terms.
        file: Their file, for errors.

    Raises:
        FormatError: None does.
    """
    try:
        first_plan(training)
        later_plan(training)
    except HecliError as error:
        raise FormatError(f"{file}: no plan follows from it: {error.message}", error.hint) from error


def round_name(training: Training, position: Position) -> str:
    """Name a round as its plan does.

    Args:
        training: The terms.
        position: Which round it is.

    Returns:
        The name.
    """
    again = "" if position.attempt == 1 else f"-{position.attempt}"
    return f"{training.name[:48]}-{position.round:04}{again}"


def check_derived(found: Plan, expected: Plan, file: str) -> None:
    """Refuse a plan that is not the one that follows, but for its id.

    A list of what must not change would not do: whoever shows one party another
    model gets that party's update alone out of the mean (D. Pasquini, D. Francati
    and G. Ateniese, CCS 2022).

    Args:
        found: The plan.
        expected: The one that was derived, with the same id.
        file: The plan's file, for errors.

    Raises:
        MismatchError: It differs; it says in what.
    """
    if found == expected:
        return
    mine, theirs = expected.to_map(), found.to_map()
    names = [key for key in mine | theirs if mine.get(key) != theirs.get(key)]
    if "position" in names and found.position and expected.position:
        pairs = zip(expected.position._fields, expected.position, found.position, strict=True)
        names.remove("position")
        names += [field for field, one, other in pairs if one != other]
    raise MismatchError(
        f"{file}: is not the plan that follows from the training here: another {', '.join(sorted(names))}",
        DIFFERS,
    )
