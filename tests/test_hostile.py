"""Hostile files by the thousand: only HecliErrors come out, in bounded time and memory."""

import io
import os
import subprocess
import sys
import zipfile
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hecli
from hecli.errors import HecliError
from hecli.formats import envelope
from hecli.formats.canonical import pack
from hecli.formats.tensors.reading import open_tensors
from hecli.schemes.paillier.key_files import int_bytes
from tests.support import (
    KEY,
    KEYS,
    PUBLIC,
    aggregated,
    decrypted,
    encrypted,
    mean_of,
    npy,
    npz,
    reader,
    rewritten,
    small_plan,
    written,
)


def real_files():
    """One of each kind, and the functions that read it."""
    plan = small_plan(npz(w=np.ones((2, 3), np.float32), b=np.ones(2, np.float32)))
    tensors = npz(w=np.ones((2, 3), np.float32), b=np.ones(2, np.float32))
    update, other = (encrypted(tensors, plan, party=party) for party in "ab")
    aggregate = aggregated(update, other)
    total = decrypted(aggregate)
    own = io.BytesIO()
    hecli.apply(total, own)
    sink = io.BytesIO

    def sealed(stream):
        return hecli.read_private_key(stream, lambda: "correct horse")

    return {
        "public key": ((KEYS / "small.pub").read_bytes(), hecli.read_public_key),
        "private key": ((KEYS / "small.key").read_bytes(), sealed),
        "plan": (written(lambda out: hecli.write_plan(plan, out)).getvalue(), hecli.read_plan),
        "encoded": (
            written(lambda out: hecli.encode(tensors, out, plan)).getvalue(),
            encrypted,
        ),
        "update": (update.getvalue(), lambda stream: hecli.aggregate([stream, other], sink(), jobs=1)),
        "aggregate": (aggregate.getvalue(), lambda stream: hecli.decrypt(stream, sink(), KEY, jobs=1)),
        "sum": (total.getvalue(), mean_of),
        "tensors": (own.getvalue(), lambda stream: hecli.encode(stream, sink(), plan)),
        "npy": (npy(np.ones(6, np.float32)).getvalue(), consume),
        "npz": (tensors.getvalue(), consume),
    }


def consume(stream):
    opened = open_tensors(stream, "file")
    return [sum(len(piece) for piece in opened.read(spec)) for spec in opened.specs]


REAL = real_files()


def mutated(data, random):
    """`data` with a few bytes changed, dropped, repeated or moved."""
    data = bytearray(data)
    for _ in range(random.randint(1, 3)):
        at, length = random.randrange(len(data) + 1), random.randint(0, 9)
        match random.randrange(5):
            case 0:
                data[at : at + length] = random.randbytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes([random.choice((0, 0x7F, 0x80, 0xC0, 0xDF, 0xFF))]) * length
            case 4:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("kind", REAL)
def test_mutations_of_real_files(kind):
    data, use = REAL[kind]
    random = Random(kind)
    use(io.BytesIO(data))
    for _ in range(300):
        altered = mutated(data, random)
        if altered == data:
            continue
        try:
            use(io.BytesIO(altered))
        except HecliError:
            continue
        # Raw tensors have no digest: other values are other values.
        assert kind in ("npy", "npz"), f"an altered {kind} was taken"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """The paths of all fields in a header."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


OWN = [kind for kind in REAL if kind not in ("npy", "npz")]


@pytest.mark.parametrize("kind", OWN)
@settings(max_examples=60)
@given(data=st.data())
def test_a_forger_changes_any_field_of_a_header(kind, data):
    """With true digests, so that what lies behind them is tested."""
    original, use = REAL[kind]
    header = reader(io.BytesIO(original)).header
    path = data.draw(st.sampled_from([each for each in places(header) if each]))
    try:
        forged = rewritten(io.BytesIO(original), header=replaced(header, path, data.draw(values)))
    except HecliError:
        return
    # What is taken nonetheless is a different but possible file, or the same.
    try:
        use(forged)
        hecli.inspect(forged)
    except HecliError:
        pass


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", envelope.START, b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x10" + bytes(7)]),
)
def test_junk_behind_any_magic(junk, magic):
    for use in (consume, hecli.inspect, hecli.read_jwk):
        with pytest.raises(HecliError):
            use(io.BytesIO(magic + junk))


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': (",
        "'''abc",
        "{'descr': (), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': ('<f4',), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4', -1)], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4000 + ", " + "9" * 4000 + ")}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0x" + "f" * 9000 + ",)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (1,)}",
    ],
)
def test_hostile_npy_headers(text):
    data = text.encode() + b"\n"
    with pytest.raises(HecliError):
        consume(io.BytesIO(b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data + bytes(4)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_numpy_would_not_write(method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("w.npy", npy(np.ones(100)).getvalue())
    with pytest.raises(HecliError, match="compressed in a way"):
        consume(stream)


def bomb(header, fill, size):
    """An archive whose one member is `header` and then `size` times the same bytes."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        for _ in range(size):
            member.write(fill)
    return stream.getvalue()


