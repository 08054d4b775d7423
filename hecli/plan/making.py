"""A plan made for tensors like those at hand, and the one of those who made none."""

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction

import numpy as np

from hecli.codec.chain import PACKS, Codec, Coding, compressing
from hecli.codec.interface import Step
from hecli.codec.low_rank import LowRank
from hecli.codec.quantise import Quantise, step_of
from hecli.codec.rotate import range_of
from hecli.codec.sample import Sample
from hecli.codec.values import checked_values
from hecli.errors import HecliError
from hecli.formats.canonical import pack
from hecli.formats.envelope import DIGEST_SIZE, HEADER_LIMIT, SIGNATURE_SIZE
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.tensors.specs import TensorSpec
from hecli.formats.text import NAME_LIMIT
from hecli.identity.roster import Roster
from hecli.plan.checks import check_plan
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.geometry import Geometry
from hecli.plan.parts import Masked, Published
from hecli.plan.private import with_noise
from hecli.privacy.choosing import Asked
from hecli.privacy.guarantee import RECORD
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.files import largest_enrollment
from hecli.schemes.masks.masking import Masking
from hecli.schemes.registry import scheme_of
from hecli.schemes.round import PublicKey

HEADROOM = 4.0
"""How far beyond the largest value of the example an automatic range goes."""

NORM_HEADROOM = 2.0
"""The same of norms, which differ less between parties."""

LARGEST_NORM = 2.0**500
"""Norms are below this, so that their squares are float64."""

STOCHASTIC_BITS = 10
"""Up to so many bits rounding is stochastic unless told otherwise: few bits make nearest biased."""

ALL = "*"
"""The pattern that every name matches."""

_OTHER_BOUND = {
    True: ("rotated values have no range of their own", "give --norm, the largest norm of a party's tensor"),
    False: ("values that are not rotated have no norm to go by", "give --range, or add --rotate"),
}

SHOWN = 6
"""The most names of tensors in an error."""

DEFAULT_BITS = 16

UNPLANNED_BITS = 32
DEFAULT_STEP = 2.0**-24
DEFAULT_CAPACITY = 256


@dataclass(frozen=True)
class Example:
    """What a plan is made for.

    Args:
        specs: The tensors.
        steps: Gives steps that suit some of them, coded in this way.
        skipped: The names of tensors that are left out already, sorted.
        max_weight: The largest weight that these steps are good for; None for any.
    """

    specs: tuple[TensorSpec, ...]
    steps: Callable[[Sequence[TensorSpec], Coding], Sequence[float]]
    skipped: tuple[str, ...] = ()
    max_weight: int | None = None


def make_plan(
    like: TensorFile | Example,
    scheme: Scheme | PublicKey,
    parties: int | None = None,
    *,
    bits: int | None = None,
    value_range: float | Mapping[str, float | None] | None = None,
    norm: float | Mapping[str, float | None] | None = None,
    rounding: str | None = None,
    rotate: bool = False,
    sample: float | None = None,
    low_rank: LowRank | None = None,
    min_parties: int = 2,
    max_weight: int = 1,
    name: str = "round",
    roster: Roster | None = None,
    skip: Iterable[str] = (),
    masked: Iterable[str] = (),
    plain: Iterable[str] = (),
    dropouts: int = 0,
    privacy: Asked | None = None,
) -> Plan:
    """Make a plan for rounds of tensors like those at hand.

    Args:
        like: Tensors with the round's names, dtypes and shapes, or the sum of
            a round of such.
        scheme: How updates are hidden; a public key stands for Paillier under it.
        parties: The most parties there may be; with a roster, leave it out.
        bits: The bits of a value, sign included, from 2 to 32; by default 16, and with noise as few
            as it needs.
        value_range: The largest size of a value, the same for all tensors, or
            by patterns of their names, of which the first that matches counts;
            else, or where it is None, each tensor's own: four times the
            largest in `like`, or what a sum calls for.
        norm: The same for rotated values: the largest norm of a party's
            tensor; else twice that in `like`, or what a sum calls for.
        rounding: `nearest` or `stochastic`; by default stochastic up to 10 bits.
        rotate: Whether to spread what a tensor holds evenly over its values.
        sample: Which share of the values to send, drawn anew in each round.
        low_rank: The step that sends matrices as factors, and has the digest of
            their bases.
        min_parties: The fewest contributors of a sum that may be opened.
        max_weight: The largest weight of a party.
        name: What to call the round.
        roster: Who takes part; then every file is signed.
        skip: Patterns of the names of tensors that are left out of the round.
        masked: Patterns of the names of tensors that travel under masks alone,
            beside what the scheme hides.
        plain: Patterns of the names of tensors that everybody may read, each party's own.
        dropouts: How many parties may drop out, where `masked` alone brings masks.
        privacy: The noise that parties are to add; then values of `like` are not looked at.

    Returns:
        The plan.

    Raises:
        DataError: The tensors cannot be encoded.
        HecliError: No such plan can be kept.
    """
    if (parties is None) == (roster is None):
        raise HecliError("a round has either a number of parties or a roster", "give one of them")
    example = _example(like) if isinstance(like, TensorFile) else like
    skipped = _skipped(example, skip)
    specs = tuple(spec for spec in example.specs if spec.name not in skipped)
    if not specs:
        raise HecliError("all tensors are skipped, and nothing is left", "leave some to the round")
    drawing = None if sample is None else Sample.of_share(sample)
    steps = compressing(low_rank=low_rank, sample=drawing, rotate=rotate)
    capacity = len(roster.parties) if roster is not None else parties or 0
    noise = None
    if privacy is None:
        coding = Coding(bits or DEFAULT_BITS, steps)
        quantise = _quantised(example, specs, coding, value_range, norm, rounding, max_weight)
    else:
        if privacy.unit == RECORD:
            # Sums over records, of which one is not to show in what float32 rounds off.
            specs = tuple(TensorSpec(spec.name, "float64", spec.shape) for spec in specs)
        bounds = value_range if isinstance(value_range, Mapping) else {ALL: value_range}
        if norm is not None or rounding is not None or set(bounds) != {ALL}:
            raise HecliError(
                "with noise, all values have one step, which follows from it",
                "leave out --norm, --rounding, and patterns of --range",
            )
        quantise, noise = with_noise(privacy, specs, steps, capacity, min_parties, bits, bounds[ALL])
    scheme = scheme_of(scheme) if isinstance(scheme, PublicKey) else scheme
    sizes = {spec.name: spec.size for spec in specs}
    under_masks, clear = _with_values(sizes, masked), _with_values(sizes, plain)
    plan = Plan(
        name=name,
        id=new_id(),
        tensors=specs,
        codec=codec_of(quantise, steps, specs, capacity, scheme),
        scheme=scheme,
        capacity=capacity,
        min_parties=min_parties,
        max_weight=max_weight,
        roster=roster,
        skipped=tuple(sorted(skipped)),
        masked=Masked(tuple(under_masks), scheme.masking or Masking(dropouts)) if under_masks else None,
        plain=tuple(Published(name, ((0, sizes[name]),)) for name in clear),
        privacy=noise,
    )
    check_new(plan)
    return plan


