"""Make the test vectors: one file for each rule of docs/format.md, good and bad.

`make vectors` writes good/, bad/ and index.json; a test makes them again and
compares. Everything here is fixed, and what can be is built from integers,
msgpack and hashlib rather than from hecli, so that the vectors test hecli
and not themselves.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

HERE = Path(__file__).parent
KEY = HERE.parent / "keys" / "small.key"
PASSPHRASE = "correct horse"

Map = dict[str, object]


def digest(label: str, *parts: bytes) -> bytes:
    """H of the specification."""
    return hashlib.sha256(f"hecli {label} v1\0".encode() + b"".join(parts)).digest()


def pack(value: object) -> bytes:
    """Canonical msgpack of a value whose maps are already sorted."""
    return msgpack.packb(value, use_bin_type=True)


def sort(value: object) -> object:
    """The same value with the keys of all maps sorted."""
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list) else value


def envelope(kind: str, header: Map, record: int = 0, body: bytes = b"", **changes: object) -> bytes:
    """A file; `changes` replace parts of it after all digests are made or before."""
    packed = changes.get("header_bytes", pack(sort(header)))
    assert isinstance(packed, bytes)
    count = len(body) // record if record else 0
    prelude = ["hecli", changes.get("version", 1), kind, changes.get("header_size", len(packed)), record]
    prelude.append(changes.get("count", count))
    front = pack(prelude) + packed
    per_chunk = max(1, (1 << 20) // record) * record if record else 1
    pieces = [body[at : at + per_chunk] for at in range(0, len(body), per_chunk)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    trailer = {
        "chunks": digests,
        "digest": digest("file", hashlib.sha256(front).digest(), digests),
        "signatures": [],
    }
    if "signer" in changes:
        signature = sign(changes["signer"], kind, changes.get("plan", b""), trailer["digest"])
        trailer["signatures"] = [signature]
    trailer |= changes.get("trailer", {})  # type: ignore[operator]
    return front + b"".join(pack(piece) for piece in pieces) + pack(sort(trailer))


def secrets_of(name: str) -> tuple[bytes, bytes]:
    """The secrets of a person's two keys, made from the name."""
    return hashlib.sha256(b"sign " + name.encode()).digest(), hashlib.sha256(
        b"agree " + name.encode()
    ).digest()


def card(name: str, keys_of: str | None = None) -> list[object]:
    """The card of a person, or one with that person's name and another's keys."""
    signing, agreeing = secrets_of(keys_of or name)
    return [
        name,
        Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw(),
        X25519PrivateKey.from_private_bytes(agreeing).public_key().public_bytes_raw(),
    ]


def sign(who: object, kind: str, plan: object, digest_: object) -> list[object]:
    """A signature of the specification; `who` is a name, or a card with the name whose keys it has."""
    shown, keys_of = (who, who) if isinstance(who, str) else who  # type: ignore[misc]
    whom = card(shown, keys_of)
    message = b"hecli signature v1\0" + pack([kind, plan, *whom, digest_])
    return [*whom, Ed25519PrivateKey.from_private_bytes(secrets_of(keys_of)[0]).sign(message)]


