"""Sharing work among threads, where it releases the interpreter's lock (GIL): nothing is copied or sent."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue

from hecli.errors import HecliError
from hecli.executors.interface import Run, Task
from hecli.executors.ordering import in_order

MEMORY = "is there enough memory? try --jobs 1"


@contextmanager
def thread_pool(task: Task, jobs: int) -> Iterator[Run]:
    """Get threads ready for a task.

    Args:
        task: The work, which may be done several times at once.
        jobs: How many threads.

    Yields:
        What maps the task over batches.

    Raises:
        HecliError: No thread can be started.
    """
    waiting: SimpleQueue[tuple[bytes, Future[bytes]] | None] = SimpleQueue()
    ended = threading.Event()

    def work() -> None:
        while (job := waiting.get()) is not None and not ended.is_set():
            blob, future = job
            try:
                future.set_result(task(blob))
            except BaseException as error:  # noqa: BLE001 - raised where the result is taken
                future.set_exception(error)

    def submit(blob: bytes) -> Future[bytes]:
        future: Future[bytes] = Future()
        waiting.put((blob, future))
        return future

    # Nobody who interrupts waits until a batch is done: these threads end with the process.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        ended.set()
        raise HecliError("cannot start a thread", MEMORY) from error
    try:
        yield in_order(submit, 2 * jobs)
    except BaseException:
        ended.set()
        raise
    finally:
        for _ in threads:
            waiting.put(None)
    for thread in threads:
        thread.join()
