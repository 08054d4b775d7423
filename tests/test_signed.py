"""Signed rounds: what is signed, that nothing signed can be changed, and who may do what."""

import copy
import fcntl
import io
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.kinds import KINDS
from hecli.identity.cards import Card, Signature, signed_message
from hecli.identity.curves import is_weak
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.plan.files import parse_plan
from hecli.storage.use_record import remember
from tests.support import (
    KEY,
    PUBLIC,
    body,
    changed,
    leaves,
    npz,
    reader,
    rewritten,
    small_plan,
    with_change,
    written,
)

ANNA, ALICE, BOB, CAROL, MALLORY = (
    Identity.generate(name) for name in ("anna", "alice", "bob", "carol", "mallory")
)
ROSTER = Roster.of([ALICE.card, BOB.card], keyholders=[ANNA.card], coordinator=ANNA.card)
PLAN = small_plan(parties=None, roster=ROSTER)


def update(value, identity, plan=PLAN):
    source = npz(w=np.full((3, 4), value, np.float32))
    return written(lambda out: hecli.encrypt(source, out, PUBLIC, plan=plan, identity=identity, jobs=1))


def aggregate(files, identity=BOB, **options):
    for file in files:
        file.seek(0)
    return written(lambda out: hecli.aggregate(files, out, identity=identity, jobs=1, **options))


def decrypt(file, identity=ANNA, **options):
    file.seek(0)
    options.setdefault("unverified", "updates" not in options)
    return written(lambda out: hecli.decrypt(file, out, KEY, identity=identity, jobs=1, **options))


@pytest.fixture(scope="session")
def made():
    """A signed round: its files by name, and those that are signed by kind."""
    one, other = update(0.5, ALICE), update(0.25, BOB)
    whole = aggregate([one, other])
    files = {
        "update": one,
        "aggregate": whole,
        "sum": decrypt(whole),
        "plan": written(lambda out: hecli.write_plan(PLAN, out, ANNA)),
        "card": written(lambda out: hecli.write_card(ALICE, out)),
    }
    return SimpleNamespace(
        a=one, b=other, aggregate=whole, sum=files["sum"], plan=files["plan"], signed=files
    )


KIND_NAMES = ("update", "aggregate", "sum", "plan", "card")


def test_a_signed_round(made):
    mean = io.BytesIO()
    made.sum.seek(0)
    hecli.apply(made.sum, mean, format="npz", plan=PLAN)
    mean.seek(0)
    with np.load(mean) as file:
        assert file["w"] == pytest.approx(np.full((3, 4), 0.375), abs=1e-4)
    for file in made.signed.values():
        file.seek(0)
        facts = hecli.verify(file)
        assert facts["kind"] in made.signed
    assert hecli.verify(made.aggregate)["signed_by"] == {"name": "bob", "fingerprint": BOB.card.fingerprint}


def test_a_signature_does_not_change_what_is_signed(made):
    """So that an aggregate can be compared whoever made it."""
    other = aggregate([made.b, made.a], ALICE)
    assert reader(other).digest == reader(made.aggregate).digest
    assert body(other) == body(made.aggregate)
    assert other.getvalue() != made.aggregate.getvalue()


def resigned(file, header=None, body=None, signature=None, kind=None):
    """The file with other contents and true digests, and still the old signature, or this one."""
    kept = signature or reader(file).signature
    return rewritten(file, header, body, kind, sign=lambda _: list(kept))


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_any_field_of_any_signed_file_changed_is_refused(made, kind):
    file = made.signed[kind]
    paths = list(leaves(reader(file).header))
    assert paths
    for path in paths:
        with pytest.raises(HecliError):
            hecli.verify(resigned(file, header=with_change(reader(file).header, path)))


@pytest.mark.parametrize("kind", ["update", "aggregate", "sum"])
@given(data=st.data())
def test_any_byte_of_any_signed_body_changed_is_refused(made, kind, data):
    contents = body(made.signed[kind])
    section = data.draw(st.sampled_from(list(contents)))
    content = bytearray(contents[section])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FormatError, match="signature"):
        hecli.verify(resigned(made.signed[kind], body={section: bytes(content)}))


