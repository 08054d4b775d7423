"""Many files read at once and ahead of whoever works on them, for each may be far away."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from operator import methodcaller
from typing import TypeVar

from hecli.formats.reader import Reader

READERS = 16
"""Files that are read at once."""

AHEAD = 32 << 20
"""Bytes of all files together that are read while those before them are worked on."""

WAITING = 2
"""Items of a file that is not worked on yet: together with READERS, some tens of megabytes."""

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(readers: Sequence[Reader], names: Sequence[str], batch: int) -> Iterator[bytes]:
    """Read the same few records of every file, one file after the other.

    Args:
        readers: The files, whose sections have the same sizes.
        names: The sections.
        batch: How many records of each file.

    Yields:
        The records of all files together, of which no more may be used than
        are known to be good.

    Raises:
        FormatError: A chunk does not have the digest in its file's trailer.
    """
    with _quickly_left(min(READERS, len(readers))) as threads:
        for name in names:
            sections = [reader.section(name) for reader in readers]
            for section in sections:
                section.rewind()
            layout = sections[0].section
            size = batch * layout.record_size
            # Whole batches, as many as there is room for, and no more of a file than one chunk.
            most = min(AHEAD // (len(readers) * size), layout.chunk // batch)
            records = batch * max(1, most)

            read = methodcaller("read", records)
            following = threads.map(read, sections)
            while (found := list(following))[0]:
                following = threads.map(read, sections)
                for at in range(0, len(found[0]), size):
                    yield b"".join([each[at : at + size] for each in found])


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Do something with each of many files, some at once.

    Args:
        work: What is done; it mostly waits.
        items: With what.

    Yields:
        What came of it, in order; what it raised is raised in its turn.
    """
    source = iter(items)
    with _quickly_left(READERS) as threads:
        waiting: deque[Future[R]] = deque(threads.submit(work, each) for each in islice(source, READERS))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(threads.submit(work, each) for each in islice(source, 1))
            yield result


@contextmanager
def read_ahead(files: Iterable[Iterator[T]]) -> Iterator[Iterator[T]]:
    """Read some files at once, each a little ahead.

    Args:
        files: What reads each, item by item.

    Yields:
        The items of the first, then of the second, and so on; what one raises
        is raised in its turn.
    """
    source, given_up = iter(files), threading.Event()

    def feed(file: Iterator[T], items: "queue.Queue[T | _End]") -> None:
        try:
            for item in file:
                _put(items, item, given_up)
            end = _End(None)
        except BaseException as error:  # noqa: BLE001 - whoever takes the items meets it
            end = _End(error)
        _put(items, end, given_up)

    def begin(threads: ThreadPoolExecutor, file: Iterator[T]) -> "queue.Queue[T | _End]":
        items: queue.Queue[T | _End] = queue.Queue(WAITING)
        threads.submit(feed, file, items)
        return items

    def all_items(threads: ThreadPoolExecutor) -> Iterator[T]:
        waiting = deque(begin(threads, each) for each in islice(source, READERS))
        while waiting:
            items = waiting.popleft()
            while not isinstance(item := items.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
            waiting.extend(begin(threads, each) for each in islice(source, 1))

    with ThreadPoolExecutor(READERS) as threads:
        try:
            yield all_items(threads)
        finally:
            given_up.set()


@contextmanager
def _quickly_left(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of which none begins anything more when the block is left."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _End:
    """The end of a file, or what was wrong with it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _put(items: "queue.Queue[T | _End]", item: "T | _End", given_up: threading.Event) -> None:
    """Hand an item over, unless nobody takes any more."""
    while not given_up.is_set():
        try:
            items.put(item, timeout=0.2)
        except queue.Full:
            continue
        return
