"""The .safetensors files of Hugging Face, checked by their own library."""

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from hecli.errors import DataError, FormatError
from hecli.formats.tensors.arrays import (
    Array,
    TensorFile,
    little_endian,
    missing_extra,
    path_of,
    pieces,
    stored_dtype,
)
from hecli.formats.tensors.specs import DTYPES, TensorSpec, by_name

JSON_LIMIT = 16 << 20
NAMES = {
    name: ("BF" if name == "bfloat16" else {"f": "F", "i": "I", "u": "U"}[name[0]]) + str(8 * size)
    for name, size in DTYPES.items()
}
"""The library's names of dtypes."""


def is_safetensors(start: bytes) -> bool:
    """Tell whether a file can be one by its first eight bytes, a length.

    Args:
        start: Them.

    Returns:
        Whether it can.
    """
    return len(start) == 8 and 2 <= int.from_bytes(start, "little") <= JSON_LIMIT


def open_safetensors(stream: BinaryIO, name: str) -> TensorFile:
    """Open a .safetensors file.

    Args:
        stream: The file, seekable.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        HecliError: The library is not installed.
        DataError: A dtype cannot be encoded.
        FormatError: It is not sound.
    """
    try:
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra(name) from error
    own_names = {theirs: ours for ours, theirs in NAMES.items()}
    specs, starts = [], {}
    try:
        # The library checks header and sizes; the values are then read in pieces.
        with path_of(stream) as path, safe_open(path, framework="np") as opened:
            metadata = opened.metadata()
            start = 8 + int.from_bytes(stream.read(8), "little")
            for tensor in opened.offset_keys():
                view = opened.get_slice(tensor)
                kind = view.get_dtype()
                spec = TensorSpec(tensor, own_names.get(kind, kind), tuple(view.get_shape()))
                spec.check(name)
                specs.append(spec)
                starts[tensor] = start
                start += spec.nbytes
    except (SafetensorError, ValueError, OSError) as error:
        raise FormatError(f"{name}: is not a sound safetensors file ({error})") from error

    def read(spec: TensorSpec) -> Iterator[Array]:
        stream.seek(starts[spec.name])
        return pieces(stream.read, spec, stored_dtype(spec.dtype), name)

    return TensorFile(name, "safetensors", by_name(specs), read, metadata)


def write_safetensors(
    stream: BinaryIO,
    specs: tuple[TensorSpec, ...],
    values: Iterable[Iterator[Array]],
    metadata: dict[str, str] | None,
) -> None:
    """Write a .safetensors file, whose library writes only what is whole in memory.

    Args:
        stream: Where to.
        specs: The tensors.
        values: The values of each in pieces.
        metadata: What else the file's header holds.

    Raises:
        DataError: It cannot hold these tensors.
    """
    if any(spec.name == "__metadata__" for spec in specs):
        raise DataError(
            ".safetensors cannot hold a tensor named __metadata__", "use -o NAME.npz or NAME.tensors"
        )
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for spec in specs:
        header[spec.name] = {
            "dtype": NAMES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.nbytes],
        }
        end += spec.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for each in values:
        stream.writelines(little_endian(each))
