"""A dishonest aggregator, who has everybody's files and makes what is opened."""

import io

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.identity.signatures import signer
from tests.attacks.scene import (
    PEOPLE,
    STRICT,
    VALUES,
    a_round,
    aggregate,
    blocks_of,
    close,
    decrypt,
    false_aggregate,
    opens_to,
    power_product,
    rewound,
    zeros,
)
from tests.support import PUBLIC, body, load_key, reader, rewritten, written

ZEROS = {"w": np.zeros(VALUES, np.float32)}


@pytest.fixture(scope="module")
def scene():
    return a_round()


def test_an_aggregator_multiplies_in_what_makes_the_sum_one_party_s(scene):
    """The header lists all three, with their true signatures; what is multiplied is alice's to the third."""
    files = list(scene.updates.values())
    blocks = power_product((blocks_of(scene.updates["alice"]), 3), (zeros(scene.plan), 1))
    assert close(opens_to(scene.plan, blocks, 3), "alice")
    false = false_aggregate(files, blocks)
    assert hecli.verify(*rewound([false]))["names"] == "proven by the plan's roster"
    with pytest.raises(MismatchError, match="ciphertext 0 is not the product"):
        decrypt(false, files)
    for options in ({}, {"unverified": True}):
        with pytest.raises(RefusedError, match="nothing shows what the input was made of"):
            decrypt(false, key=STRICT, **options)


def test_an_aggregator_leaves_a_party_out_and_says_so(scene):
    """It may, and shows it: two openings of one plan are what the record refuses."""
    part = aggregate([scene.updates["alice"], scene.updates["bob"]])
    told = {}

    def record(plan, file):
        if told.setdefault(plan, file) != file:
            raise RefusedError("another aggregate of this plan or model was opened before")

    files = list(scene.updates.values())
    decrypt(aggregate(files), files, record=record)
    with pytest.raises(RefusedError, match="opened before"):
        decrypt(part, files[:2], record=record)
    with pytest.raises(MismatchError, match="does not count carol"):
        decrypt(part, files)


def test_an_aggregator_hides_another_s_update_in_an_aggregate_of_aggregates(scene):
    """What is nested has no proofs; whoever opens wants the updates themselves."""
    files = list(scene.updates.values())
    inner = false_aggregate(files[:2], power_product((blocks_of(files[0]), 2)))
    outer = aggregate([inner, files[2]])
    with pytest.raises(FormatError, match="is an aggregate file, not an update file"):
        decrypt(outer, [inner, files[2]])
    with pytest.raises(MismatchError, match="is not the product"):
        decrypt(outer, files)


def test_an_aggregator_gives_updates_without_their_proofs_to_whoever_opens(scene):
    """Under the same names, digests and signatures there are no others."""
    files = list(scene.updates.values())
    made = aggregate(files)
    stripped = rewritten(
        files[0],
        body={"proofs": bytes(len(body(files[0])["proofs"]))},
        sign=lambda _: [*PEOPLE["bob"].card, bytes(64)],
    )
    with pytest.raises(HecliError):
        decrypt(made, [stripped, *files[1:]])


def test_an_aggregator_has_one_update_counted_twice(scene):
    files = list(scene.updates.values())
    with pytest.raises(RefusedError, match="counted twice"):
        aggregate([*files, files[0]])
    with pytest.raises(RefusedError, match="counted twice"):
        aggregate([aggregate(files[:2]), files[0]])


# Attestations: members' word in the place of the updates.


@pytest.fixture(scope="module")
def attested(scene):
    files = list(scene.updates.values())
    made = aggregate(files)

    def by(name, of=made, sources=files):
        return written(
            lambda out: hecli.attest(
                *rewound([of]), rewound(sources), out, PEOPLE[name], plan=scene.plan, jobs=1
            )
        )

    return made, {name: by(name) for name in ("alice", "bob", "carol")}, by


def opened(scene, made, attestations, count=2, **options):
    options.setdefault("plan", scene.plan)
    return decrypt(made, key=STRICT, attested=count, attestations=rewound(attestations), **options)