@pytest.mark.parametrize("kind", KIND_NAMES)
@given(data=st.data())
def test_any_part_of_a_signature_changed_is_refused(made, kind, data):
    flat = list(reader(made.signed[kind]).signature)
    at = data.draw(st.integers(0, 3))
    flat[at] = changed(flat[at])
    with pytest.raises(HecliError):
        hecli.verify(resigned(made.signed[kind], signature=flat))


def test_a_signature_is_for_one_kind_of_file(made):
    """What alice signed as an update is no aggregate, though all else be right."""
    opened = reader(made.a)
    contributor = ["alice", opened.digest, opened.signature[4]]
    header = {"plan": PLAN.to_map(), "contributors": [contributor]}
    for signed_as, says in (("update", "signature of alice does not hold"), ("aggregate", None)):
        out = io.BytesIO()
        envelope.write(
            out,
            "aggregate",
            header,
            PLAN.geometry.aggregate,
            [body(made.a)["lanes"], body(made.a)["control"]],
            sign=signer(ALICE, signed_as, PLAN.digest),
        )
        if says is None:
            assert hecli.verify(out)["kind"] == "aggregate"
            continue
        with pytest.raises(FormatError, match=says):
            hecli.verify(out)
    messages = {signed_message(kind, PLAN.digest, ALICE.card, bytes(32)) for kind in KINDS}
    assert len(messages) == len(KINDS)


def test_the_signed_message_is_what_the_specification_says():
    message = signed_message("update", b"\1" * 32, Card("a", b"\2" * 32, b"\3" * 32, b"\5" * 32), b"\4" * 32)
    assert message == (
        b"hecli signature v2\0\x97\xa6update\xc4\x20" + b"\1" * 32 + b"\xa1a"
        b"\xc4\x20"
        + b"\2" * 32
        + b"\xc4\x20"
        + b"\3" * 32
        + b"\xc4\x20"
        + b"\5" * 32
        + b"\xc4\x20"
        + b"\4" * 32
    )


def test_a_file_that_nobody_signed_is_refused(made):
    for kind in ("update", "aggregate", "sum"):
        with pytest.raises(RefusedError, match="not signed"):
            hecli.verify(rewritten(made.signed[kind]))
    plan = io.BytesIO()
    envelope.write(plan, "plan", {"plan": PLAN.to_map()}, sign=signer(ALICE, "plan", PLAN.digest))
    with pytest.raises(FormatError, match="not signed by its coordinator anna"):
        hecli.read_plan(plan)
    with pytest.raises(RefusedError, match="its coordinator anna has to sign"):
        hecli.write_plan(PLAN, io.BytesIO(), ALICE)
    card = io.BytesIO()
    envelope.write(card, "card", {"card": list(ALICE.card), "kem": ALICE.card.kem_key})
    with pytest.raises(FormatError, match="not signed by its own key"):
        hecli.read_card(card)


def test_a_card_of_two_halves_is_refused(made):
    """Somebody else's key to sign with one's own to agree secrets: only the owner of both can make a card."""
    value = reader(made.signed["card"]).signature[4]
    mixed = Card("alice", ALICE.card.sign, *MALLORY.card[2:])
    file = resigned(
        made.signed["card"],
        header={"card": list(mixed), "kem": MALLORY.card.kem_key},
        signature=[*mixed, value],
    )
    with pytest.raises(FormatError, match="does not hold"):
        hecli.read_card(file)


