"""Keys in shares: any T open, fewer do not, and whoever lies is found out."""

import io
import itertools
import math
import secrets
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hecli
from hecli.arithmetic.engines import combiner, deal, partial_maker
from hecli.arithmetic.gmp.primes import safe_prime
from hecli.arithmetic.sizes import InvalidCiphertextError, ciphertext_size, plaintext_size
from hecli.arithmetic.threshold import GROUP, PROOF_RECORDS
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.identity.signatures import Identity
from tests.support import KEYS, body, dealt_shares, encryptor, no_passphrase, npz, reader, rewritten, written

PUBLIC = hecli.read_public_key(KEYS / "dealt.pub")
KEY = PUBLIC.shared
SESSION = bytes(64)
SIZE = ciphertext_size(KEY.n)
ALICE, BOB = Identity.generate("alice"), Identity.generate("bob")


def plaintexts(count):
    width = plaintext_size(KEY.n)
    return b"".join(secrets.randbelow(KEY.n).to_bytes(width, "big") for _ in range(count))


def update(value, plan, values=400):
    source = npz(w=np.full(values, value, np.float32))
    return written(lambda out: hecli.encrypt(source, out, PUBLIC, plan=plan, jobs=1))


def a_plan(values=400, **options):
    return hecli.make_plan(npz(w=np.ones(values, np.float32)), PUBLIC, 8, **options)


def aggregate(files):
    for file in files:
        file.seek(0)
    return written(lambda out: hecli.aggregate(files, out, jobs=1))


def partial(file, share, updates=(), **options):
    for each in (file, *updates):
        each.seek(0)
    options["updates"] = updates
    return written(lambda out: hecli.partial(file, out, share, jobs=1, **options))


def combined(file, partials, **options):
    for each in (file, *partials):
        each.seek(0)
    out = io.BytesIO()
    made = hecli.combine(file, partials, out, PUBLIC, jobs=1, **options)
    out.seek(0)
    return out, made


@pytest.fixture(scope="session")
def dealt():
    """A round under the key in shares, and a partial of each share."""
    plan = a_plan()
    updates = [update(value, plan) for value in (0.25, 0.5, 0.75)]
    whole = aggregate(updates)
    partials = [partial(whole, share, updates) for share in dealt_shares()]
    return SimpleNamespace(plan=plan, updates=updates, aggregate=whole, partials=partials)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_every_subset_of_shares(dealt, size):
    for chosen in itertools.combinations(dealt.partials, size):
        if size < KEY.threshold:
            with pytest.raises(RefusedError, match="3 partials given, 4 required"):
                combined(dealt.aggregate, chosen)
            continue
        total, made = combined(dealt.aggregate, chosen)
        assert not made.refused
        mean = io.BytesIO()
        hecli.apply(total, mean, format="npz")
        mean.seek(0)
        with np.load(mean) as file:
            assert file["w"] == pytest.approx(np.full(400, 0.5), abs=1e-4)


def test_all_subsets_give_the_same_sum(dealt):
    sums = {
        combined(dealt.aggregate, chosen)[0].getvalue()
        for chosen in itertools.combinations(dealt.partials, 4)
    }
    assert len(sums) == 1


def test_phe_s_ciphertexts_open():
    phe = PUBLIC.to_phe()
    numbers = [secrets.randbelow(KEY.n) for _ in range(3)]
    batch = b"".join(phe.raw_encrypt(number).to_bytes(SIZE, "big") for number in numbers)
    parts = [partial_maker(KEY, share.index, share.value, SESSION)(batch) for share in dealt_shares()[1:]]
    opened = combiner(KEY, [2, 3, 4, 5], SESSION)(b"".join([batch, *parts]))
    width = plaintext_size(KEY.n)
    assert opened == bytes([1, 1, 1, 1]) + b"".join(number.to_bytes(width, "big") for number in numbers)


@pytest.mark.parametrize(("bits", "threshold", "shares"), [(2048, 2, 2), (2048, 4, 7)])
def test_other_dealings(bits, threshold, shares):
    key, values = deal(bits, threshold, shares)
    key.check()
    assert key.n.bit_length() == bits
    clear = plaintexts(2)
    batch = encryptor(key.n, "short", 2)(
        b"".join(
            (int.from_bytes(clear[at : at + 256], "big") % key.n).to_bytes(256, "big") for at in (0, 256)
        )
    )
    chosen = list(range(shares, shares - threshold, -1))
    parts = [partial_maker(key, index, values[index - 1], SESSION)(batch) for index in chosen]
    opened = combiner(key, chosen, SESSION)(b"".join([batch, *parts]))
    assert opened[:threshold] == bytes([1] * threshold)
    assert len(opened) == threshold + 512
    # T - 1 values of a polynomial of degree T - 1 leave every secret possible: none is f(0).
    assert len(set(values)) == shares
    assert combiner(key, chosen[1:], SESSION)(b"".join([batch, *parts[1:]])) == bytes([1] * (threshold - 1))