def npy_header(fortran, shape):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": fortran, "shape": shape})
    return out.getvalue()


MEGABYTE = bytes(1 << 20)
LIMIT = 300 << 20
BOMBS = {
    "a header of half a gigabyte": (
        bomb(b"\x93NUMPY\x02\x00" + (1 << 29).to_bytes(4, "little"), b" " * (1 << 20), 512),
        "header of 536,870,912 bytes",
    ),
    "half a gigabyte in Fortran order": (
        bomb(npy_header(True, (2, 1 << 26)), MEGABYTE, 512),
        "Fortran order",
    ),
    "a header of maps": (None, "too many maps"),
    "a header of lists": (None, "too many lists"),
}


def envelope_bomb(item):
    size = envelope.HEADER_LIMIT - 8
    header = b"\x81\xa1a\xdd" + size.to_bytes(4, "big") + item * size
    prelude = pack(["hecli", 1, "plan", len(header), 0, 0])
    tail = pack({"chunks": b"", "digest": bytes(32), "signatures": ()})
    return prelude + header + tail


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_take_little_memory(tmp_path, name):
    data, says = BOMBS[name]
    if data is None:
        data = envelope_bomb(b"\x80" if "maps" in name else b"\x90")
    path = tmp_path / "bomb"
    path.write_bytes(data)
    verb = "['inspect', path]" if data[:7] == envelope.START else "['plan', '--parties', '2', '--like', path]"
    code = f"""
import resource, sys
from hecli.cli.main import run
path = {str(path)!r}
status = run({verb})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(status)
"""
    environment = os.environ | {"HECLI_KEY": str(KEYS / "small.pub")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, env=environment
    )
    assert result.returncode == 1, result.stderr
    assert says in result.stderr.decode()
    assert int(result.stdout) < LIMIT


def test_memory_does_not_grow_with_the_parties():
    """Each header holds the whole plan, here a large one; none is kept."""
    import tracemalloc

    arrays = {f"tensor-{at:05}": np.ones(1, np.float32) for at in range(3000)}
    plan = small_plan(npz(**arrays), 64)
    update = encrypted(npz(**arrays), plan)
    header = reader(update).header
    files = [rewritten(update, header={**header, "party": str(at)}) for at in range(40)]
    peaks = []
    for count in (4, 40):
        tracemalloc.start()
        hecli.aggregate(files[:count], io.BytesIO(), jobs=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def test_a_plan_that_only_looks_the_same_is_refused():
    plan = small_plan(npz(w=np.ones(3, np.float32)), bits=16)
    one, other = (encrypted(npz(w=np.ones(3, np.float32)), plan) for _ in range(2))
    header = reader(other).header
    for change in ({"bits": 16.0}, {"max_weight": True}, {"capacity": 8.0}):
        forged = rewritten(other, header={**header, "plan": {**header["plan"], **change}})
        with pytest.raises(HecliError, match="wrong type"):
            aggregated(one, forged)


def test_nothing_hostile_reaches_the_terminal(place, run):
    escape = "\x1b[2J\x1b]0;owned\x07"
    plan = small_plan(npz(w=np.ones(3, np.float32))).to_map()
    plan["tensors"][0][1] = escape + "x" * 100_000
    with (place / "bad.plan").open("wb") as out:
        envelope.write(out, "plan", {"plan": plan})
    path = place / "bad\x1b[31m.plan"
    path.write_bytes((place / "bad.plan").read_bytes())
    for name in ("bad.plan", path.name):
        status, output, errors = run("inspect", name)
        assert status == 1
        assert "\x1b" not in output + errors
        assert len(errors) < 2000


def test_names_that_an_encoding_lacks_do_no_harm(place):
    plan = small_plan(npz(重み=np.ones(3, np.float32)))
    with (place / "cn.plan").open("wb") as out:
        hecli.write_plan(plan, out)
    code = "import sys; from hecli.cli.main import run; sys.exit(run(['inspect', 'cn.plan']))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "latin-1"},
    )
    assert result.returncode == 0, result.stderr
    assert b"\\u91cd" in result.stdout


def test_inspect_checks_what_a_key_is_worth():
    for n, says in ((PUBLIC.n - 1, "even"), (3 * PUBLIC.n, "small factor"), (2**1000 + 1, "too short")):
        file = rewritten(io.BytesIO((KEYS / "small.pub").read_bytes()), header={"n": int_bytes(n)})
        with pytest.raises(HecliError, match=says):
            hecli.inspect(file)


@pytest.mark.parametrize("name", [".", "", "/"])
@pytest.mark.parametrize("verb", ["encode", "encrypt", "decrypt", "apply"])
def test_names_that_are_no_file(place, fails, verb, name):
    fails(verb, name, says="it is not a file")
    assert place
