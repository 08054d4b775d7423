"""The rounds of the test vectors: open, signed, with a key in shares, masked, and with a dropout."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from parts import (
    APART,
    FIELD,
    RING,
    SAFE_P,
    SAFE_Q,
    SMALL_FIELD,
    SMALL_P,
    SMALL_Q,
    Map,
    Sections,
    agreed,
    base,
    blocks,
    box,
    card,
    ciphertexts,
    control,
    derive,
    digest,
    envelope,
    file_digest,
    integer,
    kem_key,
    known,
    known_exponents,
    lanes,
    masked,
    modulus,
    opened_proof,
    pack,
    product,
    records,
    sequence,
    signature_of,
    statement,
)

N = SMALL_P * SMALL_Q
STEPS = [0.25, 0.5]
PACK: Map = {"step": "pack"}
QUANTISE: Map = {"step": "quantise", "bits": 8, "rounding": "nearest", "steps": STEPS}
PAILLIER: Map = {"name": "paillier", "key": integer(N), "randomness": "full"}
PLAN: Map = {
    "name": "vectors",
    "id": bytes(range(16)),
    "tensors": [["bias", "float32", [2]], ["weight", "float64", [2, 2]]],
    "codec": [QUANTISE, PACK],
    "scheme": PAILLIER,
    "capacity": 16,
    "min_parties": 2,
    "max_weight": 10,
}
DEFAULT_PLAN: Map = {
    "name": "default",
    "id": bytes(16),
    "tensors": PLAN["tensors"],
    "codec": [{"step": "quantise", "bits": 32, "rounding": "nearest", "steps": [2.0**-24] * 2}, PACK],
    "scheme": {"name": "paillier", "key": integer(N), "randomness": "short"},
    "capacity": 256,
    "min_parties": 2,
    "max_weight": 1,
}
# Party a: weight 10, bias (0.25, -1), weights ((1, 0.5), (-63.5, 100 clipped)).
A = [127 + 1, 127 - 4, 127 + 2, 127 + 1, 0, 254]
CONTROL_A = control(1, 10, 1)
# Party b: weight 5, so half of everything: bias (1, 0.5), weights ((2, -2), (4, -4)).
B = [127 + 2, 127 + 1, 127 + 2, 127 - 2, 127 + 4, 127 - 4]
CONTROL_B = control(1, 5, 0)
BOTH = [a + b for a, b in zip(A, B, strict=True)]
ENCODED: Sections = [("lanes", 1, bytes(A)), ("control", 24, records([CONTROL_A], 24))]
TOTALS: Map = {"weight": 15, "clipped": 1}


def plan_digest(plan: Map) -> bytes:
    """Give the digest of a plan."""
    return digest("plan", pack(plan))


def follows(plan: Map, kind: str, header: Map, sections: Sections | None = None, **changes: Any) -> bytes:
    """Make a file that follows a plan; with `signer`, signed."""
    return envelope(kind, {"plan": plan, **header}, sections, plan=plan_digest(plan), **changes)


def plan_file(plan: Map, signer: str = "anna") -> bytes:
    """Make the file of a plan, signed where it has a roster."""
    keys = {"kem": [kem_key(name) for name in plan["roster"]["parties"]]} if masks_in(plan) else {}
    return follows(plan, "plan", keys, **({"signer": signer} if "roster" in plan else {}))


def masks_in(plan: Map) -> Map | None:
    """Give the masks of a plan that has a roster."""
    if "roster" not in plan:
        return None
    scheme = plan["scheme"]
    return scheme if scheme["name"] == "masks" else scheme.get("masks", plan.get("masked"))


def plain(plan: Map, values: list[int], total: int) -> list[int]:
    """Make the plaintexts of an update, lanes first."""
    return [lanes(plan, values), total]


def update_body(
    plan: Map,
    values: list[int],
    seed: int,
    party: str | None,
    signer: str | None = None,
    enrolled: list[Any] | None = None,
) -> Sections:
    """Lay out an update of `ciphertexts` made with this seed, with its proofs."""
    n = modulus(plan)
    bound = statement(plan, len(values), party, signer, enrolled or [])
    lanes_ = known(n, bound, 0, values[:-1], list(range(seed, seed + len(values) - 1)))
    control_ = known(n, bound, 1, values[-1:], [seed + len(values) - 1])
    return [*blocks(values, 512), ("proofs", 512, lanes_ + control_)]


def sum_body(plan: Map, values: list[int], header: Map, seeds: tuple[int, int], size: int = 2) -> Sections:
    """Lay out a sum of two updates that were made with these seeds, with its proofs."""
    n = modulus(plan)
    content = records(values, size)
    said = [header["aggregate"], header["weight"], header["clipped"], hashlib.sha256(content).digest()]
    bound = digest("sum statement", pack([plan_digest(plan), *said]))
    roots = [[(seeds[0] + at) * (seeds[1] + at) % n] for at in (0, 1)]
    return [("lanes", size, content), ("proof", 3616, opened_proof(n, bound, roots))]


# An open round: party a, and one without a name.
NUMBERS_A = ciphertexts(N, plain(PLAN, A, CONTROL_A), 1001)
NUMBERS_B = ciphertexts(N, plain(PLAN, B, CONTROL_B), 2001)
BODY_A, BODY_B = update_body(PLAN, NUMBERS_A, 1001, "a"), update_body(PLAN, NUMBERS_B, 2001, None)
UPDATE_A = follows(PLAN, "update", {"party": "a", "salt": APART}, BODY_A)
UPDATE_B = follows(PLAN, "update", {"party": None, "salt": APART}, BODY_B)
CONTRIBUTORS = [[None, file_digest(UPDATE_B)], ["a", file_digest(UPDATE_A)]]
NUMBERS_AB = product(N, NUMBERS_A, NUMBERS_B)
BODY_AB = blocks(NUMBERS_AB, 512)
AGGREGATE = follows(PLAN, "aggregate", {"contributors": CONTRIBUTORS}, BODY_AB)
SUM_HEADER: Map = {"contributors": CONTRIBUTORS, "aggregate": file_digest(AGGREGATE), **TOTALS}
SUM = sum_body(PLAN, BOTH, SUM_HEADER, (1001, 2001))


def signed_contributors(*updates: tuple[str, bytes]) -> list[list[Any]]:
    """List the contributors of a round with a roster."""
    return [[name, file_digest(data), signature_of(data)] for name, data in updates]


# The same two parties, called alice and bob, on the roster of a plan that anna made.
ROSTER: Map = {
    "members": [card("alice"), card("anna"), card("bob")],
    "parties": ["alice", "bob"],
    "aggregators": [],
    "keyholders": ["anna"],
    "coordinator": "anna",
}
SIGNED_PLAN: Map = {**PLAN, "capacity": 2, "roster": ROSTER}
SIGNED_NUMBERS_A = ciphertexts(N, plain(SIGNED_PLAN, A, CONTROL_A), 4001)
SIGNED_NUMBERS_B = ciphertexts(N, plain(SIGNED_PLAN, B, CONTROL_B), 5001)
SIGNED_BODY_A = update_body(SIGNED_PLAN, SIGNED_NUMBERS_A, 4001, "alice", "alice")
SIGNED_BODY_B = update_body(SIGNED_PLAN, SIGNED_NUMBERS_B, 5001, "bob", "bob")
SIGNED_A = follows(SIGNED_PLAN, "update", {"party": "alice", "salt": APART}, SIGNED_BODY_A, signer="alice")
SIGNED_B = follows(SIGNED_PLAN, "update", {"party": "bob", "salt": APART}, SIGNED_BODY_B, signer="bob")
SIGNED_CONTRIBUTORS = signed_contributors(("alice", SIGNED_A), ("bob", SIGNED_B))
SIGNED_BODY_AB = blocks(product(N, SIGNED_NUMBERS_A, SIGNED_NUMBERS_B), 512)
SIGNED_AGGREGATE = follows(
    SIGNED_PLAN, "aggregate", {"contributors": SIGNED_CONTRIBUTORS}, SIGNED_BODY_AB, signer="bob"
)
SIGNED_SUM_HEADER: Map = {
    "contributors": SIGNED_CONTRIBUTORS,
    "aggregate": file_digest(SIGNED_AGGREGATE),
    **TOTALS,
}
SIGNED_SUM = sum_body(SIGNED_PLAN, BOTH, SIGNED_SUM_HEADER, (4001, 5001))


# A key of safe primes in four shares, of which three open, and a round under it.
SAFE_N = SAFE_P * SAFE_Q
SAFE_M = (SAFE_P // 2) * (SAFE_Q // 2)
SLOPE, BEND = (
    int.from_bytes(hashlib.shake_256(label).digest(512), "big") % (SAFE_N * SAFE_M)
    for label in (b"slope", b"bend")
)
VALUES = [
    (SAFE_M * pow(SAFE_M, -1, SAFE_N) + SLOPE * index + BEND * index**2) % (SAFE_N * SAFE_M)
    for index in (1, 2, 3, 4)
]
V = pow(4321, 2, SAFE_N**2)
KEYS = [pow(V, 24 * value, SAFE_N**2) for value in VALUES]
DEALING: Map = {"threshold": 3, "v": integer(V), "keys": [integer(each) for each in KEYS]}
DEALING_DIGEST = digest("dealing", pack({"n": integer(SAFE_N), **DEALING}))
OPENS: Map = {"threshold": 3, "shares": 4, "dealing": DEALING_DIGEST}
SHARED_PLAN: Map = {**PLAN, "scheme": {**PAILLIER, "key": integer(SAFE_N), "opens": OPENS}}
SHARED_NUMBERS_A = ciphertexts(SAFE_N, plain(SHARED_PLAN, A, CONTROL_A), 6001)
SHARED_NUMBERS_B = ciphertexts(SAFE_N, plain(SHARED_PLAN, B, CONTROL_B), 7001)
SHARED_BODIES = [
    update_body(SHARED_PLAN, SHARED_NUMBERS_A, 6001, "a"),
    update_body(SHARED_PLAN, SHARED_NUMBERS_B, 7001, "b"),
]
SHARED_A = follows(SHARED_PLAN, "update", {"party": "a", "salt": APART}, SHARED_BODIES[0])
SHARED_B = follows(SHARED_PLAN, "update", {"party": "b", "salt": APART}, SHARED_BODIES[1])
SHARED_CONTRIBUTORS = [["a", file_digest(SHARED_A)], ["b", file_digest(SHARED_B)]]
SHARED_NUMBERS = product(SAFE_N, SHARED_NUMBERS_A, SHARED_NUMBERS_B)
SHARED_AGGREGATE = follows(
    SHARED_PLAN, "aggregate", {"contributors": SHARED_CONTRIBUTORS}, blocks(SHARED_NUMBERS, 512)
)


def proven(number: int, value: int, group: list[int]) -> bytes:
    """Make the records of one group: the partials of its ciphertexts, and the proof."""
    square = SAFE_N**2
    made = [pow(c, 48 * value, square) for c in group]
    statement = number.to_bytes(2, "big") + len(group).to_bytes(4, "big")
    statement += records([SAFE_N, V, KEYS[number - 1], *group, *made], 512)
    session = plan_digest(SHARED_PLAN) + file_digest(SHARED_AGGREGATE)
    seed = hashlib.sha256(b"hecli partial v2\0" + session + statement).digest()
    stream = hashlib.shake_256(seed).digest(16 * len(group))
    joined = 1
    for at, c in enumerate(group):
        joined = joined * pow(c, int.from_bytes(stream[16 * at : 16 * at + 16], "big"), square) % square
    r = int.from_bytes(hashlib.shake_256(b"random").digest((4096 + 5 + 256) // 8), "big")
    commitments = records([pow(joined, 4 * r, square), pow(V, r, square)], 512)
    e = hashlib.sha256(b"hecli challenge v2\0" + seed + commitments).digest()[:16]
    z = r + int.from_bytes(e, "big") * 24 * value
    return records(made, 512) + e + z.to_bytes(1024 - 16, "big")


def partial_body(number: int, values: tuple[int, int] | None = None) -> Sections:
    """Make what a share contributes; `values` are the shares used for lanes and control."""
    of_lanes, of_control = values or (VALUES[number - 1],) * 2
    lanes_, control_ = SHARED_NUMBERS[:-1], SHARED_NUMBERS[-1:]
    return [
        ("lanes", 512, proven(number, of_lanes, lanes_)),
        ("control", 512, proven(number, of_control, control_)),
    ]


def partial_header(number: int) -> Map:
    """Make the header of a partial, but for its plan."""
    return {
        "contributors": SHARED_CONTRIBUTORS,
        "aggregate": file_digest(SHARED_AGGREGATE),
        "index": number,
    }


PARTIALS = {number: partial_body(number) for number in (1, 3, 4)}


def partial(number: int, body: Sections | None = None, **changes: object) -> bytes:
    """Make a partial of the aggregate."""
    header = {**partial_header(number), **changes}
    return follows(SHARED_PLAN, "partial", header, body or PARTIALS[number])


SHARE_BYTES = VALUES[0].to_bytes(512, "big")
SHARE_BOUND = pack([DEALING_DIGEST, 1, True])


def share(**changes: object) -> bytes:
    """Make the first share."""
    header = {
        "n": integer(SAFE_N),
        "dealing": DEALING,
        "index": 1,
        "verified_only": True,
        "secret": {"clear": SHARE_BYTES},
    }
    return envelope("share", {**header, **changes})


# The signed round again, under a key and masked.
HIDDEN_PLAN: Map = {**SIGNED_PLAN, "scheme": {**PAILLIER, "masks": {"dropouts": 0}}}
# And without a key, hidden by masks alone.
MASKED_PLAN: Map = {**SIGNED_PLAN, "scheme": {"name": "masks", "dropouts": 0}}


# What parties enroll with: each its secrets, and what it seals to all.


def later(plan: Map, owner: str) -> list[str]:
    """Name those to whom a party sends values."""
    parties = plan["roster"]["parties"]
    return parties[parties.index(owner) + 1 :]


def secret(label: str, name: str) -> bytes:
    """Make one of a party's secrets of its rounds: `seed`, `round`, or `drawn`, whence its values come."""
    return hashlib.sha256(f"{label} {name}".encode()).digest()


