"""Work among processes: in order, and every failure said as what it is."""

import os
import signal

import pytest

from hecli.errors import HecliError
from hecli.executors.cores import cores, default_jobs

PARENT = os.getpid()


def double(blob):
    return blob + blob


def run(task, jobs=2, blobs=(b"a", b"b", b"c")):
    with cores(jobs)(task, len(blobs)) as mapped:
        return list(mapped(blobs))


@pytest.mark.parametrize("jobs", [None, 1, 2, 5])
def test_results_come_in_order(jobs):
    blobs = [bytes([at]) * 1000 for at in range(100)]
    assert run(double, jobs, blobs) == [blob + blob for blob in blobs]
    assert run(double, jobs, []) == []


def test_no_more_workers_start_than_there_is_work():
    def who(_blob):
        return str(os.getpid()).encode()

    assert run(who, 8, [b"one"]) == [str(os.getpid()).encode()]
    assert len(set(run(who, 8, [b"x"] * 2))) <= 2
    assert default_jobs() >= 1


def in_a_worker(how):
    def task(_blob):
        if os.getpid() != PARENT:
            how()
        pytest.fail("should have ended")

    return task


def test_a_worker_that_ends_is_said():
    with pytest.raises(HecliError, match=r"^a worker process ended with status 3$") as caught:
        run(in_a_worker(lambda: os._exit(3)))
    assert caught.value.hint is None


@pytest.mark.parametrize(("number", "hint"), [(signal.SIGKILL, "--jobs 1"), (signal.SIGUSR1, None)])
def test_a_worker_that_is_killed_is_said(number, hint):
    with pytest.raises(HecliError, match=rf"^a worker process was killed by signal {number:d}$") as caught:
        run(in_a_worker(lambda: os.kill(os.getpid(), number)))
    assert hint is caught.value.hint is None or hint in caught.value.hint


@pytest.mark.parametrize(
    "error", [HecliError("no"), MemoryError("no"), ZeroDivisionError("no"), KeyError("no")]
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_is_shown_as_what_it_is(error, jobs):
    def fail(blob):
        if blob == b"b":
            raise error
        return blob

    with cores(jobs)(fail, 3) as mapped, pytest.raises(type(error), match="no"):
        list(mapped([b"a", b"b", b"c"]))