def _quantised(
    example: Example,
    specs: tuple[TensorSpec, ...],
    coding: Coding,
    value_range: float | Mapping[str, float | None] | None,
    norm: float | Mapping[str, float | None] | None,
    rounding: str | None,
    max_weight: int,
) -> Quantise:
    """How values are quantised: with the ranges or norms that were given, and those of the example."""
    if (value_range if coding.rotates else norm) is not None:
        raise HecliError(*_OTHER_BOUND[coding.rotates])
    given = _given_ranges(specs, norm if coding.rotates else value_range)
    rest = [spec for spec in specs if given.get(spec.name) is None]
    if rest and example.max_weight not in (None, max_weight):
        raise HecliError(
            f"the sum is of weights up to {example.max_weight:,}, and so are its ranges, not {max_weight:,}",
            f"let the largest weight be {example.max_weight:,}, or give ranges or tensors",
        )
    own = iter(example.steps(rest, coding) if rest else ())
    bounds = ((spec, given.get(spec.name)) for spec in specs)
    distances = tuple(
        next(own) if bound is None else step_of(_range(coding, spec, bound), coding.bits)
        for spec, bound in bounds
    )
    return Quantise(coding.bits, rounding or rounding_of(coding.bits), distances)


def codec_of(
    quantise: Quantise, steps: tuple[Step, ...], specs: tuple[TensorSpec, ...], parties: int, scheme: Scheme
) -> Codec:
    """Put a codec together, with the packing that takes fewer plaintexts.

    Args:
        quantise: What makes lanes.
        steps: What is done before.
        specs: The tensors.
        parties: The most parties.
        scheme: What hides plaintexts.

    Returns:
        The codec.

    Raises:
        HecliError: Numbers of bits, roundings or steps cannot be.
    """
    # Before anything is measured by it.
    quantise.check(specs)
    codecs = [Codec(quantise, each(), steps) for each in PACKS.values()]

    def blocks(codec: Codec) -> float:
        sizes = Geometry.of(specs, codec, scheme, parties)
        # A key may have no room for a value: that is for the plan's own checks to say.
        return sizes.lane_blocks if sizes.packing.values else math.inf

    # The first one, where both take as many.
    return min(codecs, key=blocks)


def rounding_of(bits: int) -> str:
    """Choose how values are rounded.

    Args:
        bits: The bits of a value.

    Returns:
        One of ROUNDINGS.
    """
    return "stochastic" if bits <= STOCHASTIC_BITS else "nearest"


def new_id() -> bytes:
    """Draw the id of a plan.

    Returns:
        It.
    """
    return secrets.token_bytes(ID_SIZE)


def check_new(plan: Plan) -> None:
    """Prove that a plan can be kept, and that an aggregate at capacity could be written.

    Args:
        plan: The plan.

    Raises:
        HecliError: It cannot.
    """
    check_plan(plan)
    _check_header(plan)