def round_secrets(name: str) -> tuple[bytes, bytes]:
    """Make a party's seed, and what its masks with others follow from."""
    return secret("seed", name), secret("round", name) + secret("drawn", name)


def value_of(plan: Map, owner: str, other: str) -> bytes:
    """Make the value that a party sends to another."""
    return derive(secret("drawn", owner), "value", [plan_digest(plan), owner, other])


def parabola(value: int, prime: int, size: int, *labels: str) -> list[bytes]:
    """Make four shares, of which three give a value: a parabola through it."""
    slope, bend = (
        int.from_bytes(hashlib.shake_256(" ".join([which, *labels]).encode()).digest(size - 1), "big")
        for which in ("slope", "bend")
    )
    return [((value + slope * x + bend * x**2) % prime).to_bytes(size, "big") for x in (1, 2, 3, 4)]


def shares_of(name: str, which: int) -> list[bytes]:
    """Make the shares of a party's seed, or of what its masks with others follow from."""
    return parabola(int.from_bytes(round_secrets(name)[which], "big"), FIELD, 66, name, str(which))


def value_shares(plan: Map, owner: str, other: str) -> list[bytes]:
    """Make the shares of a value."""
    return parabola(int.from_bytes(value_of(plan, owner, other), "big"), SMALL_FIELD, 33, owner, other)


