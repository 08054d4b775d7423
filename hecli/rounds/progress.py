"""How those who wait hear of the work."""

from collections.abc import Callable, Iterable, Iterator

Progress = Callable[[int, int], None]
"""Told now and then how many blocks are done, and of how many."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody.

    Args:
        done: Blocks that are done.
        total: All of them.
    """


def counted(
    batches: Iterable[bytes], size: int, total: int, progress: Progress, done: int = 0
) -> Iterator[bytes]:
    """Tell of batches as they pass.

    Args:
        batches: The batches.
        size: The bytes of a block.
        total: How many blocks there are.
        progress: Whom to tell.
        done: How many were done before.

    Yields:
        The batches.
    """
    for batch in batches:
        done += len(batch) // size
        progress(min(done, total), total)
        yield batch