def test_members_word_opens_what_they_checked(scene, attested):
    made, found, _ = attested
    assert opened(scene, made, [found["alice"], found["bob"]])
    assert opened(scene, made, found.values(), 3)


def test_an_aggregator_alone_attests_its_own_false_aggregate(scene, attested):
    """It can sign what it likes, once: two different members are asked for."""
    made, found, _ = attested
    for attestations in ([found["bob"]], [found["bob"], found["bob"]]):
        with pytest.raises(RefusedError, match="1 member of the roster attested, 2 required"):
            opened(scene, made, attestations)
    for count in (0, 1):
        with pytest.raises(RefusedError, match="cannot be enough"):
            opened(scene, made, [found["bob"]], count)


def test_an_honest_member_attests_no_false_aggregate(scene, attested):
    _, _, by = attested
    files = list(scene.updates.values())
    false = false_aggregate(files, power_product((blocks_of(files[0]), 3)))
    with pytest.raises(MismatchError, match="is not the product"):
        by("alice", false)
    with pytest.raises(FormatError, match="not an update file"):
        by("alice", aggregate([aggregate(files[:2]), files[2]]), [aggregate(files[:2]), files[2]])


def test_an_aggregator_uses_attestations_of_another_aggregate(scene, attested):
    _, found, _ = attested
    files = list(scene.updates.values())
    part = aggregate(files[:2])
    with pytest.raises(MismatchError, match="attests another aggregate"):
        opened(scene, part, [found["alice"], found["carol"]])


def test_an_aggregator_brings_a_plan_of_its_own_people_who_attest(scene):
    """A file carries its plan; the word of its people counts only where the plan was given."""
    made, options = aggregate(list(scene.updates.values())), {"attested": 2, "attestations": []}
    with pytest.raises(RefusedError, match="under a plan that is known"):
        decrypt(made, **options)


def test_an_attestation_under_another_s_name(scene, attested):
    made, found, _ = attested
    header = reader(found["bob"]).header | {"party": "alice"}
    forged = rewritten(
        found["bob"], header=header, sign=signer(PEOPLE["bob"], "attestation", scene.plan.digest)
    )
    with pytest.raises(FormatError, match="is not signed by alice"):
        opened(scene, made, [found["bob"], forged])
    outside = rewritten(
        found["bob"],
        header=reader(found["bob"]).header | {"party": "oscar"},
        sign=signer(PEOPLE["oscar"], "attestation", scene.plan.digest),
    )
    with pytest.raises(RefusedError, match="not on the plan's roster"):
        opened(scene, made, [found["bob"], outside])


# An outsider with a plan of its own, under the same key.


def test_an_outsider_has_a_victim_s_ciphertexts_opened_under_a_plan_of_its_own(scene):
    """Raised to the third power, in a plan without a roster: opened without a warning, once."""
    plan = hecli.make_plan(
        {"w": __import__("numpy").zeros(250, "float32")}, scene.plan.scheme.key, 4, value_range=1.0
    )
    victim = blocks_of(scene.updates["alice"])
    own = [update_without_roster(plan) for _ in range(3)]
    blocks = power_product((victim, 3), (zeros(plan), 1))
    false = false_aggregate(own, blocks)
    assert close(opens_to(plan, blocks, 3), "alice")
    with pytest.raises(MismatchError, match="is not the product"):
        decrypt(false, own, who=None)
    for options in ({}, {"unverified": True}):
        with pytest.raises(RefusedError, match="nothing shows"):
            decrypt(false, who=None, key=STRICT, **options)


def update_without_roster(plan):
    return written(lambda out: hecli.encrypt(ZEROS, out, PUBLIC, plan=plan, jobs=1))


def test_new_keys_and_shares_open_only_what_was_verified():
    assert load_key("full").verified_only
    out = io.BytesIO()
    hecli.write_private_key(STRICT, out)
    out.seek(0)
    assert hecli.read_private_key(out, str).verified_only
    out.seek(0)
    assert hecli.inspect(out)["verified_only"]


def test_the_first_to_open_everything_is_whoever_follows_the_rules(scene):
    files = list(scene.updates.values())
    total = decrypt(aggregate(files), files, key=STRICT)
    assert hecli.inspect(total)["kind"] == "sum"