def bound(owner: str, recipient: str, plan: Map) -> bytes:
    """Give what a box in an enrollment is bound to."""
    return pack(["enrollment", plan_digest(plan), owner, recipient])


def share_digests(plan: Map, owner: str, name: str) -> list[bytes]:
    """Give the digests of a party's shares of values, in the order of those they were sent to."""
    at = plan["roster"]["parties"].index(name)
    return [
        digest(
            "value share", pack([plan_digest(plan), owner, name, other, value_shares(plan, owner, other)[at]])
        )
        for other in later(plan, owner)
    ]


def inside(plan: Map, owner: str, name: str) -> bytes:
    """Make what an enrollment seals to one party."""
    at = plan["roster"]["parties"].index(name)
    value = value_of(plan, owner, name) if name in later(plan, owner) else b""
    if not masks_in(plan)["dropouts"]:
        return value
    of_values = [value_shares(plan, owner, other)[at] for other in later(plan, owner)]
    return shares_of(owner, 0)[at] + shares_of(owner, 1)[at] + value + b"".join(of_values)


def for_party(owner: str, name: str, plan: Map, content: bytes | None = None) -> list[bytes]:
    """Make what an enrollment holds for one party; `content` is sealed in the place of what should be."""
    at, id_ = plan["roster"]["parties"].index(name), plan_digest(plan)
    content = inside(plan, owner, name) if content is None else content
    held = [box(content, name, bound(owner, name, plan)) if content else b"", b""]
    if name in later(plan, owner):
        held[1] = digest("value", pack([id_, owner, name, value_of(plan, owner, name)]))
    if masks_in(plan)["dropouts"]:
        held += [digest("share", pack([id_, owner, name, shares_of(owner, which)[at]])) for which in (0, 1)]
        held.append(digest("shares", *share_digests(plan, owner, name)))
    return held


