"""Sharing work among processes: bytes to a worker, bytes back, in order.

Processes, because a thread that lets go of the interpreter for a product of
some microseconds waits longer to get it back. Not a ready-made process pool,
because what is sent is bytes already and needs no pickling, because tables
built once are then shared by fork instead of copied, and because these
workers end when their parent does, however it ended.
"""

import multiprocessing
import os
import queue
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from hecli.errors import HecliError

Task = Callable[[bytes], bytes]
Run = Callable[[Iterable[bytes]], Iterator[bytes]]
_FAILED = b""
_INTERRUPTS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}


def default_jobs() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def pool(task: Task, jobs: int) -> Iterator[Run]:
    """Give a function that maps `task` over blobs, in order, on `jobs` processes.

    `task` must give at least one byte. What it raises for a blob, the mapping
    raises when it is that blob's turn.
    """
    if jobs == 1:
        yield lambda blobs: map(task, blobs)
        return
    fork = "fork" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if fork else None)
    connections: list[Connection] = []
    workers = []
    try:
        # An interrupt in the middle of a fork would be lost, or shown by the child.
        with _interrupts_held():
            for _ in range(jobs):
                mine, theirs = context.Pipe()
                connections.append(mine)
                inherited = list(connections) if fork else []
                worker = context.Process(target=_serve, args=(theirs, inherited, task), daemon=True)
                worker.start()
                theirs.close()
                workers.append(worker)
        with ThreadPoolExecutor(jobs) as threads:
            try:
                yield _mapper(task, connections, threads)
            except BaseException:
                # Threads that wait for a worker must not be waited for.
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.kill()
                raise
    finally:
        for connection in connections:
            connection.close()
        for worker in workers:
            worker.join()


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


def _mapper(task: Task, connections: list[Connection], threads: ThreadPoolExecutor) -> Run:
    idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
    for connection in connections:
        idle.put(connection)

    def call(blob: bytes) -> bytes:
        connection = idle.get()
        try:
            connection.send_bytes(blob)
            result = connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise HecliError("a worker process died", "is there enough memory? try --jobs 1") from error
        finally:
            # Also that of a dead worker: nobody may wait for one that never comes.
            idle.put(connection)
        # The same failure again, but here, where its error can be raised.
        return task(blob) if result == _FAILED else result

    def run(blobs: Iterable[bytes]) -> Iterator[bytes]:
        waiting: deque[Future[bytes]] = deque()
        for blob in blobs:
            try:
                waiting.append(threads.submit(call, blob))
            except RuntimeError as error:
                raise HecliError("cannot start a thread", "is there enough memory? try --jobs 1") from error
            if len(waiting) > 2 * len(connections):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    return run


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
        except (HecliError, MemoryError):
            result = _FAILED
        try:
            connection.send_bytes(result)
        except OSError:
            return
