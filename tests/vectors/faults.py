"""Files that every reader must refuse: each has one fault, true digests, and true signatures."""

import hashlib
import math
import struct
from typing import Any, NamedTuple

import msgpack
import noisy as o
import rounds as r
import smaller as s
import trainings as t
from parts import (
    FIELD,
    RING,
    SMALL_P,
    SMALL_Q,
    WEAK_AGREE,
    WEAK_SIGN,
    Map,
    Sections,
    all_secrets,
    blocks,
    box,
    card,
    ciphertexts,
    control,
    digest,
    envelope,
    file_digest,
    integer,
    kem_key,
    lane_width,
    lanes,
    layout,
    masked,
    objects,
    pack,
    records,
    sign,
    under_passphrase,
)
from rounds import PLAN, N, follows, plan_digest, plan_file


class Fault(NamedTuple):
    """A file that must be refused.

    `says` are words of hecli's error, `use` what the file is used for: a
    command, and `with` which good files. `rule` is a section of docs/format.md.
    """

    data: bytes
    says: str
    rule: str
    use: str


class Group(dict[str, Fault]):
    """Faults against the rules of one section."""

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule

    def add(self, name: str, data: bytes, says: str, use: str = "inspect") -> None:
        """Add a file."""
        assert name not in self
        self[name] = Fault(data, says, self.rule, use)


KEY: Map = {"n": integer(N)}
LANES_DECLARED, CONTROL_DECLARED, PROOFS_DECLARED = layout(r.BODY_A)
SAFE_KEY: Map = {"n": integer(r.SAFE_N), "dealing": r.DEALING}


def plan_with(**changes: Any) -> bytes:
    """Make a plan file in which some fields differ."""
    return plan_file({**PLAN, **changes})


def quantise_with(**changes: Any) -> bytes:
    """Make a plan file in which the first step of the codec differs."""
    return plan_with(codec=[{**r.QUANTISE, **changes}, r.PACK])


def scheme_with(**changes: Any) -> bytes:
    """Make a plan file in which the scheme differs."""
    return plan_with(scheme={**r.PAILLIER, **changes})


def without(value: Map, name: str) -> Map:
    """Leave a field out."""
    return {key: each for key, each in value.items() if key != name}


def tensors_of(*items: list[Any], step: float = 1.0) -> bytes:
    """Make a plan file with these tensors."""
    codec = [{**r.QUANTISE, "steps": [step] * len(items)}, r.PACK]
    return plan_with(tensors=list(items), codec=codec)


def raw(value: Map) -> bytes:
    """Encode a map as it comes, its keys unsorted."""
    return msgpack.packb(value, use_bin_type=True)


def start_faults() -> Group:
    """The first bytes, and the prelude."""
    group = Group("1")
    plain = envelope("public key", KEY)
    named = "this hecli reads version 2"
    group.add("empty", b"", "ends too early")
    group.add("not-msgpack", b"\xc1" + plain[1:], "not a hecli file")
    group.add("other-magic", plain.replace(b"hecli", b"hecly", 1), "not a hecli file")
    group.add("start-of-a-map", b"\x85" + plain[1:], "not a hecli file")
    group.add("version-1", b"\x96\xa5hecli\x01", f"has format version 1, {named}")
    group.add("version-1-garbage", b"\x96\xa5hecli\x01\xc1", f"has format version 1, {named}")
    group.add("version-3", envelope("public key", KEY, version=3), f"has format version 3, {named}")
    group.add("version-3-garbage", b"\x92\xa5hecli\x03\xc1", f"has format version 3, {named}")
    group.add("version-70000", b"\x95\xa5hecli" + pack(70000), f"has format version 70000, {named}")
    group.add("version-missing", b"\x95\xa5hecli", "ends too early")
    group.add("version-text", envelope("public key", KEY, version="2"), "prelude has the wrong fields")
    group.add(
        "version-long-integer",
        plain.replace(b"hecli\x02", b"hecli\xcc\x02", 1),
        "version is not in canonical form",
    )
    size = len(pack(KEY))
    group.add(
        "prelude-long-integer",
        plain.replace(pack(size), b"\xce" + size.to_bytes(4, "big"), 1),
        "prelude is not in canonical form",
    )
    front = b"\x93\xa5hecli\x02" + pack("public key")
    group.add("prelude-short", front + plain[len(front) :], "prelude has the wrong fields")
    group.add("prelude-too-long", envelope("x" * 600, KEY), "prelude is too long")
    group.add("unknown-kind", envelope("secret", KEY), "unknown kind 'secret'")
    group.add("header-size-zero", envelope("public key", {}, header_bytes=b""), "declares a header")
    group.add("header-too-large", envelope("public key", KEY, header_size=(4 << 20) + 1), "declares a header")

    def declared(*sections: object) -> bytes:
        return follows(PLAN, "update", {"party": "a", "salt": r.APART}, r.BODY_A, layout=list(sections))

    lanes_, control_, proofs_ = LANES_DECLARED, CONTROL_DECLARED, PROOFS_DECLARED
    malformed = {
        "section-short": ["lanes", 512, 1],
        "section-name-integer": [1, 512, 1, 2048],
        "section-records-text": ["lanes", 512, "1", 2048],
    }
    for name, section in malformed.items():
        group.add(name, declared(section, control_, proofs_), "prelude has the wrong fields")
    impossible = {
        "section-without-name": ["", 512, 1, 2048],
        "section-upper-case": ["Lanes", 512, 1, 2048],
        "section-not-ascii": ["l\u00e4nes", 512, 1, 2048],
        "section-long-name": ["l" * 33, 512, 1, 2048],
        "section-record-of-nothing": ["lanes", 0, 1, 2048],
        "section-without-records": ["lanes", 512, 0, 2048],
        "section-chunk-of-nothing": ["lanes", 512, 1, 0],
        "section-chunk-too-large": ["lanes", 512, 1, (1 << 17) + 1],
        "section-too-many-chunks": ["lanes", 512, (1 << 22) + 1, 1],
        "records-too-many": ["lanes", 512, 1 << 62, 2048],
    }
    for name, section in impossible.items():
        group.add(name, declared(section, control_, proofs_), "declares")
    group.add("section-twice", declared(lanes_, lanes_, proofs_), "declares")
    several = [(name, 512, r.BODY_A[0][2]) for name in "abcdefghi"]
    group.add("sections-nine", follows(PLAN, "update", {"party": "a", "salt": r.APART}, several), "declares")
    group.add("records-not-there", declared(["lanes", 512, 3, 2048], control_, proofs_), "ends too early")
    return group


def header_faults() -> Group:
    """The header's encoding."""
    group = Group("1")
    packed = pack(KEY)

    def key(header_bytes: bytes, **changes: Any) -> bytes:
        return envelope("public key", KEY, header_bytes=header_bytes, **changes)

    group.add("header-shorter", key(packed, header_size=len(packed) - 1), "not valid msgpack")
    group.add("header-longer", key(packed, header_size=len(packed) + 1), "ends too early")
    group.add("header-not-a-map", key(pack([1])), "header is not a map")
    total = {"plan": PLAN, **r.SUM_HEADER}
    group.add(
        "header-unsorted",
        follows(PLAN, "sum", {}, r.SUM, header_bytes=raw(dict(sorted(total.items(), reverse=True)))),
        "not in canonical form",
    )
    group.add("header-key-twice", key(b"\x82" + 2 * packed[1:]), "same key twice")
    group.add("header-long-string", key(packed.replace(b"\xa1n", b"\xd9\x01n", 1)), "not in canonical form")
    group.add("header-extension", key(b"\x81\xa1n\xd4\x01\x01"), "not in canonical form")
    whole = pack({"plan": PLAN})
    step = b"\xcb" + struct.pack(">d", 0.25), b"\xca" + struct.pack(">f", 0.25)
    group.add("header-float32", plan_file_of(whole.replace(*step, 1)), "not in canonical form")
    group.add(
        "header-not-utf-8",
        plan_file_of(whole.replace(b"\xa7vectors", b"\xa7vector\xff", 1)),
        "not valid msgpack",
    )
    group.add("header-too-deep", envelope("public key", {"n": [[[[[[[1]]]]]]]}), "nested too deeply")
    group.add("header-too-many-maps", plan_with(codec=[r.PACK] * 65), "too many maps")
    group.add("header-too-many-arrays", envelope("tensors", {"tensors": [[]] * (1 << 18)}), "too many lists")
    group.add("field-unknown", envelope("public key", {**KEY, "x": 1}), "unknown field 'x'")
    group.add("field-missing", envelope("public key", {}), "no field 'n'")
    group.add("field-of-wrong-type", envelope("public key", {"n": 5}), "'n' of the wrong type")
    group.add("field-bool-for-int", quantise_with(bits=True), "'bits' of the wrong type")
    return group


def plan_file_of(header_bytes: bytes) -> bytes:
    """Make a plan file with these bytes for a header."""
    return envelope("plan", {}, header_bytes=header_bytes)


def end_faults() -> Group:
    """Chunks, trailers and files cut short."""
    group = Group("1")
    plain = envelope("public key", KEY)
    body = r.UPDATE_B
    first, second = (pack(content) for _, _, content in r.BODY_B[:2])
    damaged = bytes([first[-1] ^ 1]), bytes([second[-1] ^ 1])
    group.add("chunk-of-other-length", body.replace(first, b"\xc5\x01\xff" + first[3:], 1), "wrong length")
    group.add("chunk-altered", body.replace(first, first[:-1] + damaged[0], 1), "chunk 0 does not match")
    group.add(
        "chunk-of-control-altered",
        body.replace(second, second[:-1] + damaged[1], 1),
        "chunk 1 does not match",
    )
    packed = pack(KEY)
    group.add(
        "header-altered",
        plain.replace(packed, packed[:-1] + bytes([packed[-1] ^ 2]), 1),
        "digest does not match",
    )
    group.add(
        "trailer-digest", envelope("public key", KEY, trailer={"digest": bytes(32)}), "digest does not match"
    )
    group.add(
        "trailer-chunks",
        follows(PLAN, "update", {"party": None, "salt": r.APART}, r.BODY_B, trailer={"chunks": bytes(96)}),
        "digest does not match",
    )
    group.add("trailer-unknown-field", envelope("public key", KEY, trailer={"x": 1}), "its trailer")
    group.add("trailer-signed", envelope("public key", KEY, signer="alice"), "is signed")
    group.add("truncated-in-trailer", plain[:-1], "ends too early")
    group.add("truncated-in-header", plain[:40], "ends too early")
    group.add("truncated-before-trailer", plain[: -len(pack(objects(plain)[-1]))], "ends too early")
    group.add("bytes-behind-the-end", plain + b"\0", "bytes too many")
    return group


def layout_faults() -> Group:
    """Sections that are not those of the kind."""
    group = Group("3 sections")

    def update(sections: Sections, **changes: Any) -> bytes:
        return follows(PLAN, "update", {"party": "a", "salt": r.APART}, sections, **changes)

    says = "calls for"
    lanes_, control_, proofs_ = r.BODY_A
    group.add(
        "body-where-none-may-be", envelope("public key", KEY, [("lanes", 1, b"x")]), "calls for no records"
    )
    group.add("body-missing", update([]), says)
    group.add("body-of-other-records", update([("lanes", 256, lanes_[2]), control_, proofs_]), says)
    group.add("sections-in-wrong-order", update([control_, lanes_, proofs_]), says)
    group.add("section-control-missing", update([lanes_, proofs_]), says)
    group.add("section-lanes-missing", update([control_, proofs_]), says)
    group.add("section-too-many", update([*r.BODY_A, ("more", 1, b"x")]), says)
    group.add("section-of-another-name", update([("values", 512, lanes_[2]), control_, proofs_]), says)
    group.add("section-control-twice", update([lanes_, ("control", 512, 2 * control_[2]), proofs_]), says)
    group.add(
        "section-of-another-chunk",
        update(r.BODY_A, layout=[["lanes", 512, 1, 1], CONTROL_DECLARED, PROOFS_DECLARED]),
        says,
    )
    group.add(
        "section-control-of-another-chunk",
        update(r.BODY_A, layout=[LANES_DECLARED, ["control", 512, 1, 1], PROOFS_DECLARED]),
        says,
    )
    group.add("update-too-long", update([("lanes", 512, 2 * lanes_[2]), control_, proofs_]), says)
    unsalted = follows(PLAN, "update", {"party": "a"}, r.BODY_A)
    group.add("update-without-salt", unsalted, "salt has the wrong length")
    salt = {"party": "a", "salt": bytes(31)}
    group.add("update-short-salt", follows(PLAN, "update", salt, r.BODY_A), "salt has the wrong length")
    group.add("section-proofs-missing", update([lanes_, control_]), says)
    group.add("proof-missing", update([lanes_, control_, ("proofs", 512, proofs_[2][:512])]), says)
    group.add("proof-of-other-size", update([lanes_, control_, ("proofs", 348, proofs_[2][:696])]), says)
    group.add(
        "aggregate-with-proofs",
        follows(PLAN, "aggregate", {"contributors": r.CONTRIBUTORS}, [*r.BODY_AB, proofs_]),
        says,
    )
    group.add("section-of-broken-groups", r.wide_update(1365), says)
    group.add("sum-without-proofs", follows(PLAN, "sum", r.SUM_HEADER, r.SUM[:1]), says)
    group.add("encoded-control-missing", follows(PLAN, "encoded", {}, r.ENCODED[:1]), says)
    group.add(
        "encoded-control-short",
        follows(PLAN, "encoded", {}, [r.ENCODED[0], ("control", 8, bytes(7) + b"\1")]),
        says,
    )
    group.add(
        "sum-short", follows(PLAN, "sum", r.SUM_HEADER, [("lanes", 2, r.SUM[0][2][:-2]), r.SUM[1]]), says
    )
    group.add(
        "sum-of-other-records",
        follows(PLAN, "sum", r.SUM_HEADER, [("lanes", 4, records(r.BOTH, 4)), r.SUM[1]]),
        says,
    )
    group.add(
        "sum-with-control",
        follows(PLAN, "sum", r.SUM_HEADER, [*r.SUM, ("control", 24, records([control(2, 15, 1)], 24))]),
        says,
    )
    of_lanes, of_control = r.PARTIALS[1]
    group.add("partial-control-missing", r.partial(1, [of_lanes]), says)
    group.add("partial-short", r.partial(1, [("lanes", 512, of_lanes[2][:-512]), of_control]), says)
    group.add("partial-in-one-section", r.partial(1, [("lanes", 512, of_lanes[2] + of_control[2])]), says)
    group.add(
        "tensors-short",
        envelope("tensors", {"tensors": [["w", "int8", [3]]]}, [("values", 1, b"12")]),
        says,
    )
    group.add(
        "tensors-of-another-section",
        envelope("tensors", {"tensors": [["w", "int8", [2]]]}, [("lanes", 1, b"12")]),
        says,
    )
    return group