def test_safe_primes_are_safe():
    import gmpy2

    for bits in (256, 512):
        prime = safe_prime(bits)
        assert prime.bit_length() == bits
        assert gmpy2.is_prime(prime)
        assert gmpy2.is_prime(prime // 2)


def test_the_random_part_hides_the_share():
    """z = r + e D s_i: r is longer than what it hides by 128 bits, so z alone tells nothing of s_i."""
    batch = encryptor(KEY.n, "short", 1)(plaintexts(1))
    hidden = (KEY.n**2).bit_length() + math.factorial(5).bit_length() + 128
    lengths = set()
    for _ in range(8):
        made = partial_maker(KEY, 1, dealt_shares()[0].value, SESSION)(batch)
        z = int.from_bytes(made[SIZE + 16 :], "big")
        lengths.add(z)
        assert z.bit_length() > hidden + 128 - 40
    assert len(lengths) == 8


@given(st.data())
@settings(max_examples=30)
def test_any_byte_of_a_partial_changed_is_found(data):
    batch = encryptor(KEY.n, "short", 2)(plaintexts(2))
    made = bytearray(partial_maker(KEY, 1, dealt_shares()[0].value, SESSION)(batch))
    at = data.draw(st.integers(0, len(made) - 1))
    made[at] ^= data.draw(st.integers(1, 255))
    assert combiner(KEY, [1], SESSION)(batch + bytes(made)) == b"\0"


def test_a_proof_is_for_one_session_share_and_batch():
    batch = encryptor(KEY.n, "short", 2)(plaintexts(2))
    other = encryptor(KEY.n, "short", 2)(plaintexts(2))
    made = partial_maker(KEY, 1, dealt_shares()[0].value, SESSION)(batch)
    assert combiner(KEY, [1], SESSION)(batch + made) == b"\1"
    assert combiner(KEY, [1], b"\1" * 64)(batch + made) == b"\0"
    assert combiner(KEY, [2], SESSION)(batch + made) == b"\0"
    assert combiner(KEY, [1], SESSION)(other + made) == b"\0"
    # Of the right form, but by another share, which an honest proof cannot cover.
    made = partial_maker(KEY, 1, dealt_shares()[1].value, SESSION)(batch)
    assert combiner(KEY, [1], SESSION)(batch + made) == b"\0"


def test_a_single_wrong_value_does_not_hide_in_a_batch():
    batch = encryptor(KEY.n, "short", 20)(plaintexts(20))
    made = partial_maker(KEY, 1, dealt_shares()[0].value, SESSION)(batch)
    square = KEY.n**2
    for at in (0, 7, 19):
        value = int.from_bytes(made[at * SIZE : (at + 1) * SIZE], "big")
        for wrong in (value * (1 + KEY.n) % square, pow(value, 2, square), 1):
            forged = made[: at * SIZE] + wrong.to_bytes(SIZE, "big") + made[(at + 1) * SIZE :]
            assert combiner(KEY, [1], SESSION)(batch + forged) == b"\0"


def test_what_is_no_unit_is_refused():
    batch = encryptor(KEY.n, "short", 1)(plaintexts(1))
    for value in (0, KEY.n, KEY.n**2 + 1):
        with pytest.raises(InvalidCiphertextError):
            partial_maker(KEY, 1, dealt_shares()[0].value, SESSION)(batch + value.to_bytes(SIZE, "big"))
        proof = bytes(PROOF_RECORDS * SIZE)
        assert combiner(KEY, [1], SESSION)(batch + value.to_bytes(SIZE, "big") + proof) == b"\0"


def lying(file, at=5, section="lanes"):
    content = bytearray(body(file)[section])
    content[at] ^= 1
    return rewritten(file, body={section: bytes(content)})


def test_a_lying_share_holder_is_named_and_left_out(dealt):
    liar = lying(dealt.partials[1])
    total, made = combined(dealt.aggregate, [dealt.partials[0], liar, *dealt.partials[2:]])
    assert total.getvalue() == combined(dealt.aggregate, dealt.partials[:4])[0].getvalue()
    assert made.refused == ("the input (share 2): its proof does not hold",)
    with pytest.raises(FormatError, match=r"share 2\) does not hold: 3 partials left, 4 required"):
        combined(dealt.aggregate, [dealt.partials[0], liar, *dealt.partials[2:4]])


@pytest.mark.slow
def test_a_lie_in_a_later_group_is_found_too():
    """Groups straddle chunks; each has a proof of its own."""
    values = 112 * (2 * GROUP + 10)
    plan = a_plan(values)
    updates = [update(0.5, plan, values), update(0.25, plan, values)]
    made = aggregate(updates)
    parts = [partial(made, share, updates) for share in dealt_shares()]
    blocks = plan.geometry.lane_blocks
    lanes, control = reader(parts[0]).prelude.sections
    assert lanes.records == blocks + -(-blocks // GROUP) * PROOF_RECORDS
    assert control.records == 1 + PROOF_RECORDS
    _, result = combined(made, [lying(parts[0], section="control"), *parts[1:]])
    assert result.refused == ("the input (share 1): its proof does not hold",)
    liar = lying(parts[0], at=SIZE * (2 * GROUP + 2 * PROOF_RECORDS + 3) + 9)
    _, result = combined(made, [liar, *parts[1:]])
    assert result.refused == ("the input (share 1): its proof does not hold",)
    with pytest.raises(FormatError, match="share 1"):
        combined(made, [liar, *parts[1:4]])


def test_partials_of_something_else_are_refused(dealt):
    other = aggregate(dealt.updates[:2])
    replayed = partial(other, dealt_shares()[0], dealt.updates[:2])
    with pytest.raises(MismatchError, match="partial of another aggregate"):
        combined(dealt.aggregate, [replayed, *dealt.partials[1:4]])
    # With the header of the right one, the proof does not hold.
    forged = rewritten(replayed, header=reader(dealt.partials[0]).header)
    with pytest.raises(FormatError, match="share 1"):
        combined(dealt.aggregate, [forged, *dealt.partials[1:4]])
    plan = a_plan()
    others = [update(1, plan), update(1, plan)]
    elsewhere = partial(aggregate(others), dealt_shares()[0], others)
    with pytest.raises(MismatchError, match="follows another"):
        combined(dealt.aggregate, [elsewhere, *dealt.partials[1:4]])
    with pytest.raises(RefusedError, match="2 partials given, 4 required"):
        combined(dealt.aggregate, [dealt.partials[0], dealt.partials[1], dealt.partials[0]])
    for change, says in (({"index": 6}, "there are 5"), ({"aggregate": b""}, "wrong length")):
        with pytest.raises(FormatError, match=says):
            combined(
                dealt.aggregate,
                [rewritten(dealt.partials[0], header=reader(dealt.partials[0]).header | change)],
            )


def test_a_share_holder_refuses_what_a_keyholder_refuses(dealt):
    with pytest.raises(RefusedError, match="holds 1 contributor"):
        partial(dealt.updates[0], dealt_shares()[0])
    for unverified in (False, True):
        with pytest.raises(RefusedError, match="nothing shows what the input was made of"):
            hecli.partial(dealt.aggregate, io.BytesIO(), dealt_shares()[0], unverified=unverified, jobs=1)
    with pytest.raises(MismatchError):
        partial(dealt.aggregate, dealt_shares()[0], dealt.updates, plan=a_plan())
    told = []
    partial(dealt.aggregate, dealt_shares()[0], dealt.updates, record=lambda *digests: told.append(digests))
    assert told == [(dealt.plan.digest, reader(dealt.aggregate).digest)]


def test_a_plan_is_for_one_dealing(dealt):
    """Whoever exchanges what proofs are checked with is found out."""
    false = replace(KEY, keys=KEY.keys[::-1])
    with pytest.raises(MismatchError, match="the key given is"):
        for each in (dealt.aggregate, *dealt.partials):
            each.seek(0)
        hecli.combine(dealt.aggregate, dealt.partials, io.BytesIO(), replace(PUBLIC, shared=false), jobs=1)
    with pytest.raises(MismatchError, match="another dealing"):
        partial(dealt.aggregate, replace(dealt_shares()[0], key=replace(KEY, threshold=3)))


def test_shares_are_written_and_read():
    for options, ask, identity in (
        ({}, no_passphrase, None),
        ({"passphrase": "correct horse"}, lambda: "correct horse", None),
        ({"card": ALICE.card}, no_passphrase, ALICE),
    ):
        file = written(lambda out, with_=options: hecli.write_share(dealt_shares()[0], out, **with_))
        bare = dealt_shares()[0].value.to_bytes(512, "big").lstrip(b"\0")
        assert (bare in file.getvalue()) == (not options)
        assert hecli.read_share(file, ask, identity) == dealt_shares()[0]
        facts = hecli.inspect(file)
        assert facts["share"] == 1
        assert (facts["sealed_to"] is not None) == ("card" in options)
    with pytest.raises(HecliError, match="not sealed to bob"):
        hecli.read_share(file, no_passphrase, BOB)
    file.seek(0)
    with pytest.raises(HecliError, match="sealed to alice"):
        hecli.read_share(file, no_passphrase)
    public = written(lambda out: hecli.write_public_key(PUBLIC, out))
    assert hecli.read_public_key(public) == PUBLIC


@pytest.mark.parametrize(
    "change", [{"index": 2}, {"index": 0}, {"index": 6}, {"secret": {"clear": b"\1"}}, {"n": b"\1"}]
)
def test_shares_that_do_not_fit_are_refused(change):
    file = written(lambda out: hecli.write_share(dealt_shares()[0], out))
    with pytest.raises(HecliError):
        hecli.read_share(rewritten(file, header=reader(file).header | change), no_passphrase)
    sealed = written(lambda out: hecli.write_share(dealt_shares()[0], out, card=ALICE.card))
    with pytest.raises(HecliError):
        hecli.read_share(rewritten(sealed, header=reader(sealed).header | change), no_passphrase, ALICE)


@pytest.mark.parametrize(("threshold", "shares"), [(1, 3), (4, 3), (2, 65), (0, 0)])
def test_dealings_that_cannot_be(threshold, shares):
    with pytest.raises(HecliError, match="cannot be what opens"):
        deal(2048, threshold, shares)
    dealing = reader(written(lambda out: hecli.write_public_key(PUBLIC, out))).header
    altered = dealing | {"dealing": dealing["dealing"] | {"threshold": threshold}}
    if threshold in (0, 1):
        with pytest.raises(FormatError, match="cannot be what opens"):
            hecli.inspect(rewritten(written(lambda out: hecli.write_public_key(PUBLIC, out)), header=altered))


def test_no_share_shows_when_printed():
    assert str(dealt_shares()[0].value)[:20] not in repr(dealt_shares()[0])
    assert isinstance(dealt_shares()[0], hecli.Share)


def test_the_commands(place, ok, fails):
    for name in ("hecli.pub", "hecli.key"):
        Path(name).unlink()
    for name in KEYS.glob("dealt*"):
        target = place / name.name
        target.write_bytes(name.read_bytes())
        target.chmod(0o600)
    for at, value in enumerate((1.0, 2.0)):
        np.save(f"{at}.npy", np.full(5, value, np.float32))
        ok("encrypt", f"{at}.npy", "--key", "dealt.pub")
    ok("aggregate", "0.enc", "1.enc")
    fails("decrypt", "round.agg", "--key", "dealt.pub", says="the plan's key is in shares")
    for index in (1, 2, 3, 5):
        ok("partial", "round.agg", "--share", f"dealt-{index}.share")
    assert (place / "dealt-1.share.opened").stat().st_mode & 0o777 == 0o600
    fails("combine", "round.agg", "round-1.part", "--key", "dealt.pub", says="1 partial given, 4 required")
    fails("decrypt", "round.agg", says="the plan's key is in shares", hint="hecli partial")
    parts = [f"round-{index}.part" for index in (1, 2, 3, 5)]
    ok("combine", "round.agg", *parts, "--key", "dealt.pub")
    ok("apply", "round.sum", "-o", "mean.npy")
    assert np.load("mean.npy") == pytest.approx(np.full(5, 1.5))
    ok("encrypt", "0.npy", "--key", "dealt.pub", "--force")
    ok("aggregate", "0.enc", "1.enc", "-o", "other.agg")
    fails("partial", "other.agg", "--share", "dealt-1.share", says="was opened before")
    fails("decrypt", "other.agg", "--share", "x", says="no such option", status=2)
    fails("keygen", "--threshold", "2", says="go together", status=2)
    fails("keygen", "--threshold", "2", "--shares", "2", "--identity", "a", says="for a new key", status=2)
    ok("keygen", "--identity", "alice")
    fails("keygen", "--threshold", "2", "--shares", "2", "--card", "alice.card", says="1 cards are not 2")
    two = (
        "keygen",
        "--threshold",
        "2",
        "--shares",
        "2",
        "--bits",
        "2048",
        "-o",
        "two",
        "--card",
        "alice.card",
    )
    fails(*two, "--card", "alice.card", says="a card is given twice", hint="counts for two")
    ok("keygen", "--identity", "bob")
    assert "one dishonest holder" not in ok(*two, "--card", "bob.card")
    assert not (place / "two.key").exists()
    assert (place / "two-2.share").stat().st_mode & 0o777 == 0o600
