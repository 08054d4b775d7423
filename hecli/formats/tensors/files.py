"""Tensor files of every format: told apart when they are read, chosen by suffix when they are written."""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from hecli.errors import FormatError
from hecli.formats import reader
from hecli.formats.tensors import npy, own, safetensors, torch
from hecli.formats.tensors.arrays import Array, TensorFile
from hecli.formats.tensors.specs import TensorSpec, check_specs

START_SIZE = 8

Write = Callable[
    [BinaryIO, tuple[TensorSpec, ...], Iterable[Iterator[Array]], dict[str, str] | None],
    bytes | None,
]
"""Writes a file of tensors, their values in pieces and metadata; gives the digest of one of hecli's own."""


class Format(NamedTuple):
    """A format of tensor files.

    Args:
        suffix: That of its files.
        starts: Tells it by the first bytes of a file.
        open: Opens a file.
        write: Writes one.
    """

    suffix: str
    starts: Callable[[bytes], bool]
    open: Callable[[BinaryIO, str], TensorFile]
    write: Write


FORMATS = {
    "tensors": Format(".tensors", reader.is_own, own.open_own, own.write_own),
    "npy": Format(".npy", lambda start: start.startswith(npy.MAGIC), npy.open_npy, npy.write_npy),
    "npz": Format(".npz", lambda start: start.startswith(npy.ZIP_MAGICS), npy.open_npz, npy.write_npz),
    "safetensors": Format(
        ".safetensors",
        safetensors.is_safetensors,
        safetensors.open_safetensors,
        safetensors.write_safetensors,
    ),
    "torch": Format(
        ".pt", lambda start: start.startswith(npy.ZIP_MAGICS), torch.open_torch, torch.write_torch
    ),
}
"""All formats by name, in the order in which a file is held against them."""

SUFFIXES = {each.suffix: name for name, each in FORMATS.items()} | {".pth": "torch"}
"""The formats' names by the suffix of their files."""

_PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))


def open_tensors(stream: BinaryIO, name: str) -> TensorFile:
    """Open a tensor file of any format.

    Args:
        stream: The file, seekable; or a .npy file that comes through a pipe.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        DataError: A dtype cannot be encoded, or there are no values.
        FormatError: It is of no known format, or not sound.
    """
    opened = _format(stream, name).open(stream, name)
    check_specs(opened.specs, name)
    return opened


def streams(start: bytes) -> bool:
    """Tell whether a file can be read as it comes through a pipe.

    Args:
        start: Its first bytes.

    Returns:
        Whether it can.
    """
    return FORMATS["npy"].starts(start)


def _format(stream: BinaryIO, name: str) -> Format:
    if not stream.seekable():
        return FORMATS["npy"]
    stream.seek(0)
    start = stream.read(START_SIZE)
    stream.seek(0)
    if not start:
        raise FormatError(f"{name} is empty", "did the command that was to make it fail?")
    if start.startswith(_PICKLES):
        raise FormatError(
            f"{name} is a pickle, which hecli never loads",
            "save it as .npz or .safetensors, or by PyTorch's torch.save",
        )
    for each in FORMATS.values():
        if each.starts(start):
            # Both NumPy and PyTorch make zip archives.
            return FORMATS["torch"] if each is FORMATS["npz"] and torch.is_torch(stream) else each
    raise FormatError(f"{name} is not a tensor file", f"give {', '.join(SUFFIXES)}")
