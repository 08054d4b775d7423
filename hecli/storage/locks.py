"""Locks: one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep other processes that lock the same file waiting while the block lasts.

    Args:
        path: The file, which is there.

    Yields:
        Nothing; where the system has no such locks at once.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    # For writing, without which locks over a network may be refused; the file may be read-only.
    with open(path, "rb+" if os.access(path, os.W_OK) else "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