@pytest.mark.parametrize(
    ("sign", "agree"),
    [
        ("01" + 31 * "00", None),
        ("ec" + 30 * "ff" + "7f", None),
        (32 * "00", None),
        (31 * "00" + "80", None),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", None),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", None),
        ("ed" + 30 * "ff" + "7f", None),
        (None, 32 * "00"),
        (None, "01" + 31 * "00"),
        (None, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    ],
)
def test_keys_for_which_anybody_can_sign_are_refused(sign, agree):
    """Points of small order; 01 00... accepts the signature 01 00... 00 for every message."""
    card = Card(
        "weak",
        bytes.fromhex(sign) if sign else ALICE.card.sign,
        bytes.fromhex(agree or "09" + 31 * "00"),
        ALICE.card.kem,
    )
    assert is_weak(card.sign, card.agree)
    assert not is_weak(ALICE.card.sign, ALICE.card.agree)
    if sign == "01" + 31 * "00":
        value = bytes.fromhex("01" + 63 * "00")
        out = io.BytesIO()
        envelope.write(out, "card", {"card": list(card)}, sign=lambda _: Signature(card, value).pack())
        with pytest.raises(FormatError, match="lets anybody"):
            hecli.read_card(out)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda made: update(1, None), "has to sign"),
        (lambda made: update(1, MALLORY), "not on the plan's roster"),
        (lambda made: update(1, Identity.generate("bob")), "has the card"),
        (lambda made: update(1, ANNA), "may not send an update"),
        (lambda made: aggregate([made.a, made.b], None), "has to sign"),
        (lambda made: aggregate([made.a, made.b], MALLORY), "not on the plan's roster"),
        (lambda made: decrypt(made.aggregate, None), "has to sign"),
        (lambda made: decrypt(made.aggregate, BOB), "may not open sums"),
    ],
)
def test_who_may_do_what(made, function, says):
    with pytest.raises(RefusedError, match=says):
        function(made)


def test_only_named_aggregators_may_aggregate():
    roster = Roster.of([ALICE.card, BOB.card], [CAROL.card], coordinator=ANNA.card)
    plan = small_plan(parties=None, roster=roster)
    files = [update(1, ALICE, plan), update(1, BOB, plan)]
    with pytest.raises(RefusedError, match="may not aggregate"):
        aggregate(files, BOB)
    made = aggregate(files, CAROL)
    # No keyholder is named: whoever is on the roster may sign the sum.
    assert hecli.verify(decrypt(made, BOB))["signed_by"]["name"] == "bob"


def test_an_aggregate_proves_its_parties_by_itself(made):
    """Whoever aggregates cannot list a party that sent nothing, even where nobody has the updates."""
    opened = reader(made.aggregate)
    contributors = copy.deepcopy(opened.header["contributors"])
    assert [each[0] for each in contributors] == ["alice", "bob"]
    for altered in (
        [contributors[0], ["bob", bytes(32), contributors[1][2]]],
        [contributors[0], ["bob", contributors[1][1]]],
        [contributors[0], ["bob", contributors[1][1], contributors[0][2]]],
        [contributors[0], ["carol", *contributors[1][1:]]],
        [contributors[0], ["anna", *contributors[1][1:]]],
    ):
        header = opened.header | {"contributors": sorted(altered)}
        out = io.BytesIO()
        envelope.write(
            out,
            "aggregate",
            header,
            opened.prelude.sections,
            body(made.aggregate).values(),
            sign=signer(BOB, "aggregate", PLAN.digest),
        )
        with pytest.raises(FormatError, match=r"no signed update of a party|signature under the update"):
            decrypt(out)


def test_a_nested_aggregate_needs_a_signature_too():
    carol = Roster.of([ALICE.card, BOB.card, CAROL.card], coordinator=ANNA.card)
    plan = small_plan(parties=None, roster=carol)
    files = [update(value, who, plan) for value, who in ((0.25, ALICE), (0.5, BOB), (0.75, CAROL))]
    inner = aggregate(files[:2], CAROL)
    assert reader(aggregate([inner, files[2]])).digest == reader(aggregate(files)).digest
    with pytest.raises(RefusedError, match="not signed"):
        aggregate([rewritten(inner), files[2]])


