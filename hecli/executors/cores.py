"""Sharing work among the cores of this machine."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from hecli.executors.interface import SERIAL, Executor, Run, Task, releases_gil


def default_jobs() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Cores:
    """Share work among threads where it releases the interpreter's lock (GIL), else among processes.

    Args:
        workers: How many at most; one works where the work is asked for.
    """

    workers: int

    def __call__(self, task: Task, batches: int) -> AbstractContextManager[Run]:
        """Get ready for a task, with no more workers than there are batches."""
        jobs = min(self.workers, batches)
        if jobs <= 1:
            return SERIAL(task, batches)
        # Imported when it is used: what a command does not need, it does not wait for.
        if releases_gil(task):
            from hecli.executors.threads import thread_pool  # noqa: PLC0415

            return thread_pool(task, jobs)
        from hecli.executors.processes import process_pool  # noqa: PLC0415

        return process_pool(task, jobs)


def cores(jobs: int | None = None) -> Executor:
    """Share work among the cores of this machine.

    Args:
        jobs: How many at most; all where it is None. One works in this process.

    Returns:
        Those who work.
    """
    return Cores(jobs or default_jobs())
