"""Outputs appear whole or not at all, whatever happens; secrets are for their owner only."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hecli.cli.files import open_input, open_output, open_stream
from hecli.errors import HecliError, RefusedError
from hecli.storage import local as files
from hecli.storage.local import LOCAL
from tests.support import command


@pytest.fixture(params=["unnamed", "named", "no links"])
def file_system(request, monkeypatch):
    """With files that have no name yet, without them, and without hard links either."""
    if request.param != "unnamed":
        monkeypatch.setattr(files, "_open_unnamed", lambda _folder, _mode: None)
    if request.param == "no links":

        def refuse(*_arguments, **_options):
            raise OSError(errno.EPERM, "operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return request.param


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_output_appears_when_it_is_whole(tmp_path, file_system):
    path = tmp_path / "out"
    with open_output(str(path)) as stream:
        stream.write(b"half")
        assert "out" not in names(tmp_path)
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert names(tmp_path) == ["out"]
    assert file_system


def test_nothing_is_left_of_a_failure(tmp_path, file_system):
    for failure in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(failure), open_output(str(tmp_path / "out")) as stream:
            stream.write(b"half")
            raise failure
        assert names(tmp_path) == []
    assert file_system


def test_an_existing_file_is_kept_unless_forced(tmp_path, file_system):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(RefusedError, match="exists"), open_output(str(path)):
        pytest.fail("should not get here")
    with pytest.raises(ValueError, match="no"), open_output(str(path), force=True):
        raise ValueError("no")
    assert path.read_bytes() == b"old"
    with open_output(str(path), force=True) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]
    assert file_system


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, file_system):
    path = tmp_path / "out"
    with pytest.raises(RefusedError, match="exists"), open_output(str(path)) as stream:
        stream.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]
    assert file_system


def test_secrets_are_for_their_owner(tmp_path, file_system):
    for secret, mode in ((True, 0o600), (False, 0o644)):
        path = tmp_path / f"out{mode}"
        before = os.umask(0o022)
        try:
            with open_output(str(path), secret=secret) as stream:
                stream.write(b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert file_system


@pytest.mark.parametrize("budget", [0, 10, 10_000])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, budget, file_system):
    left = budget
    write = os.write

    def limited(descriptor, data):
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        left -= len(data[:left])
        return write(descriptor, data[: max(1, left)])

    monkeypatch.setattr(os, "write", limited)
    with (
        pytest.raises(HecliError, match=r"cannot write .*out: the disk is full"),
        open_output(str(tmp_path / "out")) as s,
    ):
        s.write(bytes(100_000))
    assert names(tmp_path) == []
    assert file_system


def test_devices_are_written_to_not_replaced():
    with open_output("/dev/null") as stream:
        stream.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(HecliError, match="the disk is full"), open_output("/dev/full") as stream:
        stream.write(b"x")


def test_pipes_are_read_whole_before_they_are_used(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = os.urandom(9 << 20)
    writer = threading.Thread(target=lambda: path.write_bytes(data))
    writer.start()
    with open_input(str(path)) as stream:
        assert stream.seekable()
        stream.seek(-10, 2)
        assert stream.read() == data[-10:]
    writer.join()


def test_a_stream_is_not_read_before_it_is_asked_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def answer_before_the_end():
        with path.open("wb", buffering=0) as out:
            out.write(b"first")
            seen.wait(20)
            out.write(b" and last")

    seen = threading.Event()
    writer = threading.Thread(target=answer_before_the_end)
    writer.start()
    with open_stream(str(path)) as stream:
        assert stream.peek(1)[:1] == b"f"
        assert stream.read(5) == b"first"
        seen.set()
        assert stream.read() == b" and last"
    writer.join()
    with pytest.raises(HecliError, match="no such file"), open_stream(str(tmp_path / "nothing")):
        pytest.fail("should not get here")


@pytest.mark.parametrize("force", [False, True])
def test_a_secret_goes_to_no_pipe_that_somebody_planted(tmp_path, force):
    os.mkfifo(tmp_path / "out")
    (tmp_path / "link").symlink_to("out")
    for path in (str(tmp_path / "out"), str(tmp_path / "link"), "/dev/null"):
        with (
            pytest.raises(RefusedError, match="is not a regular file"),
            open_output(path, force=force, secret=True),
        ):
            pytest.fail("should not get here")
    assert names(tmp_path) == ["link", "out"]


def test_no_key_is_made_where_a_pipe_is_planted(tmp_path):
    os.mkfifo(tmp_path / "hecli.key")
    for force in ([], ["--force"]):
        result = command("keygen", "--bits", "2048", *force, cwd=tmp_path, check=False)
        assert result.returncode == 1
        assert result.stderr.startswith(b"error: hecli.key is not a regular file")
        assert names(tmp_path) == ["hecli.key"]
        assert stat.S_ISFIFO((tmp_path / "hecli.key").stat().st_mode)


def test_the_folder_is_made_durable_with_the_file(tmp_path, monkeypatch, file_system):
    synced = []
    fsync = os.fsync

    def noted(descriptor):
        synced.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with open_output(str(tmp_path / "out")) as stream:
        stream.write(b"x")
    assert LOCAL.claim(str(tmp_path / "one"), b"x")
    assert synced == [stat.S_IFREG, stat.S_IFDIR] * 2 or file_system == "no links"
    assert synced[-1] == stat.S_IFDIR


def test_a_claim_is_one_s_only(tmp_path, file_system):
    path = str(tmp_path / "folder" / "one")
    assert LOCAL.list(str(tmp_path / "folder")) == []
    assert not LOCAL.exists(path)
    assert LOCAL.claim(path, b"mine")
    assert not LOCAL.claim(path, b"theirs")
    with LOCAL.open(path) as stream:
        assert stream.read() == b"mine"
    assert LOCAL.list(str(tmp_path / "folder")) == ["one"]
    assert LOCAL.exists(path)
    assert file_system


def test_binary_does_not_go_to_a_terminal(place):
    import pexpect

    np.save(place / "g.npy", np.ones(3, np.float32))
    session = pexpect.spawn(
        sys.executable, ["-m", "hecli", "encrypt", "g.npy", "-o", "-"], cwd=str(place), encoding="utf8"
    )
    session.expect(pexpect.EOF, timeout=30)
    assert "error: binary data does not go to a terminal" in session.before
    assert "hint: name a file with -o" in session.before


def test_a_reader_that_goes_away_is_said(place):
    np.save(place / "g.npy", np.ones(300_000, np.float32))
    writer = subprocess.Popen(
        [sys.executable, "-m", "hecli", "encode", "g.npy", "-o", "-"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    writer.stdout.close()
    errors = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait() == 1
    assert errors == b"note: cannot write standard output: whoever read it went away\n"


def test_a_full_standard_output_is_said(place):
    np.save(place / "g.npy", np.ones(3, np.float32))
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "hecli", "encode", "g.npy", "-o", "-"],
            cwd=place,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(b"error: cannot write standard output: the disk is full\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["encrypt", "decrypt"])
def test_an_interrupt_at_any_moment_leaves_nothing(place, verb, number):
    # So many that the work takes longer than the shortest of the delays, on any machine.
    np.save(place / "g.npy", np.ones(150_000 if verb == "decrypt" else 1_500_000, np.float32))
    if verb == "decrypt":
        for party in "ab":
            command("encrypt", "g.npy", "--party", party, "-o", f"{party}.enc", cwd=place)
        command("aggregate", "a.enc", "b.enc", cwd=place)
    before = names(place)
    target = {"encrypt": "g.npy", "decrypt": "round.agg"}[verb]
    interrupted = 0
    for delay in (0.15, 0.3, 0.45, 0.6, 0.9):
        process = subprocess.Popen(
            [sys.executable, "-m", "hecli", verb, target, "-o", "out", "--jobs", "2"],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        time.sleep(delay)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=30)
        if process.returncode == 0:
            (place / "out").unlink()
            continue
        interrupted += 1
        if (place / "out").exists():
            # It was done, and came too late: then the file is whole.
            command("inspect", "out", cwd=place)
            (place / "out").unlink()
        # But for the record of what was opened, of which somebody may have seen some.
        assert set(names(place)) - {"hecli.key.opened"} == set(before)
        # Before Python has handed over to hecli, it answers a signal in its own way.
        assert b"Traceback" not in errors or b", in main\n" not in errors
        assert not alive(process.pid)
    assert interrupted


PROCESSES = {"HECLI_NATIVE": "off"}
"""gmpy2 does not let go of the interpreter's lock: work is shared among processes then."""