def test_an_aggregate_is_recomputed(made):
    for file in (made.aggregate, made.a, made.b):
        file.seek(0)
    assert [each.party for each in hecli.verify_aggregate(made.aggregate, [made.b, made.a], jobs=1)] == [
        "alice",
        "bob",
    ]
    again = decrypt(made.aggregate, updates=[made.a, made.b])
    assert body(again)["lanes"] == body(made.sum)["lanes"]
    with pytest.raises(MismatchError, match="counts bob, whose update is not among the files"):
        hecli.verify_aggregate(made.aggregate, [made.a], jobs=1)
    with pytest.raises(MismatchError, match="counts another update of bob"):
        hecli.verify_aggregate(made.aggregate, [made.a, update(0.25, BOB)], jobs=1)
    with pytest.raises(FormatError, match="not an update"):
        hecli.verify_aggregate(made.aggregate, [made.aggregate], jobs=1)
    with pytest.raises(FormatError, match="is an update file, not an aggregate"):
        hecli.verify_aggregate(made.a, [made.a, made.b], jobs=1)


def test_recomputing_needs_no_roster():
    plan = small_plan()
    files = [update(value, None, plan) for value in (0.5, 0.25, 0.75)]
    whole, part = aggregate(files, None), aggregate(files[:2], None)
    assert len(hecli.verify_aggregate(whole, files, jobs=1)) == 3
    with pytest.raises(MismatchError, match="does not count unnamed"):
        hecli.verify_aggregate(part, files, jobs=1)
    with pytest.raises(MismatchError, match="counts unnamed"):
        hecli.verify_aggregate(whole, files[1:], jobs=1)


@given(st.integers(0, 2), st.integers(0, 511))
def test_the_first_ciphertext_that_differs_is_named(at, byte):
    big = small_plan(npz(w=np.ones(230, np.float32)), parties=2)
    source = npz(w=np.full(230, 0.5, np.float32))
    files = [written(lambda out: hecli.encrypt(source, out, PUBLIC, plan=big, jobs=1)) for _ in range(2)]
    for file in files:
        file.seek(0)
    made = aggregate(files, None)
    section, start = ("lanes", 512 * at) if at < big.geometry.lane_blocks else ("control", 0)
    content = bytearray(body(made)[section])
    content[start + byte] ^= 1
    out = rewritten(made, body={section: bytes(content)})
    with pytest.raises(MismatchError, match=f"ciphertext {at} is not the product"):
        hecli.verify_aggregate(out, files, jobs=1)


def test_what_is_given_a_plan_follows_it(made):
    other = small_plan(parties=None, roster=ROSTER)
    for function in (
        lambda: aggregate([made.a, made.b], plan=other),
        lambda: decrypt(made.aggregate, plan=other),
        lambda: hecli.verify(made.a, plan=other),
        lambda: hecli.verify_aggregate(made.aggregate, [made.a, made.b], plan=other, jobs=1),
        lambda: hecli.apply(made.sum, io.BytesIO(), plan=other),
    ):
        for file in made.signed.values():
            file.seek(0)
        with pytest.raises(MismatchError, match=r"follows .*the plan is"):
            function()
    # made.a card follows no plan.
    assert hecli.verify(made.signed["card"], plan=PLAN)["kind"] == "card"


def test_the_coordinator_of_a_plan_can_be_demanded(made):
    assert hecli.read_plan(made.plan, ANNA.card) == PLAN
    with pytest.raises(MismatchError, match=r"signed by .* anna, not by .* mallory"):
        hecli.read_plan(made.plan, MALLORY.card)
    plain = written(lambda out: hecli.write_plan(small_plan(), out))
    with pytest.raises(MismatchError, match="signed by nobody"):
        hecli.read_plan(plain, ANNA.card)