UNPRINTABLE = {
    "escape": "\x1b",
    "delete": "\x7f",
    "no-break-space": "\u00a0",
    "soft-hyphen": "\u00ad",
    "grapheme-joiner": "\u034f",
    "letter-mark": "\u061c",
    "hangul-filler": "\u115f",
    "ogham-space": "\u1680",
    "khmer-vowel": "\u17b4",
    "mongolian-selector": "\u180b",
    "zero-width-space": "\u200b",
    "right-to-left": "\u202e",
    "isolate": "\u2066",
    "wide-space": "\u3000",
    "filler": "\u3164",
    "private-use": "\ue000",
    "no-character": "\ufdd0",
    "variation-selector": "\ufe0f",
    "byte-order-mark": "\ufeff",
    "halfwidth-filler": "\uffa0",
    "replacement": "\ufffd",
    "musical-control": "\U0001d173",
    "tag": "\U000e0041",
    "last": "\U0010ffff",
}


def text_faults() -> Group:
    """Names, and integers in headers."""
    group = Group("2")

    def named(name: str) -> bytes:
        return follows(PLAN, "update", {"party": name, "salt": r.APART}, r.BODY_A)

    names = {
        "empty": "",
        "blank": " ",
        "blank-first": " a",
        "blank-last": "a ",
        "too-long": "a" * 65,
        "decomposed": "e\u0301",
        "out-of-order": "a\u0301\u0323",
        "of-a-singleton": "\u212b",
        **{name: f"a{character}b" for name, character in UNPRINTABLE.items()},
    }
    for name, text in names.items():
        group.add(f"name-{name}", named(text), "cannot be a name")
    group.add("plan-name", plan_with(name="\x1b[31m"), "cannot be a name")
    group.add("plan-name-decomposed", plan_with(name="e\u0301"), "cannot be a name")

    def tensor(name: str) -> bytes:
        return envelope("tensors", {"tensors": [[name, "int8", [1]]]}, [("values", 1, b"1")])

    for name, text in {"empty": "", "too-long": "a" * 257, "unprintable": "a\u200bb"}.items():
        group.add(f"tensor-name-{name}", tensor(text), "cannot name a tensor")
    group.add("plan-tensor-name", tensors_of(["a\nb", "int8", [1]]), "cannot name a tensor")
    group.add("key-leading-zero", envelope("public key", {"n": b"\0" + integer(N)}), "not in canonical form")
    group.add("key-empty", envelope("public key", {"n": b""}), "not in canonical form")
    group.add("key-too-many-bytes", envelope("public key", {"n": integer(2**16384 + 1)}), "more than 2,048")
    keys = [*r.DEALING["keys"][:2], integer((1 << 32768) + 1)]
    group.add(
        "dealing-too-many-bytes",
        envelope("public key", {**SAFE_KEY, "dealing": {**r.DEALING, "keys": keys}}),
        "more than 4,096",
    )
    return group


def close_primes(offset: int, steps: int) -> int:
    """Make a modulus that Fermat's method splits in so many steps: without a factor below 2^20."""
    middle = int.from_bytes(hashlib.shake_256(b"middle").digest(128), "big") | 3 << 1022 | 1
    half = math.isqrt(2 * middle * steps) - offset
    assert middle - math.isqrt(middle**2 - half**2) == steps
    return middle**2 - half**2


LARGEST_SMALL, LEAST_LARGE = 1048573, 1048583
"""The primes on both sides of 2^20."""

FERMAT_1000, FERMAT_1001 = close_primes(53, 1000), close_primes(105, 1001)


def key_faults() -> Group:
    """Keys, and secrets."""
    group = Group("3 public key")

    def public(n: int) -> bytes:
        return envelope("public key", {"n": integer(n)})

    group.add("key-too-short", public(2**1000 + 1), "1001 bits is too short")
    group.add("key-even", public(N - 1), "even")
    group.add("key-prime", public(2**2203 - 1), "is prime")
    group.add("key-small-factor", public(LARGEST_SMALL * N), "small factor")
    group.add("key-square", public(SMALL_P**2), "perfect power")
    group.add("key-close-primes", public(FERMAT_1000), "too close together")
    group.add("plan-key-even", scheme_with(key=integer(N - 1)), "even")
    group.add("plan-key-too-short", scheme_with(key=integer(2**1000 + 1)), "1001 bits is too short")
    group.add("plan-key-small-factor", scheme_with(key=integer(3 * N)), "small factor", "encrypt")
    group.add("plan-key-close-primes", scheme_with(key=integer(FERMAT_1000)), "too close", "encrypt")

    def dealt(**changes: Any) -> bytes:
        return envelope("public key", {**SAFE_KEY, "dealing": {**r.DEALING, **changes}})

    keys = r.DEALING["keys"]
    group.add("dealing-of-one", dealt(threshold=1), "cannot be what opens")
    group.add("dealing-of-too-few", dealt(keys=keys[:1]), "cannot be what opens")
    group.add("dealing-of-too-many", dealt(keys=keys * 21 + keys[:2]), "cannot be what opens")
    group.add("dealing-one", dealt(v=b"\1"), "is no unit")
    group.add("dealing-no-unit", dealt(keys=[*keys[:2], integer(r.SAFE_P)]), "is no unit")
    group.add("dealing-too-large", dealt(v=integer(r.SAFE_N**2 + 1)), "is no unit")
    group.add("dealing-malformed", dealt(keys=[1, 2, 3]), "malformed")
    return group