def test_workers_end_when_their_parent_is_killed(place):
    process = encrypting(place, 400_000)
    wait_for_workers(process)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(process.pid)
    assert names(place) == ["g.npy", "hecli.key", "hecli.pub"]


def encrypting(place, count):
    """A process in a group of its own that encrypts so many values with two workers."""
    np.save(place / "g.npy", np.ones(count, np.float32))
    return subprocess.Popen(
        [sys.executable, "-m", "hecli", "encrypt", "g.npy", "--jobs", "2"],
        cwd=place,
        env=os.environ | PROCESSES,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for_workers(process):
    deadline = time.monotonic() + 20
    while len(members(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(members(process.pid)) == 3


def members(group):
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(entry.name)
    return found


def alive(group):
    return bool(members(group))


def test_closed_standard_streams_are_said(place):
    np.save(place / "g.npy", np.ones(3, np.float32))

    def shell(line):
        script = f'hecli() {{ "{sys.executable}" -m hecli "$@"; }}; {line}'
        return subprocess.run(["bash", "-c", script], cwd=place, capture_output=True, check=False)

    assert b"error: standard input is closed" in shell("hecli encrypt - <&-").stderr
    assert b"error: standard output is closed" in shell("hecli encrypt g.npy -o - >&-").stderr
    assert shell("hecli encrypt g.npy >&-").returncode == 0
    assert shell("hecli encrypt g.npy --force 2>&-").returncode == 0


def test_nohup_is_meant(place):
    np.save(place / "g.npy", np.ones(150_000, np.float32))
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "hecli", "encrypt", "g.npy"], cwd=place, stderr=subprocess.PIPE
    )
    time.sleep(0.4)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_worker_killed_in_the_middle_is_said(place):
    process = encrypting(place, 600_000)
    wait_for_workers(process)
    os.kill(max(map(int, members(process.pid))), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"error: a worker process was killed by signal 9\nhint: is there enough memory?" in errors
    assert not alive(process.pid)


def test_an_interrupt_while_replacing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), open_output(str(path), force=True) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_an_interrupt_while_workers_start_is_not_lost(place):
    np.save(place / "g.npy", np.ones(150_000, np.float32))
    for workers in range(2, 8):
        process = subprocess.Popen(
            [sys.executable, "-m", "hecli", "encrypt", "g.npy", "--jobs", "8"],
            cwd=place,
            env=os.environ | PROCESSES,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while len(members(process.pid)) < workers and time.monotonic() < deadline:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1, errors
        assert errors.strip() == b"error: interrupted"
        assert not (place / "g.enc").exists()
        assert not alive(process.pid)
