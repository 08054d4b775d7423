"""Tensors to integer lanes, in the clear."""

from collections.abc import Iterator
from typing import BinaryIO

from hecli.codec.basis import Basis
from hecli.formats import envelope
from hecli.formats.tensors.arrays import TensorFile
from hecli.plan.data import Plan
from hecli.rounds.update import Update, open_update
from hecli.schemes.registry import scheme_of
from hecli.schemes.round import PublicKey


def encode(
    source: BinaryIO | TensorFile,
    out: BinaryIO,
    key: PublicKey | None = None,
    *,
    plan: Plan | None = None,
    weight: int | None = None,
    basis: Basis | None = None,
    strict: bool = False,
) -> Update:
    """Turn tensors into integer lanes, in the clear.

    Args:
        source: The tensors.
        out: Where the encoded file goes.
        key: The key of the round, for whoever has no plan.
        plan: How the round is done; without it the default plan for `key`.
        weight: The weight of this party, where the plan has weights.
        basis: The bases of matrices, where the plan is of low rank.
        strict: Whether to refuse values out of range instead of clipping them.

    Returns:
        What was encoded, with what was clipped.

    Raises:
        DataError: A value is no finite number, or out of range where `strict`.
        FormatError: A file is not sound.
        MismatchError: Names, shapes, dtypes, the key or the basis are not the plan's.
        RefusedError: There is neither plan nor key, or the weight is missing or none.
    """
    if plan is not None and key is not None:
        plan.scheme.check_key(key, "the plan")
    scheme = None if key is None else scheme_of(key)
    update = open_update(source, plan, scheme, weight, basis=basis, strict=strict)
    made = update.plan

    def blocks() -> Iterator[bytes]:
        word = f">u{made.geometry.lane_size}"
        for lanes in update.lanes:
            yield lanes.astype(word).tobytes()
        yield update.control.pack()

    envelope.write(out, "encoded", {"plan": made.to_map()}, made.geometry.encoded, blocks())
    return update
