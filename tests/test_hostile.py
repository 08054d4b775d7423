"""Hostile files by the thousand: only HecliErrors come out, in bounded time and memory."""

import io
import json
import os
import subprocess
import sys
import zipfile
from random import Random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import hecli
from hecli.codec.low_rank import LowRank
from hecli.errors import FormatError, HecliError
from hecli.formats import envelope
from hecli.formats.canonical import pack
from hecli.formats.kinds import KINDS
from hecli.formats.numbers import int_bytes
from hecli.formats.tensors.files import open_tensors
from hecli.identity.signatures import signer
from hecli.plan.position import Position
from hecli.rounds import reading
from hecli.training.deriving import After, derive_plan, first_plan, later_plan
from hecli.training.terms import read_training
from tests.support import (
    HERE,
    KEYS,
    PEAK,
    PUBLIC,
    aggregated,
    encrypted,
    npy,
    npz,
    reader,
    rewritten,
    small_plan,
)
from tests.test_vectors import person

START = b"\x95\xa5hecli"


GOOD = HERE / "vectors" / "good"
NAMES = sorted(path.name for path in GOOD.iterdir() if path.name != "two-chunks.tensors")
SOME = {
    "public key": "shared.pub",
    "private key": "key.key",
    "share": "shared-1.share",
    "identity": "alice.id",
    "card": "alice.card",
    "training": "spring.training",
    "plan": "dropouts.plan",
    "basis": "right.basis",
    "encoded": "a.int",
    "enrollment": "bob.enroll",
    "update": "dropouts-alice.enc",
    "aggregate": "signed.agg",
    "attestation": "alice.att",
    "answer": "bob.ans",
    "partial": "shared-1.part",
    "slice": "round-1.slice",
    "sum": "signed.sum",
    "residual": "pending.residual",
    "tensors": "some.tensors",
    "use record": "key.opened",
    "account": "alice.id.spent",
    "checkpoint": "anna.id.ledgers",
    "entry": "00000002.entry",
}
"""A good vector of each kind."""


def good(name):
    return (GOOD / name).read_bytes()


def test_every_kind_of_file_is_among_them():
    assert SOME.keys() == KINDS.keys()
    for kind, name in SOME.items():
        assert hecli.inspect(GOOD / name)["kind"] == kind


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


@pytest.mark.parametrize("name", NAMES)
def test_no_mutation_of_a_file_is_taken(name):
    """Every byte is under a digest, and the digests' own under a signature where there is one."""
    data, random = good(name), Random(name)
    for _ in range(60 if len(data) > 3000 else 150):
        altered = mutated(data, random)
        if altered != data:
            with pytest.raises(HecliError):
                hecli.inspect(io.BytesIO(altered))


@pytest.mark.parametrize("name", NAMES)
def test_no_part_of_a_file_and_nothing_more_is_taken(name):
    data, random = good(name), Random(name)
    for end in {0, 1, 7, 8, len(data) - 1, *(random.randrange(len(data)) for _ in range(40))}:
        with pytest.raises(FormatError, match="ends too early"):
            hecli.inspect(io.BytesIO(data[:end]))
    for more in (b"\0", b"\xc0", data):
        with pytest.raises(FormatError, match=r"bytes too many|ends too early|not valid msgpack"):
            hecli.inspect(io.BytesIO(data + more))


RAW = {"npy": npy(np.ones(6, np.float32)).getvalue(), "npz": npz(w=np.ones((2, 3)), b=np.ones(2)).getvalue()}


def consume(stream):
    """All values of a tensor file, in one."""
    opened = open_tensors(stream, "file")
    return [np.concatenate(list(opened.read(spec))) for spec in opened.specs]


@pytest.mark.parametrize("kind", RAW)
def test_mutations_of_tensor_files(kind):
    """They have no digest: other values are other values, and as many as the header says."""
    data, random = RAW[kind], Random(kind)
    refused = 0
    for _ in range(600):
        altered = mutated(data, random)
        try:
            found = consume(io.BytesIO(altered))
        except HecliError:
            refused += 1
            continue
        assert all(len(values) for values in found)
        # A part dropped from a .npy leaves too few values, which is never taken.
        assert len(altered) >= len(data) or kind == "npz"
    assert refused > 100


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


def at(value, path):
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("kind", SOME)
@settings(max_examples=60)
@given(data=st.data())
def test_a_forger_changes_any_field_of_a_header(kind, data):
    """With true digests, so that what lies behind them is tested: never is another type taken."""
    original = io.BytesIO(good(SOME[kind]))
    header = reader(original).header
    path = data.draw(st.sampled_from([each for each in places(header) if each]))
    new, old = data.draw(values), at(header, path)
    try:
        forged = rewritten(original, header=replaced(header, path, new))
    except HecliError:
        reject()
    try:
        found = hecli.inspect(forged)
    except HecliError:
        return
    assert json.dumps(found)
    # A party may have no name.
    types = {type(new), type(old)} - {type(None)} if path[-1] in ("party", 0) else {type(new), type(old)}
    assert len(types) <= 1, f"{path}: {new!r} for {old!r}"


