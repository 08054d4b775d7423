"""What comes through a pipe, made seekable."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from hecli.errors import HecliError

MEMORY = 8 << 20
"""Bytes kept in memory; more goes to an unnamed temporary file."""


@contextmanager
def spooled(source: BinaryIO, name: str | None = None) -> Iterator[BinaryIO]:
    """Read all of a stream into a seekable one: in memory while short, else in an unnamed file.

    Args:
        source: The stream, read to its end.
        name: What errors call it; None for standard input.

    Yields:
        A stream at its first byte.

    Raises:
        HecliError: It cannot be read, or there is no room to keep it.
    """
    with _Spool(name) as spool:
        try:
            shutil.copyfileobj(source, spool, 1 << 20)
            spool.seek(0)
        except OSError as error:
            raise HecliError(
                f"cannot keep {name or 'standard input'}: {(error.strerror or str(error)).lower()}",
                "set TMPDIR to a folder with room" + ("" if name else ", or name a file instead of -"),
            ) from error
        yield cast("BinaryIO", spool)


class _Spool(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file under the name of what is in it."""

    def __init__(self, name: str | None) -> None:
        super().__init__(max_size=MEMORY)
        self._named = name

    @property
    def name(self) -> str | None:
        return self._named
