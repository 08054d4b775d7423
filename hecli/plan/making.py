"""A plan made for tensors like those at hand, and the one of those who made none."""

import math
import secrets

import numpy as np

from hecli.codec.chain import Codec
from hecli.codec.pack import Pack
from hecli.codec.quantise import Quantise, step_of
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
from hecli.schemes.interface import Scheme
from hecli.schemes.registry import scheme_of
from hecli.schemes.round import PublicKey

HEADROOM = 4.0
"""How far beyond the largest value of the example an automatic range goes."""

STOCHASTIC_BITS = 10
"""Up to so many bits rounding is stochastic unless told otherwise: few bits make nearest biased."""

DEFAULT_BITS = 32
DEFAULT_STEP = 2.0**-24
DEFAULT_CAPACITY = 256


def make_plan(
    like: TensorFile,
    scheme: Scheme | PublicKey,
    parties: int | None = None,
    *,
    bits: int = 16,
    value_range: float | None = None,
    rounding: str | None = None,
    min_parties: int = 2,
    max_weight: int = 1,
    name: str = "round",
    roster: Roster | None = None,
) -> Plan:
    """Make a plan for rounds of tensors like those at hand.

    Args:
        like: Tensors with the round's names, dtypes and shapes.
        scheme: How updates are hidden; a public key stands for Paillier under it.
        parties: The most parties there may be; with a roster, leave it out.
        bits: The bits of a value, sign included, from 2 to 32.
        value_range: The largest size of a value, the same for all tensors; by
            default each tensor's own, four times the largest in `like`.
        rounding: `nearest` or `stochastic`; by default stochastic up to 10 bits.
        min_parties: The fewest contributors of a sum that may be opened.
        max_weight: The largest weight of a party.
        name: What to call the round.
        roster: Who takes part; then every file is signed.

    Returns:
        The plan.

    Raises:
        DataError: The tensors cannot be encoded.
        HecliError: No such plan can be kept.
    """
    if (parties is None) == (roster is None):
        raise HecliError("a round has either a number of parties or a roster", "give one of them")
    if value_range is not None and not (math.isfinite(value_range) and value_range > 0):
        raise HecliError(f"a range of {value_range} holds nothing", "give a positive number, or auto")
    ranges = _ranges(like) if value_range is None else [value_range] * len(like.specs)
    steps = tuple(step_of(each, bits) for each in ranges)
    quantise = Quantise(bits, rounding or ("stochastic" if bits <= STOCHASTIC_BITS else "nearest"), steps)
    plan = Plan(
        name=name,
        id=secrets.token_bytes(ID_SIZE),
        tensors=like.specs,
        codec=Codec((quantise,), Pack()),
        scheme=scheme_of(scheme) if isinstance(scheme, PublicKey) else scheme,
        capacity=len(roster.parties) if roster is not None else parties or 0,
        min_parties=min_parties,
        max_weight=max_weight,
        roster=roster,
    )
    check_plan(plan)
    _check_header(plan)
    return plan


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
    quantise = Quantise(DEFAULT_BITS, "nearest", (DEFAULT_STEP,) * len(specs))
    codec = Codec((quantise,), Pack())
    plan = Plan("default", bytes(ID_SIZE), specs, codec, scheme, DEFAULT_CAPACITY)
    check_plan(plan)
    return plan


def _check_header(plan: Plan) -> None:
    """Raise HecliError where an aggregate at capacity could not be written, before anybody encrypts."""
    names = plan.roster.parties if plan.roster is not None else ("x" * NAME_LIMIT,) * plan.capacity
    contributors = [[name, bytes(DIGEST_SIZE), bytes(SIGNATURE_SIZE)] for name in names]
    # As many may be enrolled, where there are masks.
    enrolled = [each[:2] for each in contributors] if plan.scheme.masking else []
    size = len(pack({"plan": plan.to_map(), "contributors": contributors, "enrolled": enrolled}))
    if size > HEADER_LIMIT:
        raise HecliError(
            f"the header of an aggregate of all would be {size:,} bytes, of {HEADER_LIMIT:,} there may be",
            "use fewer parties, or shorter names",
        )


def _ranges(like: TensorFile) -> list[float]:
    """A range for each tensor: the largest size of its values, with headroom."""
    largest = [_largest(like, spec) for spec in like.specs]
    # A tensor of zeros tells nothing: give it the widest range among the others.
    widest = max(largest) or 1.0
    return [HEADROOM * (each or widest) for each in largest]


def _largest(like: TensorFile, spec: TensorSpec) -> float:
    pieces = (float(np.abs(piece.astype(np.float64)).max()) for piece in checked_values(like, spec))
    return max(pieces, default=0.0)
