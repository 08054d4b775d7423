"""What the test vectors are built from: integers, msgpack, hashlib and cryptography, and nothing of hecli.

Everything is fixed: keys come from names and labels, random numbers from
small seeds. The labels and layouts are those of docs/format.md.
"""

import hashlib
import math
import struct
from functools import lru_cache
from typing import Any

import mlkem
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

Map = dict[str, Any]
Sections = list[tuple[str, int, bytes]]
"""Sections as name, record size and content."""

CHUNK = 1 << 20
PASSPHRASE = "corre\u0301ct horse"  # decomposed on purpose: its bytes are used as they are
SALT, NONCE = bytes(range(16)), bytes(range(12))

SMALL_P = int(
    "e53b4ba8c5d5321e619d991a30dc88e21c5baa71660800b98fadf08eaa82ffaf75ada10d74796802bc5ae9676babd4c9"
    "536c2f2ecc7726d2cdaad33eb0a37bec420281b561514e436ce2705fec5f599d91b77c7d7abbe40a36100992bc3c802f"
    "2499db70576e6c417e574e4f1ec65e08e968c2f8c72106eb7554d74fafa80e2f",
    16,
)
SMALL_Q = int(
    "ef540e3b803f5c097e5005517f38669f27887eff9463e3af8ef26b43353ceef4fae2d1d30ff327281e931d582b8669de"
    "45397ce8d3b3c76a5ee02e1d62c390d8f1cb88202045534ab922cd755284211636636791a07e6fcd2a43906872b95940"
    "88497b7d06b47acfdfdaf1f135ffba3d11154437c4d422ce3aa075346ca82e2b",
    16,
)
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


# Section 1: encodings, digests, envelopes and signatures.


def digest(label: str, *parts: bytes) -> bytes:
    """Hash under a label, as H of the specification."""
    return hashlib.sha256(f"hecli {label} v2\0".encode() + b"".join(parts)).digest()


def pack(value: object) -> bytes:
    """Encode in canonical msgpack, map keys sorted."""
    return msgpack.packb(sort(value), use_bin_type=True)


def sort(value: object) -> object:
    """Sort the keys of all maps."""
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list | tuple) else value