def enrollment_header(owner: str, plan: Map) -> Map:
    """Make what an enrollment holds besides its plan."""
    seed, whole = round_secrets(owner)
    seed = seed if masks_in(plan)["dropouts"] else b""
    header = {
        "party": owner,
        "mask_key": X25519PrivateKey.from_private_bytes(secret("round", owner))
        .public_key()
        .public_bytes_raw(),
        "own": box(seed + whole, owner, bound(owner, "", plan)),
        "parties": [for_party(owner, name, plan) for name in plan["roster"]["parties"]],
    }
    return {**header, "self_digest": digest("seed", seed)} if seed else header


def enrollment_of(plan: Map, owner: str, **changes: object) -> bytes:
    """Make a party's enrollment."""
    return follows(plan, "enrollment", {**enrollment_header(owner, plan), **changes}, signer=owner)


_ENROLLED: dict[bytes, list[Any]] = {}


def enrolled_in(plan: Map) -> list[Any]:
    """List who enrolls in a round: all."""
    own = plan_digest(plan)
    if own not in _ENROLLED:
        _ENROLLED[own] = [
            [name, file_digest(enrollment_of(plan, name))] for name in plan["roster"]["parties"]
        ]
    return _ENROLLED[own]


def pair_masks(
    plan: Map, own: str, other: str, count: int, label: str = "mask", n: int | None = None
) -> list[int]:
    """Give what a party adds for another."""
    agreed_ = agreed(secret("round", own), secret("round", other))
    enrolled = digest("enrolled", pack(enrolled_in(plan)))
    names = sorted([own, other])
    key = derive(value_of(plan, *names) + agreed_, f"round {label}", [enrolled, *names])
    sign_ = -1 if own > other else 1
    return [sign_ * mask for mask in sequence(key, n or modulus_of(plan), count)]


