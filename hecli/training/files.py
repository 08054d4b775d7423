"""Files as a member's run handles them: by their digests, their names, and their bytes."""

import io
from pathlib import Path
from typing import BinaryIO

from hecli.formats.reader import open_reader


def digest_in(path: Path) -> bytes:
    """Give the digest that a file of one's own says it has.

    Args:
        path: The file.

    Returns:
        The digest.
    """
    with path.open("rb") as stream:
        return open_reader(stream).digest


class _Named(io.BytesIO):
    """Bytes that errors call by a file's name."""

    name = ""


def named(data: bytes, name: str) -> io.BytesIO:
    """Make a stream of bytes that were read from a file.

    Args:
        data: The bytes.
        name: What errors call the file.

    Returns:
        The stream.
    """
    stream = _Named(data)
    stream.name = name
    return stream


def same(one: BinaryIO, other: BinaryIO) -> bool:
    """Tell whether two streams hold the same, a piece at a time.

    Args:
        one: The one.
        other: The other.

    Returns:
        Whether they do.
    """
    while piece := one.read(1 << 20):
        if other.read(len(piece)) != piece:
            return False
    return not other.read(1)