def private_key_faults() -> Group:
    """Private keys, and the forms of a secret."""
    group = Group("3 private key")
    both = records([SMALL_P, SMALL_Q], 256)
    sealed = under_passphrase(both, pack([integer(N), False]))

    def private(secret: Map, n: int = N) -> bytes:
        return envelope("private key", {"n": integer(n), "verified_only": False, "secret": secret})

    group.add(
        "private-key-of-another-n", private({"clear": both}, r.SAFE_N), "do not make its modulus", "open"
    )
    composite = SMALL_P * SMALL_Q, r.SAFE_P
    group.add(
        "private-key-not-prime",
        private({"clear": records([*composite], 384)}, math.prod(composite)),
        "not two different primes",
        "open",
    )
    unfit = 120 * SMALL_Q + 1
    size = -(-(unfit * SMALL_Q).bit_length() // 8)
    group.add(
        "private-key-unfit",
        private({"clear": records([unfit, SMALL_Q], size)}, unfit * SMALL_Q),
        "do not fit together",
        "open",
    )
    unsaid = {"n": integer(N), "secret": {"clear": both}}
    group.add(
        "private-key-verified-only-missing", envelope("private key", unsaid), "no field 'verified_only'"
    )
    group.add(
        "private-key-verified-only-integer",
        envelope("private key", {**unsaid, "verified_only": 1}),
        "'verified_only' of the wrong type",
    )
    group.add("private-key-short-secret", private({"clear": both[1:]}), "wrong length")
    group.add("private-key-two-secrets", private({"clear": both, **sealed}), "secret")
    group.add("private-key-no-secret", private({}), "secret")
    group.add("private-key-unknown-secret", private({"plain": both}), "secret")
    group.add(
        "private-key-to-a-card",
        private({"card": card("alice"), "box": box(both, "alice", integer(N))}),
        "secret",
    )
    group.add("private-key-costly", private(under(sealed, log_n=19)), "scrypt with N = 2^19")
    group.add("private-key-cheap", private(under(sealed, log_n=9)), "scrypt with N = 2^9")
    group.add("private-key-short-salt", private(under(sealed, salt=bytes(15))), "salt or nonce")
    group.add("private-key-short-nonce", private(under(sealed, nonce=bytes(11))), "salt or nonce")
    group.add("private-key-short-box", private(under(sealed, box=bytes(527))), "wrong length")
    group.add("private-key-long-box", private(under(sealed, box=bytes(529))), "wrong length")
    group.add(
        "private-key-bound-to-another",
        private(under_passphrase(both, pack([integer(N), True]))),
        "passphrase",
        "open",
    )
    return group


def under(sealed: Map, **changes: Any) -> Map:
    """Change what stands beside or in a box under a passphrase."""
    return {"passphrase": {**sealed["passphrase"], **changes}}


def share_faults() -> Group:
    """Shares of a key."""
    group = Group("3 share")
    group.add("share-index", r.share(index=5), "is share 5 of 4")
    group.add("share-index-zero", r.share(index=0), "is share 0 of 4")
    small: Map = {"threshold": 2, "v": b"\4", "keys": [b"\x10", b"\x40"]}
    group.add(
        "share-of-a-small-key",
        r.share(n=integer(2**1000 + 1), dealing=small, secret={"clear": bytes(251)}),
        "1001 bits is too short",
    )
    group.add("share-short-secret", r.share(secret={"clear": r.SHARE_BYTES[1:]}), "wrong length")
    sealed = under_passphrase(r.SHARE_BYTES, r.SHARE_BOUND)
    group.add("share-short-box", r.share(secret=under(sealed, box=bytes(527))), "wrong length")
    boxed = box(r.SHARE_BYTES, "alice", r.SHARE_BOUND)
    to_alice = {"card": card("alice"), "box": boxed}
    group.add("share-short-box-to-a-card", r.share(secret={**to_alice, "box": boxed[:-1]}), "wrong length")
    group.add("share-without-box", r.share(secret=without(to_alice, "box")), "no field 'box'")
    group.add("share-weak-card", r.share(secret={**to_alice, "card": WEAK_AGREE}), "lets anybody")
    other = r.VALUES[1].to_bytes(512, "big")
    group.add("share-of-another", r.share(secret={"clear": other}), "does not fit its key", "open")
    group.add(
        "share-box-bound-to-another",
        r.share(secret={**to_alice, "box": box(r.SHARE_BYTES, "alice", pack([r.DEALING_DIGEST, 2]))}),
        "is not sealed to alice",
        "open",
    )
    return group


def plan_faults() -> Group:
    """Plans without a roster."""
    group = Group("3 plan")
    group.add("plan-bits", quantise_with(bits=1), "bits must be")
    group.add("plan-bits-33", quantise_with(bits=33), "bits must be")
    group.add("plan-capacity", plan_with(capacity=(1 << 14) + 1), "parties must be")
    group.add("plan-opens-one", plan_with(min_parties=1), "fewest parties must be")
    group.add("plan-opens-too-many", plan_with(min_parties=17), "fewest parties must be")
    group.add("plan-weight", plan_with(max_weight=0), "largest weight must be")
    group.add("plan-weight-too-large", plan_with(max_weight=1 << 32), "largest weight must be")
    group.add("plan-rounding", quantise_with(rounding="up"), "'up' is none of")
    group.add("plan-randomness", scheme_with(randomness="none"), "'none' is none of")
    group.add("plan-id", plan_with(id=bytes(15)), "id has the wrong length")
    group.add("plan-require-verified", plan_with(require_verified=True), "unknown field 'require_verified'")
    group.add("plan-unknown-field", plan_with(bits=8), "unknown field 'bits'")
    group.add("plan-without-codec", plan_file(without(PLAN, "codec")), "no field 'codec'")
    group.add("plan-no-tensors", tensors_of(), "holds 0 tensors")
    group.add("plan-no-values", tensors_of(["w", "float32", [0]]), "no values")
    group.add("plan-dtype", tensors_of(["w", "complex64", [1]]), "cannot be encoded")
    group.add("plan-shape", tensors_of(["w", "float32", [-1]]), "impossible shape")
    group.add("plan-shape-too-long", tensors_of(["w", "float32", [1] * 33]), "impossible shape")
    group.add("plan-shape-malformed", tensors_of(["w", "float32", [1.0]]), "malformed")
    group.add("plan-too-many-values", tensors_of(["w", "int8", [(1 << 40) + 1]]), "too many")
    group.add("plan-unsorted", tensors_of(["w", "int8", [1]], ["b", "int8", [1]]), "not in order")
    group.add("plan-name-twice", tensors_of(["w", "int8", [1]], ["w", "int8", [1]]), "two tensors named w")
    steps = {
        "zero": 0.0,
        "negative": -0.25,
        "nan": float("nan"),
        "infinite": float("inf"),
        "too-large": 2.0**512,
        "too-small": math.nextafter(2.0**-512, 0),
    }
    for name, step in steps.items():
        group.add(f"plan-step-{name}", tensors_of(["w", "int8", [1]], step=step), "impossible step")
    for name, names, says in (
        ("empty", [], "list of skipped tensors in its plan is malformed"),
        ("malformed", [1], "list of skipped tensors in its plan is malformed"),
        ("unsorted", ["c", "a"], "skipped tensors are not in order"),
        ("twice", ["a", "a"], "skipped tensors are not in order"),
        ("of-the-round", ["bias"], "tensor bias is one of the round's, and skipped"),
        ("unprintable", ["a\nb"], "cannot name a tensor"),
    ):
        group.add(f"plan-skipped-{name}", plan_with(skipped=names), says)
    group.add("plan-skipped-text", plan_with(skipped="a"), "'skipped' of the wrong type")
    group.add("plan-step-integer", quantise_with(steps=[0.25, 1]), "malformed")
    group.add("plan-steps-too-few", quantise_with(steps=[0.25]), "steps")
    group.add("plan-steps-too-many", quantise_with(steps=[0.25, 0.5, 0.5]), "steps")
    sparse = {"step": "sparse"}
    group.add("codec-unknown-step", plan_with(codec=[sparse, r.QUANTISE, r.PACK]), "unknown step 'sparse'")
    group.add("codec-unknown-last-step", plan_with(codec=[r.QUANTISE, sparse]), "unknown step 'sparse'")
    for name, codec in {
        "empty": [],
        "in-wrong-order": [r.PACK, r.QUANTISE],
        "without-pack": [r.QUANTISE],
        "twice": [r.QUANTISE, r.PACK, r.PACK],
    }.items():
        group.add(f"codec-{name}", plan_with(codec=codec), "codec")
    group.add("codec-malformed", plan_with(codec=["quantise", "pack"]), "codec")
    group.add("codec-unknown-field", quantise_with(x=1), "unknown field 'x'")
    group.add("codec-pack-field", plan_with(codec=[r.QUANTISE, {**r.PACK, "x": 1}]), "unknown field 'x'")
    group.add("codec-without-bits", plan_with(codec=[without(r.QUANTISE, "bits"), r.PACK]), "no field 'bits'")
    group.add("scheme-unknown", plan_with(scheme={"name": "x"}), "unknown scheme 'x'")
    group.add("scheme-without-name", plan_with(scheme=without(r.PAILLIER, "name")), "no field 'name'")
    group.add("scheme-unknown-field", scheme_with(x=1), "unknown field 'x'")
    group.add("scheme-without-key", plan_with(scheme=without(r.PAILLIER, "key")), "no field 'key'")
    group.add("scheme-without-randomness", plan_with(scheme=without(r.PAILLIER, "randomness")), "no field")
    for name, changes, says in (
        ("plan-opens-alone", {"threshold": 1}, "threshold cannot be"),
        ("plan-opens-more-than-there-are", {"threshold": 5}, "threshold cannot be"),
        ("plan-opens-twice", {"threshold": 2}, "one dishonest holder opens two sums"),
        ("plan-opens-of-65", {"shares": 65}, "threshold cannot be"),
        ("plan-opens-short-digest", {"dealing": bytes(31)}, "threshold cannot be"),
        ("plan-opens-unknown-field", {"x": 1}, "unknown field 'x'"),
    ):
        scheme = {**r.SHARED_PLAN["scheme"], "opens": {**r.OPENS, **changes}}
        group.add(name, plan_with(scheme=scheme), says)
    group.add("masks-without-roster", scheme_with(masks={"dropouts": 0}), "parties of a roster")
    group.add(
        "scheme-masks-without-roster",
        plan_with(scheme={"name": "masks", "dropouts": 0}),
        "parties of a roster",
    )
    return group


def position_faults() -> Group:
    """Plans of a training."""
    group = Group("3 plan")
    first, second = t.FIRST_PLAN["position"], t.SECOND_PLAN["position"]

    def placed(plan: Map, **changes: Any) -> bytes:
        return plan_file({**plan, "position": {**plan["position"], **changes}})

    malformed = "the training in its plan is malformed"
    group.add("position-short-training", placed(t.FIRST_PLAN, training=bytes(31)), malformed)
    group.add("position-long-model", placed(t.FIRST_PLAN, model=bytes(33)), malformed)
    group.add("position-round-0", placed(t.FIRST_PLAN, round=0), malformed)
    group.add("position-round-100000", placed(t.SECOND_PLAN, round=100_000), malformed)
    group.add("position-attempt-0", placed(t.FIRST_PLAN, attempt=0), malformed)
    group.add("position-attempt-100000", placed(t.FIRST_PLAN, attempt=100_000), malformed)
    group.add("position-previous-in-round-1", placed(t.FIRST_PLAN, previous=second["previous"]), malformed)
    group.add("position-no-previous-in-round-2", placed(t.SECOND_PLAN, previous=b""), malformed)
    group.add("position-short-previous", placed(t.SECOND_PLAN, previous=bytes(31)), malformed)
    group.add("position-unknown-field", placed(t.FIRST_PLAN, x=1), "unknown field 'x'")
    group.add(
        "position-without-attempt",
        plan_file({**t.FIRST_PLAN, "position": without(first, "attempt")}),
        "no field 'attempt'",
    )
    group.add("position-text", placed(t.FIRST_PLAN, round="1"), "'round' of the wrong type")
    group.add("position-nil", plan_file({**t.FIRST_PLAN, "position": None}), "'position' of the wrong type")
    group.add("position-without-roster", plan_with(position=first), "a round of a training has no roster")
    names = [item[0] for item in t.FIRST_PLAN["tensors"]]
    for name, metrics in (
        ("empty", []),
        ("malformed", [1]),
        ("unsorted", t.FIRST_PLAN["metrics"][::-1]),
        ("twice", t.FIRST_PLAN["metrics"][:1] * 2),
        ("of-no-tensor", ["hecli.metric.other"]),
        ("all-tensors", names),
    ):
        says = "the list of metrics in its plan is malformed"
        group.add(f"plan-metrics-{name}", plan_file({**t.FIRST_PLAN, "metrics": metrics}), says)
    return group


def terms(**changes: Any) -> bytes:
    """Make terms in which some fields differ."""
    return t.training_file({**t.TRAINING, **changes})


def goal(**changes: Any) -> bytes:
    """Make terms in which some fields of the goal differ."""
    return terms(goal={**t.TRAINING["goal"], **changes})


def training_faults() -> Group:
    """Terms of a training."""
    group = Group("3 training")

    terms_ = {**t.TRAINING, "kem": [kem_key(name) for name in t.TRAINING["roster"]["parties"]]}
    unsigned = envelope("training", terms_)
    group.add("training-unsigned", unsigned, "is not signed by its coordinator anna")
    group.add(
        "training-signed-by-a-party", t.training_file(t.TRAINING, "bob"), "is not signed by its coordinator"
    )
    group.add(
        "training-signed-by-another-card",
        t.training_file(t.TRAINING, card("anna", "mallory")),
        "is not signed by its coordinator",
    )
    group.add(
        "training-signed-for-a-plan",
        envelope("training", terms_, signer="anna", plan=bytes(32)),
        "does not hold",
    )
    bare = envelope("training", t.TRAINING, signer="anna")
    group.add("training-without-kem", bare, "has not one ML-KEM key for each party")
    long = envelope("training", terms_, [("lanes", 1, b"x")], signer="anna")
    group.add("training-with-a-section", long, "calls for no records")
    for name in without(t.TRAINING, "goal"):
        says = f"no field '{name}'"
        group.add(f"training-without-{name}", t.training_file(without(t.TRAINING, name)), says)
    group.add("training-unknown-field", terms(x=1), "unknown field 'x'")
    group.add("training-name", terms(name=" spring"), "cannot be a name")
    digests = "cannot have an id or digest in it"
    group.add("training-short-id", terms(id=bytes(15)), digests)
    group.add("training-short-model", terms(model=bytes(31)), digests)
    group.add("training-rounds-0", terms(rounds=0), "cannot have 0 rounds")
    group.add("training-rounds-100000", terms(rounds=100_000), "cannot have 100,000 rounds")
    group.add("training-rounds-float", terms(rounds=9.0), "'rounds' of the wrong type")
    group.add("training-deadline-0", terms(deadline=0), "cannot have a deadline")
    group.add("training-deadline-too-long", terms(deadline=31_622_401), "cannot have a deadline")
    group.add("training-rule", terms(rule="adam"), "cannot have the rule 'adam'")
    for name, value in (("nan", math.nan), ("infinite", math.inf)):
        group.add(f"training-lr-{name}", terms(lr=value), "times the mean")
        group.add(f"training-range-{name}", terms(range=value), "cannot have a range")
        group.add(f"training-metric-range-{name}", terms(metrics=[["accuracy", value]]), "cannot be")
        group.add(f"training-target-{name}", goal(target=value), "a target that is no finite number")
    group.add("training-lr-integer", terms(lr=1), "'lr' of the wrong type")
    group.add("training-bits-1", terms(bits=1), "cannot have values of 1 bits")
    group.add("training-bits-33", terms(bits=33), "cannot have values of 33 bits")
    group.add("training-rounding", terms(rounding="up"), "cannot have the rounding 'up'")
    group.add("training-range-0", terms(range=0.0), "cannot have a range")
    group.add("training-range-negative", terms(range=-1.0), "cannot have a range")
    group.add("training-range-nil", terms(range=None), "'range' of the wrong type")
    group.add("training-keep-negative", terms(keep=-1), "a number below 0")
    return group


def training_list_faults() -> Group:
    """Lists in the terms of a training."""
    group = Group("3 training")
    unjudged = without(t.TRAINING, "goal")
    group.add("training-no-tensors", terms(tensors=[], skipped=[]), "holds 0 tensors")
    group.add("training-tensors-unsorted", terms(tensors=t.ITEMS[::-1]), "not in order")
    skips = "cannot have the list of skipped tensors"
    group.add("training-skipped-all", terms(skipped=[item[0] for item in t.ITEMS]), skips)
    group.add("training-skipped-unsorted", terms(skipped=["frozen", "bias"]), skips)
    group.add("training-skipped-twice", terms(skipped=["frozen", "frozen"]), skips)
    group.add("training-skipped-of-no-tensor", terms(skipped=["frozen", "other"]), skips)
    group.add("training-skipped-malformed", terms(skipped=[1]), "skipped tensors is malformed")
    lists = "cannot have the list of metrics"
    group.add("training-metrics-unsorted", terms(metrics=t.TRAINING["metrics"][::-1]), lists)
    group.add("training-metric-twice", terms(metrics=[["accuracy", 1.0], ["accuracy", 2.0]]), lists)
    many = [["accuracy", 1.0], *([f"b{at:02}", 1.0] for at in range(16))]
    group.add("training-metrics-17", terms(metrics=many), lists)
    for name, metric, says in (
        ("malformed", ["accuracy"], "a metric in it is malformed"),
        ("range-integer", ["accuracy", 1], "a metric in it is malformed"),
        ("range-0", ["accuracy", 0.0], "cannot be"),
        ("name", ["accuracy ", 1.0], "cannot be a name"),
        ("long-name", ["accuracy" * 3 + "x", 1.0], "cannot be"),
        ("quoted", ['"accuracy"', 1.0], "cannot be"),
        ("backslash", ["accura\\cy", 1.0], "cannot be"),
    ):
        group.add(f"training-metric-{name}", t.training_file({**unjudged, "metrics": [metric]}), says)
    return group


def training_goal_faults() -> Group:
    """Goals of a training, and what its plans are made of."""
    group = Group("3 training")

    def roster(**changes: Any) -> bytes:
        return terms(roster={**r.ROSTER, **changes})

    group.add("training-goal-of-no-metric", goal(metric="other"), "a goal that is none of its metrics")
    group.add("training-goal-without-metrics", terms(metrics=[]), "a goal that is none of its metrics")
    group.add("training-goal-nil", terms(goal=None), "'goal' of the wrong type")
    group.add("training-goal-unknown-field", goal(x=1), "unknown field 'x'")
    group.add(
        "training-goal-without-patience",
        terms(goal=without(t.TRAINING["goal"], "patience")),
        "no field 'patience'",
    )
    group.add("training-goal-patience", goal(patience=-1), "a number below 0")
    group.add("training-goal-integer", goal(maximize=1), "'maximize' of the wrong type")
    group.add("training-target-nil", goal(target=None), "'target' of the wrong type")
    group.add("training-target-integer", goal(target=1), "'target' of the wrong type")
    group.add("training-scheme", terms(scheme={"name": "x"}), "unknown scheme 'x'")
    group.add("training-roster-unsorted", roster(parties=["bob", "alice"]), "names are out of order")
    group.add(
        "training-roster-weak-card",
        roster(members=[WEAK_SIGN, card("anna"), card("bob")]),
        "lets anybody",
    )
    none = "no plan follows from it"
    group.add("training-opens-one", terms(min_parties=1), none)
    group.add("training-opens-too-many", terms(min_parties=3), none)
    group.add("training-weight-0", terms(max_weight=0), none)
    group.add("training-of-one-party", roster(members=[card("alice"), card("anna")], parties=["alice"]), none)
    group.add("training-too-many-dropouts", terms(scheme={"name": "masks", "dropouts": 1}), none)
    group.add("training-range-too-large", terms(range=2.0**600), none)
    group.add("training-metric-too-fine", terms(metrics=[["accuracy", 2.0**-500]]), none)
    group.add(
        "training-tensor-of-a-metric",
        terms(tensors=sorted([*t.ITEMS, ["hecli.metric.loss", "float32", [1]]])),
        none,
    )
    return group


def mask_plan_faults() -> Group:
    """Plans with masks."""
    group = Group("3 plan")

    def alone(**changes: Any) -> bytes:
        return plan_file({**r.MASKED_PLAN, "scheme": {**r.MASKED_PLAN["scheme"], **changes}})

    def hidden(masks: Map) -> bytes:
        return plan_file({**r.HIDDEN_PLAN, "scheme": {**r.PAILLIER, "masks": masks}})

    group.add("plan-without-kem", follows(r.MASKED_PLAN, "plan", {}, signer="anna"), "holds ML-KEM keys")
    keys = [kem_key(name) for name in ("alice", "bob")]
    needless = follows(r.SIGNED_PLAN, "plan", {"kem": keys}, signer="anna")
    group.add("plan-with-kem", needless, "holds ML-KEM keys")
    exchanged = follows(r.MASKED_PLAN, "plan", {"kem": keys[::-1]}, signer="anna")
    group.add("plan-kem-exchanged", exchanged, "not that of the card")
    fewer = follows(r.MASKED_PLAN, "plan", {"kem": keys[:1]}, signer="anna")
    group.add("plan-kem-fewer", fewer, "one ML-KEM key for each party")
    group.add("masks-dropouts", hidden({"dropouts": 1}), "too many to drop out")
    group.add("masks-dropouts-negative", hidden({"dropouts": -1}), "too many to drop out")
    group.add("masks-fields", hidden({}), "no field 'dropouts'")
    group.add("masks-unknown-field", hidden({"dropouts": 0, "x": 1}), "unknown field 'x'")
    group.add("scheme-masks-dropouts", alone(dropouts=1), "too many to drop out")
    group.add("scheme-masks-with-key", alone(key=integer(N)), "unknown field 'key'")
    group.add("scheme-masks-with-opens", alone(opens=r.OPENS), "unknown field 'opens'")
    group.add(
        "scheme-masks-without-dropouts",
        plan_file({**r.MASKED_PLAN, "scheme": {"name": "masks"}}),
        "no field 'dropouts'",
    )
    return group


def part_plan_faults() -> Group:
    """Plans of which a part travels otherwise."""
    group = Group("3 plan")

    def parts(plan: Map = r.PARTS_PLAN, **changes: Any) -> bytes:
        return plan_file({**plan, **changes})

    under_masks, clear = "list of masked tensors in its plan is malformed", "list of what is plain"
    alone, one = without(r.PARTS_PLAN, "plain"), without(r.PARTS_PLAN, "masked")
    two: Map = {"tensors": ["bias", "weight"], "dropouts": 0}
    left = "nothing of the model is left to encrypt"
    none: list[list[Any]] = [
        ["bias", "float32", [2]],
        ["none", "float32", [0]],
        ["weight", "float64", [2, 2]],
    ]
    three: Map = {"tensors": none, "codec": [{**r.QUANTISE, "steps": [1.0] * 3}, r.PACK]}
    for name, tensors, says in (
        ("empty", [], under_masks),
        ("malformed", [1], under_masks),
        ("unsorted", ["weight", "bias"], "names of the masked tensors are not in order"),
        ("twice", ["bias", "bias"], "names of the masked tensors are not in order"),
        ("of-no-tensor", ["bias", "other"], "tensor other is masked, and the round has no values of it"),
        ("everything", ["bias", "weight"], left),
    ):
        group.add(f"masked-{name}", parts(alone, masked={**two, "tensors": tensors}), says)
    group.add(
        "masked-no-values", parts(alone, **three, masked={**two, "tensors": ["none"]}), "no values of it"
    )
    of_bias = r.PARTS_PLAN["masked"]
    group.add("masked-list", parts(masked=["bias"]), "'masked' of the wrong type")
    group.add("masked-without-dropouts", parts(masked=without(of_bias, "dropouts")), "no field 'dropouts'")
    group.add("masked-unknown-field", parts(masked={**of_bias, "x": 1}), "unknown field 'x'")
    group.add("masked-dropouts", parts(masked={**of_bias, "dropouts": 1}), "too many to drop out")
    group.add("masked-dropouts-negative", parts(masked={**of_bias, "dropouts": -1}), "too many to drop out")
    group.add("masked-without-roster", plan_with(masked=of_bias), "parties of a roster")
    group.add(
        "masked-under-masks", plan_file({**r.MASKED_PLAN, "masked": of_bias}), "masks everything already"
    )
    hidden = {**r.PAILLIER, "masks": {"dropouts": 0}}
    group.add(
        "masked-with-other-dropouts",
        parts(r.PARTS_DROPOUT_PLAN, scheme=hidden),
        "come off with as many dropouts",
    )
    for name, items, says in (
        ("empty", [], clear),
        ("malformed", ["weight"], clear),
        ("without-values", [["weight"]], clear),
        ("without-an-end", [["weight", 0]], clear),
        ("of-bools", [["weight", False, True]], clear),
        ("nested", [["weight", [0, 1]]], clear),
        ("no-name", [[0, 0, 1]], clear),
        ("unsorted", [["weight", 0, 1], ["bias", 0, 1]], "names of the plain tensors are not in order"),
        ("twice", [["bias", 0, 1], ["bias", 1, 2]], "names of the plain tensors are not in order"),
        ("of-no-tensor", [["other", 0, 1]], "tensor other is plain, and the round has no values of it"),
        ("backwards", [["weight", 2, 1]], clear),
        ("nothing", [["weight", 1, 1]], clear),
        ("touching", [["weight", 0, 1, 1, 2]], clear),
        ("overlapping", [["weight", 0, 2, 1, 3]], clear),
        ("beyond", [["weight", 0, 5]], "not in order, or none of its"),
        ("negative", [["weight", -1, 1]], "not in order, or none of its"),
        ("everything", [["bias", 0, 2], ["weight", 0, 4]], left),
    ):
        group.add(f"plain-{name}", parts(one, plain=items), says)
    group.add("plain-map", parts(one, plain={"weight": [0, 1]}), "'plain' of the wrong type")
    group.add("plain-no-values", parts(one, **three, plain=[["none", 0, 1]]), "no values of it")
    group.add("plain-and-masked", parts(plain=[["bias", 0, 1]]), "tensor bias is masked, and plain")
    group.add("plain-all-but-metrics", parts(one, plain=[["weight", 0, 4]], metrics=["bias"]), left)
    group.add("plain-and-masked-everything", parts(plain=[["weight", 0, 4]]), left)
    some = [["weight", 0, 1]]
    group.add("plain-under-masks", plan_file({**r.MASKED_PLAN, "plain": some}), "nothing in the clear")
    group.add(
        "plain-under-a-key-and-masks", plan_file({**r.HIDDEN_PLAN, "plain": some}), "nothing in the clear"
    )
    rotated = [{"step": "rotate"}, r.QUANTISE, r.PACK]
    group.add("plain-in-part-and-rotated", parts(codec=rotated), "lanes are made of many values")
    digits = [{**r.QUANTISE, "digits": [1, 2]}, r.PACK]
    group.add("plain-in-part-and-in-digits", parts(codec=digits), "lanes are made of many values")
    sampled = [{"step": "rotate"}, {"step": "sample", "count": 1024}, r.QUANTISE, r.PACK]
    group.add(
        "plain-and-sampled",
        parts(one, codec=sampled, plain=[["bias", 0, 2]]),
        "what is left out of an update is sent with a later one",
    )
    group.add("scheme-plain", plan_with(scheme={"name": "plain"}), "unknown scheme 'plain'")
    return group


def part_faults() -> Group:
    """Updates, aggregates and sums of which a part travels otherwise."""
    group = Group("3 sections")
    under_masks, clear, *rest = r.PARTS_BODIES[0]
    header = {"party": "alice", "salt": r.APART}
    enrolled = {"enrolled": r.enrolled_in(r.PARTS_PLAN)}

    def update(*body: tuple[str, int, bytes]) -> bytes:
        return follows(r.PARTS_PLAN, "update", {**header, **enrolled}, list(body), signer="alice")

    calls = "where its header calls for"
    group.add("parts-without-masked", update(clear, *rest), calls)
    group.add("parts-without-plain", update(under_masks, *rest), calls)
    group.add("parts-swapped", update(clear, under_masks, *rest), calls)
    group.add("parts-behind-lanes", update(rest[0], under_masks, clear, *rest[1:]), calls)
    group.add("parts-one-too-many", update(under_masks, (*clear[:2], 2 * clear[2]), *rest), calls)
    group.add(
        "parts-as-wide-as-ciphertexts", update((under_masks[0], 512, under_masks[2]), clear, *rest), calls
    )
    unasked = follows(r.SIGNED_PLAN, "update", header, [clear, *r.SIGNED_BODY_A], signer="alice")
    group.add("parts-that-nobody-asked-for", unasked, calls)

    group.rule = "8"
    modulus = ("masked", 1024, RING.to_bytes(1024, "big"))
    with_bob = "aggregate with parts-bob.enc"
    group.add("aggregate-masked-part-modulus", update(modulus, clear, *rest), "not below", with_bob)

    group.rule = "4"
    modulus = ("plain", 1024, RING.to_bytes(1024, "big"))
    group.add("aggregate-plain-part-modulus", update(under_masks, modulus, *rest), "not below", with_bob)

    def aggregate(**changes: bytes) -> bytes:
        body = [(name, size, changes.get(name, content)) for name, size, content in r.PARTS_BODY]
        named = {"contributors": r.PARTS_CONTRIBUTORS, **enrolled}
        return follows(r.PARTS_PLAN, "aggregate", named, body, signer="bob")

    group.rule = "5"
    none = "no sum of updates"
    clear_sums = r.BOTH[3:6:2]

    def opened(values: list[int], count: int = 2) -> bytes:
        return lanes(r.PARTS_PLAN, values, count, RING).to_bytes(1024, "big")

    group.add("decrypt-plain-part-count", aggregate(plain=opened(clear_sums, 3)), none, "decrypt")
    group.add("decrypt-plain-part-too-large", aggregate(plain=opened([509, 0])), none, "decrypt")
    group.add("decrypt-plain-part-left-over", aggregate(plain=opened([*clear_sums, 1])), none, "decrypt")
    group.add("decrypt-masked-part-count", aggregate(masked=opened(r.BOTH[:2], 1)), none, "decrypt")

    group.rule = "9"
    for name, place in (("masked", 0), ("plain", 3), ("encrypted", 2)):
        values = [each + (at == place) for at, each in enumerate(r.BOTH)]
        group.add(f"sum-of-another-{name}-part", r.parts_sum(values), "is not what", "verify with parts.agg")
    return group


def roster_faults() -> Group:
    """Rosters, and who signed a plan."""
    group = Group("3 plan")

    def plan(**changes: Any) -> bytes:
        return plan_file({**r.SIGNED_PLAN, "roster": {**r.ROSTER, **changes}})

    alice, anna, bob = (card(name) for name in ("alice", "anna", "bob"))
    group.add("plan-unsigned", follows(r.SIGNED_PLAN, "plan", {}), "not signed by its coordinator")
    group.add("plan-signed-by-another", plan_file(r.SIGNED_PLAN, "bob"), "not signed by its coordinator")
    group.add("roster-capacity", plan_file({**r.SIGNED_PLAN, "capacity": 3}), "not that of the roster")
    group.add(
        "roster-name-twice", plan(members=[*sorted([alice, card("alice", "carol")]), anna, bob]), "same name"
    )
    group.add("roster-key-twice", plan(members=[alice, anna, ["bob", alice[1], *bob[2:]]]), "the same key")
    group.add(
        "roster-agree-twice", plan(members=[alice, anna, ["bob", bob[1], alice[2], bob[3]]]), "the same key"
    )
    group.add("roster-kem-twice", plan(members=[alice, anna, [*bob[:3], alice[3]]]), "the same key")
    group.add("roster-old-card", plan(members=[alice, anna, bob[:3]]), "no key against quantum computers")
    group.add(
        "roster-card-of-nobody", plan(members=[alice, anna, bob, card("carol")]), "not those of its cards"
    )
    group.add("roster-name-without-card", plan(keyholders=["carol"]), "not those of its cards")
    group.add("roster-unsorted", plan(parties=["bob", "alice"]), "out of order")
    group.add(
        "roster-party-twice",
        plan_file(
            {**r.SIGNED_PLAN, "capacity": 3, "roster": {**r.ROSTER, "parties": ["alice", "bob", "bob"]}}
        ),
        "out of order",
    )
    group.add("roster-cards-unsorted", plan(members=[anna, alice, bob]), "cards are out of order")
    group.add("roster-malformed", plan(keyholders=[1]), "roster is malformed")
    group.add("roster-weak-sign", plan(members=[WEAK_SIGN, anna, bob]), "lets anybody")
    group.add("roster-weak-agree", plan(members=[WEAK_AGREE, anna, bob]), "lets anybody")
    return group


def round_faults() -> Group:
    """Encoded files, updates, aggregates and sums of a plan without a roster."""
    group = Group("3 encoded")

    def encoded(total: int, values: list[int] = r.A) -> bytes:
        sections: Sections = [("lanes", 1, bytes(values)), ("control", 24, records([total], 24))]
        return follows(PLAN, "encoded", {}, sections)

    group.add("encoded-weight", encoded(control(1, 11, 1)), "weight is not from 1 to 10")
    group.add("encoded-weight-zero", encoded(control(1, 0, 1)), "weight is not from 1 to 10")
    group.add("encoded-clipped", encoded(control(1, 10, 7)), "more values were clipped")
    group.add("encoded-count", encoded(control(2, 10, 1)), "control")
    group.add("encoded-lane", encoded(r.CONTROL_A, [255, *r.A[1:]]), "lane value above 254")
    group.add(
        "encoded-unknown-field", follows(PLAN, "encoded", {"weight": 10}, r.ENCODED), "unknown field 'weight'"
    )

    group.rule = "3 aggregate"

    def aggregate(contributors: list[Any]) -> bytes:
        return follows(PLAN, "aggregate", {"contributors": contributors}, r.BODY_AB)

    group.add("aggregate-of-nobody", aggregate([]), "missing or out of order")
    group.add("aggregate-unsorted", aggregate(r.CONTRIBUTORS[::-1]), "missing or out of order")
    group.add("aggregate-twice", aggregate(r.CONTRIBUTORS[:1] * 2), "a contributor twice")
    party = [["a", bytes(32)], ["a", bytes([1] * 32)]]
    group.add("aggregate-party-twice", aggregate(party), "a contributor twice")
    group.add("aggregate-short-digest", aggregate([["a", bytes(31)]]), "malformed")
    group.add(
        "aggregate-beyond-capacity",
        aggregate([[None, bytes([at]) * 32] for at in range(17)]),
        "more contributors than",
    )
    group.add(
        "contributor-signed-without-roster",
        aggregate([["alice", bytes(32), bytes(64)]]),
        "and its plan no roster",
    )

    group.rule = "3 sum"

    def total(sections: Sections = r.SUM, **changes: Any) -> bytes:
        return follows(PLAN, "sum", {**r.SUM_HEADER, **changes}, sections)

    one: Map = {"contributors": r.CONTRIBUTORS[1:], "weight": 10}
    group.add("sum-of-one", total([("lanes", 2, records(r.A, 2)), r.SUM[1]], **one), "has 1 contributors")
    group.add("sum-weight", total(weight=21), "out of range")
    group.add("sum-weight-too-small", total(weight=1), "out of range")
    group.add("sum-clipped", total(clipped=13), "out of range")
    group.add("sum-clipped-negative", total(clipped=-1), "negative")
    group.add("sum-short-digest", total(aggregate=bytes(31)), "wrong length")
    group.add("sum-lane", total([("lanes", 2, records([509, *r.BOTH[1:]], 2)), r.SUM[1]]), "out of range")

    group.rule = "3 tensors"
    pair = [["w", "int8", [1]], ["b", "int8", [1]]]

    def tensors(*items: list[Any]) -> bytes:
        return envelope("tensors", {"tensors": list(items)}, [("values", 1, b"12")])

    group.add("tensors-unsorted", tensors(*pair), "not in order")
    group.add(
        "tensors-in-order-of-utf-16",
        tensors(["\U00010000", "int8", [1]], ["\uff21", "int8", [1]]),
        "not in order",
    )
    group.add("tensors-name-twice", tensors(pair[0], pair[0]), "two tensors named w")
    group.add("tensors-malformed", tensors(["w", "int8", 2]), "malformed")
    return group


def signature_faults() -> Group:
    """Signatures, and whose they must be."""
    group = Group("1 signatures")
    alice_card = {"card": card("alice"), "kem": kem_key("alice")}
    signed = envelope("card", alice_card, signer="alice")
    own = sign("alice", "card", b"", file_digest(signed))

    def with_signatures(*signatures: list[Any]) -> bytes:
        return envelope("card", alice_card, trailer={"signatures": list(signatures)})

    group.add("signature-malformed", with_signatures([*own[:4], own[4][:-1]]), "signature is malformed")
    group.add("signature-of-an-old-card", with_signatures([*own[:3], own[4]]), "no key against quantum")
    group.add("signature-twice", with_signatures(own, own), "more than one signature")
    group.add("signature-truncated", r.SIGNED_A[:-1], "ends too early")

    def update(signature: list[Any]) -> bytes:
        return follows(
            r.SIGNED_PLAN,
            "update",
            {"party": "alice", "salt": r.APART},
            r.SIGNED_BODY_A,
            trailer={"signatures": [signature]},
        )

    digest_, own_digest = plan_digest(r.SIGNED_PLAN), file_digest(r.SIGNED_A)
    says = "does not hold"
    group.add("signature-for-another-kind", update(sign("alice", "aggregate", digest_, own_digest)), says)
    group.add(
        "signature-for-another-plan", update(sign("alice", "update", plan_digest(PLAN), own_digest)), says
    )
    group.add("signature-for-another-file", update(sign("alice", "update", digest_, bytes(32))), says)
    group.add(
        "signature-without-roster",
        follows(
            PLAN,
            "update",
            {"party": "alice", "salt": r.APART},
            r.BODY_A,
            trailer={"signatures": [sign("alice", "update", plan_digest(PLAN), bytes(32))]},
        ),
        says,
    )
    group.add(
        "signature-weak-key",
        follows(PLAN, "update", {"party": "alice", "salt": r.APART}, r.BODY_A, signer=WEAK_SIGN),
        "lets anybody",
    )
    group.add(
        "signature-weak-agree",
        follows(PLAN, "update", {"party": "alice", "salt": r.APART}, r.BODY_A, signer=WEAK_AGREE),
        "lets anybody",
    )
    group.add(
        "signature-of-another-party",
        follows(PLAN, "update", {"party": "a", "salt": r.APART}, r.BODY_A, signer="alice"),
        "is a's, and signed by alice",
    )

    group.rule = "3 roster"

    def party(name: str, signer: object) -> bytes:
        return follows(
            r.SIGNED_PLAN, "update", {"party": name, "salt": r.APART}, r.SIGNED_BODY_A, signer=signer
        )

    group.add("signature-by-another", party("alice", "bob"), "is alice's, and signed by bob")
    group.add("signature-by-a-namesake", party("alice", card("alice", "mallory")), "has the card")
    group.add("signature-by-a-stranger", party("mallory", "mallory"), "not on the plan's roster")
    group.add("signature-by-no-party", party("anna", "anna"), "may not send an update")
    group.add(
        "signature-missing",
        follows(r.SIGNED_PLAN, "update", {"party": "alice", "salt": r.APART}, r.SIGNED_BODY_A),
        "not signed",
    )
    group.add(
        "signature-missing-aggregate",
        follows(r.SIGNED_PLAN, "aggregate", {"contributors": r.SIGNED_CONTRIBUTORS}, r.SIGNED_BODY_AB),
        "not signed",
    )
    group.add(
        "signature-missing-sum",
        follows(r.SIGNED_PLAN, "sum", r.SIGNED_SUM_HEADER, r.SIGNED_SUM),
        "not signed",
    )
    group.add(
        "sum-by-no-keyholder",
        follows(r.SIGNED_PLAN, "sum", r.SIGNED_SUM_HEADER, r.SIGNED_SUM, signer="bob"),
        "may not open sums",
    )
    chosen: Map = {**r.SIGNED_PLAN, "roster": {**r.ROSTER, "aggregators": ["anna"]}}
    listed = [
        [name, bytes([at] * 32), sign(name, "update", plan_digest(chosen), bytes([at] * 32))[4]]
        for at, name in enumerate(("alice", "bob"))
    ]
    group.add(
        "aggregate-by-no-aggregator",
        follows(chosen, "aggregate", {"contributors": listed}, r.SIGNED_BODY_AB, signer="bob"),
        "may not aggregate",
    )

    def aggregate(*contributors: list[Any]) -> bytes:
        header: Map = {"contributors": list(contributors)}
        return follows(r.SIGNED_PLAN, "aggregate", header, r.SIGNED_BODY_AB, signer="bob")

    alice, bob = r.SIGNED_CONTRIBUTORS
    by_anna = sign("anna", "update", digest_, bytes(32))[4]
    group.add("contributor-unsigned", aggregate(alice, bob[:2]), "no signed update of a party")
    group.add(
        "contributor-no-party", aggregate(alice, ["anna", bytes(32), by_anna]), "no signed update of a party"
    )
    group.add("contributor-signature", aggregate(alice, [*bob[:2], alice[2]]), "signature under the update")
    group.add("contributor-signature-malformed", aggregate(alice, [*bob[:2], bob[2][:-1]]), "malformed")
    return group


def people_faults() -> Group:
    """Cards and identities."""
    group = Group("3 card")
    own = {"card": card("alice")}
    known = {**own, "kem": kem_key("alice")}
    group.add("card-unsigned", envelope("card", known), "not signed by its own key")
    group.add("card-signed-by-another", envelope("card", known, signer="bob"), "not signed by its own key")
    short = {**known, "card": ["alice", bytes(31), *card("alice")[2:]]}
    group.add("card-short-key", envelope("card", short, signer="alice"), "a card in it is malformed")
    weak = [{**known, "card": each} for each in (WEAK_SIGN, WEAK_AGREE)]
    group.add("card-weak-sign", envelope("card", weak[0], signer=WEAK_SIGN), "lets anybody")
    group.add("card-weak-agree", envelope("card", weak[1], signer=WEAK_AGREE), "lets anybody")
    old = envelope("card", {"card": card("alice")[:3]}, signer="alice")
    group.add("card-without-kem", old, "no key against quantum computers")
    group.add("card-without-kem-key", envelope("card", own, signer="alice"), "no field 'kem'")

    def with_key(key: bytes, digest_: bytes | None = None) -> bytes:
        changed = [*card("alice")[:3], digest_ or card("alice")[3]]
        return envelope("card", {"card": changed, "kem": key}, signer=changed)

    group.add("card-with-another-s-kem-key", with_key(kem_key("bob")), "not that of the card")
    # 4095 is no number below q: FIPS 203, section 7.2.
    no_key = bytes([255]) * 1152 + bytes(32)
    group.add("card-kem-key-that-is-none", with_key(no_key, digest("kem", no_key)), "not that of the card")
    cut = kem_key("alice")[:-1]
    group.add("card-short-kem-key", with_key(cut, digest("kem", cut)), "not that of the card")

    group.rule = "3 identity"

    def identity(secret: Map) -> bytes:
        return envelope("identity", {**own, "secret": secret})

    group.add(
        "identity-of-another",
        identity({"clear": all_secrets("bob")}),
        "not those of its card",
        "open",
    )
    group.add("identity-short-secret", identity({"clear": all_secrets("alice")[1:]}), "wrong length")
    sealed = under_passphrase(all_secrets("alice"), pack(card("alice")))
    group.add("identity-short-box", identity(under(sealed, box=bytes(143))), "wrong length")
    group.add("identity-unknown-field", identity(under(sealed, x=1)), "unknown field 'x'")
    group.add(
        "identity-to-a-card",
        identity({"card": card("bob"), "box": box(all_secrets("alice"), "bob", pack(card("alice")))}),
        "secret",
    )
    return group


def ledger_faults() -> Group:
    """Entries and use records."""
    group = Group("3 entry")

    def entry(**changes: Any) -> bytes:
        header = {**r.SECOND_ENTRY, **changes}
        return envelope("entry", header, signer="anna", plan=header["plan"])

    group.add("entry-unsigned", envelope("entry", r.ENTRY), "not signed by anna")
    group.add("entry-by-another", envelope("entry", r.ENTRY, signer="bob"), "not signed by anna")
    group.add(
        "entry-signed-for-another-plan", envelope("entry", r.SECOND_ENTRY, signer="anna"), "does not hold"
    )
    group.add("entry-number", entry(number=0), "cannot have the number 0")
    group.add("entry-number-too-large", entry(number=10**8), "cannot have the number")
    group.add("entry-founded-later", entry(event="founded"), "cannot be entry 2")
    group.add("entry-first-not-founded", entry(number=1), "cannot be entry 1")
    group.add("entry-event", entry(event="other", cards=[]), "cannot be entry 2")
    group.add("entry-previous", entry(previous=bytes(31)), "wrong length")
    group.add("entry-plan", entry(plan=bytes(31)), "wrong length")
    group.add("entry-files", entry(files=[["a"]]), "list of files")
    group.add("entry-file-digest", entry(files=[["a", bytes(31)]]), "cannot be recorded")
    group.add("entry-file-name", entry(files=[["a\u202eb", bytes(32)]]), "cannot be recorded")
    group.add("entry-file-name-empty", entry(files=[["", bytes(32)]]), "cannot be recorded")
    group.add("entry-file-name-too-long", entry(files=[["a" * 257, bytes(32)]]), "cannot be recorded")
    group.add("entry-text", entry(text="\n"), "must be printable")
    group.add("entry-text-too-long", entry(text="a" * 1001), "at most 1,000")
    group.add("entry-cards", entry(event="note"), "only a plan")
    group.add("entry-cards-unsorted", entry(cards=[card("bob"), card("alice")]), "cards are out of order")
    group.add("entry-card-twice", entry(cards=[card("alice")] * 2), "cards are out of order")
    group.add("entry-weak-card", entry(cards=[WEAK_AGREE, card("bob")]), "lets anybody")

    group.rule = "2"
    times = {
        "blank": "2026-11-22 10:11:12",
        "without-zone": "2026-11-22T10:11:12",
        "lower-case": "2026-11-22t10:11:12z",
        "newline": "2026-11-22T10:11:12Z\n",
        "short-day": "2026-11-2T10:11:12Z",
        "no-such-day": "2026-02-30T10:11:12Z",
        "no-leap-year": "2100-02-29T10:11:12Z",
        "month-13": "2026-13-01T10:11:12Z",
        "month-0": "2026-00-01T10:11:12Z",
        "hour-24": "2026-11-22T24:00:00Z",
        "minute-60": "2026-11-22T10:60:12Z",
        "second-60": "2026-11-22T10:11:60Z",
        "year-1969": "1969-12-31T23:59:59Z",
        "other-digits": "\u0662\u0660\u0662\u0666-11-22T10:11:12Z",
        "fraction": "2026-11-22T10:11:12.0Z",
    }
    for name, time in times.items():
        group.add(f"time-{name}", entry(time=time), "is no time")

    group.rule = "3 attestation"

    def attestation(signer: str = "alice", plan: Map = r.SIGNED_PLAN, **changes: Any) -> bytes:
        return follows(plan, "attestation", {**r.ATTESTATION, **changes}, signer=signer)

    group.add("attestation-unsigned", follows(r.SIGNED_PLAN, "attestation", r.ATTESTATION), "not signed")
    group.add("attestation-by-another", attestation("bob"), "not signed by alice")
    group.add(
        "attestation-by-a-stranger", attestation("mallory", party="mallory"), "not on the plan's roster"
    )
    group.add("attestation-digest", attestation(aggregate=bytes(31)), "wrong length")
    group.add("attestation-of-nobody", attestation(contributors=[]), "missing or out of order")
    unsigned = [each[:2] for each in r.SIGNED_CONTRIBUTORS]
    group.add("attestation-of-unsigned", attestation(contributors=unsigned), "no signed update of a party")
    group.add("attestation-without-roster", attestation(plan=PLAN), "its plan has no roster")

    group.rule = "3 use record"
    unsorted = [[bytes([1] * 32), bytes(32)], [bytes(32), bytes(32)]]
    group.add("record-unsorted", envelope("use record", {"uses": unsorted}), "out of order")
    group.add("record-twice", envelope("use record", {"uses": unsorted[1:] * 2}), "out of order")
    group.add("record-malformed", envelope("use record", {"uses": [[bytes(32)]]}), "malformed")
    group.add("record-short-digest", envelope("use record", {"uses": [[bytes(32), bytes(31)]]}), "malformed")
    group.add("record-of-old-name", envelope("record", {"uses": []}), "unknown kind 'record'")
    return group


def checkpoint_faults() -> Group:
    """What somebody saw of ledgers."""
    group = Group("3 checkpoint")
    own, other = r.CHECKPOINTS

    def checkpoint(*ledgers: Any) -> bytes:
        return envelope("checkpoint", {"ledgers": list(ledgers)})

    group.add("checkpoint-unsorted", checkpoint(other, own), "ledgers are out of order")
    group.add("checkpoint-twice", checkpoint(own, own), "ledgers are out of order")
    group.add("checkpoint-malformed", checkpoint(own[:3]), "malformed")
    group.add("checkpoint-first", checkpoint([bytes(31), *other[1:]]), "malformed")
    group.add("checkpoint-head", checkpoint([*other[:2], bytes(31), other[3]]), "malformed")
    group.add("checkpoint-of-entry-0", checkpoint([other[0], 0, *other[2:]]), "malformed")
    group.add("checkpoint-number-too-large", checkpoint([other[0], 10**8, *other[2:]]), "malformed")
    group.add("checkpoint-first-is-not-the-head", checkpoint([other[0], 1, *other[2:]]), "malformed")
    group.add("checkpoint-cards-unsorted", checkpoint([*other[:3], other[3][::-1]]), "cards are out of order")
    group.add("checkpoint-weak-card", checkpoint([*other[:3], [WEAK_AGREE]]), "lets anybody")
    return group


def partial_faults() -> Group:
    """Partials, alone and when they are combined."""
    group = Group("3 partial")
    group.add("partial-aggregate", r.partial(1, aggregate=bytes(31)), "wrong length")
    group.add("partial-index-zero", r.partial(1, index=0), "there are 4")
    group.add("partial-index-5", r.partial(1, index=5), "there are 4")
    group.add(
        "partial-without-shares",
        follows(
            PLAN,
            "partial",
            {"contributors": r.CONTRIBUTORS, "aggregate": file_digest(r.AGGREGATE), "index": 1},
            r.PARTIALS[1],
        ),
        "not in shares",
    )

    group.rule = "7"
    use = "combine with shared-3.part shared-4.part"
    own, other = r.VALUES[:2]
    group.add("combine-share", r.partial(1, r.partial_body(1, (other, other))), "share 1) does not hold", use)
    group.add(
        "combine-share-of-lanes", r.partial(1, r.partial_body(1, (other, own))), "share 1) does not hold", use
    )
    group.add(
        "combine-share-of-control",
        r.partial(1, r.partial_body(1, (own, other))),
        "share 1) does not hold",
        use,
    )
    group.add("combine-index", r.partial(1, index=2), "share 2) does not hold", use)
    group.add("combine-aggregate", r.partial(1, aggregate=bytes(32)), "of another aggregate", use)
    swapped = [("lanes", 512, r.PARTIALS[1][1][2]), ("control", 512, r.PARTIALS[1][0][2])]
    group.add("combine-groups-swapped", r.partial(1, swapped), "share 1) does not hold", use)
    lanes_, control_ = r.PARTIALS[1]
    large = lanes_[2][:528] + b"\xff" + lanes_[2][529:]
    group.add(
        "combine-z-too-large", r.partial(1, [("lanes", 512, large), control_]), "share 1) does not hold", use
    )
    return group


def slice_faults() -> Group:
    """Slices, alone and when they are joined."""
    group = Group("3 slice")
    own = r.BODY_AB[:1]

    def made(sections: Sections = own, extent: tuple[int, int] = (0, 1), **changes: Any) -> bytes:
        return r.slice_of(PLAN, "aggregate", r.SLICED, extent, sections, instead=changes)

    header = {"plan": PLAN, **r.SLICED}
    group.add("slice-of-an-update", made(of="update"), "which has none")
    group.add("slice-of-a-slice", made(of="slice"), "which has none")
    group.add("slice-before-the-first", made(extent=(-1, 1)), "chunks that its round does not have")
    group.add("slice-behind-the-last", made([], (3, 3)), "chunks that its round does not have")
    group.add("slice-backwards", made([], (1, 0)), "chunks that its round does not have")
    group.add("slice-of-more", made(r.BODY_AB), "where its header calls for")
    group.add("slice-of-less", made([]), "where its header calls for")
    group.add("slice-of-others", made(r.BODY_AB[1:]), "where its header calls for")
    group.add("slice-field-missing", made(header=without(header, "contributors")), "contributors")
    group.add("slice-field-unknown", made(header={**header, "weight": 1}), "weight")
    group.add(
        "slice-contributors-unsorted", made(header={**header, "contributors": r.CONTRIBUTORS[::-1]}), "order"
    )
    of_others = {**header, "contributors": r.SIGNED_CONTRIBUTORS}
    group.add("slice-signed-contributors", made(header=of_others), "no roster")
    group.add(
        "slice-partial-without-shares",
        r.slice_of(PLAN, "partial", {**r.partial_header(1), "contributors": r.CONTRIBUTORS}, (0, 1), []),
        "not in shares",
    )
    signed = {"contributors": r.SIGNED_CONTRIBUTORS}
    group.add(
        "slice-unsigned",
        r.slice_of(r.SIGNED_PLAN, "aggregate", signed, (0, 1), r.SIGNED_BODY_AB[:1]),
        "not signed",
    )
    group.add(
        "slice-by-a-stranger",
        r.slice_of(r.SIGNED_PLAN, "aggregate", signed, (0, 1), r.SIGNED_BODY_AB[:1], signer="carol"),
        "carol",
    )
    group.add(
        "slice-attested-by-another",
        r.slice_of(r.SIGNED_PLAN, "attestation", r.ATTESTATION, (0, 1), [], signer="bob"),
        "not signed by alice",
    )
    forged = [("lanes", 512, own[0][2][:-1] + bytes([own[0][2][-1] ^ 1]))]
    group.add("slice-twice", made(forged), "differ", "join with round-1.slice round-2.slice")
    group.add("slice-gap", r.SLICE_LANES, "no slice has chunk 2 of 2", "join with round-none.slice")
    group.add("slice-overlap", made(r.BODY_AB, (0, 2)), "overlap", "join with round-1.slice round-2.slice")
    group.add("slice-of-another-file", r.PARTS_SLICES[0], "follow", "join with round-1.slice round-2.slice")
    lied = [("lanes", 2, r.SUM[0][2][:-1] + bytes([r.SUM[0][2][-1] ^ 1]))]
    group.add(
        "slice-of-another-sum",
        r.slice_of(PLAN, "sum", r.SUM_HEADER, (0, 1), lied),
        "is not what",
        "join with sum-2.slice",
    )
    return group


def enrollment_faults() -> Group:
    """Who enrolled; enrollments and answers."""
    group = Group("3 update")

    def update(enrolled: object) -> bytes:
        header: Map = {"party": "alice", "enrolled": enrolled}
        return follows(r.DROPOUT_PLAN, "update", header, r.DROPOUT_BODIES[0], signer="alice")

    fit, order = "who enrolled does not fit", "who enrolled is out of order"
    alice, bob, carol, dora = r.ENROLLED
    for which, some in (("none", {}), ("one", {"enrolled": r.enrolled_in(r.MASKED_PLAN)[:1]})):
        group.add(
            f"enrolled-{which}-of-two",
            follows(
                r.MASKED_PLAN,
                "update",
                {"party": "alice", **some},
                blocks(r.MASKED_NUMBERS[0], 1024),
                signer="alice",
            ),
            fit,
        )
    group.add(
        "enrolled-without-masks",
        follows(
            r.SIGNED_PLAN,
            "update",
            {"party": "alice", "salt": r.APART, "enrolled": [alice, bob]},
            r.SIGNED_BODY_A,
            signer="alice",
        ),
        fit,
    )
    group.add(
        "enrolled-missing",
        follows(r.DROPOUT_PLAN, "update", {"party": "alice"}, r.DROPOUT_BODIES[0], signer="alice"),
        fit,
    )
    group.add("enrolled-below-threshold", update([alice]), fit)
    group.add("enrolled-strangers", update([alice, bob, carol, ["emil", bytes(32)]]), fit)
    group.add("enrolled-without-the-party", update([bob, carol, dora]), fit)
    group.add("enrolled-unsorted", update([bob, alice, carol, dora]), order)
    group.add("enrolled-twice", update([alice, alice, bob]), order)
    group.add("enrolled-malformed", update([alice, ["bob", bytes(31)]]), "malformed")
    group.add(
        "enrolled-without-a-contributor",
        follows(
            r.DROPOUT_PLAN,
            "aggregate",
            {"contributors": r.DROPOUT_CONTRIBUTORS, "enrolled": [alice, carol, dora]},
            r.DROPOUT_BODY,
            signer="bob",
        ),
        fit,
    )
    group.add(
        "enrolled-differently",
        follows(
            r.DROPOUT_PLAN,
            "update",
            {"party": "bob", "enrolled": [alice, bob, dora]},
            r.DROPOUT_BODIES[1],
            signer="bob",
        ),
        "masked with different people",
        "aggregate with dropouts-alice.enc",
    )

    group.rule = "3 enrollment"
    header = r.enrollment_header("alice", r.DROPOUT_PLAN)
    group.add("enrollment-unsigned", follows(r.DROPOUT_PLAN, "enrollment", header), "not signed")
    group.add(
        "enrollment-by-another",
        follows(r.DROPOUT_PLAN, "enrollment", header, signer="bob"),
        "not signed by alice",
    )
    group.add(
        "enrollment-by-no-party",
        follows(r.DROPOUT_PLAN, "enrollment", {**header, "party": "anna"}, signer="anna"),
        "may not enroll",
    )
    group.add(
        "enrollment-with-dropouts",
        follows(r.MASKED_PLAN, "enrollment", {**header, "parties": header["parties"][:2]}, signer="alice"),
        "not for as many parties, or dropouts",
    )
    group.add(
        "enrollment-without-dropouts",
        follows(r.DROPOUT_PLAN, "enrollment", r.enrollment_header("alice", r.MASKED_PLAN), signer="alice"),
        "not for as many parties, or dropouts",
    )
    group.add(
        "enrollment-without-masks",
        follows(r.SIGNED_PLAN, "enrollment", r.enrollment_header("alice", r.MASKED_PLAN), signer="alice"),
        "has no masks",
    )
    parties = header["parties"]
    group.add("enrollment-for-three", r.enrollment("alice", parties=parties[:3]), "not for as many parties")
    group.add("enrollment-key", r.enrollment("alice", mask_key=bytes(31)), "wrong length")
    group.add("enrollment-digest", r.enrollment("alice", self_digest=bytes(31)), "wrong length")
    group.add("enrollment-own-box", r.enrollment("alice", own=header["own"][:-1]), "wrong length")

    def first(*item: bytes) -> bytes:
        return r.enrollment("alice", parties=[list(item), *parties[1:]])

    group.add("enrollment-party-box", first(parties[0][0][:-1], *parties[0][1:]), "wrong length")
    group.add("enrollment-party-no-box", first(b"", *parties[0][1:]), "wrong length")
    group.add("enrollment-party-digest", first(*parties[0][:4], bytes(31)), "malformed")
    group.add("enrollment-party-value", first(parties[0][0], bytes(31), *parties[0][2:]), "malformed")
    group.add("enrollment-party-short", first(*parties[0][:4]), "malformed")
    group.add("enrollment-value-to-itself", first(parties[0][0], bytes(32), *parties[0][2:]), "wrong length")
    second = [parties[1][0], b"", *parties[1][2:]]
    unsent = r.enrollment("alice", parties=[parties[0], second, *parties[2:]])
    group.add("enrollment-without-value", unsent, "wrong length")
    # Two parties, of whom nobody may drop out: one sends a value to the other, and that is all.
    alone = r.enrollment_header("alice", r.MASKED_PLAN)["parties"]
    group.add(
        "enrollment-value-not-sealed",
        r.enrollment_of(r.MASKED_PLAN, "alice", parties=[alone[0], [b"", alone[1][1]]]),
        "wrong length",
    )
    group.add(
        "enrollment-shares-nobody-needs",
        r.enrollment_of(r.MASKED_PLAN, "alice", parties=[alone[0], [*alone[1], *[bytes(32)] * 3]]),
        "malformed",
    )

    return group


def mask_faults() -> Group:
    """Enrollments sound in form, which only show when somebody masks with them."""
    group = Group("8")
    use = "mask with alice.enroll carol.enroll dora.enroll"
    of_bob = r.enrollment_header("bob", r.DROPOUT_PLAN)["parties"]
    of_alice = r.enrollment_header("alice", r.DROPOUT_PLAN)["parties"]
    shares = r.inside(r.DROPOUT_PLAN, "bob", "alice")
    group.add(
        "mask-box",
        r.enrollment("bob", parties=[[of_bob[0][0][:-1] + b"\0", *of_bob[0][1:]], *of_bob[1:]]),
        "does not open",
        use,
    )
    group.add(
        "mask-shares",
        r.enrollment(
            "bob", parties=[r.for_party("bob", "alice", r.DROPOUT_PLAN, bytes(len(shares))), *of_bob[1:]]
        ),
        "is not what it says",
        use,
    )
    group.add(
        "mask-x25519-half",
        r.enrollment(
            "bob", parties=[[bytes([9]) + bytes(31) + of_bob[0][0][32:], *of_bob[0][1:]], *of_bob[1:]]
        ),
        "does not open",
        use,
    )
    group.add(
        "mask-ml-kem-half",
        r.enrollment(
            "bob",
            parties=[[of_bob[0][0][:32] + bytes(1088) + of_bob[0][0][1120:], *of_bob[0][1:]], *of_bob[1:]],
        ),
        "does not open",
        use,
    )
    swapped = [of_alice[1][0], bytes(32), *of_alice[1][2:]]
    group.add(
        "mask-own-value",
        r.enrollment("alice", parties=[of_alice[0], swapped, *of_alice[2:]]),
        "says other keys than it seals",
        "mask with bob.enroll carol.enroll dora.enroll",
    )
    group.add("mask-weak-key", r.enrollment("bob", mask_key=bytes(32)), "nobody can agree", use)
    return group


def answer_faults() -> Group:
    """Answers, alone and when they take masks off."""
    group = Group("3 answer")
    says = "about all who enrolled"
    carol_share = ["carol", r.shares_of("carol", 1)[1]]
    shares = [[name, r.shares_of(name, 0)[1]] for name in r.DROPOUT_PARTIES]
    group.add(
        "answer-both-secrets",
        r.answer("bob", round_shares=[["alice", r.shares_of("alice", 1)[1]]]),
        "both secrets of one party",
    )
    group.add("answer-unsorted", r.answer("bob", self_shares=shares[::-1]), "out of order")
    group.add("answer-twice", r.answer("bob", self_shares=[shares[0], *shares]), "out of order")
    values = [r.revealed(r.DROPOUT_PLAN, owner, "bob") for owner in ("alice", "bob")]
    other_values = "does not reveal shares of the values it should"
    group.add("answer-without-values", r.answer("bob", value_shares=values[:1]), other_values)
    group.add("answer-values-unsorted", r.answer("bob", value_shares=values[::-1]), other_values)
    more = [values[0][0], values[0][1] * 2, values[0][2][32:]]
    group.add("answer-more-values", r.answer("bob", value_shares=[more, values[1]]), other_values)
    cut = [*values[0][:2], values[0][2][:-1]]
    group.add("answer-short-digest", r.answer("bob", value_shares=[cut, values[1]]), "malformed")
    short = [values[0][0], values[0][1][:-1], values[0][2]]
    group.add("answer-short-value", r.answer("bob", value_shares=[short, values[1]]), "malformed")
    group.add("answer-short-share", r.answer("bob", self_shares=[["alice", bytes(65)]]), "malformed")
    group.add(
        "answer-stranger",
        r.answer(
            "bob",
            enrolled=[*r.ENROLLED, ["emil", bytes(32)]],
            round_shares=[carol_share, ["emil", bytes(66)]],
        ),
        "no party",
    )
    group.add("answer-about-the-coordinator", r.answer("bob", round_shares=[["anna", bytes(66)]]), says)
    group.add("answer-owner-missing", r.answer("bob", self_shares=shares[:1]), says)
    group.add("answer-without-absent", r.answer("bob", round_shares=[]), says)
    group.add("answer-enrolled-unsorted", r.answer("bob", enrolled=r.ENROLLED[::-1]), "out of order")
    group.add("answer-enrolled-malformed", r.answer("bob", enrolled=[["alice", bytes(31)]]), "malformed")
    group.add("answer-by-another", r.answer("bob", signer="carol"), "not signed by bob")
    group.add("answer-by-no-party", r.answer("bob", party="anna", signer="anna"), "may not answer")
    header: Map = {
        "party": "bob",
        "enrolled": r.ENROLLED[:1],
        "self_shares": shares[:1],
        "round_shares": [],
        "value_shares": [],
    }
    group.add(
        "answer-without-dropouts",
        follows(r.MASKED_PLAN, "answer", header, signer="bob"),
        "allows for no dropouts",
    )

    group.rule = "8"
    use = "unmask with carol.ans dora.ans"
    other = (int.from_bytes(shares[0][1], "big") + 1) % FIELD
    group.add(
        "unmask-share",
        r.answer("bob", self_shares=[["alice", other.to_bytes(66, "big")], *shares[1:]]),
        "not the one that was dealt",
        use,
    )
    everybody = [[name, r.shares_of(name, 0)[1]] for name in r.FOUR]
    others = r.answer("bob", self_shares=everybody, round_shares=[], value_shares=[])
    altered = [values[0][0], (int.from_bytes(values[0][1], "big") ^ 1).to_bytes(33, "big"), values[0][2]]
    group.add(
        "unmask-value",
        r.answer("bob", value_shares=[altered, values[1]]),
        "not the one that was dealt",
        use,
    )
    group.add("unmask-other-parties", others, "answers about other parties", use)
    changed = r.answer("bob", enrolled=[*r.ENROLLED[:3], ["dora", bytes(32)]])
    group.add("unmask-other-enrollments", changed, "answers about other parties", use)
    return group


def opened_faults() -> Group:
    """Updates and aggregates sound in form, which only show when they are combined or opened."""
    group = Group("4")

    def update(value: int) -> bytes:
        return follows(
            PLAN,
            "update",
            {"party": "a", "salt": r.APART},
            r.update_body(PLAN, [value, r.NUMBERS_A[1]], 1001, "a"),
        )

    def holding(value: int) -> bytes:
        body = blocks([value, r.NUMBERS_AB[1]], 512)
        return follows(PLAN, "aggregate", {"contributors": r.CONTRIBUTORS}, body)

    for name, value, says in (
        ("zero", 0, "is zero"),
        ("n", N, "shares a factor"),
        ("factor", SMALL_P, "shares a factor"),
        ("n-squared", N * N, "is not below"),
        ("above", N * N + 1, "is not below"),
    ):
        group.add(f"aggregate-ciphertext-{name}", update(value), says, "aggregate with unnamed.enc")
        group.add(f"decrypt-ciphertext-{name}", holding(value), says, "decrypt")
    control_ = blocks([r.NUMBERS_AB[0], SMALL_P], 512)
    group.add(
        "decrypt-ciphertext-of-control",
        follows(PLAN, "aggregate", {"contributors": r.CONTRIBUTORS}, control_),
        "shares a factor",
        "decrypt",
    )

    group.rule = "8"
    wrong = [RING, r.MASKED_NUMBERS[0][1]]
    header: Map = {"party": "alice", "enrolled": r.enrolled_in(r.MASKED_PLAN)}
    group.add(
        "aggregate-masked-modulus",
        follows(r.MASKED_PLAN, "update", header, blocks(wrong, 1024), signer="alice"),
        "not below",
        "aggregate with masked-bob.enc",
    )
    group.add(
        "aggregate-masked-control",
        follows(r.MASKED_PLAN, "update", header, blocks(wrong[::-1], 1024), signer="alice"),
        "not below",
        "aggregate with masked-bob.enc",
    )
    group.add(
        "decrypt-masked-modulus",
        follows(
            r.MASKED_PLAN,
            "aggregate",
            {"contributors": r.MASKED_CONTRIBUTORS, "enrolled": header["enrolled"]},
            blocks([RING, masked(RING, *r.MASKED_NUMBERS)[1]], 1024),
            signer="bob",
        ),
        "not below",
        "decrypt",
    )

    group.rule = "9"
    for name, body in unproven().items():
        file = follows(PLAN, "update", {"party": "a", "salt": r.APART}, body)
        group.add(f"proof-{name}", file, "does not hold", "aggregate with unnamed.enc")
    alice = follows(
        PLAN,
        "update",
        {"party": "alice", "salt": r.APART},
        r.update_body(PLAN, r.NUMBERS_A, 1001, "alice"),
        signer="alice",
    )
    group.add("proof-without-the-card", alice, "does not hold", "aggregate with unnamed.enc")
    lanes_, proofs_ = r.SUM
    for name, proofs in wrong_openings().items():
        file = follows(PLAN, "sum", r.SUM_HEADER, [lanes_, ("proof", 3616, proofs)])
        group.add(f"sum-proof-{name}", file, "is not what", "verify with round.agg")
    others = ("lanes", 2, records([r.BOTH[0] + 1, *r.BOTH[1:]], 2))
    group.add(
        "sum-proof-lane",
        follows(PLAN, "sum", r.SUM_HEADER, [others, proofs_]),
        "is not what",
        "verify with round.agg",
    )
    weight = {**r.SUM_HEADER, "weight": 14}
    group.add("sum-proof-weight", follows(PLAN, "sum", weight, r.SUM), "is not what", "verify with round.agg")
    group.add(
        "sum-other-aggregate",
        follows(PLAN, "sum", {**r.SUM_HEADER, "aggregate": bytes(32)}, r.SUM),
        "from another aggregate",
        "verify with round.agg",
    )

    group.rule = "5"
    total = control(2, 15, 1)
    fine = lanes(PLAN, r.BOTH, 2)
    bits = lane_width(PLAN)

    def opened(plaintext: int, totals: int = total) -> bytes:
        body = blocks(ciphertexts(N, [plaintext, totals], 3001), 512)
        return follows(PLAN, "aggregate", {"contributors": r.CONTRIBUTORS}, body)

    one = follows(PLAN, "aggregate", {"contributors": r.CONTRIBUTORS[1:]}, r.BODY_A[:2])
    group.add("decrypt-too-few", one, "opens no fewer than 2", "decrypt")
    agree, limits, none = "control block does not agree", "control block is out of range", "no sum of updates"
    group.add("decrypt-control-count", opened(fine, control(3, 15, 1)), agree, "decrypt")
    group.add("decrypt-control-high-bits", opened(fine, total + (1 << 1500)), agree, "decrypt")
    group.add("decrypt-control-weight", opened(fine, control(2, 21, 1)), limits, "decrypt")
    group.add("decrypt-control-weight-too-small", opened(fine, control(2, 1, 1)), limits, "decrypt")
    group.add("decrypt-control-clipped", opened(fine, control(2, 15, 13)), limits, "decrypt")
    group.add("decrypt-count-lane", opened(lanes(PLAN, r.BOTH, 3)), none, "decrypt")
    group.add("decrypt-lane-too-large", opened(lanes(PLAN, [509, *r.BOTH[1:]], 2)), none, "decrypt")
    group.add("decrypt-lane-left-over", opened(lanes(PLAN, [*r.BOTH, 1], 2)), none, "decrypt")
    room = (N.bit_length() - 1) // bits
    group.add("decrypt-high-bits", opened(fine + (1 << bits * room)), none, "decrypt")
    return group


def unproven() -> dict[str, Sections]:
    """Make bodies of party a's update with a proof that does not hold."""
    lanes_, control_, (_, _, proofs) = r.BODY_A
    first, second = proofs[:512], proofs[512:]
    start, answer = first[:256], first[256:]
    square = N * N
    shifted = records([r.NUMBERS_A[0] * (1 + 5 * N) % square], 512)

    def with_proofs(*each: bytes) -> Sections:
        return [lanes_, control_, ("proofs", 512, b"".join(each))]

    def of(party: str | None, plan: Map = PLAN) -> Sections:
        return r.update_body(plan, r.NUMBERS_A, 1001, party)

    return {
        "of-another-party": of("b"),
        "of-nobody": of(None),
        "of-another-plan": of("a", {**PLAN, "id": bytes(16)}),
        "of-another-position": with_proofs(second, first),
        "twice": with_proofs(first, first),
        "of-another-plaintext": [("lanes", 512, shifted), control_, r.BODY_A[2]],
        "of-another-control": [lanes_, ("control", 512, records([r.NUMBERS_B[1]], 512)), r.BODY_A[2]],
        "of-anothers-ciphertexts": [*blocks(r.NUMBERS_B, 512), r.BODY_A[2]],
        "of-a-product": [*blocks(r.NUMBERS_AB, 512), r.BODY_A[2]],
        "commitment-zero": with_proofs(bytes(256) + answer, second),
        "commitment-of-n": with_proofs(N.to_bytes(256, "big") + answer, second),
        "answer-zero": with_proofs(start + bytes(256), second),
        "answer-of-n": with_proofs(start + N.to_bytes(256, "big"), second),
        "answer-largest": with_proofs(start + 256 * b"\xff", second),
    }


def wrong_openings() -> dict[str, bytes]:
    """Make proofs of the open round's sum that do not hold."""
    proof = r.SUM[1][2]
    challenges, answers = proof[:32], proof[32:]
    first, rest = answers[:256], answers[256:]
    header = {**r.SUM_HEADER, "aggregate": bytes(32)}
    return {
        "of-another-aggregate": r.sum_body(PLAN, r.BOTH, header, (1001, 2001))[1][2],
        "root-missing": proof[:-256] + bytes(256),
        "roots-swapped": proof[:-512] + proof[-256:] + proof[-512:-256],
        "answers-swapped": challenges + rest[:256] + first + rest[256:],
        "answer-zero": challenges + bytes(256) + rest,
        "answer-of-n": challenges + N.to_bytes(256, "big") + rest,
        "answer-negated": challenges + (N - int.from_bytes(first, "big")).to_bytes(256, "big") + rest,
        "answer-no-unit": challenges + SMALL_P.to_bytes(256, "big") + rest,
        "seed": bytes([challenges[0] ^ 1]) + proof[1:],
    }


def smaller_plan_faults() -> Group:
    """Steps of a codec that make updates smaller."""
    group = Group("3 plan")
    low_rank, rotate, sample, quantise, radix = s.SMALL["codec"]

    def plan(*codec: Map, **changes: Any) -> bytes:
        return plan_file({**s.SMALL, "codec": list(codec), **changes})

    def factor(**changes: Any) -> bytes:
        return plan({**low_rank, **changes}, rotate, sample, quantise, radix)

    for name, codec in {
        "twice": (rotate, rotate, quantise, radix),
        "sample-first": (sample, rotate, quantise, radix),
        "rotated-first": (rotate, low_rank, quantise, radix),
        "behind-lanes": (quantise, rotate, radix),
        "two-packs": (rotate, quantise, {"step": "pack"}, radix),
    }.items():
        group.add(f"steps-{name}", plan(*codec), "do not fit together")
    group.add("rank-zero", factor(rank=0), "rank must be from 1 to 256")
    group.add("rank-257", factor(rank=257), "rank must be from 1 to 256")
    group.add("rank-too-high", factor(rank=2), "no tensor is a matrix large enough")
    group.add("side-unknown", factor(side="up"), "basis of its codec is malformed")
    group.add("basis-digest-short", factor(basis=bytes(31)), "basis of its codec is malformed")
    group.add("low-rank-unknown-field", factor(x=1), "unknown field 'x'")
    group.add("rotate-unknown-field", plan({**rotate, "x": 1}, quantise, radix), "unknown field 'x'")
    group.add("radix-unknown-field", plan(quantise, {**radix, "x": 1}), "unknown field 'x'")
    for count in (0, 4096):
        group.add(f"sample-of-{count}", plan(rotate, {**sample, "count": count}, quantise, radix), "is none")
    few = {**quantise, "bits": 2}
    group.add("sample-two-bits", plan(rotate, sample, few, radix), "would never get through")
    group.add("low-rank-two-bits", plan(low_rank, rotate, few, radix), "would never get through")
    wide = {**quantise, "bits": 32}
    group.add("rotated-inexact", plan(rotate, wide, radix, capacity=1025), "would not be exact")
    group.add("low-rank-inexact", plan(low_rank, rotate, {**quantise, "bits": 25}, radix), "not be exact")
    for name, digits in {"one": [1, 1], "none": [], "a-text": [1, "2"], "true": [True, 2]}.items():
        group.add(f"digits-{name}", plan({**quantise, "digits": digits}, radix), "digits in its codec")
    group.add("digits-short", plan({**quantise, "digits": [2]}, radix), "1 digits for 2 tensors")
    for name, count in {"zero": 0, "negative": -1, "too-many": 9, "a-million": 1_000_000}.items():
        group.add(f"digits-{name}", plan({**quantise, "digits": [1, count]}, radix), "impossible number of")
    return group


def basis_faults() -> Group:
    """Bases of low rank."""
    group = Group("3 basis")
    (numbers,), exponent = s.RIGHT
    content = b"".join(each.to_bytes(2, "big", signed=True) for each in numbers)
    header: Map = {"sum": bytes(32), "rank": 1, "side": "right", "tensors": [["w", 30, exponent]]}

    def basis(content: bytes = content, **changes: Any) -> bytes:
        return envelope("basis", {**header, **changes}, [("numbers", 2, content)])

    group.add("basis-rank-zero", basis(rank=0), "not that of a basis")
    group.add("basis-rank-257", basis(rank=257), "not that of a basis")
    group.add("basis-side", basis(side="up"), "not that of a basis")
    group.add("basis-short-sum", basis(sum=bytes(31)), "not that of a basis")
    group.add("basis-of-nothing", basis(tensors=[]), "not that of a basis")
    group.add("basis-unknown-field", basis(x=1), "unknown field 'x'")
    half = [["w", 15, exponent], ["a", 15, exponent]]
    group.add("basis-unsorted", basis(tensors=half), "not that of a basis")
    group.add("basis-twice", basis(tensors=[half[0]] * 2), "not that of a basis")
    for name, item in {
        "no-rows": ["w", 0, exponent],
        "exponent-negative": ["w", 30, -1],
        "exponent-65": ["w", 30, 65],
        "short": ["w", 30],
        "rows-true": ["w", True, exponent],
    }.items():
        group.add(f"basis-{name}", basis(tensors=[item]), "list of tensors is malformed")
    group.add("basis-name", basis(tensors=[["", 30, exponent]]), "cannot name a tensor")
    group.add("basis-too-long", basis(content + bytes(2)), "where its header calls for")
    group.add("basis-number", basis(content[:-2] + b"\x80\0"), "a number that is out of range")
    return group


def residual_faults() -> Group:
    """What a party keeps."""
    group = Group("3 residual")

    def residual(*names: str, size: int = 86, **changes: Any) -> bytes:
        header = {"subject": b"", "tensors": s.KEPT_ITEMS, "update": b"", **changes}
        return envelope("residual", header, [(name, 1, bytes(8 * size)) for name in names])

    pending: Map = {"subject": bytes(32), "update": bytes(32)}
    group.add("residual-half", residual("kept", subject=bytes(32)), "not that of a residual")
    group.add(
        "residual-short", residual("kept", subject=bytes(31), update=bytes(31)), "not that of a residual"
    )
    group.add(
        "residual-float16", residual("kept", tensors=[["v", "float16", [86]]]), "not that of a residual"
    )
    group.add("residual-integers", residual("kept", tensors=[["v", "int8", [86]]]), "not that of a residual")
    group.add("residual-unknown-field", residual("kept", x=1), "unknown field 'x'")
    group.add("residual-without-rest", residual("kept", "whole", **pending), "where its header calls for")
    group.add("residual-with-rest", residual("kept", "whole", "rest"), "where its header calls for")
    group.add("residual-too-long", residual("kept", size=87), "where its header calls for")
    return group


def smaller_round_faults() -> Group:
    """Aggregates and files of rounds that are compressed."""
    group = Group("4")
    qmax = 7
    packed = s.plaintexts(s.SMALL, [qmax] * (s.SENT + 20))[0]
    # A word that no sum of lanes can be: all of its bits.
    top = ((1 << s.WORD_WIDTH) - 1) << s.WORD_WIDTH
    group.add(
        "word-too-large",
        follows(
            s.SMALL,
            "aggregate",
            {"contributors": [["a", bytes(32)], ["b", bytes([1] * 32)]]},
            blocks(ciphertexts(N, [2 * packed | top, control(2, 2, 0)], 31_001), 512),
        ),
        "opens to what no sum of updates can be",
        "decrypt",
    )
    lanes_ = [*s.DIGIT_LANES[:-1], 7]
    sections: Sections = [("lanes", 1, bytes(lanes_)), ("control", 24, records([control(1, 1, 0)], 24))]
    group.add("digit-too-large", follows(s.DIGITS, "encoded", {}, sections), "lane value above 6")
    return group


def smaller_training_faults() -> Group:
    """Terms of trainings that are compressed."""
    group = Group("3 training")
    group.add("terms-rotate-false", terms(rotate=False), "left out where it is false")
    group.add("terms-rank-zero", terms(rank=0), "rank must be from 1 to 256")
    group.add("terms-rank-too-high", terms(rank=1), "no tensor is a matrix large enough")
    group.add("terms-sample-zero", terms(sample=0), "is none")
    group.add("terms-sample-all", terms(sample=4096), "is none")
    group.add("terms-sample-two-bits", terms(sample=2000, bits=2), "would never get through")
    for name, change in {"rotate": True, "sample": 100}.items():
        group.add(f"terms-replace-{name}", terms(rule="replace", **{name: change}), "cannot have compression")
    group.add("terms-plain-nothing", terms(plain=[]), "list of plain tensors is malformed")
    group.add("terms-plain-number", terms(plain=[1]), "list of plain tensors is malformed")
    for name, plain in {"unknown": ["nothing"], "skipped": ["frozen"], "unsorted": ["count", "bias"]}.items():
        group.add(f"terms-plain-{name}", terms(plain=plain), "list of plain tensors")
    masked = {"tensors": ["weight"], "dropouts": 0}
    group.add("terms-masked-unknown", terms(masked={**masked, "tensors": ["nothing"]}), "has no values of it")
    group.add("terms-masked-dropouts", terms(masked={**masked, "dropouts": 1}), "drop")
    group.add("terms-masked-and-plain", terms(masked=masked, plain=["weight"]), "masked, and plain")
    group.add(
        "terms-plain-low-rank", terms(masked=masked, plain=["count"], sample=2000), "may be in the clear"
    )
    return group


def noisy_plan_faults() -> Group:
    """Plans with noise that promise what they do not keep."""
    group = Group("3 plan")

    def privacy(plan: Map = o.NOISY, **changes: Any) -> bytes:
        return plan_file({**plan, "privacy": {**plan["privacy"], **changes}})

    def quantise(plan: Map = o.NOISY, **changes: Any) -> bytes:
        *steps, last, packing = plan["codec"]
        return plan_file({**plan, "codec": [*steps, {**last, **changes}, packing]})

    def noisy(**changes: Any) -> bytes:
        return plan_file({**o.NOISY, **changes})

    norm2, variance = o.NOISY["privacy"]["norm2"], o.NOISY["privacy"]["variance"]
    for name, changes, says in (
        ("unit", {"unit": "user"}, "'user' is no unit of privacy"),
        ("clip-zero", {"clip": 0.0}, "a clip norm of 0 leaves nothing"),
        ("clip-infinite", {"clip": math.inf}, "a clip norm of inf leaves nothing"),
        ("clip-nan", {"clip": math.nan}, "a clip norm of nan leaves nothing"),
        ("clip-integer", {"clip": 2}, "'clip' of the wrong type"),
        ("no-colluders", {"colluders": 0}, "at least one colluder is counted"),
        ("all-colluders", {"colluders": 2}, "may collude: no noise is left"),
        ("delta-large", {"delta": 0.01}, "a delta of 0.01 promises nothing"),
        ("delta-zero", {"delta": 0.0}, "a delta of 0 promises nothing"),
        ("norm2-less", {"norm2": norm2 - 1}, "its clip norm calls for"),
        ("norm2-more", {"norm2": norm2 + 1}, "its clip norm calls for"),
        ("norm2-zero", {"norm2": 0}, "a squared norm of 0"),
        ("variance-small", {"variance": 15}, "cannot be accounted for"),
        ("variance-large", {"variance": (1 << 44) + 1}, "cannot be accounted for"),
        ("variance-negative", {"variance": -variance}, "cannot be accounted for"),
        ("variance-without-room", {"variance": 2 * variance}, "there is room for noise of"),
        ("unknown-field", {"x": 1}, "unknown field 'x'"),
    ):
        group.add(f"privacy-{name}", privacy(**changes), says)
    group.add("privacy-list", noisy(privacy=[]), "'privacy' of the wrong type")
    group.add("privacy-missing", plan_file(without(o.NOISY, "privacy")), "values have room for noise")
    tail = o.NOISY["codec"][0]["tail"]
    for name, changes, says in (
        ("no-tail", {"tail": 0}, "a tail of 0, which is left out"),
        ("negative-tail", {"tail": -1}, "noise of up to -1 steps cannot be added"),
        ("tail-of-all", {"tail": o.QMAX}, "cannot be added to values of 12 bits"),
        ("wide-tail", {"tail": tail + 1}, "a value as large as the clip norm has no room"),
        ("stochastic", {"rounding": "stochastic"}, "cannot be added to values of 12 bits"),
        ("digits", {"digits": [1, 2]}, "cannot be added to values of 12 bits"),
        ("two-steps", {"steps": [o.STEP, 2 * o.STEP]}, "values that all have one step"),
        ("other-steps", {"steps": [2 * o.STEP] * 2}, "its clip norm calls for"),
    ):
        group.add(f"privacy-{name}", quantise(**changes), says)
    *_, last, packing = o.NOISY["codec"]
    without_tail = [without(last, "tail"), packing]
    group.add("privacy-without-room", noisy(codec=without_tail), "values have room for noise, and there is")
    group.add("privacy-weighted", noisy(max_weight=2), "a weight tells of a party's data")
    group.add("privacy-metrics", noisy(metrics=["bias"]), "metrics tell of a party's data")
    group.add("privacy-plain", noisy(plain=[["bias", 0, 2]]), "noise does not protect what is in the clear")
    open_plan = without({**o.NOISY, "capacity": 16}, "roster")
    group.add("privacy-without-a-roster", plan_file(open_plan), "nobody knows whose noise is in a sum")
    coarse = 1 << 25
    wide = quantise(o.RECORD, bits=27, tail=(1 << 26) - 1 - coarse)
    group.add("privacy-records-too-large", wide, "values of up to 33,554,432 steps are not exact")
    narrow = plan_file({**o.RECORD, "tensors": r.PLAN["tensors"]})
    group.add("privacy-records-in-float32", narrow, "sums over records are float64")
    record2 = o.RECORD["privacy"]["norm2"]
    group.add("privacy-record-norm2", privacy(o.RECORD, norm2=record2 - 1), "its clip norm calls for")
    return group


def noisy_faults() -> Group:
    """Files of rounds with noise that say more than they may."""
    group = Group("4")
    largest = math.isqrt(o.NOISY["privacy"]["norm2"])
    long = o.encoded(o.NOISY, [largest, largest, 0, 0, 0, 0])
    group.add("encoded-beyond-the-norm", long, "its squared norm is", "spend")
    wide = o.encoded(o.NOISY, [largest + 1, 0, 0, 0, 0, 0])
    group.add("encoded-beyond-the-bound", wide, "a value leaves no room for noise", "spend")
    group.add("sum-with-noise-and-clipped", o.total(clipped=1), "clipped")
    group.add("sum-with-noise-and-weight", o.total(weight=3), "weight")
    return group


def account_faults() -> Group:
    """Accounts that nobody would have."""
    group = Group("3 account")
    plan, *rest = o.SPENT[0]
    for name, item in (
        ("short", [plan, *rest[:-1]]),
        ("plan", [plan[1:], *rest]),
        ("unit", [plan, rest[0], "user", *rest[2:]]),
        ("norm2", [plan, *rest[:2], 0, *rest[3:]]),
        ("variance", [plan, *rest[:3], -1, *rest[4:]]),
        ("honest", [plan, *rest[:4], True, rest[5]]),
        ("delta", [plan, *rest[:5], 1.0]),
        ("delta-integer", [plan, *rest[:5], 1]),
        ("map", {}),
    ):
        group.add(f"account-{name}", o.account([item]), "an update in it is malformed")
    group.add("account-unsigned", envelope("account", {"spent": o.SPENT}), "nobody signed it")
    group.add(
        "account-unknown-field", envelope("account", {"spent": [], "x": 1}, signer="alice"), "unknown field"
    )
    group.add(
        "account-with-sections",
        envelope("account", {"spent": []}, [("x", 1, b"x")], signer="alice"),
        "calls for no records",
    )
    return group


def noisy_training_faults() -> Group:
    """Terms with noise that cannot be."""
    group = Group("3 training")

    def terms(**changes: Any) -> bytes:
        return t.training_file({**o.TRAINING, **changes})

    def promise(**changes: Any) -> bytes:
        return terms(privacy={**o.PROMISE, **changes})

    for name, data, says in (
        ("list", terms(privacy=[]), "'privacy' of the wrong type"),
        ("unknown-field", promise(x=1), "unknown field 'x'"),
        ("unit", promise(unit="user"), "no unit of privacy"),
        ("rho-zero", promise(rho=0.0), "a promise of nothing"),
        ("epsilon-infinite", promise(epsilon=math.inf), "a promise of nothing"),
        ("not-kept", promise(epsilon=1.0), "9 rounds come to epsilon"),
        ("colluders", promise(colluders=2), "no plan follows from it"),
        ("replaces", terms(rule="replace"), "noise where the mean replaces the model"),
        ("records-added", promise(unit="record"), "records protected by another rule than sgd"),
        ("metrics", terms(metrics=[["loss", 1.0]]), "metrics beside noise"),
        ("weights", terms(max_weight=2), "no plan follows from it: a weight tells"),
        ("few-bits", terms(bits=4), "no plan follows from it: 4 bits are too coarse"),
    ):
        group.add(f"training-privacy-{name}", data, says)
    return group


def bad() -> dict[str, Fault]:
    """Make all of them."""
    groups = [
        start_faults(),
        header_faults(),
        end_faults(),
        signature_faults(),
        text_faults(),
        layout_faults(),
        key_faults(),
        private_key_faults(),
        share_faults(),
        plan_faults(),
        position_faults(),
        training_faults(),
        training_list_faults(),
        training_goal_faults(),
        mask_plan_faults(),
        part_plan_faults(),
        part_faults(),
        roster_faults(),
        round_faults(),
        people_faults(),
        ledger_faults(),
        checkpoint_faults(),
        partial_faults(),
        slice_faults(),
        enrollment_faults(),
        mask_faults(),
        answer_faults(),
        opened_faults(),
        smaller_plan_faults(),
        basis_faults(),
        residual_faults(),
        smaller_round_faults(),
        smaller_training_faults(),
        noisy_plan_faults(),
        noisy_faults(),
        account_faults(),
        noisy_training_faults(),
    ]
    found: dict[str, Fault] = {}
    for group in groups:
        assert not found.keys() & group.keys()
        found |= group
    return found