def layout(sections: Sections, chunk: int | None = None) -> list[list[object]]:
    """Describe sections as the prelude does; `chunk` is that of the first where it is another."""
    sizes = [max(1, CHUNK // record) for _, record, _ in sections]
    sizes[:1] = [chunk or sizes[0]] if sizes else []
    return [
        [name, record, len(content) // record, size]
        for (name, record, content), size in zip(sections, sizes, strict=True)
    ]


def envelope(kind: str, header: Map, sections: Sections | None = None, **changes: Any) -> bytes:
    """Make a file; `changes` replace parts of it, before the digests are made except in the trailer.

    `version`, `header_size`, `layout`, `header_bytes` and `signatures` are
    what stands in the file; `signer` and `plan` make a signature; `trailer`
    replaces fields when all is made. `first_chunk` is how many records a chunk
    of the first section has, where that is another number.
    """
    sections = sections or []
    packed = changes.get("header_bytes", pack(header))
    own_layout = layout(sections, changes.get("first_chunk"))
    declared = changes.get("layout", own_layout)
    size = changes.get("header_size", len(packed))
    front = pack(["hecli", changes.get("version", 2), kind, size, declared]) + packed
    pieces = []
    for (_, record, content), (*_, chunk) in zip(sections, own_layout, strict=True):
        step = chunk * record
        pieces += [content[at : at + step] for at in range(0, len(content), step)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    own = digest("file", hashlib.sha256(front).digest(), digests)
    signatures = []
    if "signer" in changes:
        signatures = [sign(changes["signer"], kind, changes.get("plan", b""), own)]
    trailer = {"chunks": digests, "digest": own, "signatures": signatures, **changes.get("trailer", {})}
    return front + b"".join(pack(piece) for piece in pieces) + pack(trailer)


def objects(data: bytes) -> list[Any]:
    """Take a file apart: prelude, header, chunks, trailer."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)


def file_digest(data: bytes) -> bytes:
    """Read the digest of a file from its trailer."""
    return objects(data)[-1]["digest"]


def signature_of(data: bytes) -> bytes:
    """Read the signature under a file."""
    return objects(data)[-1]["signatures"][0][4]


def secrets_of(name: str) -> tuple[bytes, bytes]:
    """Make the secrets of a person's two keys from the name."""
    return tuple(hashlib.sha256(label + name.encode()).digest() for label in (b"sign ", b"agree "))


def kem_secret(name: str) -> bytes:
    """Make the seeds of a person's ML-KEM key from the name."""
    return hashlib.sha512(b"kem " + name.encode()).digest()


@lru_cache(None)
def kem_key(name: str) -> bytes:
    """Make a person's ML-KEM key."""
    return mlkem.public_key(kem_secret(name))


def all_secrets(name: str) -> bytes:
    """Write what is in a person's identity file."""
    return b"".join(secrets_of(name)) + kem_secret(name)


@lru_cache(None)
def _card(name: str, keys_of: str) -> tuple[Any, ...]:
    signing, agreeing = secrets_of(keys_of)
    return (
        name,
        Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw(),
        X25519PrivateKey.from_private_bytes(agreeing).public_key().public_bytes_raw(),
        digest("kem", kem_key(keys_of)),
    )


def card(name: str, keys_of: str | None = None) -> list[Any]:
    """Make the card of a person, or one with that person's name and another's keys."""
    return list(_card(name, keys_of or name))


def fingerprint(name: str) -> str:
    """Give the fingerprint of a person's card."""
    digits = digest("card", pack(card(name))).hex()[:40]
    return "-".join(digits[at : at + 4] for at in range(0, 40, 4))


WEAK_POINT = b"\1" + bytes(31)
"""The neutral element of Ed25519: with it as a key, the signature below holds for every message."""

WEAK_SIGNATURE = WEAK_POINT + bytes(32)
WEAK_SIGN = ["alice", WEAK_POINT, *card("alice")[2:]]
WEAK_AGREE = [*card("alice")[:2], bytes(32), card("alice")[3]]


def sign(who: Any, kind: str, plan: bytes, own: bytes) -> list[Any]:
    """Sign a file.

    `who` is a name, or a card: with the keys of the person it names, or the
    one with the weak key.
    """
    whom = card(who) if isinstance(who, str) else who
    if whom[1] == WEAK_POINT:
        return [*whom, WEAK_SIGNATURE]
    keys_of = next(name for name in (*PEOPLE, "mallory", "emil") if card(name)[1] == whom[1])
    message = b"hecli signature v2\0" + pack([kind, plan, *whom, own])
    return [*whom, Ed25519PrivateKey.from_private_bytes(secrets_of(keys_of)[0]).sign(message)]


PEOPLE = ["alice", "anna", "bob", "carol", "dora"]


# Section 2: numbers.


def integer(value: int) -> bytes:
    """Write an integer as it stands in a header."""
    return value.to_bytes(-(-value.bit_length() // 8), "big")


def width(n: int) -> int:
    """Give the bytes of a plaintext."""
    return -(-n.bit_length() // 8)


def numbers(data: bytes, size: int) -> list[int]:
    """Read the numbers of `size` bytes in a body."""
    return [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]


def records(values: list[int], size: int) -> bytes:
    """Write numbers as records of `size` bytes."""
    return b"".join(value.to_bytes(size, "big") for value in values)


# Section 3: secrets.


def derive(secret: bytes, label: str, parts: list[Any]) -> bytes:
    """Derive a key with HKDF."""
    return HKDF(SHA256(), 32, None, f"hecli {label} v2\0".encode() + pack(parts)).derive(secret)


def under_passphrase(secret: bytes, bound_to: bytes, **changes: object) -> Map:
    """Seal a secret under the passphrase."""
    key = Scrypt(salt=SALT, length=32, n=1 << 10, r=8, p=1).derive(PASSPHRASE.encode())
    box_ = ChaCha20Poly1305(key).encrypt(NONCE, secret, bound_to)
    return {"passphrase": {"box": box_, "log_n": 10, "nonce": NONCE, "salt": SALT, **changes}}


@lru_cache(None)
def box(secret: bytes, name: str, bound_to: bytes) -> bytes:
    """Seal a secret to a card, with random numbers that are fixed here."""
    own = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"box " + bound_to).digest())
    public, whom = own.public_key().public_bytes_raw(), card(name)
    sent, carrier = mlkem.encapsulate(kem_key(name), hashlib.sha256(b"sent " + bound_to).digest())
    agreed_ = own.exchange(X25519PublicKey.from_public_bytes(whom[2]))
    key = derive(sent + agreed_, "box", [public + carrier, *whom, bound_to])
    return public + carrier + ChaCha20Poly1305(key).encrypt(bytes(12), secret, None)


# Section 4: values, plaintexts and ciphertexts.


def control(count: int, weight: int, clipped: int) -> int:
    """Make the plaintext of a control block."""
    return count << 128 | weight << 64 | clipped


def lane_width(plan: Map) -> int:
    """Give the bits of a lane."""
    qmax = (1 << plan["codec"][-2]["bits"] - 1) - 1
    return (2 * qmax * plan["capacity"]).bit_length()


def modulus(plan: Map) -> int:
    """Give n."""
    key = plan["scheme"].get("key")
    return RING if key is None else int.from_bytes(key, "big")


def lanes(plan: Map, values: list[int], count: int = 1, n: int | None = None) -> int:
    """Make a plaintext, modulo the plan's n or another, with a count lane, these lanes, and zeros."""
    bits = lane_width(plan)
    room = ((n or modulus(plan)).bit_length() - 1) // bits - 1
    plaintext = 0
    for lane in [count, *values, *[0] * (room - len(values))]:
        plaintext = plaintext << bits | lane
    return plaintext


def ciphertexts(n: int, plaintexts: list[int], seed: int) -> list[int]:
    """Encrypt as in the textbook, with r = seed, seed + 1, ..."""
    square = n * n
    return [(1 + m * n) * pow(seed + at, n, square) % square for at, m in enumerate(plaintexts)]


def blocks(values: list[int], size: int) -> Sections:
    """Lay out the blocks of an update: its lanes, and behind them its control block."""
    return [("lanes", size, records(values[:-1], size)), ("control", size, records(values[-1:], size))]


# Section 9: proofs.


APART = bytes(range(32, 64))
"""What sets an update apart from all others."""


def statement(plan: Map, count: int, party: str | None, signer: str | None, enrolled: list[Any]) -> bytes:
    """Give what the proofs in an update are bound to."""
    who = None if signer is None else card(signer)
    return digest("statement", pack([digest("plan", pack(plan)), count, party, enrolled, who, APART]))


def exponents(seed: bytes, count: int) -> list[int]:
    """Draw the challenges of a group."""
    return numbers(hashlib.shake_256(seed).digest(16 * count), 16)


def known(n: int, bound: bytes, number: int, group: list[int], roots: list[int]) -> bytes:
    """Prove to know the roots of a group's random parts, as for `full`."""
    random = int.from_bytes(hashlib.shake_256(b"root").digest(width(n)), "big") % n
    start = pow(random, n, n).to_bytes(width(n), "big")
    answer = random
    for root, e in zip(
        roots, exponents(_challenged(n, bound, number, group, start), len(group)), strict=True
    ):
        answer = answer * pow(root, e, n) % n
    return start + answer.to_bytes(width(n), "big")


def known_exponents(n: int, bound: bytes, number: int, group: list[int], powers: list[int]) -> bytes:
    """Prove to know the exponents of a group's random parts, as for `short` of 512 bits."""
    random = int.from_bytes(hashlib.shake_256(b"exponent").digest(98), "big")
    start = pow(pow(base(n), n, n), random, n).to_bytes(width(n), "big")
    drawn = exponents(_challenged(n, bound, number, group, start), len(group))
    answer = random + sum(e * a for e, a in zip(drawn, powers, strict=True))
    return start + answer.to_bytes(100, "big")


def base(n: int) -> int:
    """Derive h."""
    seed = b"hecli derived base v1\0" + n.to_bytes(width(n), "big")
    x = int.from_bytes(hashlib.shake_256(seed).digest(width(n) + 16), "big") % n
    return -x * x % n


def _challenged(n: int, bound: bytes, number: int, group: list[int], start: bytes) -> bytes:
    said = number.to_bytes(4, "big") + len(group).to_bytes(4, "big") + records(group, width(n * n))
    return digest("knowledge", bound + said + start)


def short(data: bytes) -> list[int]:
    """Read challenges of 20 bits in three bytes each."""
    return [value & 0xFFFFF for value in numbers(data, 3)]


def opened_proof(n: int, bound: bytes, roots: list[list[int]]) -> bytes:
    """Prove what groups hold, from the roots of their random parts."""
    products = [1] * 7
    for number, group in enumerate(roots):
        said = bound + number.to_bytes(4, "big") + len(group).to_bytes(4, "big")
        drawn = short(hashlib.shake_256(digest("opening", said)).digest(21 * len(group)))
        for j in range(7):
            for root, e in zip(group, drawn[j * len(group) : (j + 1) * len(group)], strict=True):
                products[j] = products[j] * pow(root, e, n) % n
    random = [
        int.from_bytes(hashlib.shake_256(b"opening" + bytes([j])).digest(width(n)), "big") % n
        for j in range(7)
    ]
    commitments = records([pow(each, n, n * n) for each in random], width(n * n))
    seed = digest("opening challenge", bound + commitments)
    challenges = short(hashlib.shake_256(seed).digest(49 * 3))
    answers = []
    for at, own in enumerate(random):
        row = challenges[7 * at : 7 * at + 7]
        powers = [pow(root, e, n) for root, e in zip(products, row, strict=True)]
        answers.append(own * math.prod(powers) % n)
    return seed + records(answers, width(n)) + certificate(n)


def certificate(n: int) -> bytes:
    """Give n-th roots of what follows from n, whose primes are known here."""
    wide = width(n) + 16
    stream = hashlib.shake_256(b"hecli roots v2\0" + n.to_bytes(width(n), "big")).digest(7 * wide)
    inverse = pow(n, -1, math.lcm(SMALL_P - 1, SMALL_Q - 1))
    return records([pow(value, inverse, n) for value in numbers(stream, wide)], width(n))


def product(n: int, *sources: list[int]) -> list[int]:
    """Multiply ciphertexts place by place."""
    return [math.prod(each) % (n * n) for each in zip(*sources, strict=True)]


# Section 8: masks.

RING = (1 << 8192) - 1
FIELD = (1 << 521) - 1
SMALL_FIELD = (1 << 257) - 93


def sequence(key: bytes, n: int, count: int) -> list[int]:
    """Give the masks of the blocks 0, 1, ... of an update, the control block last."""
    size = width(n) + 16
    stream = Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(count * size))
    return [value % n for value in numbers(stream, size)]


def agreed(mine: bytes, theirs: bytes) -> bytes:
    """Agree a secret from two private keys."""
    public = X25519PrivateKey.from_private_bytes(theirs).public_key()
    return X25519PrivateKey.from_private_bytes(mine).exchange(public)


def masked(n: int, plaintexts: list[int], *masks: list[int]) -> list[int]:
    """Add masks to plaintexts."""
    return [sum(each) % n for each in zip(plaintexts, *masks, strict=True)]


def little(format_: str, *values: float) -> bytes:
    """Write values as they stand in tensors."""
    return struct.pack("<" + format_, *values)
