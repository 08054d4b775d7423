"""Masks: they cancel in the sum of all, and hide everything else."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.arithmetic.sizes import InvalidCiphertextError, plaintext_size
from hecli.errors import HecliError, MismatchError, RefusedError
from hecli.identity.cards import Card
from hecli.identity.roster import Roster
from hecli.identity.sealing import seal
from hecli.identity.signatures import Identity
from hecli.plan.files import parse_plan
from hecli.rounds.enrollments import open_enrollments
from hecli.schemes.masks import protocol
from hecli.schemes.masks.keystream import Masks, Pair
from hecli.schemes.ring import RING, Adder
from tests.support import (
    KEY,
    PUBLIC,
    body,
    chi_square,
    enrollments_of,
    lanes_of,
    npz,
    reader,
    scheme_for,
    unrecorded,
    written,
)

NAMES = ("alice", "bob", "carol", "dora", "emil")
PEOPLE = [Identity.generate(name) for name in NAMES]
ALICE = PEOPLE[0]
ANNA = Identity.generate("anna")
VALUES = 3000


def a_plan(people=PEOPLE, key=PUBLIC, *, dropouts=0, **options):
    roster = Roster.of([each.card for each in people], coordinator=ANNA.card)
    like = npz(w=np.ones(VALUES, np.float32))
    return hecli.make_plan(like, scheme_for(key, dropouts), roster=roster, value_range=4.0, **options)


def update(plan, who, value=1.0):
    source = npz(w=np.full(VALUES, value, np.float32))
    key = PUBLIC if "key" in plan.scheme.to_encrypt else None
    enrollments = enrollments_of(plan, PEOPLE)
    return written(
        lambda out: hecli.encrypt(
            source, out, key, plan=plan, identity=who, enrollments=enrollments, record=unrecorded, jobs=1
        )
    )


def aggregate(files):
    for file in files:
        file.seek(0)
    return written(lambda out: hecli.aggregate(files, out, identity=ALICE, jobs=1))


def opened(plan, made):
    out = io.BytesIO()
    made.seek(0)
    key = KEY if "key" in plan.scheme.to_open else None
    hecli.decrypt(made, out, key, identity=ALICE, unverified=True, jobs=1)
    mean = io.BytesIO()
    out.seek(0)
    hecli.apply(out, mean, format="npz")
    mean.seek(0)
    with np.load(mean) as file:
        return file["w"]


@pytest.mark.parametrize("key", [PUBLIC, None], ids=["paillier", "masks alone"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_sum_of_all_is_exact(key, count):
    plan = a_plan(PEOPLE[:count], key)
    assert parse_plan(plan.to_map(), "file") == plan
    files = [update(plan, who, at / 2) for at, who in enumerate(PEOPLE[:count])]
    whole = aggregate(files)
    assert opened(plan, whole) == pytest.approx(np.full(VALUES, (count - 1) / 4), abs=1e-3)
    for file in files:
        file.seek(0)
    assert len(hecli.verify_aggregate(whole, files, jobs=1)) == count
    # Nested and in any order, the bytes are the same.
    if count > 2:
        nested = aggregate([aggregate(files[::-1][:2]), *files[: count - 2]])
        assert reader(nested).digest == reader(whole).digest


ODD = (1 << 2050) - 1
"""A modulus whose mask numbers do not end where blocks of the cipher do."""


@given(st.integers(2, 12), st.integers(1, 5), st.sampled_from([KEY.public.n, RING, ODD]), st.data())
def test_masks_cancel_among_any_number(count, records, n, data):
    keys = {(low, high): os.urandom(32) for high in range(count) for low in range(high)}
    size = plaintext_size(n)
    total = [0] * records
    for own in range(count):
        of = [Pair(key, own == high) for (low, high), key in keys.items() if own in (low, high)]
        (made_of,) = Masks(n, of)([bytes(size * records)])
        # In one piece or in several, from the start or from anywhere, it is the same sequence.
        assert b"".join(Masks(n, of)([bytes(size), bytes(size * (records - 1))])) == made_of
        first = data.draw(st.integers(0, records - 1))
        assert b"".join(Masks(n, of)([bytes(size * (records - first))], first)) == made_of[first * size :]
        for at in range(records):
            total[at] += int.from_bytes(made_of[at * size : (at + 1) * size], "big")
    assert all(each % n == 0 for each in total)


def pairs_in(plan, who):
    """What a party shares with each other, in the order of their names."""
    enrollments = open_enrollments(enrollments_of(plan, PEOPLE), plan)
    return protocol.pairs_of(plan.masking.exchange(plan.round), who, enrollments)


def test_both_agree_and_others_and_other_rounds_do_not():
    plan, other = a_plan(), a_plan()
    of_alice, of_bob = (pairs_in(plan, who) for who in PEOPLE[:2])
    assert of_alice[0].key == of_bob[0].key
    assert of_alice[0].subtract != of_bob[0].subtract
    keys = {pair.key for who in PEOPLE for pair in pairs_in(plan, who)}
    assert len(keys) == 10
    assert not keys & {pair.key for who in PEOPLE for pair in pairs_in(other, who)}
    # The parts of one round are masked with different keys.
    parts = plan.masking.exchange(plan.round)._replace(label="part mask")
    enrollments = open_enrollments(enrollments_of(plan, PEOPLE), plan)
    assert not keys & {pair.key for who in PEOPLE for pair in protocol.pairs_of(parts, who, enrollments)}


@pytest.mark.parametrize("key", [PUBLIC, None], ids=["paillier", "masks alone"])
def test_one_file_is_noise(key):
    """Chi-square beyond 400 has a probability of about 1e-8 for uniform lanes; an update has thousands."""
    plan = a_plan(key=key)
    assert chi_square(lanes_of(plan, update(plan, ALICE)), plan.geometry.packing.width) < 400
    if key is not None:
        bare = a_plan(dropouts=None)
        assert chi_square(lanes_of(bare, update(bare, ALICE)), bare.geometry.packing.width) > 10_000


def test_even_all_but_two_together_are_noise():
    plan = a_plan()
    part = aggregate([update(plan, who) for who in PEOPLE[:3]])
    assert chi_square(lanes_of(plan, part), plan.geometry.packing.width) < 400


def test_the_same_update_in_two_rounds_shares_nothing():
    first, second = (a_plan(key=None) for _ in range(2))
    one, two = (np.frombuffer(body(update(plan, ALICE))["lanes"], np.uint8) for plan in (first, second))
    assert len(one) == len(two)
    # Bytes agree as often as chance has it: one in 256.
    assert (one == two).mean() < 0.01
    again = np.frombuffer(body(update(first, ALICE))["lanes"], np.uint8)
    # Twice in one round it is the same: which is why a record forbids another.
    assert (one == again).all()


def test_without_everybody_nothing_opens():
    for key in (PUBLIC, None):
        plan = a_plan(PEOPLE[:3], key)
        part = aggregate([update(plan, who) for who in PEOPLE[:2]])
        with pytest.raises(RefusedError, match="lacks carol: masks come off only the sum of all"):
            opened(plan, part)


def test_a_key_is_neither_wanted_nor_enough():
    plan = a_plan(key=None)
    source = npz(w=np.ones(VALUES, np.float32))
    with pytest.raises(MismatchError, match="masks alone, and a key is given"):
        hecli.encrypt(source, io.BytesIO(), PUBLIC, plan=plan, identity=ALICE)
    with pytest.raises(RefusedError, match="none is given"):
        hecli.encrypt(source, io.BytesIO(), None, plan=a_plan(), identity=ALICE)
    with pytest.raises(RefusedError, match="0 enrollments given, 5 required"):
        hecli.encrypt(source, io.BytesIO(), None, plan=plan, identity=ALICE, record=unrecorded)
    whole = aggregate([update(plan, who) for who in PEOPLE])
    with pytest.raises(MismatchError, match="masks alone"):
        hecli.decrypt(whole, io.BytesIO(), KEY, identity=ALICE)
    keyed = a_plan(PEOPLE[:2])
    with pytest.raises(RefusedError, match="none is given"):
        hecli.decrypt(
            aggregate([update(keyed, who) for who in PEOPLE[:2]]), io.BytesIO(), None, identity=ALICE
        )


def test_what_is_not_below_the_modulus_is_refused():
    size = plaintext_size(RING)
    good, bad = (1).to_bytes(size, "big"), RING.to_bytes(size, "big")
    assert Adder(RING, 2)(good + good) == (2).to_bytes(size, "big")
    with pytest.raises(InvalidCiphertextError) as error:
        Adder(RING, 2)(good + good + good + bad)
    assert (error.value.source, error.value.index) == (1, 1)


def test_a_weak_card_is_named():
    weak = Card.of("weak", ALICE.card.sign, bytes(32), ANNA.card.kem_key)
    with pytest.raises(HecliError, match="nothing can be sealed to weak, whose card is weak"):
        seal(b"secret", weak, b"")


def test_plans_that_cannot_be():
    like = npz(w=np.ones(3, np.float32))
    with pytest.raises(HecliError, match="parties of a roster"):
        hecli.make_plan(like, scheme_for(PUBLIC, 0), 5)
    with pytest.raises(HecliError, match="parties of a roster"):
        hecli.make_plan(like, scheme_for(None, 0), 5)


@pytest.mark.parametrize(("dropouts", "most"), [(0, 2500), (1, 300)])
def test_more_parties_than_can_enroll_are_refused(dropouts, most):
    """Before anybody enrolls: what an enrollment holds grows with the parties, and with their square."""
    masking = hecli.Masking(dropouts)
    roster = a_plan().roster
    masking.check(roster, most)
    with pytest.raises(HecliError, match="too many to enroll"):
        masking.check(roster, most + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("dropouts", "parties"), [(1, 300), (0, 2500)])
def test_as_many_parties_as_can_enroll_do(dropouts, parties):
    """The first by name, whose enrollment is the largest."""
    people = [Identity.generate(f"party-{at:04}") for at in range(parties)]
    roster = Roster.of([each.card for each in people], coordinator=ANNA.card)
    plan = hecli.make_plan(npz(w=np.ones(3, np.float32)), scheme_for(None, dropouts), roster=roster)
    written(lambda out: hecli.write_plan(plan, out, ANNA))
    made = written(lambda out: hecli.enroll(out, plan, people[0]))
    assert hecli.inspect(made)["digests"] == "hold"


def test_the_commands(place, ok, fails):
    for name in ("anna", "alice", "bob"):
        ok("keygen", "--identity", name)
        np.save(f"{name}.npy", np.ones(5, np.float32))
    parties = ("--party", "alice.card", "--party", "bob.card", "--identity", "anna.id")
    fails("plan", "--like", "alice.npy", "--parties", 3, "--masks", says="need a roster", status=2)
    fails(
        "plan",
        "--like",
        "alice.npy",
        *parties,
        "--scheme",
        "masks",
        "--key",
        "hecli.pub",
        says="is for plans under a key",
        status=2,
    )
    Path("hecli.pub").rename("kept.pub")
    assert "every party's update is needed" in ok(
        "plan", "--like", "alice.npy", *parties, "--scheme", "masks"
    )
    for name in ("alice", "bob"):
        assert "every party's update is needed" in ok(
            "enroll", "--plan", "round.plan", "--identity", f"{name}.id"
        )
    fails(
        "encrypt",
        "bob.npy",
        "--plan",
        "round.plan",
        "--identity",
        "bob.id",
        says="0 enrollments given, 2 required",
    )
    everybody = ("--enroll", "alice.enroll", "--enroll", "bob.enroll")
    for name in ("alice", "bob"):
        ok("encrypt", f"{name}.npy", "--plan", "round.plan", "--identity", f"{name}.id", *everybody)
    assert (place / "alice.id.masked").stat().st_mode & 0o777 == 0o600
    again = ("encrypt", "bob.npy", "--plan", "round.plan", "--identity", "bob.id", *everybody)
    again += ("-o", "again.enc")
    fails(*again, says="another update of this plan or model was masked before", hint="show how they differ")
    assert not (place / "again.enc").exists()
    ok(*again, "--again")
    ok("aggregate", "alice.enc", "bob.enc", "--identity", "alice.id")
    fails(
        "decrypt", "round.agg", "--key", "hecli.key", "--identity", "alice.id", says="--key is for", status=2
    )
    Path("hecli.key").unlink()
    ok("decrypt", "round.agg", "--identity", "alice.id", "--plan", "round.plan")
    ok("apply", "round.sum", "-o", "mean.npy")
    assert np.load("mean.npy") == pytest.approx(np.ones(5), abs=1e-3)
