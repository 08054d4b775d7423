"""A plan for a round, and what the round will cost."""

import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hecli.arithmetic import gmp as arithmetic
from hecli.errors import HecliError
from hecli.executors.processes import default_jobs
from hecli.formats.canonical import pack
from hecli.formats.cards import SIGNATURE_SIZE
from hecli.formats.envelope import DIGEST_SIZE, HEADER_LIMIT
from hecli.formats.names import NAME_LIMIT
from hecli.formats.tensors.layout import TensorSpec
from hecli.formats.tensors.reading import TensorFile, open_tensors
from hecli.identity.roster import Roster
from hecli.plan.data import Plan, Tensor, new_id
from hecli.rounds.encode import check_values
from hecli.rounds.streams import BATCH, name_of
from hecli.schemes.masks.streams import RING
from hecli.schemes.paillier.keys import PublicKey
from hecli.schemes.paillier.share_files import Opens

HEADROOM = 4.0
"""How far beyond the largest value of the example an automatic range goes."""

STOCHASTIC_BITS = 10
"""Up to so many bits rounding is stochastic unless told otherwise: few bits make nearest biased."""


@dataclass(frozen=True)
class Costs:
    """What a round takes on this machine: bytes of a file, seconds of a command."""

    file_bytes: int
    tensor_bytes: int
    encrypt_seconds: float
    aggregate_seconds: float
    decrypt_seconds: float


def make_plan(
    like: BinaryIO,
    key: PublicKey | None,
    parties: int | None = None,
    *,
    bits: int = 16,
    value_range: float | None = None,
    rounding: str | None = None,
    min_parties: int = 2,
    max_weight: int = 1,
    randomness: str = "short",
    name: str = "round",
    roster: Roster | None = None,
    require_verified: bool = False,
    opens: Opens | None = None,
    dropouts: int | None = None,
) -> Plan:
    """A plan for rounds of tensors like those in the seekable stream `like`.

    There are at most `parties`, or as many as the roster has. Updates are
    masked where `dropouts` is a number. Without a key the scheme is masks alone.
    `value_range` is the largest size a value may have, the same for all
    tensors; by default each tensor's own, from `like` with headroom. Raises
    HecliError where no such plan can be kept, DataError for tensors that
    cannot be encoded.
    """
    if (parties is None) == (roster is None):
        raise HecliError("a round has either a number of parties or a roster", "give one of them")
    file = open_tensors(like, name_of(like))
    if value_range is not None and not (math.isfinite(value_range) and value_range > 0):
        raise HecliError(f"a range of {value_range} holds nothing", "give a positive number, or auto")
    ranges = _ranges(file, name_of(like)) if value_range is None else [value_range] * len(file.specs)
    qmax = max(1, (1 << (bits - 1)) - 1) if bits > 1 else 1
    plan = Plan(
        name=name,
        id=new_id(),
        n=RING if key is None else key.n,
        tensors=tuple(Tensor(spec, each / qmax) for spec, each in zip(file.specs, ranges, strict=True)),
        bits=bits,
        rounding=rounding or ("stochastic" if bits <= STOCHASTIC_BITS else "nearest"),
        capacity=len(roster.parties) if roster is not None else parties or 0,
        min_parties=min_parties,
        max_weight=max_weight,
        randomness=randomness,
        roster=roster,
        require_verified=require_verified,
        opens=opens,
        dropouts=dropouts,
        scheme="masks" if key is None else "paillier",
    )
    if key is not None:
        key.check()
    plan.check()
    _check_header(plan)
    return plan


def costs(plan: Plan) -> Costs:
    """What a round by this plan takes, from a quick measurement of this machine.

    Aggregation is counted at capacity; all cores are counted on. The start of
    Python, some tenths of a second, is not.
    """
    tensor_bytes = sum(spec.nbytes for spec in plan.specs)
    if not plan.has_key:
        # Nothing but additions: not worth a measurement.
        return Costs(plan.ciphertext_bytes, tensor_bytes, 0.0, 0.0, 0.0)
    jobs = min(default_jobs(), -(-plan.ciphertexts // BATCH))
    measured = arithmetic.measure(plan.n, plan.randomness, -(-plan.ciphertexts // jobs))
    each = plan.ciphertexts / jobs
    return Costs(
        file_bytes=plan.ciphertext_bytes,
        tensor_bytes=tensor_bytes,
        encrypt_seconds=measured.prepare + each * measured.encrypt,
        aggregate_seconds=each * (plan.capacity - 1) * measured.multiply,
        decrypt_seconds=each * measured.decrypt,
    )


def _check_header(plan: Plan) -> None:
    """Raise HecliError where an aggregate at capacity could not be written, before anybody encrypts."""
    names = plan.roster.parties if plan.roster is not None else ("x" * NAME_LIMIT,) * plan.capacity
    contributors = [[name, bytes(DIGEST_SIZE), bytes(SIGNATURE_SIZE)] for name in names]
    enrolled = [each[:2] for each in contributors] if plan.dropouts else []
    size = len(pack({"plan": plan.to_map(), "contributors": contributors, "enrolled": enrolled}))
    if size > HEADER_LIMIT:
        raise HecliError(
            f"the header of an aggregate of all would be {size:,} bytes, of {HEADER_LIMIT:,} there may be",
            "use fewer parties, or shorter names",
        )


def _ranges(file: TensorFile, name: str) -> list[float]:
    """A range for each tensor: the largest size of its values, with headroom."""
    largest = [_largest(file, spec, name) for spec in file.specs]
    # A tensor of zeros tells nothing: give it the widest range among the others.
    widest = max(largest) or 1.0
    return [HEADROOM * (each or widest) for each in largest]


def _largest(file: TensorFile, spec: TensorSpec, name: str) -> float:
    largest = 0.0
    start = 0
    for piece in file.read(spec):
        check_values(piece, start, spec, name)
        largest = max(largest, float(np.abs(piece.astype(np.float64)).max()))
        start += piece.size
    return largest