def masked_round(plan: Map, seed: int | None) -> tuple[list[list[int]], list[bytes], bytes]:
    """Make both updates' numbers, their files, and the aggregate; `seed` is for encryption."""
    size = 1024 if seed is None else 512
    made, files = [], []
    for at, (name, other, values, total) in enumerate(
        (("alice", "bob", A, CONTROL_A), ("bob", "alice", B, CONTROL_B))
    ):
        hidden = masked(modulus_of(plan), plain(plan, values, total), pair_masks(plan, name, other, 2))
        made.append(hidden if seed is None else ciphertexts(N, hidden, seed + 1000 * at))
        header: Map = {"party": name, "enrolled": enrolled_in(plan)}
        body = blocks(made[-1], size)
        if seed is not None:
            body = update_body(plan, made[-1], seed + 1000 * at, name, name, enrolled_in(plan))
            header["salt"] = APART
        files.append(follows(plan, "update", header, body, signer=name))
    combined = masked(RING, *made) if seed is None else product(N, *made)
    contributors = signed_contributors(("alice", files[0]), ("bob", files[1]))
    header: Map = {"contributors": contributors, "enrolled": enrolled_in(plan)}
    return made, files, follows(plan, "aggregate", header, blocks(combined, size), signer="bob")


def modulus_of(plan: Map) -> int:
    """Give n of a plan."""
    return N if "key" in plan["scheme"] else RING


HIDDEN_NUMBERS, HIDDEN_UPDATES, HIDDEN_AGGREGATE = masked_round(HIDDEN_PLAN, 8001)
MASKED_NUMBERS, MASKED_UPDATES, MASKED_AGGREGATE = masked_round(MASKED_PLAN, None)
MASKED_CONTRIBUTORS = signed_contributors(("alice", MASKED_UPDATES[0]), ("bob", MASKED_UPDATES[1]))

# Four parties, of whom one may drop out: carol does.
FOUR = ["alice", "bob", "carol", "dora"]
DROPOUT_PLAN: Map = {
    **MASKED_PLAN,
    "capacity": 4,
    "scheme": {"name": "masks", "dropouts": 1},
    "roster": {
        **ROSTER,
        "members": [card("alice"), card("anna"), card("bob"), card("carol"), card("dora")],
        "parties": FOUR,
    },
}


def enrollment(owner: str, plan: Map = DROPOUT_PLAN, **changes: object) -> bytes:
    """Make a party's enrollment, in a round from which some may drop out."""
    return enrollment_of(plan, owner, **changes)


ENROLLED = enrolled_in(DROPOUT_PLAN)


