"""What many tests need: keys, tensors, whole rounds in memory, and commands."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import hecli
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.plan.data import Plan

HERE = Path(__file__).parent
KEYS = HERE / "keys"
SAMPLES = HERE.parent / "sample_data"


def no_passphrase():
    raise AssertionError("no passphrase should be asked for")


def load_key(name="small"):
    with (KEYS / f"{name}.key").open("rb") as stream:
        return hecli.read_private_key(stream, no_passphrase)


KEY = load_key()
PUBLIC = KEY.public


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    stream.seek(0)
    return stream


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    stream.seek(0)
    return stream


def written(function, *arguments, **options):
    """What `function` writes to the stream that is its last positional argument."""
    out = io.BytesIO()
    function(*arguments, out, **options)
    out.seek(0)
    return out


def small_plan(like=None, parties=8, **options):
    like = like if like is not None else npz(w=np.ones((3, 4), np.float32))
    return hecli.make_plan(like, PUBLIC, parties, **options)


def encrypted(source, plan=None, **options):
    out = io.BytesIO()
    hecli.encrypt(source, out, PUBLIC, plan=plan, jobs=1, **options)
    out.seek(0)
    return out


def aggregated(*files):
    out = io.BytesIO()
    for file in files:
        file.seek(0)
    hecli.aggregate(files, out, jobs=1)
    out.seek(0)
    return out


def decrypted(aggregate, key=KEY):
    out = io.BytesIO()
    aggregate.seek(0)
    hecli.decrypt(aggregate, out, key, jobs=1)
    out.seek(0)
    return out


def mean_of(total, **options):
    out = io.BytesIO()
    total.seek(0)
    hecli.apply(total, out, format="npz", **options)
    out.seek(0)
    with np.load(out) as file:
        return dict(file)


def reader(stream, name="file"):
    stream.seek(0)
    return Reader(stream, name)


def body(stream):
    """All records of a file as one byte string."""
    opened = reader(stream)
    return opened.read(opened.count)


def rewritten(stream, header=None, body=None, kind=None, sign=None):
    """The same file with other contents and true digests: what a forger makes."""
    opened = reader(stream)
    old_body = opened.read(opened.count)
    out = io.BytesIO()
    envelope.write(
        out,
        kind or opened.kind,
        opened.header if header is None else header,
        record_size=opened.prelude.record_size,
        count=opened.count,
        blocks=[old_body if body is None else body],
        sign=sign,
    )
    out.seek(0)
    return out


def plan_of(stream):
    return Plan.from_map(reader(stream).header["plan"], "file")


def command(*arguments, cwd, stdin=b"", env=None, check=True):
    """Run hecli in a process of its own; return its result, output as bytes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HECLI_")}
    result = subprocess.run(
        [sys.executable, "-m", "hecli", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=environment | (env or {}),
        timeout=120,
        check=False,
    )
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    if check:
        assert result.returncode == 0, result.stderr.decode()
    return result
