"""A sum to the next model, or to the mean itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hecli.codec.quantise import Floats, from_sums
from hecli.errors import DataError, FormatError, HecliError, MismatchError
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Sum
from hecli.formats.tensors.layout import TensorSpec
from hecli.formats.tensors.reading import PIECE, Array, TensorFile, cast, open_tensors
from hecli.formats.tensors.writing import write_tensors
from hecli.plan.data import Plan, Tensor
from hecli.rounds.streams import Hashed, name_of, open_reader

RULES: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "sgd": lambda model, mean, lr: model - lr * mean,
    "add": lambda model, mean, _: model + mean,
    "replace": lambda _, mean, __: mean,
}


@dataclass(frozen=True)
class Applied:
    """What was written: which sum it came from, how far the values moved at most, and both digests.

    The digests are as in a ledger: SHA-256 where the file is not hecli's own.
    """

    plan: Plan
    total: Sum
    format: str
    largest_step: float
    sum_digest: bytes
    digest: bytes


def apply(
    total: BinaryIO,
    out: BinaryIO,
    model: BinaryIO | None = None,
    *,
    plan: Plan | None = None,
    rule: str = "sgd",
    lr: float = 1.0,
    format: str | None = None,
) -> Applied:
    """Move `model` by the mean of the sum, both seekable streams, and write it to `out`.

    `sgd` subtracts lr times the mean, `add` adds the mean, `replace` takes the
    mean. Without a model the mean itself is written. `format` is npy, npz,
    safetensors or tensors; by default the model's own, or tensors. Raises
    MismatchError where names or shapes differ or the sum does not follow
    `plan`, RefusedError where its roster's signatures are missing, FormatError
    for a file that is not sound, DataError for a step that ends at infinity.
    """
    reader = open_reader(total)
    plan, header = open_sum(reader, plan)
    if rule not in RULES:
        raise HecliError(f"{rule!r} is no rule", f"use one of {', '.join(RULES)}")
    if not np.isfinite(lr):
        raise HecliError(f"a learning rate of {lr} leads nowhere", "give --lr a finite number")
    base = None if model is None else _open_model(model, plan)
    specs = tuple(_output_spec(spec) for spec in plan.specs) if base is None else base.specs
    stepper = _Step(reader, header, plan, base, rule, lr)
    kind = format or ("tensors" if base is None else base.format)
    pairs = ((spec, stepper.pieces(tensor, spec)) for tensor, spec in zip(plan.tensors, specs, strict=True))
    hashed = Hashed(out)
    own = write_tensors(hashed.stream, kind, pairs, specs, None if base is None else base.metadata)
    return Applied(plan, header, kind, stepper.largest, reader.digest, own or hashed.digest())


class _Step:
    """Reads sum and model side by side, and remembers the largest step it made."""

    def __init__(
        self, reader: Reader, header: Sum, plan: Plan, model: TensorFile | None, rule: str, lr: float
    ) -> None:
        self.largest = 0.0
        self._reader = reader
        self._plan = plan
        self._contributors = len(header.contributors)
        # A party's values were scaled by weight / max_weight before rounding.
        self._scale = plan.max_weight / header.weight
        self._model = model
        self._rule = RULES[rule]
        self._lr = lr

    def pieces(self, tensor: Tensor, spec: TensorSpec) -> Iterator[Array]:
        """One tensor of the output, PIECE values at a time."""
        if self._model is None:
            for mean in self._means(tensor):
                self.largest = max(self.largest, float(np.abs(mean).max()))
                yield _finite(cast(mean, spec.dtype), spec)
            return
        for piece, mean in zip(self._model.read(spec), self._means(tensor), strict=True):
            before = piece.astype(np.float64)
            # What overflows is refused below, by name.
            with np.errstate(over="ignore", invalid="ignore"):
                after = self._rule(before, mean, self._lr)
            result = _finite(cast(after, spec.dtype), spec)
            self.largest = max(self.largest, float(np.abs(after - before).max()))
            yield result

    def _means(self, tensor: Tensor) -> Iterator[Floats]:
        plan = self._plan
        left = tensor.spec.size
        largest = 2 * plan.qmax * self._contributors
        while left:
            block = self._reader.read(min(left, PIECE))
            sums = np.frombuffer(block, f">u{plan.sum_size}").astype(np.uint64)
            if sums.max() > largest:
                raise FormatError(f"{self._reader.name}: holds a lane sum that is out of range")
            left -= len(sums)
            totals = from_sums(sums, plan.qmax, self._contributors).astype(np.float64)
            yield totals * (tensor.step * self._scale)


def open_sum(reader: Reader, plan: Plan | None = None) -> tuple[Plan, Sum]:
    """The plan and the header of a sum, with what it says of itself and all signatures checked.

    Raises MismatchError where it does not follow `plan`, RefusedError for what
    the roster forbids, FormatError.
    """
    header = Sum.parse(reader)
    own = Plan.from_map(header.plan, reader.name)
    if plan is not None:
        own.check_same(plan, reader.name, "the plan")
    reader.require_body(own.sum_size, own.values)
    own.check_signed(reader, header.contributors)
    _check_totals(reader, header, own)
    return own, header


def _check_totals(reader: Reader, header: Sum, plan: Plan) -> None:
    count = len(header.contributors)
    if not plan.min_parties <= count <= plan.capacity:
        raise FormatError(f"{reader.name}: has {count} contributors, which its plan does not allow")
    if not plan.possible_totals(count, header.weight, header.clipped):
        raise FormatError(f"{reader.name}: its total weight or clipped count is out of range")


def _open_model(model: BinaryIO, plan: Plan) -> TensorFile:
    name = name_of(model)
    opened = open_tensors(model, name)
    for spec in opened.specs:
        if spec.is_integer:
            raise DataError(
                f"{name}: tensor {spec.name} has dtype {spec.dtype}, a mean cannot be added to integers",
                "leave out the model to get the mean itself",
            )
    wanted = {spec.name: spec for spec in plan.specs}
    found = tuple(
        TensorSpec(spec.name, wanted[spec.name].dtype, spec.shape) if spec.name in wanted else spec
        for spec in opened.specs
    )
    try:
        plan.check_layout(found, name, "the sum")
    except MismatchError as error:
        raise MismatchError(error.message, "apply a sum to the model its gradients were taken of") from error
    return opened


def _output_spec(spec: TensorSpec) -> TensorSpec:
    """What the mean of such a tensor is: integers have a fractional mean."""
    return TensorSpec(spec.name, "float64", spec.shape) if spec.is_integer else spec


def _finite(values: Array, spec: TensorSpec) -> Array:
    if not np.isfinite(values.astype(np.float64)).all():
        raise DataError(
            f"tensor {spec.name} would hold what {spec.dtype} cannot, or the model already does",
            "use a smaller --lr, and check the model for NaN",
        )
    return values
