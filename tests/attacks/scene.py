"""A round to attack: who is in it, their files, and what a dishonest one of them can make."""

import io
from types import SimpleNamespace

import numpy as np

import hecli
from hecli.formats import envelope
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.rounds.enrollments import open_enrollments
from hecli.rounds.headers import aggregate_header, open_blocks, update_header
from tests.support import (
    KEY,
    PUBLIC,
    SALT,
    body,
    decryptor,
    encryptor,
    enrollments_of,
    joined,
    numbers,
    reader,
    unrecorded,
    written,
)

NAMES = ("alice", "bob", "carol", "mallory")
PEOPLE = {name: Identity.generate(name) for name in (*NAMES, "anna", "oscar")}
ROSTER = Roster.of(
    [PEOPLE[name].card for name in NAMES], keyholders=[PEOPLE["anna"].card], coordinator=PEOPLE["anna"].card
)
VALUES = 250
SIZE = 512
STRICT = hecli.PrivateKey(KEY.p, KEY.q)
"""The small key as new keys are: what was not verified is not opened with it."""
SQUARE = PUBLIC.n**2


def tensors(name):
    """The values of one party, unlike any other's."""
    rng = np.random.default_rng(NAMES.index(name))
    return {"w": rng.uniform(-1, 1, VALUES).astype(np.float32)}


def a_plan(scheme=PUBLIC, roster=ROSTER, parties=None, **options):
    return hecli.make_plan(tensors("alice"), scheme, parties, roster=roster, value_range=1.0, **options)


def update(plan, name, values=None, enrollments=(), key=PUBLIC, **options):
    """An honest update; masked with all parties where no enrollments are given."""
    enrollments = rewound(enrollments) or enrollments_of(plan, PEOPLE.values())
    return written(
        lambda out: hecli.encrypt(
            values or tensors(name),
            out,
            key if "key" in plan.scheme.to_encrypt else None,
            plan=plan,
            identity=PEOPLE[name],
            enrollments=enrollments,
            record=unrecorded,
            jobs=1,
            **options,
        )
    )


def a_round(plan=None, names=NAMES[:3], **options):
    """The honest updates of some, who were there first."""
    plan = plan or a_plan()
    return SimpleNamespace(plan=plan, updates={name: update(plan, name, **options) for name in names})


def rewound(files):
    for file in files:
        file.seek(0)
    return list(files)


def aggregate(files, who="bob", **options):
    return written(
        lambda out: hecli.aggregate(
            rewound(files), out, identity=PEOPLE[who] if who else None, jobs=1, **options
        )
    )


def decrypt(made, updates=None, who="anna", key=KEY, **options):
    made.seek(0)
    if updates is not None:
        options["updates"] = rewound(updates)
    return written(
        lambda out: hecli.decrypt(made, out, key, identity=PEOPLE[who] if who else None, jobs=1, **options)
    )


def blocks_of(file):
    """All ciphertexts of a file, the control block last."""
    found = body(file)
    return numbers(found["lanes"] + found["control"], SIZE)


def power_product(*powers):
    """Compute with others' ciphertexts: place by place, the product of each to its power."""
    found = []
    for place in zip(*(blocks for blocks, _ in powers), strict=True):
        product = 1
        for value, (_, power) in zip(place, powers, strict=True):
            product = product * pow(value, power, SQUARE) % SQUARE
        found.append(product)
    return found


def zeros(plan):
    """Fresh ciphertexts of zero, with which whatever is multiplied looks like new."""
    count = plan.geometry.blocks
    return numbers(encryptor(PUBLIC.n)(bytes(count * plan.scheme.plaintext_size)), SIZE)


def listed(plan):
    """What stands for everybody's enrollments."""
    made = enrollments_of(plan, PEOPLE.values())
    return open_enrollments(made, plan).listed if plan.enrolls else ()


def signed_update(plan, name, blocks, proofs=None, salt=SALT):
    """An update of any blocks, in every other way as it should be; `proofs` are bytes, or those of a file."""
    if isinstance(proofs, io.BytesIO):
        proofs, salt = body(proofs)["proofs"], reader(proofs).header["salt"]
    contents = [joined(blocks, SIZE)]
    size = plan.scheme.knowledge.proof_size * plan.geometry.groups
    contents.append(bytes(size) if proofs is None else proofs)
    out = io.BytesIO()
    envelope.write(
        out,
        "update",
        update_header(plan, name, listed(plan), salt),
        plan.geometry.update,
        contents,
        sign=signer(PEOPLE[name], "update", plan.digest),
    )
    out.seek(0)
    return out


def false_aggregate(files, blocks, who="bob"):
    """An aggregate that lists the contributors of these files, with any blocks."""
    opened = [open_blocks(reader(file)) for file in files]
    contributors = sorted(
        (each for one in opened for each in one.contributors),
        key=lambda each: (each.party or "", each.digest),
    )
    made = opened[0]._replace(contributors=tuple(contributors))
    plan = made.plan
    out = io.BytesIO()
    envelope.write(
        out,
        "aggregate",
        aggregate_header(made),
        plan.geometry.aggregate,
        [joined(blocks, plan.scheme.block_size)],
        sign=signer(PEOPLE[who], "aggregate", plan.digest) if plan.roster else None,
    )
    out.seek(0)
    return out


def product(files):
    """What an aggregate of these files holds, made by hand."""
    return power_product(*((blocks_of(file), 1) for file in files))


def opens_to(plan, blocks, parties):
    """What the keyholder's arithmetic makes of blocks, with no check but those after opening: the mean."""
    plaintexts = decryptor(KEY.p, KEY.q)(joined(blocks[:-1], SIZE))
    sums = plan.geometry.packing.unpack(plaintexts, parties, plan.geometry.values)
    if sums is None:
        return None
    qmax, step = plan.codec.quantise.qmax, plan.codec.quantise.steps[0]
    return (sums.astype(np.float64) - parties * qmax) * step / parties


def close(mean, name):
    """Whether a mean is one party's update, to the rounding of a step or two."""
    return mean is not None and np.abs(mean - tensors(name)["w"]).max() < 1e-3