def default_plan(scheme: Scheme, specs: tuple[TensorSpec, ...]) -> Plan:
    """Give the plan of those who made none: the same for all with the same scheme and tensors.

    Args:
        scheme: The scheme that belongs to the key.
        specs: The tensors.

    Returns:
        The plan.

    Raises:
        HecliError: No round can be so, such as under a key in too few shares.
    """
    quantise = Quantise(UNPLANNED_BITS, "nearest", (DEFAULT_STEP,) * len(specs))
    codec = Codec(quantise)
    plan = Plan("default", bytes(ID_SIZE), specs, codec, scheme, DEFAULT_CAPACITY)
    check_plan(plan)
    return plan


def _check_header(plan: Plan) -> None:
    """Raise HecliError where an aggregate at capacity could not be written, before anybody encrypts."""
    names = plan.roster.parties if plan.roster is not None else ("x" * NAME_LIMIT,) * plan.capacity
    contributors = [[name, bytes(DIGEST_SIZE), bytes(SIGNATURE_SIZE)] for name in names]
    # As many may be enrolled, where there are masks.
    enrolled = [each[:2] for each in contributors] if plan.masking else []
    size = len(pack({"plan": plan.to_map(), "contributors": contributors, "enrolled": enrolled}))
    if plan.masking is not None:
        # That of whoever is the first by name, which sends something to all others.
        size = max(
            size,
            largest_enrollment(len(names), dropouts=bool(plan.masking.dropouts)) + len(pack(plan.to_map())),
        )
    if size > HEADER_LIMIT:
        raise HecliError(
            f"the largest header of the round would be {size:,} bytes, of {HEADER_LIMIT:,} there may be",
            "use fewer parties, or shorter names" + (", or let less be plain" if plan.plain else ""),
        )


def _range(coding: Coding, spec: TensorSpec, bound: float) -> float:
    """The range that follows from the largest size of a value, or norm."""
    if not coding.rotates:
        return bound
    if not bound < LARGEST_NORM:
        raise HecliError(
            f"tensor {spec.name}: a norm of {bound:.6g} is too large", "look at the tensors, or give --norm"
        )
    return math.sqrt(range_of(Fraction(bound) ** 2, max(1, coding.rotated(spec))))


def _given_ranges(
    specs: tuple[TensorSpec, ...], value_range: float | Mapping[str, float | None] | None
) -> dict[str, float | None]:
    """The ranges that were given, by the tensors' names."""
    patterns = value_range if isinstance(value_range, Mapping) else {ALL: value_range}
    found: dict[str, float | None] = {}
    for pattern, each in patterns.items():
        if each is not None and not (math.isfinite(each) and each > 0):
            raise HecliError(f"a range of {each} holds nothing", "give a positive number, or auto")
        names = [name for name in _matching(pattern, [spec.name for spec in specs]) if name not in found]
        # For all the others a range may be given, and there be none.
        if not names and pattern != ALL:
            raise HecliError(
                f"the range of {pattern!r} counts nowhere: other patterns before it match the same tensors",
                "put it before them",
            )
        found |= dict.fromkeys(names, each)
    return found


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that a pattern means, or that it is; raises HecliError where there are none."""
    found = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
    if not found:
        some = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise HecliError(f"no tensor matches {pattern!r}", f"the tensors are {some}")
    return found


def _skipped(example: Example, patterns: Iterable[str]) -> set[str]:
    """The names of the tensors that are left out."""
    names = [*(spec.name for spec in example.specs), *example.skipped]
    return {*example.skipped, *(name for pattern in patterns for name in _matching(pattern, names))}


def _with_values(sizes: Mapping[str, int], patterns: Iterable[str]) -> list[str]:
    """The names that patterns mean, in order, but for tensors without values: of these nothing travels."""
    meant = {name for pattern in patterns for name in _matching(pattern, list(sizes))}
    return [name for name, size in sizes.items() if name in meant and size]


def _example(like: TensorFile) -> Example:
    """Tensors as an example, with ranges of their own."""

    def steps(specs: Sequence[TensorSpec], coding: Coding) -> list[float]:
        if coding.rotates:
            ranges = [_range(coding, spec, NORM_HEADROOM * _norm(like, spec)) for spec in specs]
        else:
            ranges = [HEADROOM * _largest(like, spec) for spec in specs]
        # A tensor of zeros tells nothing: give it the widest range among the others.
        widest = max(ranges) or HEADROOM
        return [step_of(each or widest, coding.bits) for each in ranges]

    return Example(like.specs, steps)


def _norm(like: TensorFile, spec: TensorSpec) -> float:
    # What overflows is refused behind this, by name.
    with np.errstate(over="ignore"):
        squares = [float(np.square(piece.astype(np.float64)).sum()) for piece in checked_values(like, spec)]
    return math.sqrt(sum(squares))


def _largest(like: TensorFile, spec: TensorSpec) -> float:
    pieces = (float(np.abs(piece.astype(np.float64)).max()) for piece in checked_values(like, spec))
    return max(pieces, default=0.0)