def integer(value: int) -> bytes:
    """An integer as it stands in a header."""
    return value.to_bytes(-(-value.bit_length() // 8), "big")


def primes() -> tuple[int, int]:
    """The primes of the small test key."""
    header = list(msgpack.Unpacker(KEY.open("rb")))[1]
    return int.from_bytes(header["p"], "big"), int.from_bytes(header["q"], "big")


P, Q = primes()
N = P * Q
PLAN: Map = {
    "name": "vectors",
    "id": bytes(range(16)),
    "key": integer(N),
    "tensors": [["bias", "float32", [2], 0.25], ["weight", "float64", [2, 2], 0.5]],
    "bits": 8,
    "rounding": "nearest",
    "capacity": 16,
    "min_parties": 2,
    "max_weight": 10,
    "randomness": "full",
}
WIDTH = (2 * 127 * 16).bit_length()
LANES = (N.bit_length() - 1) // WIDTH


def lanes(values: list[int], count: int = 1) -> int:
    """A plaintext with a count lane, these lanes, and zeros."""
    plaintext = 0
    for lane in [count, *values, *[0] * (LANES - 1 - len(values))]:
        plaintext = plaintext << WIDTH | lane
    return plaintext


def control(count: int, weight: int, clipped: int) -> int:
    """The plaintext of a control block."""
    return count << 128 | weight << 64 | clipped


def ciphertexts(plaintexts: list[int], seed: int) -> bytes:
    """Textbook encryption with r = seed, seed + 1, ..."""
    square = N * N
    numbers = [(1 + m * N) * pow(seed + at, N, square) % square for at, m in enumerate(plaintexts)]
    return b"".join(number.to_bytes(512, "big") for number in numbers)


def product(*bodies: bytes) -> bytes:
    """Position by position, modulo n squared."""
    out = b""
    for at in range(0, len(bodies[0]), 512):
        value = 1
        for body in bodies:
            value = value * int.from_bytes(body[at : at + 512], "big") % (N * N)
        out += value.to_bytes(512, "big")
    return out


def file_digest(data: bytes) -> bytes:
    """The digest of a file, from its trailer."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)[-1]["digest"]


# Party a: weight 10, bias (0.25, -1), weights ((1, 0.5), (-63.5, 100 clipped)).
A = [127 + 1, 127 - 4, 127 + 2, 127 + 1, 0, 254]
# Unnamed: weight 5, so half of everything: bias (1, 0.5), weights ((2, -2), (4, -4)).
B = [127 + 2, 127 + 1, 127 + 2, 127 - 2, 127 + 4, 127 - 4]
BODY_A = ciphertexts([control(1, 10, 1), lanes(A)], 1001)
BODY_B = ciphertexts([control(1, 5, 0), lanes(B)], 2001)
UPDATE_A = envelope("update", {"plan": PLAN, "party": "a"}, 512, BODY_A)
UPDATE_B = envelope("update", {"plan": PLAN, "party": None}, 512, BODY_B)
CONTRIBUTORS = [[None, file_digest(UPDATE_B)], ["a", file_digest(UPDATE_A)]]
BODY_AB = product(BODY_A, BODY_B)
AGGREGATE = envelope("aggregate", {"plan": PLAN, "contributors": CONTRIBUTORS}, 512, BODY_AB)
SUM_HEADER: Map = {
    "plan": PLAN,
    "contributors": CONTRIBUTORS,
    "aggregate": file_digest(AGGREGATE),
    "weight": 15,
    "clipped": 1,
}
SUM_BODY = b"".join((a + b).to_bytes(2, "big") for a, b in zip(A, B, strict=True))
# The same two parties, called alice and bob, on the roster of a plan that anna made.
ROSTER: Map = {
    "members": [card("alice"), card("anna"), card("bob")],
    "parties": ["alice", "bob"],
    "aggregators": [],
    "keyholders": ["anna"],
    "coordinator": "anna",
}
SIGNED_PLAN: Map = {**PLAN, "capacity": 2, "roster": ROSTER}
PLAN_DIGEST = digest("plan", pack(sort(SIGNED_PLAN)))
WIDTH_2 = (2 * 127 * 2).bit_length()
LANES_2 = (N.bit_length() - 1) // WIDTH_2


def signed(kind: str, header: Map, body: bytes = b"", who: object = "anna", record: int = 512) -> bytes:
    """A file that follows the signed plan."""
    header = {"plan": SIGNED_PLAN, **header}
    return envelope(kind, header, record if body else 0, body, signer=who, plan=PLAN_DIGEST)


def lanes_2(values: list[int], count: int = 1) -> int:
    """A plaintext of the signed plan."""
    plaintext = 0
    for lane in [count, *values, *[0] * (LANES_2 - 1 - len(values))]:
        plaintext = plaintext << WIDTH_2 | lane
    return plaintext


SIGNED_BODY_A = ciphertexts([control(1, 10, 1), lanes_2(A)], 4001)
SIGNED_BODY_B = ciphertexts([control(1, 5, 0), lanes_2(B)], 5001)
SIGNED_A = signed("update", {"party": "alice"}, SIGNED_BODY_A, "alice")
SIGNED_B = signed("update", {"party": "bob"}, SIGNED_BODY_B, "bob")


def signature_of(data: bytes) -> bytes:
    """The signature under a file."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)[-1]["signatures"][0][3]


SIGNED_CONTRIBUTORS = [
    ["alice", file_digest(SIGNED_A), signature_of(SIGNED_A)],
    ["bob", file_digest(SIGNED_B), signature_of(SIGNED_B)],
]
SIGNED_BODY_AB = product(SIGNED_BODY_A, SIGNED_BODY_B)
SIGNED_AGGREGATE = signed("aggregate", {"contributors": SIGNED_CONTRIBUTORS}, SIGNED_BODY_AB, "bob")
SIGNED_SUM = signed(
    "sum",
    {
        "contributors": SIGNED_CONTRIBUTORS,
        "aggregate": file_digest(SIGNED_AGGREGATE),
        "weight": 15,
        "clipped": 1,
    },
    SUM_BODY,
    "anna",
    2,
)
# A key of safe primes in three shares, of which two open, and a round under it.
SAFE_P = int(
    "c5db7fd5591d7a7b64bc7af275c216ebc22874d4e60c4c7cb4aaf41a6c026921c2331a80d08181b19b038fd33e03d477"
    "d988b596e63f0903ddbfdef124684270e5a6f8a8a6b964a7c53b654d44e69c549aa067d65c7c3df068585cea7327ec4a"
    "7c0cfe2f7b16c7b508aacae178f0992bf3b64494ea1895b5e35ccce87e5721f7",
    16,
)
SAFE_Q = int(
    "d0e38bb942bdc1b6df960622b80c9810c2877ec929eebab6b2075152c17895c8c6e61aae56781c21847257997b0457fc"
    "7a1aa3085d8adf9a1f1c0af00c2305a17ccf02f5fcf2dcbaf0efaf132af680aaae39c56662daf4afac96d923ed0fe82e"
    "886fe2597221cd3d51658739b3fbbbed3a3a10406e22c2c5ab2f37bb4aaa64f3",
    16,
)
SAFE_N = SAFE_P * SAFE_Q
SAFE_M = (SAFE_P // 2) * (SAFE_Q // 2)
SLOPE = int.from_bytes(hashlib.shake_256(b"slope").digest(512), "big") % (SAFE_N * SAFE_M)
VALUES = [(SAFE_M * pow(SAFE_M, -1, SAFE_N) + SLOPE * index) % (SAFE_N * SAFE_M) for index in (1, 2, 3)]
V = pow(4321, 2, SAFE_N**2)
DEALING: Map = {
    "threshold": 2,
    "v": integer(V),
    "keys": [integer(pow(V, 6 * value, SAFE_N**2)) for value in VALUES],
}
OPENS: Map = {
    "threshold": 2,
    "shares": 3,
    "dealing": digest("dealing", pack(sort({"n": integer(SAFE_N), **DEALING}))),
}
SHARED_PLAN: Map = {**PLAN, "key": integer(SAFE_N), "opens": OPENS}
SHARED_DIGEST = digest("plan", pack(sort(SHARED_PLAN)))


def numbers(data: bytes) -> list[int]:
    """The ciphertexts in a body."""
    return [int.from_bytes(data[at : at + 512], "big") for at in range(0, len(data), 512)]


def shared_ciphertexts(plaintexts: list[int], seed: int) -> bytes:
    """Textbook encryption under the key in shares."""
    square = SAFE_N**2
    made = [(1 + m * SAFE_N) * pow(seed + at, SAFE_N, square) % square for at, m in enumerate(plaintexts)]
    return b"".join(number.to_bytes(512, "big") for number in made)


SHARED_BODY_A = shared_ciphertexts([control(1, 10, 1), lanes(A)], 6001)
SHARED_BODY_B = shared_ciphertexts([control(1, 5, 0), lanes(B)], 7001)
SHARED_A = envelope("update", {"plan": SHARED_PLAN, "party": "a"}, 512, SHARED_BODY_A)
SHARED_B = envelope("update", {"plan": SHARED_PLAN, "party": "b"}, 512, SHARED_BODY_B)
SHARED_CONTRIBUTORS = [["a", file_digest(SHARED_A)], ["b", file_digest(SHARED_B)]]
SHARED_BODY = b"".join(
    (a * b % SAFE_N**2).to_bytes(512, "big")
    for a, b in zip(numbers(SHARED_BODY_A), numbers(SHARED_BODY_B), strict=True)
)
SHARED_AGGREGATE = envelope(
    "aggregate", {"plan": SHARED_PLAN, "contributors": SHARED_CONTRIBUTORS}, 512, SHARED_BODY
)


def partial(number: int, value: int | None = None, **changes: object) -> bytes:
    """What a share contributes to opening the aggregate, with its proof."""
    square, share = SAFE_N**2, value or VALUES[number - 1]
    whole = numbers(SHARED_BODY)
    parts = [pow(c, 12 * share, square) for c in whole]
    session = SHARED_DIGEST + file_digest(SHARED_AGGREGATE)
    wide = [each.to_bytes(512, "big") for each in (SAFE_N, V, int.from_bytes(DEALING["keys"][number - 1]))]  # type: ignore[index]
    body = b"".join(each.to_bytes(512, "big") for each in parts)
    statement = number.to_bytes(2, "big") + len(whole).to_bytes(4, "big") + b"".join(wide)
    seed = hashlib.sha256(b"hecli partial v1\0" + session + statement + SHARED_BODY + body).digest()
    stream = hashlib.shake_256(seed).digest(16 * len(whole))
    product_ = 1
    for at, c in enumerate(whole):
        product_ = product_ * pow(c, int.from_bytes(stream[16 * at : 16 * at + 16], "big"), square) % square
    r = int.from_bytes(hashlib.shake_256(b"random").digest((4096 + 3 + 256) // 8), "big")
    both = [pow(product_, 4 * r, square), pow(V, r, square)]
    e = hashlib.sha256(
        b"hecli challenge v1\0" + seed + b"".join(each.to_bytes(512, "big") for each in both)
    ).digest()[:16]
    z = r + int.from_bytes(e, "big") * 6 * share
    header: Map = {
        "plan": SHARED_PLAN,
        "contributors": SHARED_CONTRIBUTORS,
        "aggregate": file_digest(SHARED_AGGREGATE),
        "index": number,
        **changes,
    }
    return envelope("partial", header, 512, body + e + z.to_bytes(1024 - 16, "big"))


def share(**changes: object) -> bytes:
    """The first share."""
    header = {"n": integer(SAFE_N), "dealing": DEALING, "index": 1, "share": integer(VALUES[0])}
    return envelope("share", {**header, **changes})


# The same two parties without a key, hidden by masks alone.
RING = (1 << 8192) - 1
MASKED_PLAN: Map = {key: value for key, value in SIGNED_PLAN.items() if key != "key"}
MASKED_PLAN |= {"scheme": "masks", "masks": {"dropouts": 0}}
MASKED_DIGEST = digest("plan", pack(sort(MASKED_PLAN)))


def masks() -> list[int]:
    """What alice adds and bob subtracts."""
    secret = X25519PrivateKey.from_private_bytes(secrets_of("alice")[1])
    shared = secret.exchange(X25519PrivateKey.from_private_bytes(secrets_of("bob")[1]).public_key())
    info = b"hecli mask v1\0" + pack([MASKED_DIGEST, "alice", "bob"])
    key = HKDF(SHA256(), 32, None, info).derive(shared)
    stream = Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(2 * 1040))
    return [int.from_bytes(stream[at : at + 1040], "big") for at in (0, 1040)]


def masked(values: list[int], total: int, sign_: int) -> bytes:
    """A control block and lanes in the ring of masks."""
    plaintext = 0
    wide = 8191 // WIDTH_2
    for lane in [1, *values, *[0] * (wide - 1 - len(values))]:
        plaintext = plaintext << WIDTH_2 | lane
    both = zip([total, plaintext], masks(), strict=True)
    return b"".join(((value + sign_ * mask) % RING).to_bytes(1024, "big") for value, mask in both)


def masked_file(kind: str, header: Map, body: bytes, who: str, record: int = 1024) -> bytes:
    """A file of the round without a key."""
    return envelope(kind, {"plan": MASKED_PLAN, **header}, record, body, signer=who, plan=MASKED_DIGEST)


MASKED_BODY_A = masked(A, control(1, 10, 1), 1)
MASKED_BODY_B = masked(B, control(1, 5, 0), -1)
MASKED_A = masked_file("update", {"party": "alice"}, MASKED_BODY_A, "alice")
MASKED_B = masked_file("update", {"party": "bob"}, MASKED_BODY_B, "bob")
MASKED_CONTRIBUTORS = [
    ["alice", file_digest(MASKED_A), signature_of(MASKED_A)],
    ["bob", file_digest(MASKED_B), signature_of(MASKED_B)],
]
MASKED_BODY = b"".join(
    (
        (int.from_bytes(MASKED_BODY_A[at : at + 1024]) + int.from_bytes(MASKED_BODY_B[at : at + 1024])) % RING
    ).to_bytes(1024, "big")
    for at in (0, 1024)
)
MASKED_AGGREGATE = masked_file("aggregate", {"contributors": MASKED_CONTRIBUTORS}, MASKED_BODY, "bob")

# Three parties, of whom one may drop out: carol does.
THREE = ["alice", "bob", "carol"]
DROPOUT_PLAN: Map = {
    **MASKED_PLAN,
    "capacity": 3,
    "masks": {"dropouts": 1},
    "roster": {
        **ROSTER,
        "members": [card("alice"), card("anna"), card("bob"), card("carol")],
        "parties": THREE,
    },
}
DROPOUT_DIGEST = digest("plan", pack(sort(DROPOUT_PLAN)))
FIELD = (1 << 521) - 1


def round_secrets(name: str) -> tuple[bytes, bytes]:
    """A party's seed and its round's private key."""
    return hashlib.sha256(b"seed " + name.encode()).digest(), hashlib.sha256(
        b"round " + name.encode()
    ).digest()


def shares_of(name: str, which: int) -> list[bytes]:
    """The shares of one of a party's secrets: a line through it."""
    slope = int.from_bytes(hashlib.shake_256(b"slope " + name.encode() + bytes([which])).digest(65), "big")
    secret = int.from_bytes(round_secrets(name)[which], "big")
    return [((secret + slope * x) % FIELD).to_bytes(66, "big") for x in (1, 2, 3)]


def box(secret: bytes, name: str, bound_to: bytes) -> bytes:
    """A secret sealed to a card, with a key that is fixed here."""
    own = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"box " + bound_to).digest())
    public = own.public_key().public_bytes_raw()
    whom = card(name)
    shared_ = own.exchange(X25519PublicKey.from_public_bytes(whom[2]))  # type: ignore[arg-type]
    info = b"hecli box v1\0" + pack([public, *whom, bound_to])
    key = HKDF(SHA256(), 32, None, info).derive(shared_)
    return public + ChaCha20Poly1305(key).encrypt(bytes(12), secret, None)


def bound(owner: str, recipient: str) -> bytes:
    """What a box in an enrollment is bound to."""
    return pack(["enrollment", DROPOUT_DIGEST, owner, recipient])


def enrollment(owner: str, **changes: object) -> bytes:
    """A party's enrollment."""
    seed, secret = round_secrets(owner)
    parties = []
    for name, *pair in zip(THREE, shares_of(owner, 0), shares_of(owner, 1), strict=True):
        digests = [digest("share", pack([DROPOUT_DIGEST, owner, name, each])) for each in pair]
        parties.append([box(b"".join(pair), name, bound(owner, name)), *digests])
    header: Map = {
        "plan": DROPOUT_PLAN,
        "party": owner,
        "mask_key": X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw(),
        "self_digest": digest("seed", seed),
        "own": box(seed + secret, owner, bound(owner, "")),
        "parties": parties,
        **changes,
    }
    return envelope("enrollment", header, signer=owner, plan=DROPOUT_DIGEST)


ENROLLED = [[name, file_digest(enrollment(name))] for name in THREE]
ENROLLED_DIGEST = digest("enrolled", pack(ENROLLED))
WIDTH_3 = (2 * 127 * 3).bit_length()


def keystream(secret: bytes, info: bytes) -> list[int]:
    """The masks of two plaintexts from a shared secret."""
    key = HKDF(SHA256(), 32, None, info).derive(secret)
    stream = Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(2 * 1040))
    return [int.from_bytes(stream[at : at + 1040], "big") for at in (0, 1040)]


def doubly_masked(name: str, values: list[int], total: int) -> bytes:
    """An update masked with both others, and by itself."""
    plaintext = 0
    for lane in [1, *values, *[0] * (8191 // WIDTH_3 - 1 - len(values))]:
        plaintext = plaintext << WIDTH_3 | lane
    seed, secret = round_secrets(name)
    result = [total, plaintext]
    sequences = [(1, keystream(seed, b"hecli self mask v1\0" + ENROLLED_DIGEST))]
    for other in THREE:
        if other != name:
            public = X25519PrivateKey.from_private_bytes(round_secrets(other)[1]).public_key()
            agreed = X25519PrivateKey.from_private_bytes(secret).exchange(public)
            pair = pack([ENROLLED_DIGEST, min(name, other), max(name, other)])
            sequences.append((-1 if name > other else 1, keystream(agreed, b"hecli round mask v1\0" + pair)))
    for sign_, sequence in sequences:
        result = [value + sign_ * mask for value, mask in zip(result, sequence, strict=True)]
    return b"".join((value % RING).to_bytes(1024, "big") for value in result)


def enrollment_header() -> Map:
    """What an enrollment holds besides its plan."""
    return {"party": "alice", "mask_key": bytes(32), "self_digest": bytes(32), "own": b"", "parties": []}


def dropout_file(kind: str, header: Map, body: bytes, who: str) -> bytes:
    """A file of the round from which carol drops out."""
    header = {"plan": DROPOUT_PLAN, **header}
    return envelope(kind, header, 1024 if body else 0, body, signer=who, plan=DROPOUT_DIGEST)


DROPOUT_BODIES = [doubly_masked("alice", A, control(1, 10, 1)), doubly_masked("bob", B, control(1, 5, 0))]
DROPOUT_UPDATES = [
    dropout_file("update", {"party": name, "enrolled": ENROLLED}, body, name)
    for name, body in zip(THREE[:2], DROPOUT_BODIES, strict=True)
]
DROPOUT_HEADER: Map = {
    "contributors": [
        [name, file_digest(data), signature_of(data)]
        for name, data in zip(THREE[:2], DROPOUT_UPDATES, strict=True)
    ],
    "enrolled": ENROLLED,
}
DROPOUT_SUMS = [
    sum(int.from_bytes(body[at : at + 1024], "big") for body in DROPOUT_BODIES) % RING for at in (0, 1024)
]
DROPOUT_BODY = b"".join(value.to_bytes(1024, "big") for value in DROPOUT_SUMS)
DROPOUT_AGGREGATE = dropout_file("aggregate", DROPOUT_HEADER, DROPOUT_BODY, "bob")


def answer(party: str, **changes: object) -> bytes:
    """What a party reveals: of those present the seed's share, of carol the round key's."""
    at = THREE.index(party)
    header: Map = {
        "party": party,
        "aggregate": file_digest(DROPOUT_AGGREGATE),
        "self_shares": [[name, shares_of(name, 0)[at]] for name in THREE[:2]],
        "mask_shares": [["carol", shares_of("carol", 1)[at]]],
        **changes,
    }
    return dropout_file("answer", header, b"", party)


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
    "plan": PLAN_DIGEST,
    "files": [["signed.plan", file_digest(signed("plan", {}))]],
    "text": "round one",
}


SEALED = {"log_n": 10, "salt": bytes(range(16)), "nonce": bytes(range(12))}


def sealed_box() -> bytes:
    """The primes under the passphrase."""
    key = Scrypt(salt=bytes(range(16)), length=32, n=1 << 10, r=8, p=1).derive(PASSPHRASE.encode())
    opened = P.to_bytes(256, "big") + Q.to_bytes(256, "big")
    return ChaCha20Poly1305(key).encrypt(bytes(range(12)), opened, integer(N))


def identity_box() -> bytes:
    """Alice's secrets under the passphrase."""
    key = Scrypt(salt=bytes(range(16)), length=32, n=1 << 10, r=8, p=1).derive(PASSPHRASE.encode())
    return ChaCha20Poly1305(key).encrypt(bytes(range(12)), b"".join(secrets_of("alice")), pack(card("alice")))


def good() -> dict[str, bytes]:
    """Files that every reader must accept."""
    tensors = [["b", "float16", [1]], ["w", "int32", [2, 1]]]
    long = [["w", "uint8", [(1 << 20) + 3]]]
    return {
        "key.pub": envelope("public key", {"n": integer(N)}),
        "key.key": envelope("private key", {"n": integer(N), "p": integer(P), "q": integer(Q)}),
        "sealed.key": envelope("private key", {"n": integer(N), "sealed": {**SEALED, "box": sealed_box()}}),
        "round.plan": envelope("plan", {"plan": PLAN}),
        "a.int": envelope("encoded", {"plan": PLAN, "weight": 10, "clipped": 1}, 1, bytes(A)),
        "a.enc": UPDATE_A,
        "unnamed.enc": UPDATE_B,
        "round.agg": AGGREGATE,
        "round.sum": envelope("sum", SUM_HEADER, 2, SUM_BODY),
        "some.tensors": envelope("tensors", {"tensors": tensors}, 1, struct.pack("<eii", 1.5, -1, 7)),
        "alice.card": envelope("card", {"card": card("alice")}, signer="alice"),
        "alice.id": envelope(
            "identity",
            {"card": card("alice"), "sign": secrets_of("alice")[0], "agree": secrets_of("alice")[1]},
        ),
        "sealed.id": envelope(
            "identity", {"card": card("alice"), "sealed": {**SEALED, "box": identity_box()}}
        ),
        "signed.plan": signed("plan", {}),
        "alice.enc": SIGNED_A,
        "bob.enc": SIGNED_B,
        "signed.agg": SIGNED_AGGREGATE,
        "signed.sum": SIGNED_SUM,
        "signed-without-roster.enc": envelope(
            "update",
            {"plan": PLAN, "party": "alice"},
            512,
            BODY_A,
            signer="alice",
            plan=digest("plan", pack(sort(PLAN))),
        ),
        "shared.pub": envelope("public key", {"n": integer(SAFE_N), "dealing": DEALING}),
        "shared-1.share": share(),
        "shared.plan": envelope("plan", {"plan": SHARED_PLAN}),
        "shared.agg": SHARED_AGGREGATE,
        "shared-1.part": partial(1),
        "shared-3.part": partial(3),
        "masked.plan": envelope("plan", {"plan": MASKED_PLAN}, signer="anna", plan=MASKED_DIGEST),
        "masked-alice.enc": MASKED_A,
        "masked-bob.enc": MASKED_B,
        "masked.agg": MASKED_AGGREGATE,
        "dropouts.plan": envelope("plan", {"plan": DROPOUT_PLAN}, signer="anna", plan=DROPOUT_DIGEST),
        "alice.enroll": enrollment("alice"),
        "bob.enroll": enrollment("bob"),
        "carol.enroll": enrollment("carol"),
        "dropouts-alice.enc": DROPOUT_UPDATES[0],
        "dropouts-bob.enc": DROPOUT_UPDATES[1],
        "dropouts.agg": DROPOUT_AGGREGATE,
        "bob.ans": answer("bob"),
        "carol.ans": answer("carol"),
        "verified.plan": plan_with(require_verified=True),
        "00000001.entry": FIRST,
        "00000002.entry": envelope("entry", SECOND_ENTRY, signer="anna", plan=PLAN_DIGEST),
        "key.opened": envelope("record", {"uses": [[bytes(32), bytes(32)], [bytes(32), PLAN_DIGEST]]}),
        "two-chunks.tensors": envelope("tensors", {"tensors": long}, 1, bytes((1 << 20) + 3)),
    }


def plan_with(**changes: object) -> bytes:
    """A plan file in which some fields differ."""
    return envelope("plan", {"plan": {**PLAN, **changes}})


def tensor(*fields: object) -> list[list[object]]:
    """The tensors of a plan with one tensor."""
    return [list(fields)]


def bad() -> dict[str, tuple[bytes, str]]:
    """Files that every reader must refuse, each for one reason, and words of hecli's error."""
    key: Map = {"n": integer(N)}
    packed = pack(sort(key))
    plain = envelope("public key", key)
    trailer_at = len(plain) - 32 - 8 - 13 - 8
    files = {
        # Section 1: the envelope.
        "not-msgpack": (b"\xc1" + plain[1:], "not a hecli file"),
        "other-magic": (plain.replace(b"hecli", b"hecly", 1), "not a hecli file"),
        "newer-version": (envelope("public key", key, version=2), "format version 2"),
        "unknown-kind": (envelope("secret", key), "unknown kind 'secret'"),
        "prelude-long-integer": (
            plain.replace(b"hecli\x01", b"hecli\xcc\x01", 1),
            "prelude is not in canonical",
        ),
        "header-too-large": (envelope("public key", key, header_size=(4 << 20) + 1), "declares a header"),
        "header-shorter": (envelope("public key", key, header_size=len(packed) - 1), "not valid msgpack"),
        "header-longer": (envelope("public key", key, header_size=len(packed) + 1), "ends too early"),
        "header-not-a-map": (envelope("public key", key, header_bytes=pack([1])), "header is not a map"),
        "header-unsorted": (
            envelope("sum", {}, header_bytes=pack({"weight": 1, "aggregate": b""})),
            "not in canonical form",
        ),
        "header-key-twice": (
            envelope("public key", key, header_bytes=b"\x82" + 2 * packed[1:]),
            "same key twice",
        ),
        "header-long-string": (
            envelope("public key", key, header_bytes=packed.replace(b"\xa1n", b"\xd9\x01n", 1)),
            "not in canonical form",
        ),
        "header-extension": (
            envelope("public key", key, header_bytes=b"\x81\xa1n\xd4\x01\x01"),
            "not in canonical form",
        ),
        "header-float32": (
            envelope("public key", key, header_bytes=b"\x81\xa1n\xca\x3f\x80\x00\x00"),
            "not in canonical form",
        ),
        "header-too-deep": (envelope("public key", {"n": [[[[[[[[1]]]]]]]]}), "nested too deeply"),
        "field-unknown": (envelope("public key", {**key, "x": 1}), "unknown field 'x'"),
        "field-missing": (envelope("public key", {}), "no field 'n'"),
        "field-of-wrong-type": (envelope("public key", {"n": 5}), "'n' of the wrong type"),
        "field-bool-for-int": (plan_with(bits=True), "'bits' of the wrong type"),
        "records-without-size": (envelope("public key", key, count=5), "5 records of 0 bytes"),
        "records-too-many": (envelope("update", key, 512, BODY_A, count=1 << 62), "records of 512"),
        "records-not-there": (envelope("update", key, 512, BODY_A, count=3), "ends too early"),
        "body-where-none-may-be": (envelope("public key", key, 1, b"x"), "holds 1 records"),
        "body-of-other-records": (
            envelope("update", {"plan": PLAN, "party": None}, 256, BODY_A),
            "records of 256",
        ),
        "chunk-of-other-length": (
            UPDATE_B.replace(b"\xc5\x04\x00" + BODY_B, b"\xc5\x03\xff" + BODY_B),
            "wrong length",
        ),
        "chunk-altered": (
            UPDATE_B.replace(BODY_B, BODY_B[:-1] + bytes([BODY_B[-1] ^ 1])),
            "chunk 0 does not match",
        ),
        "header-altered": (
            plain.replace(packed, packed[:-1] + bytes([packed[-1] ^ 2])),
            "digest does not match",
        ),
        "trailer-digest": (
            envelope("public key", key, trailer={"digest": bytes(32)}),
            "digest does not match",
        ),
        "trailer-chunks": (
            envelope("update", {"plan": PLAN, "party": None}, 512, BODY_B, trailer={"chunks": bytes(32)}),
            "digest does not match",
        ),
        "trailer-signed": (
            envelope("public key", key, trailer={"signatures": [1], "digest": bytes(31)}),
            "is signed",
        ),
        "truncated-in-trailer": (plain[:-1], "ends too early"),
        "truncated-in-header": (plain[:40], "ends too early"),
        "truncated-before-trailer": (plain[:trailer_at], "ends too early"),
        "empty": (b"", "ends too early"),
        "bytes-behind-the-end": (plain + b"\0", "bytes too many"),
        # Sections 2 and 3: keys.
        "key-leading-zero": (envelope("public key", {"n": b"\0" + integer(N)}), "not in canonical form"),
        "key-empty": (envelope("public key", {"n": b""}), "not in canonical form"),
        "key-too-short": (envelope("public key", {"n": integer(2**1000 + 1)}), "1001 bits is too short"),
        "key-even": (envelope("public key", {"n": integer(N - 1)}), "even"),
        "key-small-factor": (envelope("public key", {"n": integer(3 * N)}), "small factor"),
        "key-square": (envelope("public key", {"n": integer(P * P)}), "perfect power"),
        "private-key-of-another-n": (
            envelope("private key", {"n": integer(N + 2), "p": integer(P), "q": integer(Q)}),
            "do not make its modulus",
        ),
        "private-key-costly": (
            envelope("private key", {**key, "sealed": {**SEALED, "log_n": 40, "box": b""}}),
            "scrypt with N = 2^40",
        ),
        "private-key-short-salt": (
            envelope("private key", {**key, "sealed": {**SEALED, "salt": b"", "box": b""}}),
            "salt or nonce",
        ),
        # Plans.
        "plan-bits": (plan_with(bits=1), "bits must be"),
        "plan-capacity": (plan_with(capacity=1 << 15), "parties must be"),
        "plan-opens-one": (plan_with(min_parties=1), "fewest parties must be"),
        "plan-weight": (plan_with(max_weight=0), "largest weight must be"),
        "plan-rounding": (plan_with(rounding="up"), "'up' is none of"),
        "plan-randomness": (plan_with(randomness="none"), "'none' is none of"),
        "plan-id": (plan_with(id=b"1"), "id has the wrong length"),
        "plan-name": (plan_with(name="\x1b[31m"), "cannot be a name"),
        "plan-no-tensors": (plan_with(tensors=[]), "holds 0 tensors"),
        "plan-no-values": (plan_with(tensors=tensor("w", "float32", [0], 1.0)), "no values"),
        "plan-dtype": (plan_with(tensors=tensor("w", "complex64", [1], 1.0)), "cannot be encoded"),
        "plan-shape": (plan_with(tensors=tensor("w", "float32", [-1], 1.0)), "impossible shape"),
        "plan-too-many-values": (plan_with(tensors=tensor("w", "int8", [1 << 41], 1.0)), "too many values"),
        "plan-step-zero": (plan_with(tensors=tensor("w", "int8", [1], 0.0)), "impossible step"),
        "plan-step-nan": (plan_with(tensors=tensor("w", "int8", [1], float("nan"))), "impossible step"),
        "plan-step-integer": (plan_with(tensors=tensor("w", "int8", [1], 1)), "malformed"),
        "plan-unsorted": (
            plan_with(tensors=[["w", "int8", [1], 1.0], ["b", "int8", [1], 1.0]]),
            "not in order",
        ),
        "plan-name-twice": (plan_with(tensors=2 * tensor("w", "int8", [1], 1.0)), "two tensors named w"),
        # The files of a round.
        "encoded-weight": (
            envelope("encoded", {"plan": PLAN, "weight": 11, "clipped": 0}, 1, bytes(A)),
            "weight is not from 1 to 10",
        ),
        "encoded-clipped": (
            envelope("encoded", {"plan": PLAN, "weight": 1, "clipped": 7}, 1, bytes(A)),
            "more values were clipped",
        ),
        "update-party": (envelope("update", {"plan": PLAN, "party": " "}, 512, BODY_A), "cannot be a name"),
        "update-short": (
            envelope("update", {"plan": PLAN, "party": None}, 512, BODY_A[:512]),
            "calls for 2",
        ),
        "aggregate-of-nobody": (
            envelope("aggregate", {"plan": PLAN, "contributors": []}, 512, BODY_AB),
            "missing or out of order",
        ),
        "aggregate-unsorted": (
            envelope("aggregate", {"plan": PLAN, "contributors": CONTRIBUTORS[::-1]}, 512, BODY_AB),
            "missing or out of order",
        ),
        "aggregate-twice": (
            envelope("aggregate", {"plan": PLAN, "contributors": CONTRIBUTORS[:1] * 2}, 512, BODY_AB),
            "a contributor twice",
        ),
        "aggregate-short-digest": (
            envelope("aggregate", {"plan": PLAN, "contributors": [["a", b"1"]]}, 512, BODY_AB),
            "malformed",
        ),
        "aggregate-beyond-capacity": (
            envelope(
                "aggregate",
                {"plan": PLAN, "contributors": [[None, bytes([at]) * 32] for at in range(17)]},
                512,
                BODY_AB,
            ),
            "more contributors than",
        ),
        "sum-of-one": (
            envelope("sum", {**SUM_HEADER, "contributors": CONTRIBUTORS[:1]}, 2, SUM_BODY),
            "has 1 contributors",
        ),
        "sum-weight": (envelope("sum", {**SUM_HEADER, "weight": 21}, 2, SUM_BODY), "out of range"),
        "sum-short-digest": (envelope("sum", {**SUM_HEADER, "aggregate": b""}, 2, SUM_BODY), "wrong length"),
        "tensors-unsorted": (
            envelope("tensors", {"tensors": [["w", "int8", [1]], ["b", "int8", [1]]]}, 1, b"12"),
            "not in order",
        ),
        "tensors-short": (envelope("tensors", {"tensors": [["w", "int8", [3]]]}, 1, b"12"), "calls for 3"),
    }
    return files | unsigned() | shared() | forged()


def shared() -> dict[str, tuple[bytes, str]]:
    """Keys in shares, shares and partials that are not sound."""

    def public(**changes: object) -> bytes:
        return envelope("public key", {"n": integer(SAFE_N), "dealing": {**DEALING, **changes}})

    keys = DEALING["keys"]
    assert isinstance(keys, list)
    return {
        "dealing-of-one": (public(threshold=1), "cannot be what opens"),
        "dealing-of-too-few": (public(keys=keys[:1]), "cannot be what opens"),
        "dealing-no-unit": (public(keys=[*keys[:2], integer(SAFE_P)]), "is no unit"),
        "dealing-too-large": (public(v=integer(SAFE_N**2 + 1)), "is no unit"),
        "dealing-malformed": (public(keys=[1, 2, 3]), "malformed"),
        "share-index": (share(index=4), "is share 4 of 3"),
        "share-of-a-small-key": (share(n=integer(2**1000 + 1)), "is no unit"),
        "plan-opens-alone": (
            envelope("plan", {"plan": {**SHARED_PLAN, "opens": {**OPENS, "threshold": 1}}}),
            "threshold cannot be",
        ),
        "masks-without-roster": (plan_with(masks={"dropouts": 0}), "parties of a roster"),
        "masks-dropouts": (
            envelope("plan", {"plan": {**MASKED_PLAN, "masks": {"dropouts": 1}}}),
            "too many to drop out",
        ),
        "masks-dropouts-negative": (
            envelope("plan", {"plan": {**MASKED_PLAN, "masks": {"dropouts": -1}}}),
            "too many to drop out",
        ),
        "enrolled-without-dropouts": (
            masked_file(
                "update", {"party": "alice", "enrolled": [["alice", bytes(32)]]}, MASKED_BODY_A, "alice"
            ),
            "who enrolled does not fit",
        ),
        "enrolled-empty": (
            masked_file("update", {"party": "alice", "enrolled": []}, MASKED_BODY_A, "alice"),
            "who enrolled is out of order",
        ),
        "masks-fields": (
            envelope("plan", {"plan": {**MASKED_PLAN, "masks": {}}}),
            "no field 'dropouts'",
        ),
        "scheme-unknown": (envelope("plan", {"plan": {**MASKED_PLAN, "scheme": "x"}}), "unknown scheme"),
        "scheme-and-key": (
            envelope("plan", {"plan": {**MASKED_PLAN, "key": integer(N)}}),
            "either a key or the scheme",
        ),
        "scheme-without-masks": (
            envelope("plan", {"plan": {k: v for k, v in MASKED_PLAN.items() if k != "masks"}}),
            "needs masks",
        ),
        "enrolled-missing": (
            dropout_file("update", {"party": "alice"}, DROPOUT_BODIES[0], "alice"),
            "who enrolled does not fit",
        ),
        "enrolled-strangers": (
            dropout_file(
                "update",
                {"party": "alice", "enrolled": [*ENROLLED, ["dora", bytes(32)]]},
                DROPOUT_BODIES[0],
                "alice",
            ),
            "who enrolled does not fit",
        ),
        "enrollment-unsigned": (
            envelope("enrollment", {"plan": DROPOUT_PLAN, **enrollment_header()}),
            "not signed",
        ),
        "enrollment-for-two": (enrollment("alice", parties=[]), "not for as many parties"),
        "enrollment-key": (enrollment("alice", mask_key=b"1"), "wrong length"),
        "answer-both-secrets": (
            answer("bob", mask_shares=[["alice", bytes(66)]]),
            "both secrets of one party",
        ),
        "answer-unsorted": (
            answer("bob", self_shares=[["bob", bytes(66)], ["alice", bytes(66)]]),
            "out of order",
        ),
        "answer-short-share": (answer("bob", self_shares=[["alice", bytes(65)]]), "malformed"),
        "partial-short": (
            envelope(
                "partial",
                {
                    "plan": SHARED_PLAN,
                    "contributors": SHARED_CONTRIBUTORS,
                    "aggregate": bytes(32),
                    "index": 1,
                },
                512,
                SHARED_BODY,
            ),
            "calls for 4",
        ),
        "partial-aggregate": (partial(1, aggregate=bytes(31)), "wrong length"),
        "combine-share": (partial(1, VALUES[1]), "share 1) does not hold"),
        "combine-index": (partial(1, index=2), "share 2) does not hold"),
        "combine-aggregate": (partial(1, aggregate=bytes(32)), "of another aggregate"),
        "combine-no-share": (partial(1, index=4), "there are 3"),
    }


def unsigned() -> dict[str, tuple[bytes, str]]:
    """Files whose signature, roster, entry or record is not sound."""
    roster = {**ROSTER}
    other = digest("plan", b"")

    def plan(**changes: object) -> bytes:
        altered = {**SIGNED_PLAN, "roster": {**roster, **changes}}
        return envelope("plan", {"plan": altered}, signer="anna", plan=digest("plan", pack(sort(altered))))

    def entry(**changes: object) -> bytes:
        return envelope("entry", {**SECOND_ENTRY, **changes}, signer="anna", plan=PLAN_DIGEST)

    def aggregate(*contributors: list[object]) -> bytes:
        return signed("aggregate", {"contributors": list(contributors)}, SIGNED_BODY_AB, "bob")

    alice, bob = SIGNED_CONTRIBUTORS
    header: Map = {"plan": SIGNED_PLAN, "party": "alice"}
    return {
        "signature-malformed": (
            envelope("card", {"card": card("alice")}, trailer={"signatures": [card("alice")]}),
            "signature is malformed",
        ),
        "signature-twice": (
            envelope(
                "card",
                {"card": card("alice")},
                trailer={"signatures": 2 * [sign("alice", "card", b"", bytes(32))]},
            ),
            "more than one signature",
        ),
        "signature-truncated": (SIGNED_A[:-1], "ends too early"),
        "signature-for-another-kind": (
            envelope(
                "update",
                header,
                512,
                SIGNED_BODY_A,
                trailer={"signatures": [sign("alice", "aggregate", PLAN_DIGEST, file_digest(SIGNED_A))]},
            ),
            "does not hold",
        ),
        "signature-for-another-plan": (
            envelope("update", header, 512, SIGNED_BODY_A, signer="alice", plan=other),
            "does not hold",
        ),
        "signature-for-another-file": (
            envelope(
                "update",
                header,
                512,
                SIGNED_BODY_A,
                trailer={"signatures": [sign("alice", "update", PLAN_DIGEST, bytes(32))]},
            ),
            "does not hold",
        ),
        "signature-by-another": (
            signed("update", {"party": "alice"}, SIGNED_BODY_A, "bob"),
            "is alice's, and signed by bob",
        ),
        "signature-by-a-namesake": (
            signed("update", {"party": "alice"}, SIGNED_BODY_A, ("alice", "mallory")),
            "has the card",
        ),
        "signature-by-a-stranger": (
            signed("update", {"party": "mallory"}, SIGNED_BODY_A, "mallory"),
            "not on the plan's roster",
        ),
        "signature-by-no-party": (
            signed("update", {"party": "anna"}, SIGNED_BODY_A, "anna"),
            "may not send an update",
        ),
        "signature-missing": (envelope("update", header, 512, SIGNED_BODY_A), "not signed"),
        "signature-missing-aggregate": (
            envelope(
                "aggregate",
                {"plan": SIGNED_PLAN, "contributors": SIGNED_CONTRIBUTORS},
                512,
                SIGNED_BODY_AB,
            ),
            "not signed",
        ),
        "sum-by-no-keyholder": (
            signed(
                "sum",
                {
                    "contributors": SIGNED_CONTRIBUTORS,
                    "aggregate": file_digest(SIGNED_AGGREGATE),
                    "weight": 15,
                    "clipped": 1,
                },
                SUM_BODY,
                "bob",
                2,
            ),
            "may not open sums",
        ),
        "contributor-unsigned": (aggregate(alice, bob[:2]), "no signed update of a party"),
        "contributor-no-party": (aggregate(alice, ["anna", *bob[1:]]), "no signed update of a party"),
        "contributor-signature": (aggregate(alice, [*bob[:2], alice[2]]), "signature under the update"),
        "contributor-signed-without-roster": (
            envelope(
                "aggregate",
                {"plan": PLAN, "contributors": [["alice", bytes(32), bytes(64)]]},
                512,
                BODY_AB,
            ),
            "and its plan no roster",
        ),
        "card-unsigned": (envelope("card", {"card": card("alice")}), "not signed by its own key"),
        "card-signed-by-another": (
            envelope("card", {"card": card("alice")}, signer="bob"),
            "not signed by its own key",
        ),
        "card-short-key": (
            envelope("card", {"card": ["alice", bytes(31), bytes(32)]}, signer="alice"),
            "a card in it is malformed",
        ),
        "identity-of-another": (
            envelope(
                "identity",
                {"card": card("alice"), "sign": secrets_of("bob")[0], "agree": secrets_of("bob")[1]},
            ),
            "not those of its card",
        ),
        "identity-short-secret": (
            envelope("identity", {"card": card("alice"), "sign": b"1", "agree": b"2"}),
            "secrets have the wrong length",
        ),
        "plan-not-verified": (plan_with(require_verified=False), "not in canonical form"),
        "plan-unsigned": (envelope("plan", {"plan": SIGNED_PLAN}), "not signed by its coordinator"),
        "plan-signed-by-another": (
            signed("plan", {}, who="bob"),
            "not signed by its coordinator",
        ),
        "roster-capacity": (
            envelope("plan", {"plan": {**SIGNED_PLAN, "capacity": 3}}),
            "not that of the roster",
        ),
        "roster-name-twice": (
            plan(members=[card("alice"), card("alice", "carol"), card("anna"), card("bob")]),
            "the same name",
        ),
        "roster-key-twice": (
            plan(members=[card("alice"), card("anna"), card("bob", "alice")]),
            "the same key",
        ),
        "roster-card-of-nobody": (
            plan(members=[card("alice"), card("anna"), card("bob"), card("carol")]),
            "not those of its cards",
        ),
        "roster-name-without-card": (plan(keyholders=["carol"]), "not those of its cards"),
        "roster-unsorted": (plan(parties=["bob", "alice"]), "out of order"),
        "roster-cards-unsorted": (
            plan(members=[card("anna"), card("alice"), card("bob")]),
            "cards are out of order",
        ),
        "entry-unsigned": (envelope("entry", ENTRY), "not signed by anna"),
        "entry-by-another": (envelope("entry", ENTRY, signer="bob"), "not signed by anna"),
        "entry-number": (entry(number=0), "cannot have the number 0"),
        "entry-founded-later": (entry(event="founded"), "cannot be entry 2"),
        "entry-first-not-founded": (entry(number=1), "cannot be entry 1"),
        "entry-event": (entry(event="other"), "cannot be entry 2"),
        "entry-time": (entry(time="2026-11-22 10:11:12"), "is no time"),
        "entry-previous": (entry(previous=bytes(31)), "wrong length"),
        "entry-plan": (entry(plan=bytes(31)), "wrong length"),
        "entry-files": (entry(files=[["a"]]), "list of files"),
        "entry-file-digest": (entry(files=[["a", bytes(31)]]), "cannot be recorded"),
        "entry-file-name": (entry(files=[["a\t", bytes(32)]]), "cannot be recorded"),
        "entry-text": (entry(text="\n"), "must be printable"),
        "entry-cards": (entry(event="note"), "only a plan"),
        "entry-cards-unsorted": (entry(cards=[card("bob"), card("alice")]), "cards are out of order"),
        "record-unsorted": (
            envelope("record", {"uses": [[bytes(32), PLAN_DIGEST], [bytes(32), bytes(32)]]}),
            "out of order",
        ),
        "record-malformed": (envelope("record", {"uses": [[bytes(32)]]}), "malformed"),
    }


def forged() -> dict[str, tuple[bytes, str]]:
    """Aggregates sound in form, which only show when they are multiplied or opened (`decrypt-` below)."""
    header: Map = {"plan": PLAN, "contributors": CONTRIBUTORS}
    total = control(2, 15, 1)
    both = [a + b for a, b in zip(A, B, strict=True)]
    fine = lanes(both, 2)
    first = BODY_AB[:512]

    def opened(*plaintexts: int) -> bytes:
        return envelope("aggregate", header, 512, ciphertexts(list(plaintexts), 3001))

    def holding(value: int) -> bytes:
        return envelope("aggregate", header, 512, first + value.to_bytes(512, "big"))

    return {
        "decrypt-ciphertext-zero": (holding(0), "ciphertext 1 is zero"),
        "decrypt-ciphertext-n": (holding(N), "ciphertext 1 shares a factor"),
        "decrypt-ciphertext-factor": (holding(P), "ciphertext 1 shares a factor"),
        "decrypt-ciphertext-n-squared": (holding(N * N), "ciphertext 1 is not below"),
        "decrypt-ciphertext-above": (holding(N * N + 1), "ciphertext 1 is not below"),
        "decrypt-control-count": (opened(control(3, 15, 1), fine), "control block does not agree"),
        "decrypt-control-high-bits": (opened(total + (1 << 1500), fine), "control block does not agree"),
        "decrypt-control-weight": (opened(control(2, 21, 1), fine), "control block is out of range"),
        "decrypt-control-clipped": (opened(control(2, 15, 13), fine), "control block is out of range"),
        "decrypt-count-lane": (opened(total, lanes(both, 3)), "no sum of updates"),
        "decrypt-lane-too-large": (opened(total, lanes([509, *both[1:]], 2)), "no sum of updates"),
        "decrypt-lane-left-over": (opened(total, lanes([*both, 1], 2)), "no sum of updates"),
        "decrypt-high-bits": (opened(total, fine + (1 << WIDTH * LANES)), "no sum of updates"),
    }


def main(folder: Path) -> None:
    """Write everything below `folder`."""
    index: Map = {"passphrase": PASSPHRASE, "good": {}, "bad": {}}
    for name, data in good().items():
        (folder / "good").mkdir(exist_ok=True)
        (folder / "good" / name).write_bytes(data)
        index["good"][name] = file_digest(data).hex()  # type: ignore[index]
    for name, (data, says) in bad().items():
        (folder / "bad").mkdir(exist_ok=True)
        (folder / "bad" / name).write_bytes(data)
        index["bad"][name] = says  # type: ignore[index]
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
