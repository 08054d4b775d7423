"""One party's update on its way to lanes: from tensors, or from an encoded file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hecli.codec.arrays import Lanes
from hecli.codec.basis import Basis
from hecli.codec.control import Control
from hecli.codec.interface import Encoding
from hecli.codec.values import checked_values
from hecli.errors import DataError, MismatchError, RefusedError
from hecli.formats.reader import START_SIZE, Reader, is_own, name_of, open_reader
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.tensors.files import open_tensors
from hecli.plan.checks import check_tensors
from hecli.plan.data import Plan
from hecli.plan.making import default_plan
from hecli.rounds.clipping import clipped_lanes, within_norm
from hecli.rounds.headers import open_encoded
from hecli.rounds.lanes import read_lanes
from hecli.schemes.interface import Scheme


@dataclass(frozen=True)
class Update:
    """One party's update, to be read once, as lanes.

    How many values were clipped is known when all lanes are read.

    Args:
        plan: The plan it follows.
        weight: The party's weight.
        lanes: Its lanes in pieces.
        encoding: Where clipped values are counted, None where they were before:
        clipped_before: then how many.
    """

    plan: Plan
    weight: int
    lanes: Iterator[Lanes]
    encoding: Encoding | None = None
    clipped_before: int = 0

    @property
    def clipped(self) -> int:
        """How many values were out of range."""
        return self.encoding.clipped.total() if self.encoding else self.clipped_before

    @property
    def clipped_in(self) -> dict[str, int]:
        """How many in which tensor; nothing for an encoded file, of which only the total is known."""
        found = self.encoding.clipped if self.encoding else {}
        return {self.plan.tensors[at].name: count for at, count in sorted(found.items())}

    @property
    def control(self) -> Control:
        """What the party's control block says: nothing of clipping where noise is to hide it."""
        return Control(1, self.weight, 0 if self.plan.privacy is not None else self.clipped)

    @property
    def shrunk(self) -> float:
        """What the update was multiplied with, to bring it to the clip norm of a plan with noise."""
        return 1.0 if self.plan.privacy is None or self.encoding is None else self.encoding.fraction


def open_update(
    source: BinaryIO | TensorFile,
    plan: Plan | None,
    scheme: Scheme | None,
    weight: int | None,
    *,
    basis: Basis | None = None,
    strict: bool = False,
) -> Update:
    """Open tensors or an encoded file.

    Args:
        source: The file, seekable or a .npy file from a pipe; or opened tensors.
        plan: The plan it must follow; without one, an encoded file has its
            own, and tensors get the default plan of the scheme.
        scheme: The scheme of whoever made no plan.
        weight: The party's weight; 1 where the round is not weighted.
        basis: The bases of matrices, where the plan is of low rank.
        strict: Whether a value out of range is refused.

    Returns:
        The update, whose values are checked as they are read.

    Raises:
        DataError: The tensors cannot be encoded.
        FormatError: The file is not sound.
        MismatchError: It does not fit the plan.
        RefusedError: There is no plan and no scheme, or the weight is missing or none.
    """
    if not isinstance(source, TensorFile):
        encoded = _encoded(source)
        if encoded is not None:
            return _from_encoded(encoded, plan, weight, strict=strict)
        source = open_tensors(source, name_of(source))
    if plan is None:
        if scheme is None:
            raise RefusedError("there is neither a plan nor a key", "pass one of them")
        plan = default_plan(scheme, source.specs)
    return _from_tensors(source, plan, weight, basis, strict=strict)


def plan_in(source: BinaryIO) -> Plan | None:
    """Say which plan an update follows that was encoded before.

    Args:
        source: The file.

    Returns:
        The plan; None for tensors, which follow none by themselves.

    Raises:
        FormatError: The file is not sound.
    """
    encoded = _encoded(source)
    return None if encoded is None else open_encoded(encoded).plan


def _encoded(source: BinaryIO) -> Reader | None:
    """An encoded file, opened; None for tensors."""
    if not source.seekable():
        return None
    source.seek(0)
    own = is_own(source.read(START_SIZE))
    source.seek(0)
    if not own:
        return None
    reader = open_reader(source)
    reader.require("encoded", "tensors")
    source.seek(0)
    return reader if reader.kind == "encoded" else None


def _from_tensors(
    file: TensorFile, plan: Plan, weight: int | None, basis: Basis | None, *, strict: bool
) -> Update:
    check_tensors(plan, file.specs, file.name)
    weight = _weight(plan, weight)
    encoding = Encoding(file.name, plan.common(basis), weight / plan.max_weight, strict)
    if plan.privacy is not None:
        _check_not_strict(strict=strict)
        if file.once:
            raise RefusedError(
                f"{file.name} comes through a pipe, and is read more than once where there is noise",
                "keep the update in a file",
            )
        return Update(plan, weight, clipped_lanes(file, plan, plan.privacy, encoding), encoding)

    def lanes() -> Iterator[Lanes]:
        for at, spec in enumerate(plan.tensors):
            yield from plan.codec.encode(at, checked_values(file, spec), encoding)

    return Update(plan, weight, lanes(), encoding)


def _from_encoded(reader: Reader, plan: Plan | None, weight: int | None, *, strict: bool) -> Update:
    own, control = open_encoded(reader, plan)
    if weight is not None and weight != control.weight:
        raise MismatchError(
            f"{reader.name} was encoded with weight {control.weight}, not {weight}", "leave out --weight"
        )
    if control.clipped and strict:
        raise DataError(
            f"{reader.name}: {control.clipped:,} values were clipped when it was encoded",
            "encode the tensors again, or leave out --strict",
        )
    lanes = read_lanes(reader, own.geometry.values, own.codec.largest)
    if own.privacy is not None:
        _check_not_strict(strict=strict)
        lanes = within_norm(lanes, own, own.privacy, reader.name)
    return Update(own, control.weight, lanes, None, control.clipped)


def _check_not_strict(*, strict: bool) -> None:
    if strict:
        raise RefusedError(
            "to refuse an update for its values would tell of them, which noise is to hide",
            "leave out --strict: this command says what was clipped",
        )


def _weight(plan: Plan, weight: int | None) -> int:
    if weight is None:
        if plan.max_weight > 1:
            raise RefusedError(
                "this round is weighted, and no weight was given",
                f"pass --weight, how many samples the update is from (at most {plan.max_weight:,})",
            )
        return 1
    if not 1 <= weight <= plan.max_weight:
        raise RefusedError(
            f"weight {weight:,} is not from 1 to {plan.max_weight:,}",
            "weights need a plan made with hecli plan --max-weight, passed with --plan",
        )
    return weight
