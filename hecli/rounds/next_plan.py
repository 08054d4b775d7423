"""Plans made from the sum of a round: for another round like it, or for the next one."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from hecli.codec.chain import Coding
from hecli.codec.low_rank import LowRank
from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import START_SIZE, is_own, name_of, open_reader
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.tensors.files import open_tensors
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.data import Plan
from hecli.plan.making import Example, check_new, codec_of, new_id
from hecli.plan.private import with_noise_again
from hecli.rounds.basis import make_basis
from hecli.rounds.headers import open_sum
from hecli.rounds.ranges import steps_after

_NUMBERED = re.compile("(.*-)([0-9]+)", re.DOTALL)


def open_example(source: BinaryIO) -> TensorFile | Example:
    """Open what a plan is made for.

    Args:
        source: Tensors, or the sum of a round.

    Returns:
        The opened tensors; or of a sum the tensors of its plan, and the steps
        that it calls for.

    Raises:
        DataError: The tensors cannot be encoded.
        FormatError: The file is not sound.
        RefusedError: The signatures of a sum's roster are missing.
    """
    if source.seekable() and _is_own(source):
        reader = open_reader(source)
        reader.require("tensors", "sum")
        if reader.kind == "sum":
            return _example(source, open_sum(reader).plan)
    return open_tensors(source, name_of(source))


def next_plan(
    plan: Plan,
    total: BinaryIO,
    *,
    bits: int | None = None,
    name: str | None = None,
    bases: BinaryIO | None = None,
) -> Plan:
    """Make the plan of the next round.

    It is the last one, but for its id and its name, and ranges that the sum
    calls for; with low rank, it is about the other factor of each matrix.

    Args:
        plan: The plan of the last round.
        total: The sum of the last round.
        bits: The bits of a value, sign included; by default as in the last round.
        name: What to call the round; by default the last one's name goes on:
            `round-2` behind `round`, `round-010` behind `round-009`.
        bases: Where the bases of matrices go, where the plan is of low rank.

    Returns:
        The plan.

    Raises:
        FormatError: The file is not sound.
        HecliError: No such plan can be kept.
        MismatchError: The sum follows another plan.
        RefusedError: The roster's signatures are missing, or there is no place for bases.
    """
    if not _is_own(total):
        raise FormatError(f"{name_of(total)} is not a sum file", "give the sum of the last plan's round")
    if plan.position is not None:
        raise HecliError(
            f"{plan.name} is a round of a training, whose next plan follows from the training",
            "the coordinator's hecli run makes it",
        )
    last = plan.codec.quantise
    steps, low_rank = plan.codec.steps, plan.codec.step(LowRank)
    if low_rank is not None:
        if bases is None:
            raise RefusedError("the next plan needs new bases", "pass bases=, where they are to go")
        made_bases = make_basis(total, bases, low_rank.rank, plan=plan)
        steps = tuple(made_bases.step if each is low_rank else each for each in steps)
    privacy = None
    if plan.privacy is not None:
        # The sum only shows which matrices there are: noise and steps follow from what was asked for.
        open_sum(open_reader(total), plan)
        quantise, privacy = with_noise_again(plan, steps, bits)
    else:
        coding = Coding(last.bits if bits is None else bits, steps)
        quantise = replace(last, bits=coding.bits, steps=steps_after(total, coding, plan=plan))
    codec = codec_of(quantise, steps, plan.tensors, plan.capacity, plan.scheme)
    made = replace(plan, name=name_after(plan.name) if name is None else name, id=new_id(), codec=codec)
    made = replace(made, privacy=privacy)
    check_new(made)
    return made


def name_after(name: str) -> str:
    """Let the name of a round go on.

    Args:
        name: The name, with or without a number behind a hyphen.

    Returns:
        The name with the next number, as wide as the last; 2 where there is none.
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return f"{name}-2"
    stem, digits = numbered.groups()
    return f"{stem}{int(digits) + 1:0{len(digits)}}"


def _is_own(source: BinaryIO) -> bool:
    source.seek(0)
    own = is_own(source.read(START_SIZE))
    source.seek(0)
    return own


def _example(total: BinaryIO, plan: Plan) -> Example:
    def steps(specs: Sequence[TensorSpec], coding: Coding) -> list[float]:
        found = dict(zip((spec.name for spec in plan.tensors), steps_after(total, coding), strict=True))
        return [found[spec.name] for spec in specs]

    return Example(plan.tensors, steps, plan.skipped, plan.max_weight)
