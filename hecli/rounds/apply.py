"""A sum to the next model, or to the mean itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from hecli.codec.arrays import Floats
from hecli.codec.basis import Basis
from hecli.codec.interface import Common, Decoding
from hecli.codec.values import inexact
from hecli.errors import DataError, HecliError, MismatchError
from hecli.formats.digests import Hashed
from hecli.formats.reader import Reader, name_of, open_reader
from hecli.formats.tensors.arrays import Array, TensorFile, cast
from hecli.formats.tensors.files import FORMATS, open_tensors
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.checks import check_tensors
from hecli.plan.data import Plan
from hecli.rounds.headers import Sum, open_sum
from hecli.rounds.lanes import read_lanes

RULES: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "sgd": lambda model, mean, lr: model - lr * mean,
    "add": lambda model, mean, lr: model + lr * mean,
    "replace": lambda _, mean, __: mean,
}


@dataclass(frozen=True)
class Applied:
    """A model or mean that was written.

    Args:
        total: The sum it came from.
        format: The file's format.
        largest_step: How far a value moved at most; for a mean, the largest value.
        sum_digest: The digest of the sum's file.
        digest: That of the file written, as a ledger has it: SHA-256 where it
            is not hecli's own.
    """

    total: Sum
    format: str
    largest_step: float
    sum_digest: bytes
    digest: bytes


def apply(
    total: BinaryIO,
    out: BinaryIO,
    model: BinaryIO | TensorFile | None = None,
    *,
    plan: Plan | None = None,
    basis: Basis | None = None,
    rule: str = "sgd",
    lr: float = 1.0,
    format: str | None = None,
) -> Applied:
    """Move a model by the mean of a sum, or write the mean itself.

    All tensors keep their dtypes: integers are rounded. Those that the plan
    skips stay as they are in the model.

    Args:
        total: The sum.
        out: Where the next model goes.
        model: The model; without one, the mean is written.
        plan: The plan that the sum must follow; without it, its own is believed.
        basis: The bases of matrices, where the plan is of low rank.
        rule: `sgd` subtracts lr times the mean, `add` adds it, `replace` takes
            the mean.
        lr: The learning rate.
        format: npy, npz, safetensors, torch or tensors; by default the model's own,
            or tensors.

    Returns:
        What was written.

    Raises:
        DataError: The step ends at what its dtype or the format cannot hold.
        FormatError: A file is not sound.
        MismatchError: Names or shapes differ, or the sum follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    reader = open_reader(total)
    header = open_sum(reader, plan)
    plan = header.plan
    if rule not in RULES:
        raise HecliError(f"{rule!r} is no rule", f"use one of {', '.join(RULES)}")
    if not np.isfinite(lr):
        raise HecliError(f"a learning rate of {lr} leads nowhere", "give --lr a finite number")
    base = None if model is None else _open_model(model, plan)
    specs = plan.tensors if base is None else base.specs
    stepper = _Step(reader, header, base, plan.common(basis), rule, lr)
    kind = format or ("tensors" if base is None else base.format)
    if kind not in FORMATS:
        raise HecliError(f"{kind!r} is no format of tensor files", f"use one of {', '.join(FORMATS)}")
    values = (stepper.pieces(spec) for spec in specs)
    hashed = Hashed(out)
    metadata = base.metadata if base is not None and base.format == kind else None
    digest = FORMATS[kind].write(hashed.stream, specs, values, metadata)
    return Applied(header, kind, stepper.largest, reader.digest, digest or hashed.digest())


def plan_in(total: BinaryIO) -> Plan:
    """Say which plan a sum follows.

    Args:
        total: The sum.

    Returns:
        The plan.

    Raises:
        FormatError: The file is not sound.
        RefusedError: The roster's signatures are missing.
    """
    found = open_sum(open_reader(total)).plan
    total.seek(0)
    return found


class _Step:
    """Read sum and model side by side, and remember the largest step."""

    def __init__(
        self, reader: Reader, header: Sum, model: TensorFile | None, common: Common, rule: str, lr: float
    ) -> None:
        self.largest = 0.0
        self._reader = reader
        self._plan = header.plan
        self._places = {spec.name: at for at, spec in enumerate(header.plan.tensors)}
        # A party's values were scaled by weight / max_weight before rounding.
        self._decoding = Decoding(common, len(header.contributors), header.plan.max_weight / header.weight)
        self._model = model
        self._rule = RULES[rule]
        self._lr = lr
        self._next = 0

    def pieces(self, spec: TensorSpec) -> Iterator[Array]:
        """One tensor of the output, in pieces."""
        if self._model is not None and spec.name not in self._places:
            # The plan skips it.
            yield from self._model.read(spec)
            return
        at = self._places[spec.name]
        for metric in range(self._next, at):
            # A model has none, and the lanes lie one behind the other.
            for _ in self._means(metric):
                pass
        self._next = at + 1
        if self._model is None:
            for mean in self._means(at):
                self.largest = max(self.largest, float(np.abs(mean).max()))
                yield _rounded(mean, spec)
            return
        for piece, mean in zip(self._model.read(spec), self._means(at), strict=True):
            if spec.is_integer and inexact(piece).any():
                raise DataError(
                    f"{self._model.name}: tensor {spec.name} holds integers above 2^53 in size, "
                    "to which nothing can be added exactly",
                    "keep such a tensor out of the model",
                )
            before = piece.astype(np.float64)
            # What overflows is refused below, by name.
            with np.errstate(over="ignore", invalid="ignore"):
                after = self._rule(before, mean, self._lr)
            result = _rounded(after, spec)
            self.largest = max(self.largest, float(np.abs(after - before).max()))
            yield result

    def _means(self, at: int) -> Iterator[Floats]:
        plan = self._plan
        largest = plan.codec.largest * self._decoding.contributors
        sums = read_lanes(self._reader, plan.geometry.sizes[at], largest)
        return plan.codec.decode(at, sums, self._decoding)


def _open_model(model: BinaryIO | TensorFile, plan: Plan) -> TensorFile:
    opened = model if isinstance(model, TensorFile) else open_tensors(model, name_of(model))
    of_model = replace(
        plan, tensors=tuple(spec for spec in plan.tensors if spec.name not in plan.metrics), metrics=()
    )
    wanted = {spec.name: spec for spec in of_model.tensors}
    found = tuple(
        TensorSpec(spec.name, wanted[spec.name].dtype, spec.shape) if spec.name in wanted else spec
        for spec in opened.specs
    )
    try:
        check_tensors(of_model, found, opened.name, "the sum")
    except MismatchError as error:
        raise MismatchError(error.message, "apply a sum to the model its gradients were taken of") from error
    return opened


def _rounded(values: Floats, spec: TensorSpec) -> Array:
    """The nearest values that a tensor can hold; raises DataError where there are none."""
    if spec.is_integer:
        whole, limits = np.rint(values), np.iinfo(spec.dtype)
        # The largest itself may be none of float64's numbers; one more is, a power of two.
        outside = ~((whole >= float(limits.min)) & (whole < float(limits.max + 1)))
        if outside.any():
            raise DataError(
                f"tensor {spec.name} would hold {whole[outside][0]:.17g}, which {spec.dtype} cannot",
                "use a wider dtype, or more bits in the plan where it is beyond by little",
            )
        return whole.astype(spec.dtype)
    result = cast(values, spec.dtype)
    if not np.isfinite(result.astype(np.float64)).all():
        raise DataError(
            f"tensor {spec.name} would hold what {spec.dtype} cannot, or the model already does",
            "use a smaller --lr, and check the model for NaN",
        )
    return result