def test_a_signature_without_a_roster_is_checked_and_proves_nothing():
    plan = small_plan()
    file = update(1, MALLORY, plan)
    facts = hecli.inspect(file)
    assert facts["signed_by"]["name"] == facts["contributors"][0]["party"] == "mallory"
    assert "unproven" in facts["names"]
    with pytest.raises(FormatError, match="does not hold"):
        hecli.inspect(
            resigned(
                file, header=reader(file).header | {"party": "mallory"}, body={"lanes": body(file)["control"]}
            )
        )
    with pytest.raises(RefusedError, match="the identity is mallory's, not alice's"):
        source = npz(w=np.ones((3, 4), np.float32))
        hecli.encrypt(source, io.BytesIO(), PUBLIC, plan=plan, party="alice", identity=MALLORY)


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        (lambda: Roster.of([ALICE.card, ALICE.card], coordinator=ANNA.card), "given twice"),
        (
            lambda: Roster.of([ALICE.card, Card("alice", *BOB.card[1:])], coordinator=ANNA.card),
            "the same name",
        ),
        (
            lambda: Roster.of([ALICE.card, Card("bob", *ALICE.card[1:])], coordinator=ANNA.card),
            "the same key",
        ),
        (
            lambda: small_plan(parties=None, roster=Roster.of([ALICE.card], coordinator=ANNA.card)),
            "parties must be",
        ),
        (lambda: small_plan(parties=3, roster=ROSTER), "either"),
    ],
)
def test_rosters_that_cannot_be(cards, says):
    with pytest.raises(HecliError, match=says):
        cards()


@pytest.mark.parametrize(
    "change",
    [
        {"parties": ["bob", "alice"]},
        {"parties": ["alice", "alice", "bob"]},
        {"parties": ["alice", "carol"]},
        {"parties": ["alice", 7]},
        {"coordinator": "carol"},
        {"coordinator": 7},
        {"members": []},
        {"members": [["alice", b"", b""]]},
        {"more": 1},
    ],
)
def test_rosters_that_are_not_sound_are_refused(change):
    value = PLAN.to_map()
    with pytest.raises(FormatError):
        parse_plan(value | {"roster": value["roster"] | change}, "file")


def test_a_plan_says_only_what_it_does():
    for change in ({"require_verified": True}, {"roster": None}):
        with pytest.raises(FormatError):
            parse_plan(small_plan().to_map() | change, "file")


def test_identities_are_written_and_read():
    for passphrase in (None, "correct horse"):
        file = written(lambda out, words=passphrase: hecli.write_identity(ALICE, out, words))
        assert hecli.read_identity(file, lambda words=passphrase: words) == ALICE
        assert (ALICE.sign_secret in file.getvalue()) == (passphrase is None)
        assert hecli.inspect(file)["card"]["fingerprint"] == ALICE.card.fingerprint
    with pytest.raises(HecliError, match="wrong passphrase"):
        hecli.read_identity(file, lambda: "wrong")
    stolen = written(
        lambda out: hecli.write_identity(
            Identity(BOB.card, ALICE.sign_secret, ALICE.agree_secret, ALICE.kem_secret), out
        )
    )
    with pytest.raises(FormatError, match="not those of its card"):
        hecli.read_identity(stolen, str)
    assert repr(ALICE.sign_secret)[2:-1] not in repr(ALICE)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if not kind.signed])
def test_what_cannot_be_signed_is_refused_with_a_signature(kind):
    out = io.BytesIO()
    envelope.write(out, kind, {"a": 1}, sign=signer(ALICE, kind))
    with pytest.raises(FormatError, match="is signed, which"):
        reader(out)


def test_a_roster_too_large_for_an_aggregate_is_refused_before_anybody_encrypts():
    cards = [
        Card(f"{at:064}", *(number.to_bytes(32, "big") for number in (at, at + 1, at)))
        for at in range(1, 14001)
    ]
    with pytest.raises(HecliError, match="largest header of the round"):
        small_plan(parties=None, roster=Roster.of(cards, coordinator=ANNA.card))


@pytest.fixture
def opened(place, ok):
    """Two aggregates of one plan, as files."""
    plan = small_plan()
    with Path("round.plan").open("wb") as out:
        hecli.write_plan(plan, out)
    for at in range(3):
        np.savez(f"{at}.npz", w=np.full((3, 4), at, np.float32))
        ok("encrypt", f"{at}.npz", "--plan", "round.plan")
    ok("aggregate", "0.enc", "1.enc", "2.enc", "-o", "whole.agg")
    ok("aggregate", "0.enc", "1.enc", "-o", "part.agg")
    return place