def double_masks(name: str, plan: Map, count: int, label: str = "mask") -> list[list[int]]:
    """Give what a party adds for each other, and for itself, where parties may drop out."""
    enrolled = digest("enrolled", pack(enrolled_in(plan)))
    masks = [sequence(derive(secret("seed", name), f"self {label}", [enrolled]), RING, count)]
    return masks + [pair_masks(plan, name, other, count, label, RING) for other in FOUR if other != name]


def doubly_masked(name: str, values: list[int], total: int) -> list[int]:
    """Make an update masked with both others, and by itself."""
    return masked(RING, plain(DROPOUT_PLAN, values, total), *double_masks(name, DROPOUT_PLAN, 2))


# dora sends zeros.
DROPOUT_PARTIES = ["alice", "bob", "dora"]
DROPOUT_NUMBERS = [
    doubly_masked("alice", A, CONTROL_A),
    doubly_masked("bob", B, CONTROL_B),
    doubly_masked("dora", [127] * 6, control(1, 10, 0)),
]
DROPOUT_BODIES = [blocks(each, 1024) for each in DROPOUT_NUMBERS]
DROPOUT_UPDATES = [
    follows(DROPOUT_PLAN, "update", {"party": name, "enrolled": ENROLLED}, body, signer=name)
    for name, body in zip(DROPOUT_PARTIES, DROPOUT_BODIES, strict=True)
]
DROPOUT_CONTRIBUTORS = signed_contributors(*zip(DROPOUT_PARTIES, DROPOUT_UPDATES, strict=True))
DROPOUT_BODY = blocks(masked(RING, *DROPOUT_NUMBERS), 1024)
DROPOUT_AGGREGATE = follows(
    DROPOUT_PLAN,
    "aggregate",
    {"contributors": DROPOUT_CONTRIBUTORS, "enrolled": ENROLLED},
    DROPOUT_BODY,
    signer="bob",
)


def revealed(plan: Map, owner: str, of: str) -> list[Any]:
    """Make what a party reveals of another's values: of the one sent to carol its share, else digests."""
    shares = value_shares(plan, owner, "carol")[FOUR.index(of)]
    digests = dict(zip(later(plan, owner), share_digests(plan, owner, of), strict=True))
    return [owner, shares, b"".join(digests[name] for name in digests if name != "carol")]


def answer(
    of: str,
    *,
    signer: str | None = None,
    plan: Map = DROPOUT_PLAN,
    enrolled: list[Any] = ENROLLED,
    **changes: object,
) -> bytes:
    """Make what a party reveals: of those present the seed's share, of carol the round key's."""
    at = FOUR.index(of)
    header: Map = {
        "party": of,
        "enrolled": enrolled,
        "self_shares": [[name, shares_of(name, 0)[at]] for name in DROPOUT_PARTIES],
        "round_shares": [["carol", shares_of("carol", 1)[at]]],
        "value_shares": [revealed(plan, owner, of) for owner in ("alice", "bob")],
        **changes,
    }
    return follows(plan, "answer", header, signer=signer or of)


# The signed round in parts: bias under masks alone, two of the four weights in the clear.
PARTS_PLAN: Map = {
    **SIGNED_PLAN,
    "masked": {"tensors": ["bias"], "dropouts": 0},
    "plain": [["weight", 1, 2, 3, 4]],
}