numbers = st.sampled_from([-1, 0, 1, 2, 33, 2**63, 2**64 - 1, -1.0, 0.0, 2.0**-1074, 2.0**1023, float("inf")])


@settings(max_examples=1000)
@given(data=st.data())
def test_a_coordinator_signs_any_terms(data):
    """What is taken can be written in one way only, shown, and have a plan."""
    original = io.BytesIO(good(data.draw(st.sampled_from(["spring.training", "ranged.training"]))))
    opened = reader(original)
    header = opened.header
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [each for each in places(header) if each]
        new = data.draw(values | numbers | st.sampled_from(paths).map(lambda path: at(header, path)))  # noqa: B023
        header = replaced(header, data.draw(st.sampled_from(paths)), new)
    anna = read_training(opened).roster.cards["anna"]
    try:
        forged = rewritten(original, header=header, sign=signer(person("anna", anna), "training"))
    except HecliError:
        reject()
    try:
        found = hecli.inspect(forged)
    except HecliError:
        return
    assert json.dumps(found)
    forged.seek(0)
    training = read_training(reader(forged))
    assert pack(training.to_map() | {"kem": training.roster.kem_keys}) == pack(header)
    first, second = first_plan(training), later_plan(training)
    later = Position(bytes(32), 99_999, 99_999, bytes(32), bytes(32))
    after = After(first.codec.quantise.steps, second.codec.step(LowRank))
    assert derive_plan(training, later, after, bytes(16)).tensors == first.tensors


@pytest.mark.parametrize("kind", SOME)
def test_a_field_dropped_or_added_is_refused(kind):
    original = io.BytesIO(good(SOME[kind]))
    header = reader(original).header
    # A public key without its dealing is one of another kind.
    required = header.keys() - {"dealing"}
    changes = [{name: value for name, value in header.items() if name != left} for left in required]
    for changed in [*changes, header | {"zzz": 1}, {}, header | {"zzz": header}]:
        with pytest.raises(HecliError):
            hecli.inspect(rewritten(original, header=changed))


@pytest.mark.parametrize("kind", SOME)
def test_one_kind_is_not_taken_for_another(kind):
    original = io.BytesIO(good(SOME[kind]))
    for other in KINDS.keys() - {kind}:
        with pytest.raises(HecliError):
            hecli.inspect(rewritten(original, kind=other))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", START, b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x10" + bytes(7)]),
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
    prelude = pack(["hecli", 2, "plan", len(header), []])
    tail = pack({"chunks": b"", "digest": bytes(32), "signatures": ()})
    return prelude + header + tail


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_take_little_memory(tmp_path, name):
    data, says = BOMBS[name]
    if data is None:
        data = envelope_bomb(b"\x80" if "maps" in name else b"\x90")
    path = tmp_path / "bomb"
    path.write_bytes(data)
    verb = "['inspect', path]" if data[:7] == START else "['plan', '--parties', '2', '--like', path]"
    code = f"""
import sys
from hecli.cli.main import run
path = {str(path)!r}
status = run({verb})
{PEAK}
sys.exit(status)
"""
    environment = os.environ | {"HECLI_KEY": str(KEYS / "small.pub")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, env=environment
    )
    assert result.returncode == 1, result.stderr
    assert says in result.stderr.decode()
    assert 1024 * int(result.stdout) < LIMIT


def test_memory_does_not_grow_with_the_parties(monkeypatch):
    """Each header holds the whole plan, here a large one; none is kept."""
    import tracemalloc

    monkeypatch.setattr(reading, "READERS", 2)

    arrays = {f"tensor-{at:05}": np.ones(1, np.float32) for at in range(1500)}
    plan = small_plan(npz(**arrays), 64)
    files = [encrypted(npz(**arrays), plan, party=str(at)) for at in range(12)]
    peaks = []
    for count in (4, 12):
        tracemalloc.start()
        hecli.aggregate(files[:count], io.BytesIO(), jobs=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def test_a_plan_that_only_looks_the_same_is_refused():
    plan = small_plan(npz(w=np.ones(3, np.float32)), bits=16)
    one, other = (encrypted(npz(w=np.ones(3, np.float32)), plan) for _ in range(2))
    header = reader(other).header
    for change in ({"max_weight": 1.0}, {"max_weight": True}, {"capacity": 8.0}):
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
    assert sorted(path.name for path in place.iterdir()) == ["hecli.key", "hecli.pub"]
