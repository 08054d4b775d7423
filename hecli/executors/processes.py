"""Sharing work among processes: bytes to a worker, bytes back, in order.

For work that does not release the interpreter's lock (GIL), or for some
microseconds only: whoever releases it waits longer to get it back. Not a ready-made process pool,
because what is sent is bytes already and needs no pickling, because tables
built once are then shared by fork instead of copied, and because these
workers end when their parent does, however it ended.
"""

import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from hecli.errors import HecliError
from hecli.executors.interface import Run, Task
from hecli.executors.ordering import in_order
from hecli.executors.threads import MEMORY

LAST_WORDS = 5.0
"""Seconds to wait until a worker whose end of the pipe is closed has ended too."""

_FAILED = b""
_INTERRUPTS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}


class _Worker(NamedTuple):
    """A process, and this end of the pipe to it."""

    process: Any
    connection: Connection


@contextmanager
def process_pool(task: Task, jobs: int) -> Iterator[Run]:
    """Get processes ready for a task.

    Args:
        task: The work.
        jobs: How many processes.

    Yields:
        What maps the task over batches.

    Raises:
        HecliError: A process ended that should not have.
    """
    fork = "fork" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if fork else None)
    connections: list[Connection] = []
    workers: list[_Worker] = []
    try:
        # An interrupt in the middle of a fork would be lost, or shown by the child.
        with _interrupts_held():
            for _ in range(jobs):
                mine, theirs = context.Pipe()
                connections.append(mine)
                inherited = list(connections) if fork else []
                process = context.Process(target=_serve, args=(theirs, inherited, task), daemon=True)
                process.start()
                theirs.close()
                workers.append(_Worker(process, mine))
        with ThreadPoolExecutor(jobs) as threads:
            try:
                yield _mapper(task, workers, threads)
            except BaseException:
                # Threads that wait for a worker must not be waited for.
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.process.kill()
                raise
    finally:
        for connection in connections:
            connection.close()
        for worker in workers:
            worker.process.join()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let signals that interrupt wait until the block is done."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _mapper(task: Task, workers: list[_Worker], threads: ThreadPoolExecutor) -> Run:
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)
    # Two threads that wait for one process take its status from each other.
    ending = threading.Lock()

    def call(blob: bytes) -> bytes:
        worker = idle.get()
        try:
            worker.connection.send_bytes(blob)
            result = worker.connection.recv_bytes()
        except (EOFError, OSError) as error:
            with ending:
                worker.process.join(LAST_WORDS)
                raise _died(worker.process.exitcode) from error
        finally:
            # Also a dead one: nobody may wait for one that never comes.
            idle.put(worker)
        # The same failure again, but here, where its error can be raised.
        return task(blob) if result == _FAILED else result

    def submit(blob: bytes) -> Future[bytes]:
        try:
            return threads.submit(call, blob)
        except RuntimeError as error:
            raise HecliError("cannot start a thread", MEMORY) from error

    return in_order(submit, 2 * len(workers))


def _died(status: int | None) -> HecliError:
    """How a worker ended that should not have."""
    if status is None:
        return HecliError("a worker process does not answer")
    if status < 0:
        # Systems that run out of memory end whom they choose with this signal.
        killed = hasattr(signal, "SIGKILL") and -status == signal.SIGKILL
        return HecliError(f"a worker process was killed by signal {-status}", MEMORY if killed else None)
    return HecliError(f"a worker process ended with status {status}")


def _serve(connection: Connection, inherited: list[Connection], task: Task) -> None:
    """The worker: answer blobs until the parent closes its end, or is gone."""
    # Ctrl-C reaches the whole group: the parent decides, and the worker sees its end of the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    # While a worker holds a copy of the parent's ends, nobody sees the parent go.
    for other in inherited:
        other.close()
    while True:
        try:
            blob = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            result = task(blob)
        except Exception:  # noqa: BLE001 - whatever it is, the parent meets it again and raises it
            result = _FAILED
        try:
            connection.send_bytes(result)
        except OSError:
            return
