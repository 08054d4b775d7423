"""Models: their digest, which no container changes, and in which format they stand."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from hecli.codec.values import checked_values
from hecli.errors import MismatchError
from hecli.formats.tensors.arrays import Array, TensorFile, of_arrays
from hecli.formats.tensors.arrays import cast as rounded
from hecli.formats.tensors.files import FORMATS
from hecli.formats.tensors.specs import TensorSpec
from hecli.storage.store import Store

CANONICAL = "tensors"
"""The format whose digest stands for a model: hecli's own, of which there is one encoding."""


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(memoryview(data).cast("B"))


def write_model(model: TensorFile, out: BinaryIO, format: str) -> bytes | None:
    """Write a model in a format.

    Args:
        model: The model.
        out: Where to.
        format: A key of FORMATS.

    Returns:
        The file's digest, where the format is hecli's own.

    Raises:
        DataError: The format cannot hold it.
    """
    return FORMATS[format].write(out, model.specs, (model.read(spec) for spec in model.specs), model.metadata)


def model_digest(model: TensorFile) -> bytes:
    """Give what stands for a model, in whatever container it is.

    Args:
        model: The model.

    Returns:
        The digest of the file that hecli's own format makes of it.
    """
    digest = write_model(model, cast("BinaryIO", _Nowhere()), CANONICAL)
    assert digest is not None
    return digest


def convert(store: Store, model: TensorFile, target: Path, format: str) -> None:
    """Write a model again in another format.

    Args:
        store: What writes files.
        model: The model.
        target: Where to.
        format: A key of FORMATS.

    Raises:
        DataError: The format cannot hold it.
        FormatError: It is not sound.
    """
    with store.create(str(target), replace=True, secret=True) as out:
        write_model(model, out, format)


def update_of(
    made: TensorFile,
    model: TensorFile,
    specs: tuple[TensorSpec, ...],
    extra: dict[str, Array],
    *,
    difference: bool,
) -> TensorFile:
    """Take what a training command wrote for an update.

    Args:
        made: What it wrote.
        model: The model it was given.
        specs: The tensors of an update.
        extra: Tensors that it has besides what the command makes.
        difference: Whether new weights were made, of which the difference counts.

    Returns:
        The update, to be read tensor by tensor; what is no finite number shows then.

    Raises:
        MismatchError: Tensors are missing, or have other shapes.
    """
    found = {spec.name: spec for spec in made.specs}
    before = {spec.name: spec for spec in model.specs}
    more = of_arrays(extra) if extra else None
    for spec in specs:
        if spec.name in extra:
            continue
        if spec.name not in found:
            raise MismatchError(
                f"{made.name} has no tensor {spec.name}, which the model has",
                "write all tensors of the model, under their names",
            )
        if found[spec.name].shape != spec.shape:
            raise MismatchError(
                f"{made.name}: tensor {spec.name} has shape {list(found[spec.name].shape)}, "
                f"the model has {list(spec.shape)}",
                "write the tensors as they are in the model",
            )

    def read(spec: TensorSpec) -> Iterator[Array]:
        if more is not None and spec.name in extra:
            return more.read(spec)
        after = checked_values(made, found[spec.name])
        if not difference:
            return (rounded(piece, spec.dtype) for piece in after)
        return _differences(after, model.read(before[spec.name]), spec)

    return TensorFile(made.name, CANONICAL, specs, read)


def _differences(after: Iterator[Array], before: Iterator[Array], spec: TensorSpec) -> Iterator[Array]:
    for new, old in zip(after, before, strict=True):
        yield rounded(new.astype(np.float64) - old.astype(np.float64), spec.dtype)
