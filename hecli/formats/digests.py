"""What stands for a file, whatever kind of file it is."""

import hashlib
import io
from typing import BinaryIO, cast

from hecli.formats.reader import START_SIZE, is_own, open_reader


class Hashed(io.RawIOBase):
    """Pass on what is written, and know its SHA-256.

    Args:
        out: Where it goes.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._hash = hashlib.sha256()

    @property
    def stream(self) -> BinaryIO:
        """This, as what it is used as."""
        return cast("BinaryIO", self)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Write all of `data`.

        Args:
            data: The bytes.

        Returns:
            How many there were.
        """
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._hash.update(view)
        self._out.write(view)
        return len(view)

    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._hash.digest()


def file_digest(stream: BinaryIO) -> bytes:
    """Give what stands for a file in a ledger.

    Args:
        stream: The file, seekable.

    Returns:
        The digest of one of hecli's, checked to its end; else SHA-256.

    Raises:
        FormatError: It is one of hecli's, and not sound.
    """
    stream.seek(0)
    own = is_own(stream.read(START_SIZE))
    stream.seek(0)
    if own:
        reader = open_reader(stream)
        reader.verify()
        return reader.digest
    return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
