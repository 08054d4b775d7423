"""A dishonest party on the roster against another party's update."""

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError
from tests.attacks.scene import (
    KEY,
    NAMES,
    SQUARE,
    a_plan,
    a_round,
    aggregate,
    blocks_of,
    close,
    decrypt,
    false_aggregate,
    opens_to,
    power_product,
    product,
    rewound,
    signed_update,
    update,
    zeros,
)
from tests.support import PUBLIC, body, encrypted, npz, reader, rewritten, small_plan

HONEST = NAMES[:3]


@pytest.fixture(scope="module")
def scene():
    return a_round()


def stolen(scene, victim="alice"):
    """c_victim^(N-1) times the inverses of all others', and a fresh zero: the mean is then the victim's."""
    others = [name for name in HONEST if name != victim]
    return power_product(
        (blocks_of(scene.updates[victim]), len(NAMES) - 1),
        *((blocks_of(scene.updates[name]), -1) for name in others),
        (zeros(scene.plan), 1),
    )


def test_the_last_party_to_post_has_another_party_s_update_published_as_the_mean(scene):
    """The attack for which updates carry proofs: every check but theirs is passed."""
    blocks = stolen(scene)
    files = list(scene.updates.values())
    # It is real: counts, ranges and unused bits are those of an honest sum, and the mean is alice's update.
    everything = power_product((product(files), 1), (blocks, 1))
    assert close(opens_to(scene.plan, everything, len(NAMES)), "alice")
    own = update(scene.plan, "mallory")
    for proofs in (None, scene.updates["alice"], own):
        last = signed_update(scene.plan, "mallory", blocks, proofs)
        for use in (
            lambda last=last: hecli.verify(*rewound([last])),
            lambda last=last: aggregate([*files, last]),
            # It aggregates by itself, and lets others find out.
            lambda last=last: decrypt(false_aggregate([*files, last], everything), [*files, last]),
        ):
            with pytest.raises(FormatError, match="the proof of its ciphertexts from 0 on does not hold"):
                use()


def test_a_party_publishes_an_update_of_an_earlier_round_in_which_the_victim_is_not(scene):
    """Under the same key; no party of the new round need be the victim."""
    plan = a_plan(name="second")
    there = {name: update(plan, name) for name in ("bob", "carol")}
    old = scene.updates["alice"]
    blocks = power_product(
        (blocks_of(old), 3), *((blocks_of(each), -1) for each in there.values()), (zeros(plan), 1)
    )
    everything = power_product((product(there.values()), 1), (blocks, 1))
    assert close(opens_to(plan, everything, 3), "alice")
    for proofs in (old, None):
        last = signed_update(plan, "mallory", blocks, proofs)
        with pytest.raises(FormatError, match="does not hold"):
            aggregate([*there.values(), last])


def test_a_party_sends_another_party_s_update_as_its_own(scene):
    """The ciphertexts as they are, or made to look like new."""
    victim = scene.updates["alice"]
    files = list(scene.updates.values())
    for blocks in (
        blocks_of(victim),
        power_product((blocks_of(victim), 1), (zeros(scene.plan), 1)),
        [value * (1 + 5 * PUBLIC.n) % SQUARE for value in blocks_of(victim)],
    ):
        copy = signed_update(scene.plan, "mallory", blocks, victim)
        with pytest.raises(FormatError, match="does not hold"):
            aggregate([*files, copy])


def test_a_party_takes_another_party_out_of_the_sum(scene):
    """The inverse of a victim's ciphertexts, times its own: the victim's share of the mean is gone."""
    mine = update(scene.plan, "mallory")
    blocks = power_product((blocks_of(mine), 1), (blocks_of(scene.updates["alice"]), -1))
    last = signed_update(scene.plan, "mallory", blocks, mine)
    with pytest.raises(FormatError, match="does not hold"):
        aggregate([*scene.updates.values(), last])


def test_two_parties_who_collude_each_send_a_part_of_another_party_s_update(scene):
    """Neither part is anybody's update; together they are."""
    half = pow(2, -1, KEY.p * KEY.q)
    parts = power_product((blocks_of(scene.updates["alice"]), half), (zeros(scene.plan), 1))
    for name in ("carol", "mallory"):
        part = signed_update(scene.plan, name, parts, scene.updates["alice"])
        with pytest.raises(FormatError, match="does not hold"):
            aggregate([scene.updates["alice"], part])


def test_a_party_mixes_ciphertexts_of_two_updates_that_it_may_send(scene):
    """Both are its own, of two plans; neither's proofs are for the mixture."""
    one, other = update(scene.plan, "mallory"), update(a_plan(), "mallory")
    mixed = blocks_of(one)[:1] + blocks_of(other)[1:]
    for proofs in (one, other):
        with pytest.raises(FormatError, match="does not hold"):
            hecli.verify(*rewound([signed_update(scene.plan, "mallory", mixed, proofs)]))


def test_a_party_joins_groups_of_two_updates_of_one_plan(scene):
    """Each group with its own proof, of one maker or of two without a name: the salt keeps them apart."""
    one, other = update(scene.plan, "mallory"), update(scene.plan, "mallory")
    size = scene.plan.scheme.knowledge.proof_size
    for first, second in ((one, other), (other, one)):
        proofs = body(first)["proofs"][:-size] + body(second)["proofs"][-size:]
        mixed = blocks_of(first)[:-1] + blocks_of(second)[-1:]
        for salt in (reader(first).header["salt"], reader(second).header["salt"]):
            file = signed_update(scene.plan, "mallory", mixed, proofs, salt)
            with pytest.raises(FormatError, match="does not hold"):
                hecli.verify(*rewound([file]))
    plan = small_plan(npz(w=np.ones(3, np.float32)))
    one, other = (encrypted(npz(w=np.full(3, value, np.float32)), plan) for value in (0.5, 0.25))
    sections = {"control": body(other)["control"]}
    size = plan.scheme.knowledge.proof_size
    sections["proofs"] = body(one)["proofs"][:size] + body(other)["proofs"][size:]
    for header in (reader(one).header, reader(other).header):
        with pytest.raises(FormatError, match="does not hold"):
            hecli.verify(*rewound([rewritten(one, header=header, body=sections)]))


def test_a_party_leaves_the_proof_of_the_control_block_out(scene):
    mine = update(scene.plan, "mallory")
    proofs, salt = body(mine)["proofs"], reader(mine).header["salt"]
    size = scene.plan.scheme.knowledge.proof_size
    with pytest.raises(HecliError):
        signed_update(scene.plan, "mallory", blocks_of(mine), proofs[:-size], salt)
    for last in (bytes(size), proofs[:size]):
        file = signed_update(scene.plan, "mallory", blocks_of(mine), proofs[:-size] + last, salt)
        with pytest.raises(FormatError, match="does not hold"):
            hecli.verify(*rewound([file]))


def test_a_party_that_follows_the_rules_is_believed(scene):
    """What all the others rest on: the same files, made honestly, pass."""
    files = [*scene.updates.values(), update(scene.plan, "mallory")]
    made = aggregate(files)
    total = decrypt(made, files)
    made.seek(0)
    assert [each.party for each in hecli.verify_sum(total, made, jobs=1)] == list(NAMES)