def test_the_record_is_its_owner_s_alone_and_follows_the_key(opened, ok, fails):
    ok("decrypt", "whole.agg")
    assert (opened / "hecli.key.opened").stat().st_mode & 0o777 == 0o600
    (opened / "link.key").symlink_to("hecli.key")
    fails("decrypt", "part.agg", "--key", "link.key", says="was opened before")
    ok("decrypt", "whole.agg", "-o", "again.sum")
    ok("decrypt", "part.agg", "--again")


def test_what_went_to_a_pipe_is_on_record_whatever_became_of_it(opened, fails):
    """The reader may have seen it."""
    hecli_ = f"{sys.executable} -m hecli"
    subprocess.run(
        ["bash", "-c", f"{hecli_} decrypt whole.agg -o - | head -c 10"], check=True, capture_output=True
    )
    fails("decrypt", "part.agg", says="was opened before")


def test_a_record_that_is_damaged_or_has_no_place(opened, fails, ok):
    fails("decrypt", "whole.agg", "--key", "-", says="no place for the record")
    (opened / "hecli.key.opened").write_bytes(b"nonsense")
    fails("decrypt", "whole.agg", says="not a hecli file", hint="restore it")
    (opened / "hecli.key.opened").unlink()
    (opened / "hecli.key.opened").symlink_to("nowhere")
    fails("decrypt", "whole.agg", says="is no file, or leads to none")
    assert not (opened / "whole.sum").exists()


def test_of_two_aggregates_opened_at_once_one_is_refused(opened):
    """Many times over, for it is a race."""
    for _ in range(5):
        (opened / "hecli.key.opened").unlink(missing_ok=True)
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "hecli", "decrypt", f"{name}.agg", "-o", f"{name}.sum", "--force"],
                stderr=subprocess.PIPE,
            )
            for name in ("whole", "part")
        ]
        said = [each.communicate()[1] for each in both]
        assert sorted(each.returncode for each in both) == [0, 1], said
        assert sum(b"was opened before" in each for each in said) == 1


def test_the_lock_keeps_others_out(opened):
    """Without it the race above is won by luck nearly always."""
    record = remember("hecli.key", "opened")
    with Path("hecli.key").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=record, args=(bytes(32), bytes(32)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert not (opened / "hecli.key.opened").exists()
    waiting.join()
    with pytest.raises(RefusedError, match="another aggregate"):
        record(bytes(32), b"\1" * 32)


@pytest.mark.parametrize("arguments", [("--from",), ("--from", "-q"), ("--from", "-o", "x.sum")])
def test_from_without_files_is_no_check_and_refused(opened, fails, arguments):
    fails("decrypt", "whole.agg", *arguments, says="needs files", status=2)
    fails("decrypt", "whole.agg", "--from", "*.nothing", says="no file matches")
    whole = io.BytesIO(Path("whole.agg").read_bytes())
    with pytest.raises(RefusedError, match="none of its parties' updates is here"):
        hecli.decrypt(whole, io.BytesIO(), KEY, updates=[], jobs=1)


def test_damage_is_not_called_fraud(opened, fails):
    content = bytearray(Path("whole.agg").read_bytes())
    content[-300] ^= 1
    Path("whole.agg").write_bytes(content)
    fails("verify", "whole.agg", "--from", "0.enc", "1.enc", "2.enc", says="does not match its digest")


def test_a_plan_that_is_not_given_is_warned_of_where_people_sign(opened, run, ok):
    ok("keygen", "--identity", "anna")
    assert "warning: whatever plan" in run("decrypt", "whole.agg", "--identity", "anna.id")[2]
    said = run("decrypt", "whole.agg", "-o", "x.sum", "--identity", "anna.id", "--plan", "round.plan")[2]
    assert "warning" not in said
