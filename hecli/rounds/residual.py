"""Error feedback: what of a party's update did not get through, kept for its next one.

S. P. Karimireddy et al., "Error feedback fixes SignSGD and other gradient
compression schemes" (ICML 2019), algorithm 1. What was sent counts as gone only
when the opened sum lists this very update.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from hecli.codec.arrays import Floats
from hecli.codec.basis import Basis
from hecli.codec.interface import Decoding
from hecli.codec.values import checked_values
from hecli.errors import DataError, FormatError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.formats.envelope import DIGEST_SIZE, Section
from hecli.formats.reader import Reader, name_of, open_reader
from hecli.formats.tensors.arrays import PIECE, Array, TensorFile, little_endian, pieces, stored_dtype
from hecli.formats.tensors.files import open_tensors
from hecli.formats.tensors.specs import TensorSpec, pack_specs, parse_specs
from hecli.plan.data import Plan
from hecli.privacy.guarantee import PARTY
from hecli.rounds.headers import Sum
from hecli.rounds.spool import Spool
from hecli.rounds.update import Update
from hecli.storage.store import Store

KIND = "residual"

KEPT, WHOLE, REST = "kept", "whole", "rest"
"""What was left before an update; that and the update; and what of both did not get through."""


class Feedback(NamedTuple):
    """Where a party keeps what did not get through.

    Args:
        before: Its residual; None for the first update.
        out: Where the next residual goes.
    """

    before: BinaryIO | None
    out: BinaryIO


@contextmanager
def kept_in(store: Store, path: str) -> Iterator[Feedback]:
    """Keep what does not get through in a file, which is made where it is not there.

    Args:
        store: Where the file is.
        path: Its path.

    Yields:
        Where to keep it; the file has it when the block ends well.

    Raises:
        HecliError: The file cannot be read or written.
    """
    with ExitStack() as stack:
        there = store.exists(path)
        before = stack.enter_context(store.open(path)) if there else None
        yield Feedback(before, stack.enter_context(store.create(path, replace=there, secret=True)))


class Residual(NamedTuple):
    """What a party keeps.

    Args:
        reader: The file.
        specs: Its tensors.
        subject: What the update is about that was sent last, where it is not known to be opened; else empty.
        update: The digest of that update's file.
    """

    reader: Reader
    specs: tuple[TensorSpec, ...]
    subject: bytes
    update: bytes

    @property
    def pending(self) -> bool:
        """Whether an update was sent, and nobody told yet whether it counts."""
        return bool(self.update)

    def before(self, plan: Plan) -> str:
        """Say which section an update of a plan starts from.

        What was encrypted before about the same is made anew; what was encrypted
        about something else, and not opened, is sent with this update.

        Args:
            plan: The plan.

        Returns:
            The section.
        """
        return WHOLE if self.pending and self.subject != plan.subject else KEPT


def read_residual(reader: Reader) -> Residual:
    """Read what a residual says of itself.

    Args:
        reader: The opened file.

    Returns:
        The residual.

    Raises:
        DataError: It has a dtype that no residual has.
        FormatError: It is none, or not sound.
    """
    reader.require(KIND)
    header, name = reader.header, reader.name
    fields(header, name, "its header", {"subject": bytes, "tensors": list, "update": bytes})
    specs = parse_specs(header["tensors"], name, "its list of tensors")
    found = Residual(reader, specs, header["subject"], header["update"])
    sizes = {len(found.subject), len(found.update)}
    if sizes not in ({0}, {DIGEST_SIZE}) or any(spec != _kept_as(spec) for spec in specs):
        raise FormatError(f"{name}: its header is not that of a residual")
    reader.require_sections(*_sections(specs, pending=found.pending))
    return found


class Compensated(NamedTuple):
    """An update with what is left of those before it.

    Args:
        update: The opened tensors of the update alone.
        residual: What is left; None where there is nothing yet.
        plan: The plan that the update is to follow.
    """

    update: TensorFile
    residual: Residual | None
    plan: Plan

    @classmethod
    def of(cls, source: BinaryIO | TensorFile, before: BinaryIO | None, plan: Plan | None) -> Self:
        """Open an update and a residual.

        Args:
            source: The update's tensors.
            before: The residual, if there is one.
            plan: The plan.

        Returns:
            Both.

        Raises:
            DataError: The tensors cannot be encoded.
            FormatError: A file is not sound.
            MismatchError: The residual is of other tensors.
            RefusedError: There is no plan, it has too few bits or leaves values in the clear, or the
                tensors come through a pipe.
        """
        if plan is None:
            raise RefusedError("there is no plan that compresses", "pass --plan, or leave out --residual")
        if not plan.codec.feeds_back:
            raise RefusedError(
                f"with {plan.codec.quantise.bits} bits, rounding loses more than gets through",
                "leave out --residual: rounding at random is right in the mean by itself",
            )
        if plan.privacy is not None and plan.privacy.unit != PARTY:
            raise RefusedError(
                "what is left of an update is of many records, of which noise hides one",
                "leave out --residual, or make a plan with --unit party",
            )
        if plan.plain:
            raise RefusedError(
                "the plan leaves values in the clear, and what was hidden before could be among them",
                "leave out --residual, or make a plan with --masked instead of --plain",
            )
        update = source if isinstance(source, TensorFile) else open_tensors(source, name_of(source))
        if update.once:
            raise RefusedError(
                f"{update.name} comes through a pipe, and is read more than once with --residual",
                "keep the update in a file",
            )
        residual = None if before is None else read_residual(open_reader(before))
        if residual is not None and residual.specs != specs_kept(plan):
            raise MismatchError(
                f"{residual.reader.name} has other tensors than the plan",
                "a residual belongs to one model: name another file, which is made where it is not there",
            )
        return cls(update, residual, plan)

    @property
    def repeats(self) -> str | None:
        """What somebody should know who forgot something: an earlier update that may be sent twice."""
        if self.residual is None or not self.residual.pending:
            return None
        if self.residual.subject == self.plan.subject:
            return "was encrypted for this round before: send this update, and not the one before"
        return (
            "waits for the sum of an earlier round: all of that update goes again; "
            "if it was opened, apply its sum with --residual first"
        )

    @property
    def both(self) -> TensorFile:
        """The tensors of both together."""
        kept = {spec.name for spec in specs_kept(self.plan)}

        def read(spec: TensorSpec) -> Iterator[Array]:
            if spec.name not in kept:
                yield from self.update.read(spec)
                return
            # Checked here too, so that what is wrong with the update is not blamed on the sum of both.
            pieces = checked_values(self.update, spec)
            for piece, left in zip(pieces, self._left(spec), strict=True):
                yield piece.astype(np.float64) + left

        return replace(self.update, read=read)

    def write(self, out: BinaryIO, digest: bytes, spool: Spool, sent: Update, basis: Basis | None) -> None:
        """Keep what the update may leave.

        Args:
            out: Where the next residual goes.
            digest: The digest of the update's file.
            spool: Its lanes, without the noise that may be added to them: with it, what is left
                would take the noise out of the next sum again.
            sent: What it was made of.
            basis: The bases of matrices, where the plan is of low rank.
        """
        plan, both = self.plan, self.both
        kept = specs_kept(plan)
        places = {spec.name: at for at, spec in enumerate(plan.tensors)}
        starts = [0, *accumulate(plan.geometry.sizes)]
        decoding = Decoding(plan.common(basis), 1, plan.max_weight / sent.weight)

        def rest(spec: TensorSpec) -> Iterator[Floats]:
            at = places[spec.name]
            lanes = spool.read(starts[at], plan.geometry.sizes[at])
            got = plan.codec.decode(at, lanes, decoding)
            # What was clipped off is not kept: it would be clipped again, and only grow.
            return (
                piece.astype(np.float64) * sent.shrunk - gone
                for piece, gone in zip(both.read(spec), got, strict=True)
            )

        def blocks() -> Iterator[bytes]:
            for part in (self._left, both.read, rest):
                for spec in kept:
                    dtype = stored_dtype(spec.dtype)
                    yield from little_endian(_stored(piece, dtype, spec) for piece in part(spec))

        _write(out, kept, plan.subject, digest, blocks())

    def _left(self, spec: TensorSpec) -> Iterator[Floats]:
        """What is left of one tensor, in pieces; tensors are asked for in their order."""
        if self.residual is None:
            for at in range(0, spec.size, PIECE):
                yield np.zeros(min(PIECE, spec.size - at))
            return
        reader, own = self.residual.reader, _kept_as(spec)
        section = reader.section(self.residual.before(self.plan))
        if own == self.residual.specs[0]:
            section.rewind()
        for piece in pieces(section.read, own, stored_dtype(own.dtype), reader.name):
            yield piece.astype(np.float64)


def _stored(values: Array, dtype: np.dtype[Any], spec: TensorSpec) -> Array:
    """Values as a residual holds them; raises DataError where it cannot: no update could be made of it."""
    with np.errstate(over="ignore"):
        found: Array = values.astype(dtype)
    if not np.isfinite(found).all():
        raise DataError(
            f"of tensor {spec.name} more is left than {spec.dtype} can hold",
            "look at what was trained, and at the plan: with bases that are none, what is left grows",
        )
    return found


def settle(residual: Residual, total: Sum, out: BinaryIO) -> bool:
    """Let go of what got through: all that a sum has of this party's update, where it lists it.

    Args:
        residual: What the party keeps, pending.
        total: The opened sum of the round that its update was for.
        out: Where the residual goes that is left.

    Returns:
        Whether the sum lists the update.

    Raises:
        FormatError: The residual was damaged.
        MismatchError: It waits for the sum of another round, or for none.
    """
    reader = residual.reader
    if residual.subject != total.plan.subject:
        if not residual.pending:
            raise MismatchError(
                f"{reader.name} waits for no sum: that of {total.plan.name!r}, or a later one, was applied",
                "leave out --residual to apply a sum again",
            )
        raise MismatchError(
            f"{reader.name} waits for the sum of another round, not for that of {total.plan.name!r}",
            "apply each sum with --residual, before the next update is encrypted",
        )
    counted = residual.update in {each.digest for each in total.contributors}
    section = reader.section(REST if counted else WHOLE)
    size = sum(spec.nbytes for spec in residual.specs)
    _write(out, residual.specs, b"", b"", section.checked_blocks(max(1, min(size, 1 << 20))))
    return counted


def specs_kept(plan: Plan) -> tuple[TensorSpec, ...]:
    """Name what a residual has of a plan's tensors: all but metrics, which are measured anew each time.

    Args:
        plan: The plan.

    Returns:
        The tensors, as a residual holds them.
    """
    return tuple(_kept_as(spec) for spec in plan.tensors if spec.name not in plan.metrics)


def _kept_as(spec: TensorSpec) -> TensorSpec:
    """A tensor in the dtype of a residual: wide enough for what its own could not tell apart from zero."""
    dtype = "float64" if spec.is_integer or spec.dtype == "float64" else "float32"
    return TensorSpec(spec.name, dtype, spec.shape)


def _sections(specs: tuple[TensorSpec, ...], *, pending: bool) -> tuple[Section, ...]:
    size = sum(spec.nbytes for spec in specs)
    return tuple(Section.of(name, 1, size) for name in ((KEPT, WHOLE, REST) if pending else (KEPT,)))


def _write(
    out: BinaryIO, specs: tuple[TensorSpec, ...], subject: bytes, update: bytes, blocks: Iterator[bytes]
) -> None:
    header = {"subject": subject, "tensors": pack_specs(specs), "update": update}
    envelope.write(out, KIND, header, _sections(specs, pending=bool(update)), blocks)