def in_parts(
    plan: Map, values: list[int], total: int, *masks: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Make what travels under masks alone, in the clear, and under the key."""
    bias, weight = values[:2], values[2:]
    hidden = masked(RING, [lanes(plan, bias, n=RING)], *masks)
    return hidden, [lanes(plan, weight[1::2], n=RING)], plain(plan, weight[::2], total)


def parts_body(under_masks: list[int], clear: list[int], rest: Sections) -> Sections:
    """Lay out an update or an aggregate in parts."""
    return [("masked", 1024, records(under_masks, 1024)), ("plain", 1024, records(clear, 1024)), *rest]


PARTS_A = in_parts(PARTS_PLAN, A, CONTROL_A, pair_masks(PARTS_PLAN, "alice", "bob", 1, "part mask", RING))
PARTS_B = in_parts(PARTS_PLAN, B, CONTROL_B, pair_masks(PARTS_PLAN, "bob", "alice", 1, "part mask", RING))
PARTS_SEEDS = (11_001, 12_001)
PARTS_NUMBERS = [
    ciphertexts(N, each[2], seed) for each, seed in zip((PARTS_A, PARTS_B), PARTS_SEEDS, strict=True)
]
PARTS_BODIES = [
    parts_body(*each[:2], update_body(PARTS_PLAN, numbers_, seed, name, name, enrolled_in(PARTS_PLAN)))
    for each, numbers_, seed, name in zip(
        (PARTS_A, PARTS_B), PARTS_NUMBERS, PARTS_SEEDS, ("alice", "bob"), strict=True
    )
]
PARTS_UPDATES = [
    follows(
        PARTS_PLAN,
        "update",
        {"party": name, "salt": APART, "enrolled": enrolled_in(PARTS_PLAN)},
        body,
        signer=name,
    )
    for name, body in zip(("alice", "bob"), PARTS_BODIES, strict=True)
]
PARTS_CONTRIBUTORS = signed_contributors(*zip(("alice", "bob"), PARTS_UPDATES, strict=True))
PARTS_BODY = parts_body(
    masked(RING, PARTS_A[0], PARTS_B[0]),
    masked(RING, PARTS_A[1], PARTS_B[1]),
    blocks(product(N, *PARTS_NUMBERS), 512),
)
PARTS_AGGREGATE = follows(
    PARTS_PLAN,
    "aggregate",
    {"contributors": PARTS_CONTRIBUTORS, "enrolled": enrolled_in(PARTS_PLAN)},
    PARTS_BODY,
    signer="bob",
)
PARTS_SUM_HEADER: Map = {
    "contributors": PARTS_CONTRIBUTORS,
    "aggregate": file_digest(PARTS_AGGREGATE),
    **TOTALS,
}


def parts_sum(values: list[int]) -> bytes:
    """Make a sum of these lanes, with a proof of what is under the key."""
    body = sum_body(PARTS_PLAN, values, PARTS_SUM_HEADER, PARTS_SEEDS)
    return follows(PARTS_PLAN, "sum", PARTS_SUM_HEADER, body, signer="anna")


# The four parties under a key, bias under masks alone; carol drops out again.
PARTS_DROPOUT_PLAN: Map = {
    **DROPOUT_PLAN,
    "scheme": PAILLIER,
    "masked": {"tensors": ["bias"], "dropouts": 1},
}
PARTS_ENROLLED = enrolled_in(PARTS_DROPOUT_PLAN)


def parts_dropout(
    name: str, values: list[int], total: int, seed: int
) -> tuple[list[int], list[int], Sections]:
    """Make what an update holds: its masked part, its ciphertexts, and the sections of these."""
    masks = double_masks(name, PARTS_DROPOUT_PLAN, 1, "part mask")
    hidden = masked(RING, [lanes(PARTS_DROPOUT_PLAN, values[:2], n=RING)], *masks)
    made = ciphertexts(N, plain(PARTS_DROPOUT_PLAN, values[2:], total), seed)
    return hidden, made, update_body(PARTS_DROPOUT_PLAN, made, seed, name, name, PARTS_ENROLLED)


PARTS_DROPOUTS = [
    parts_dropout("alice", A, CONTROL_A, 13_001),
    parts_dropout("bob", B, CONTROL_B, 14_001),
    parts_dropout("dora", [127] * 6, control(1, 10, 0), 15_001),
]
PARTS_DROPOUT_UPDATES = [
    follows(
        PARTS_DROPOUT_PLAN,
        "update",
        {"party": name, "salt": APART, "enrolled": PARTS_ENROLLED},
        [("masked", 1024, records(hidden, 1024)), *rest],
        signer=name,
    )
    for name, (hidden, _, rest) in zip(DROPOUT_PARTIES, PARTS_DROPOUTS, strict=True)
]
PARTS_DROPOUT_AGGREGATE = follows(
    PARTS_DROPOUT_PLAN,
    "aggregate",
    {
        "contributors": signed_contributors(*zip(DROPOUT_PARTIES, PARTS_DROPOUT_UPDATES, strict=True)),
        "enrolled": PARTS_ENROLLED,
    },
    [
        ("masked", 1024, records(masked(RING, *(each[0] for each in PARTS_DROPOUTS)), 1024)),
        *blocks(product(N, *(each[1] for each in PARTS_DROPOUTS)), 512),
    ],
    signer="bob",
)


# An update of many groups, with short exponents, under a modulus of 3072 bits that nobody would use.
WIDE_N = N * SAFE_P
WIDE_PLAN: Map = {
    **PLAN,
    "tensors": [["w", "float32", [33_000]]],
    "codec": [{**QUANTISE, "steps": [0.25]}, PACK],
    "scheme": {"name": "paillier", "key": integer(WIDE_N), "randomness": "short"},
}


def wide_update(chunk: int = 1344) -> bytes:
    """Make an update of 130 blocks in groups of 64, with exponents 1, 2, 3, ..."""
    plaintexts = [lanes(WIDE_PLAN, [127] * 254) for _ in range(129)]
    plaintexts += [lanes(WIDE_PLAN, [127] * (33_000 - 129 * 254)), control(1, 10, 0)]
    square = WIDE_N**2
    step = pow(base(WIDE_N), WIDE_N, square)
    values, power = [], 1
    for plaintext in plaintexts:
        power = power * step % square
        values.append((1 + plaintext * WIDE_N) * power % square)
    bound = statement(WIDE_PLAN, len(values), "a", None, [])
    starts = [0, 64, 128, 130]
    ends = [*starts[1:], len(values)]
    proofs = [
        known_exponents(WIDE_N, bound, number, values[start:end], list(range(start + 1, end + 1)))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    body = [*blocks(values, 768), ("proofs", 484, b"".join(proofs))]
    # 1365 would fit in a chunk; whole groups do.
    return follows(WIDE_PLAN, "update", {"party": "a", "salt": APART}, body, first_chunk=chunk)


ATTESTATION: Map = {
    "party": "alice",
    "aggregate": file_digest(SIGNED_AGGREGATE),
    "contributors": SIGNED_CONTRIBUTORS,
}

# A ledger of two entries.
ENTRY: Map = {
    "number": 1,
    "previous": bytes(range(32)),
    "event": "founded",
    "party": "anna",
    "time": "2026-11-22T10:11:12Z",
    "plan": b"",
    "files": [],
    "cards": [card("alice"), card("bob")],
    "text": "",
}
FIRST = envelope("entry", ENTRY, signer="anna")
SECOND_ENTRY: Map = {
    **ENTRY,
    "number": 2,
    "previous": file_digest(FIRST),
    "event": "plan",
    "plan": plan_digest(SIGNED_PLAN),
    "files": [["signed.plan", file_digest(plan_file(SIGNED_PLAN))]],
    "text": "round one",
}
CHECKPOINTS = sorted(
    [
        [
            file_digest(FIRST),
            2,
            file_digest(envelope("entry", SECOND_ENTRY, signer="anna", plan=plan_digest(SIGNED_PLAN))),
            [card("alice"), card("anna"), card("bob")],
        ],
        [bytes(32), 1, bytes(32), [card("anna")]],
    ]
)


# Slices: what two machines make, one of each chunk, or of more.
def slice_of(
    plan: Map, of: str, header: Map, extent: tuple[int, int], sections: Sections, **changes: Any
) -> bytes:
    """Make a slice of a file that follows a plan; with `signer`, signed."""
    first, stop = extent
    whole = {"of": of, "header": {"plan": plan, **header}, "first": first, "stop": stop}
    whole |= changes.pop("instead", {})
    return envelope("slice", whole, sections, plan=plan_digest(plan), **changes)


SLICED: Map = {"contributors": CONTRIBUTORS}
SLICE_LANES = slice_of(PLAN, "aggregate", SLICED, (0, 1), BODY_AB[:1])
SLICE_CONTROL = slice_of(PLAN, "aggregate", SLICED, (1, 2), BODY_AB[1:])
SLICE_NONE = slice_of(PLAN, "aggregate", SLICED, (1, 1), [])
SUM_SLICES = [
    slice_of(PLAN, "sum", SUM_HEADER, (0, 1), SUM[:1]),
    slice_of(PLAN, "sum", SUM_HEADER, (1, 2), []),
]
PARTIAL_SLICES = [
    slice_of(SHARED_PLAN, "partial", partial_header(1), (0, 1), PARTIALS[1][:1]),
    slice_of(SHARED_PLAN, "partial", partial_header(1), (1, 2), PARTIALS[1][1:]),
]
ATTESTED_SLICES = [
    slice_of(SIGNED_PLAN, "attestation", ATTESTATION, extent, [], signer="alice")
    for extent in ((0, 1), (1, 2))
]
PARTS_SLICES = [
    slice_of(
        PARTS_PLAN, "aggregate", {"contributors": PARTS_CONTRIBUTORS, "enrolled": enrolled_in(PARTS_PLAN)},
        extent, PARTS_BODY[slice(*extent)], signer="bob",
    )
    for extent in ((0, 2), (2, 4))
]  # fmt: skip
