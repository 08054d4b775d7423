"""PyTorch's .pt and .pth files: state dicts, tensors and nothing else. No other pickle is loaded."""

import mmap
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pickle import UnpicklingError
from typing import Any, BinaryIO

from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.tensors.arrays import PIECE, Array, TensorFile, little_endian, numpy_dtype, path_of
from hecli.formats.tensors.specs import TensorSpec, by_name

OLDEST = (2, 6)
"""The first version whose `weights_only` runs no code of the file."""

_ONLY_TENSORS = "save the state dict alone: torch.save(model.state_dict(), NAME)"
# What a file can make PyTorch's reader raise.
_ERRORS = (
    UnpicklingError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    OSError,
    MemoryError,
)


def is_torch(stream: BinaryIO) -> bool:
    """Tell whether a zip archive is PyTorch's, not NumPy's.

    Args:
        stream: The archive, seekable.

    Returns:
        Whether it is.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False
    finally:
        stream.seek(0)


def open_torch(stream: BinaryIO, name: str) -> TensorFile:
    """Open a state dict that torch.save wrote.

    The file is mapped, not read, so it takes as much memory as its table of
    tensors. Only a tensor that does not lie in C order, such as a transposed
    one, is copied, when its values are read.

    Args:
        stream: The file, seekable.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        HecliError: PyTorch is not installed, or too old.
        DataError: It holds something else than tensors, or a dtype that cannot be encoded.
        FormatError: It is not sound.
    """
    torch = _torch(name)
    try:
        with path_of(stream) as path, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise DataError(
            f"{name}: holds more than tensors, which would have to be unpickled", _ONLY_TENSORS
        ) from error
    except _ERRORS as error:
        raise FormatError(f"{name}: is not a sound PyTorch file", "save it again with torch.save") from error
    if not isinstance(found, dict):
        raise DataError(f"{name}: holds a {type(found).__name__}, not a state dict", _ONLY_TENSORS)
    specs = [_spec(torch, key, value, name) for key, value in found.items()]

    def read(spec: TensorSpec) -> Iterator[Array]:
        flat = found[spec.name].detach().reshape(-1)
        if spec.dtype == "bfloat16":
            # Of which NumPy knows nothing by itself.
            flat = flat.view(torch.int16)
        dtype = numpy_dtype(spec.dtype)
        return (flat[at : at + PIECE].numpy(force=True).view(dtype) for at in range(0, spec.size, PIECE))

    order = dict.fromkeys((spec.name for spec in specs), "")
    return TensorFile(name, "torch", by_name(specs), read, order)


def write_torch(
    stream: BinaryIO,
    specs: tuple[TensorSpec, ...],
    values: Iterable[Iterator[Array]],
    metadata: dict[str, str] | None,
) -> None:
    """Write a state dict with torch.save, which wants all tensors at once.

    They lie in a temporary file that is mapped, so what it takes is room on
    the disk, as much as the output, and not memory.

    Args:
        stream: Where to.
        specs: The tensors.
        values: The values of each in pieces.
        metadata: The names in the order of the file that the tensors came from, as keys.

    Raises:
        HecliError: PyTorch is not installed, or too old.
    """
    torch = _torch("the output")
    with tempfile.TemporaryFile() as spool:
        for each in values:
            spool.writelines(little_endian(each))
        spool.flush()
        size = spool.tell()
        # A copy on write, as PyTorch wants memory that it could write to.
        room = mmap.mmap(spool.fileno(), size, access=mmap.ACCESS_COPY) if size else b""
        made, at = {}, 0
        for spec in specs:
            dtype = getattr(torch, spec.dtype)
            if spec.nbytes:
                flat = torch.frombuffer(room, dtype=dtype, count=spec.size, offset=at)
                made[spec.name] = flat.reshape(spec.shape)
            else:
                made[spec.name] = torch.empty(spec.shape, dtype=dtype)
            at += spec.nbytes
        torch.save({name: made[name] for name in (metadata or made)}, stream)


def _torch(name: str) -> Any:
    """PyTorch, imported late: it takes longer than most commands do."""
    try:
        import torch  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise HecliError(
            f"{name}: .pt files need a package that is not installed", "pip install 'hecli[torch]'"
        ) from error
    version = str(torch.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise HecliError(
            f"{name}: PyTorch {version} can be made to run code by the files it loads",
            "pip install 'hecli[torch]'",
        )
    return torch


def _spec(torch: Any, key: object, value: Any, name: str) -> TensorSpec:
    """What a state dict holds under a key; raises DataError where that is no plain tensor."""
    if not isinstance(key, str) or not isinstance(value, torch.Tensor):
        what = f"a {type(value).__name__}" if isinstance(key, str) else f"a key of type {type(key).__name__}"
        where = f" under {key[:64]!r}" if isinstance(key, str) else ""
        raise DataError(f"{name}: holds {what}{where}, not only tensors", _ONLY_TENSORS)
    plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    spec = TensorSpec(key, str(value.dtype).removeprefix("torch."), tuple(value.shape))
    spec.check(name)
    if not plain or value.untyped_storage().nbytes() < spec.nbytes:
        raise DataError(
            f"{name}: tensor {key} does not hold all its values one by one", "make it dense and contiguous"
        )
    return spec
