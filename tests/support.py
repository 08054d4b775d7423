"""What many tests need: keys, tensors, whole rounds in memory, and commands."""

import copy
import functools
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import hecli
from hecli.arithmetic import engines
from hecli.arithmetic.choosing import VARIABLE
from hecli.arithmetic.sizes import OPEN, knowledge_size
from hecli.codec import bits
from hecli.formats import envelope
from hecli.formats.reader import Reader
from hecli.identity.signatures import signer
from hecli.plan.files import parse_plan
from hecli.rounds.headers import open_sum, update_header
from hecli.rounds.proofs import statement
from hecli.rounds.spending import Account
from hecli.schemes.proofs import numbered

HERE = Path(__file__).parent
KEYS = HERE / "keys"
SAMPLES = HERE.parent / "sample_data"


def with_hecli(folder):
    """The environment of a shell in which hecli and python are this one's, and nothing is set for them."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "hecli").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hecli "$@"\n')
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HECLI_")}
    return {**kept, "COLUMNS": "80", "PATH": f"{tools}:{kept['PATH']}"}


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


_ENROLLED = {}


def enrollments_of(plan, people):
    """Everybody's enrollments in a round, made once; none where nobody enrolls."""
    if not plan.enrolls:
        return []
    if plan.digest not in _ENROLLED:
        by_name = {each.card.name: each for each in people}
        made = [
            written(lambda out, who=name: hecli.enroll(out, plan, by_name[who]))
            for name in plan.roster.parties
        ]
        _ENROLLED[plan.digest] = [each.getvalue() for each in made]
    return [io.BytesIO(each) for each in _ENROLLED[plan.digest]]


def small_plan(like=None, parties=8, **options):
    like = like if like is not None else npz(w=np.ones((3, 4), np.float32))
    dropouts, randomness = options.pop("dropouts", None), options.pop("randomness", "short")
    masking = None if dropouts is None else hecli.Masking(dropouts)
    scheme = options.pop("scheme", None) or hecli.Paillier.of(PUBLIC, randomness, masking)
    return hecli.make_plan(like, scheme, parties, **options)


def scheme_for(key, dropouts=None):
    """Paillier under a key, or masks alone without one."""
    masking = None if dropouts is None else hecli.Masking(dropouts)
    return hecli.Masks(masking) if key is None else hecli.Paillier.of(key, masking=masking)


def quantised_with(plan, **changes):
    """The same plan with another first step of its codec."""
    quantise = replace(plan.codec.quantise, **changes)
    return replace(plan, codec=replace(plan.codec, quantise=quantise))


def steps_of(plan):
    return plan.codec.quantise.steps


def sum_of(stream):
    """What a sum file says of itself."""
    return open_sum(reader(stream))


def unrecorded(plan, file):
    """A record that forbids nothing, for tests that mask as they like."""


class Anybody:
    """The owner of an account that everybody may use."""

    def __eq__(self, other):
        return True

    __hash__ = None


UNCOUNTED = Account(Anybody(), lambda plan: None, lambda plan: None)
"""An account that forbids nothing, for tests that spend as they like."""


def encrypted(source, plan=None, **options):
    out = io.BytesIO()
    hecli.encrypt(source, out, PUBLIC, plan=plan, jobs=1, **options)
    out.seek(0)
    return out


def encryptor(n, randomness="short", count=4):
    """What encrypts plaintexts, without the proof that the engine gives with them."""
    engine = engines.encryptor(n, randomness, count, bytes(32))
    return lambda plaintexts: engine(numbered(0, plaintexts))[: -knowledge_size(n, randomness)]


def decryptor(p, q):
    """What decrypts ciphertexts."""
    engine = engines.opener(p, q)
    return lambda ciphertexts: engine(OPEN + ciphertexts)


def numbers(data, size):
    """The numbers of so many bytes in a body."""
    return [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]


def joined(values, size):
    return b"".join(int(value).to_bytes(size, "big") for value in values)


SALT = bytes(32)


