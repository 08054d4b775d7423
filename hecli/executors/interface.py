"""What those who have work to share out know of those who do it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Task = Callable[[bytes], bytes]
"""Work on one batch, which gives at least one byte and can be sent to another process."""


def releases_gil(task: Task) -> bool:
    """Tell whether a task releases the interpreter's lock (GIL) while it works, as its `releases_gil` says.

    Args:
        task: The work.

    Returns:
        Whether threads can do it at the same time.
    """
    return bool(getattr(task, "releases_gil", False))


Run = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Maps a task over batches, in order; what it raises for one is raised when it is that one's turn."""


class Executor(Protocol):
    """Those who work, at most `workers` at once."""

    @property
    def workers(self) -> int: ...  # noqa: D102 - said above

    def __call__(self, task: Task, batches: int) -> AbstractContextManager[Run]:
        """Get ready for a task.

        Args:
            task: The work.
            batches: How many batches there are at most, so that no more workers start.

        Returns:
            What maps the task over batches, for as long as the block lasts.
        """
        ...


class Serial:
    """Whoever has the work does it alone."""

    workers = 1

    def __call__(self, task: Task, batches: int) -> AbstractContextManager[Run]:
        """Do the task where it is asked for."""
        del batches
        return nullcontext(lambda blobs: map(task, blobs))


SERIAL: Executor = Serial()
