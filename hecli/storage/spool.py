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
def spooled(source: BinaryIO) -> Iterator[BinaryIO]:
    """Read all of a stream into a seekable one: in memory while short, else in an unnamed file.

    Args:
        source: The stream, read to its end.

    Yields:
        A stream at its first byte.

    Raises:
        HecliError: It cannot be read, or there is no room to keep it.
    """
    with tempfile.SpooledTemporaryFile(max_size=MEMORY) as spool:
        try:
            shutil.copyfileobj(source, spool, 1 << 20)
            spool.seek(0)
        except OSError as error:
            raise HecliError(
                f"cannot keep standard input: {(error.strerror or str(error)).lower()}",
                "set TMPDIR to a folder with room, or name a file instead of -",
            ) from error
        yield cast("BinaryIO", spool)