def made_update(plan, lanes, control, party=None, identity=None, enrolled=()):
    """An update of these plaintexts, whatever they are, with true proofs: what a dishonest party can make."""
    party = identity.card.name if identity else party
    scheme, sizes = plan.scheme, plan.geometry
    bound = statement(plan, party, enrolled, identity.card if identity else None, SALT)
    engine = engines.encryptor(scheme.key.n, scheme.randomness, 4, bound)
    groups = [lanes[at : at + sizes.group] for at in range(0, len(lanes), sizes.group)]
    size = scheme.knowledge.proof_size
    blocks, proofs = b"", b""
    for number, group in enumerate([*groups, [control]]):
        made = engine(numbered(number, joined(group, scheme.plaintext_size)))
        blocks, proofs = blocks + made[:-size], proofs + made[-size:]
    out = io.BytesIO()
    header = update_header(plan, party, enrolled, SALT)
    envelope.write(
        out, "update", header, sizes.update, [blocks, proofs], sign=signer(identity, "update", plan.digest)
    )
    out.seek(0)
    return out


def aggregated(*files):
    out = io.BytesIO()
    for file in files:
        file.seek(0)
    hecli.aggregate(files, out, jobs=1)
    out.seek(0)
    return out


def decrypted(aggregate, key=KEY, **options):
    out = io.BytesIO()
    aggregate.seek(0)
    # The small key is one for trials.
    hecli.decrypt(aggregate, out, key, jobs=1, unverified=not options, **options)
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
    """All records of a file, by section."""
    opened = reader(stream)
    return {each.name: opened.section(each.name).read(each.records) for each in opened.prelude.sections}


def rewritten(stream, header=None, body=None, kind=None, sign=None, sections=None):
    """The same file with other contents and true digests: what a forger makes.

    `body` replaces sections by name, `sections` their layout.
    """
    opened = reader(stream)
    contents = {
        each.name: opened.section(each.name).read(each.records) for each in opened.prelude.sections
    } | (body or {})
    out = io.BytesIO()
    envelope.write(
        out,
        kind or opened.kind,
        opened.header if header is None else header,
        opened.prelude.sections if sections is None else sections,
        contents.values(),
        sign=sign,
    )
    out.seek(0)
    return out


def plan_of(stream):
    return parse_plan(reader(stream).header["plan"], "file")


def leaves(value, path=()):
    """The paths of all values in a header that hold no others."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, (*path, key))
    else:
        yield path


def lanes_of(plan, file):
    """What the keyholder reads in one party's file, with a tool that asks no questions."""
    content = body(file)["lanes"]
    return lanes_in(plan, decryptor(KEY.p, KEY.q)(content) if "key" in plan.scheme.to_open else content)


def lanes_in(plan, plaintexts):
    packing = plan.geometry.packing
    # Words, where lanes are packed as digits.
    words = packing.lanes // packing.digits
    lanes, _ = bits.unpack(plaintexts, packing.width, words, packing.size)
    # The first ones lie in the highest bits, where a residue below n is not uniform.
    return lanes[:, 2:].reshape(-1)


def chi_square(lanes, width):
    """Of the eight highest bits of lanes against uniform, 255 degrees of freedom."""
    counts = np.bincount((lanes >> np.uint64(width - 8)).astype(int), minlength=256)
    expected = len(lanes) / 256
    return float(((counts - expected) ** 2 / expected).sum())


PEAK = """
import re
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Prints the most memory, in kilobytes, that a process had since it was started; what getrusage says
is at least that of the parent when it forked."""


@functools.cache
def dealt_shares():
    """The five shares of the key in tests/keys."""
    return [hecli.read_share(KEYS / f"dealt-{index}.share", no_passphrase) for index in range(1, 6)]


def changed(value):
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 2
        case str():
            return value + "x"
        case bytes() if value:
            return bytes([value[0] ^ 1]) + value[1:]
        case None:
            return "x"
    return [0]


def with_change(header, path):
    altered = copy.deepcopy(header)
    inner = altered
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = changed(inner[path[-1]])
    return altered


def command(*arguments, cwd, stdin=b"", env=None, check=True):
    """Run hecli in a process of its own; return its result, output as bytes."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HECLI_") or name == VARIABLE
    }
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
