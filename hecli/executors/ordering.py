"""Work that is handed out ahead, and taken in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice

from hecli.executors.interface import Run


def in_order(submit: Callable[[bytes], Future[bytes]], ahead: int) -> Run:
    """Map over batches those who take one at a time.

    Args:
        submit: Hands one out.
        ahead: How many are handed out before the first result is taken.

    Returns:
        What maps.
    """

    def run(blobs: Iterable[bytes]) -> Iterator[bytes]:
        source = iter(blobs)
        # Begun when it is asked for, not when the first result is: what comes next works meanwhile.
        waiting = deque(map(submit, islice(source, ahead)))
        return _results(waiting, map(submit, source))

    return run


def _results(waiting: deque[Future[bytes]], more: Iterator[Future[bytes]]) -> Iterator[bytes]:
    """What workers gave, in order; as each is taken, one more batch is handed out."""
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(islice(more, 1))
        yield result
