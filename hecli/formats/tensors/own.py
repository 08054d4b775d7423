"""hecli's own tensor files, of the kind `tensors`."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.formats.envelope import Section
from hecli.formats.reader import Reader
from hecli.formats.tensors.arrays import Array, TensorFile, little_endian, pieces, stored_dtype
from hecli.formats.tensors.specs import TensorSpec, pack_specs, parse_specs

KIND = "tensors"


def read_specs(reader: Reader) -> tuple[TensorSpec, ...]:
    """Read which tensors an opened file holds.

    Args:
        reader: The file.

    Returns:
        The tensors, sorted by name.

    Raises:
        DataError: A dtype cannot be encoded.
        FormatError: It is of another kind, or not sound.
    """
    reader.require(KIND)
    fields(reader.header, reader.name, "its header", {"tensors": list})
    specs = parse_specs(reader.header["tensors"], reader.name, "its list of tensors")
    reader.require_sections(_section(specs))
    return specs


def open_own(stream: BinaryIO, name: str) -> TensorFile:
    """Open one of hecli's own tensor files.

    Args:
        stream: The file, seekable.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        DataError: A dtype cannot be encoded.
        FormatError: It is not sound.
    """
    reader = Reader(stream, name)
    specs = read_specs(reader)
    values = reader.section("values")

    def read(spec: TensorSpec) -> Iterator[Array]:
        # Tensors are asked for in the order of their names, in which they lie.
        if spec == specs[0]:
            values.rewind()
        return pieces(values.read, spec, stored_dtype(spec.dtype), name)

    return TensorFile(name, KIND, specs, read)


def write_own(
    stream: BinaryIO, specs: tuple[TensorSpec, ...], values: Iterable[Iterator[Array]], metadata: object
) -> bytes:
    """Write one of hecli's own tensor files.

    Args:
        stream: Where to.
        specs: The tensors, sorted by name.
        values: The values of each in pieces.
        metadata: Nothing that it can hold.

    Returns:
        The file's digest.
    """
    del metadata
    blocks = (data for each in values for data in little_endian(each))
    return envelope.write(stream, KIND, {"tensors": pack_specs(specs)}, [_section(specs)], blocks)


def _section(specs: tuple[TensorSpec, ...]) -> Section:
    return Section.of("values", 1, sum(spec.nbytes for spec in specs))
