"""Parts of a round on the workers of a Dask cluster: the same bytes, whatever becomes of the workers."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hecli
from hecli import remote
from hecli.errors import HecliError
from hecli.executors.cluster import dask_cluster
from hecli.formats.reader import open_reader
from hecli.rounds.headers import open_blocks
from hecli.storage.places import ANYWHERE
from tests import servers
from tests.support import command

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

NAMES = ("anna", "bob", "carol")
VALUES = 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A round under a small key, with several chunks."""
    place = tmp_path_factory.mktemp("round")
    command("keygen", "--bits", 2048, cwd=place)
    for at, name in enumerate(NAMES, 1):
        np.savez(place / f"{name}.npz", w=np.full(VALUES, at / 10, np.float32))
        command("encrypt", f"{name}.npz", "--party", name, cwd=place)
    command("aggregate", *(f"{name}.enc" for name in NAMES), "-o", "whole.agg", cwd=place)
    return place


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return servers.certificate(folder)


def environment(certificate):
    """Where Dask finds its certificates."""
    cert, key = map(str, certificate)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    found = {f"{prefix}CA_FILE": cert}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {f"{prefix}{who}__CERT": cert, f"{prefix}{who}__KEY": key}
    return found


class Machines:
    """A scheduler and two workers, in processes of their own."""

    def __init__(self, env, protocol="tls"):
        self.env = os.environ | env
        self.port = servers.free_port()
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.processes = [
            self._start(
                "scheduler", "--host", self.address, "--no-dashboard", "--no-show", "--port", str(self.port)
            )
        ]
        self.workers = [self.add_worker() for _ in range(2)]

    def _start(self, what, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + what, *words],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self):
        found = self._start(
            "worker", self.address, "--nthreads", "1", "--nworkers", "1", "--no-nanny", "--no-dashboard"
        )
        self.processes.append(found)
        return found

    def close(self):
        for each in self.processes:
            each.kill()
        for each in self.processes:
            each.wait()

    def wait(self, count):
        """Wait until so many workers are there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with dask_cluster(self.address, secret=False) as found:
                    if found.threads == count:
                        return
            except HecliError:
                time.sleep(0.2)
        raise AssertionError("the workers do not come")


@pytest.fixture
def machines(certificate, monkeypatch):
    env = environment(certificate)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    import dask

    dask.config.refresh()
    found = Machines(env)
    try:
        found.wait(2)
        yield found
    finally:
        found.close()
        monkeypatch.undo()
        dask.config.refresh()


def test_workers_make_the_very_file(made, tmp_path):
    files = [made / f"{name}.enc" for name in NAMES]
    said = command("aggregate", *files, "--dask", "local", "-o", "round.agg", cwd=tmp_path)
    assert b"round.agg: 3 contributors" in said.stderr
    assert (tmp_path / "round.agg").read_bytes() == (made / "whole.agg").read_bytes()
    # No slice is left.
    assert [each.name for each in tmp_path.iterdir()] == ["round.agg"]
    said = command("verify", "round.agg", "--from", *files, "--dask", "local", cwd=tmp_path)
    assert b"is the product of 3 updates" in said.stdout
    key = made / "hecli.key"
    said = command(
        "decrypt", "round.agg", "--from", *files, "--key", key, "--dask", "local", "--send-key", cwd=tmp_path
    )
    assert b"the sum of 3 contributors" in said.stderr
    command("verify", "round.sum", "--from", "round.agg", cwd=tmp_path)
    assert np.allclose(hecli.mean(tmp_path / "round.sum")["w"], 0.2, atol=1e-5)
    assert (made / "hecli.key.opened").exists()


@pytest.mark.slow
def test_a_scheduler_with_certificates(made, tmp_path, machines):
    """The key goes over TLS alone; without --send-key it stays, and the updates are checked there."""
    files = [made / f"{name}.enc" for name in NAMES]
    command("aggregate", *files, "--dask", machines.address, "-o", "round.agg", cwd=tmp_path)
    assert (tmp_path / "round.agg").read_bytes() == (made / "whole.agg").read_bytes()
    common = (
        "decrypt",
        "round.agg",
        "--from",
        *files,
        "--key",
        made / "hecli.key",
        "--dask",
        machines.address,
    )
    command(*common, "-o", "here.sum", cwd=tmp_path)
    command(*common, "--send-key", "-o", "there.sum", cwd=tmp_path)
    for each in ("here.sum", "there.sum"):
        assert np.allclose(hecli.mean(tmp_path / each)["w"], 0.2, atol=1e-5)


@pytest.mark.slow
def test_a_worker_that_is_lost_is_done_without(made, tmp_path, machines):
    files = [made / f"{name}.enc" for name in NAMES]

    def kill():
        time.sleep(1.5)
        os.kill(machines.workers[0].pid, signal.SIGKILL)
        machines.add_worker()

    timer = threading.Thread(target=kill)
    timer.start()
    # Long enough that the worker has a part when it is killed.
    result = command(
        "decrypt", made / "whole.agg", "--from", *files, "--key", made / "hecli.key", "--dask",
        machines.address, "--send-key", "-o", "round.sum", cwd=tmp_path,
    )  # fmt: skip
    timer.join()
    assert b"the sum of 3 contributors" in result.stderr
    assert np.allclose(hecli.mean(tmp_path / "round.sum")["w"], 0.2, atol=1e-5)


def test_what_is_wrong_with_a_part_is_said(made, tmp_path):
    files = [made / f"{name}.enc" for name in NAMES]
    data = bytearray(files[1].read_bytes())
    data[-40_000] ^= 1
    (tmp_path / "bob.enc").write_bytes(data)
    result = command(
        "aggregate",
        files[0],
        "bob.enc",
        files[2],
        "--dask",
        "local",
        "-o",
        "x.agg",
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 1
    assert b"error: on a worker: " in result.stderr
    assert b"bob.enc: chunk" in result.stderr
    assert b"does not match its digest" in result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["bob.enc"]


def test_wrong_uses(made, tmp_path):
    files = [made / f"{name}.enc" for name in NAMES]
    whole, key = made / "whole.agg", made / "hecli.key"
    for words, status, message in (
        (("aggregate", *files, "--dask", "local", "--part", "1/2"), 2, b"--part is for this machine"),
        (("aggregate", *files, "--dask", "local", "--jobs", "2"), 2, b"--jobs is for this machine"),
        (("aggregate", *files, "--dask", "local", "-o", "-"), 1, b"workers cannot read or write a pipe"),
        (("aggregate", *files, "--dask", "tcp://127.0.0.1:1"), 1, b"no Dask scheduler answers"),
        (("decrypt", whole, "--key", key, "--send-key", "-o", "x"), 2, b"--send-key is for --dask"),
        (
            ("decrypt", whole, "--key", key, "--dask", "tcp://127.0.0.1:1", "--send-key", "-o", "x"),
            1,
            b"a key is not sent to tcp://127.0.0.1:1",
        ),
    ):
        result = command(*words, cwd=tmp_path, check=False)
        assert result.returncode == status, result.stderr
        assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def job(made, **changes):
    with (made / "whole.agg").open("rb") as stream:
        reader = open_reader(stream)
        plan, digest = open_blocks(reader).plan, reader.digest
    found = {
        "files": tuple(str(made / f"{name}.enc") for name in NAMES),
        "aggregate": str(made / "whole.agg"),
        "digest": digest,
    }
    return remote.Job("verify", plan.to_map(), (1, 2), **(found | changes))


def test_a_worker_looks_at_the_same_aggregate(made):
    assert remote.do(job(made)) == b""
    failed = remote.do(job(made, digest=bytes(32)))
    assert "is another file here than where it was asked for" in failed.message
    failed = remote.do(job(made, version="0.0.0"))
    assert "asks for a part" in failed.message


def test_a_worker_without_credentials_says_so(made, s3, monkeypatch):
    url = f"{s3}/anna.enc"
    with ANYWHERE.create(url) as out:
        out.write((made / "anna.enc").read_bytes())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setattr("hecli.storage.bucket.RETRY", {"max_retries": 0})
    from hecli.storage.places import store_at

    store_at.cache_clear()
    failed = remote.do(job(made, files=(url,)))
    assert "there are no credentials" in failed.message
    assert "AWS_ACCESS_KEY_ID" in failed.hint


def test_no_primes_in_what_is_shown(made):
    key = hecli.read_private_key(made / "hecli.key", str)
    shown = repr(job(made, key=key))
    assert str(key.p) not in shown
    assert "key=" not in shown
