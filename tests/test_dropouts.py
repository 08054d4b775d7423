"""Masks that survive dropouts: any two of ten at any stage, and what a dishonest aggregator cannot learn."""

import io
import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gmpy2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.rounds.enrollments import open_answers, open_enrollments
from hecli.rounds.headers import open_blocks
from hecli.schemes.masks import shamir
from hecli.schemes.masks.files import Answer
from hecli.schemes.round import Opener
from hecli.storage.use_record import remember
from tests.support import (
    KEY,
    KEYS,
    PUBLIC,
    body,
    chi_square,
    dealt_shares,
    lanes_in,
    lanes_of,
    npz,
    plan_of,
    reader,
    rewritten,
    scheme_for,
    unrecorded,
    written,
)

NAMES = [f"party-{at}" for at in range(10)]
PEOPLE = {name: Identity.generate(name) for name in NAMES}
ANNA = Identity.generate("anna")
ROSTER = Roster.of([each.card for each in PEOPLE.values()], keyholders=[ANNA.card], coordinator=ANNA.card)
VALUES = 40
DEALT = hecli.read_public_key(KEYS / "dealt.pub")


def a_plan(key=PUBLIC, dropouts=2, values=VALUES, **options):
    like = npz(w=np.ones(values, np.float32))
    return hecli.make_plan(like, scheme_for(key, dropouts), roster=ROSTER, value_range=16.0, **options)


def enrolled(plan, names=NAMES):
    return {name: written(lambda out, who=name: hecli.enroll(out, plan, PEOPLE[who])) for name in names}


def rewound(files):
    for file in files:
        file.seek(0)
    return list(files)


def update(plan, name, enrollments, values=VALUES):
    source = npz(w=np.full(values, NAMES.index(name), np.float32))
    return written(
        lambda out: hecli.encrypt(
            source,
            out,
            (DEALT if plan.scheme.sharing else PUBLIC) if "key" in plan.scheme.to_encrypt else None,
            plan=plan,
            identity=PEOPLE[name],
            enrollments=rewound(enrollments.values()),
            record=unrecorded,
            jobs=1,
        )
    )


def aggregate(files):
    made = written(lambda out: hecli.aggregate(rewound(files), out, identity=PEOPLE["party-0"], jobs=1))
    made.updates = list(files)
    return made


def answered(made, names, enrollments, **options):
    return {
        name: written(
            lambda out, who=name: hecli.answer(
                rewound([made])[0],
                out,
                PEOPLE[who],
                rewound(enrollments.values()),
                rewound(made.updates),
                jobs=1,
                **options,
            )
        )
        for name in names
    }


def opened(plan, made, enrollments, answers, **options):
    out = io.BytesIO()
    hecli.decrypt(
        rewound([made])[0],
        out,
        KEY if "key" in plan.scheme.to_open else None,
        identity=ANNA,
        **(options or {"updates": rewound(made.updates)}),
        enrollments=rewound(enrollments.values()),
        answers=rewound(answers.values()),
        jobs=1,
    )
    mean = io.BytesIO()
    out.seek(0)
    hecli.apply(out, mean, format="npz")
    mean.seek(0)
    with np.load(mean) as file:
        return file["w"]


def check_mean(mean, names):
    assert mean == pytest.approx(np.full(VALUES, np.mean([NAMES.index(name) for name in names])), abs=1e-2)


def without(*names):
    return [name for name in NAMES if name not in names]


@pytest.fixture(scope="session")
def ten():
    """A round among ten, of whom two may drop out: its plan, everybody's enrollment and update."""
    plan = a_plan()
    enrollments = enrolled(plan)
    updates = {name: update(plan, name, enrollments) for name in NAMES}
    return SimpleNamespace(plan=plan, enrollments=enrollments, updates=updates)


@pytest.mark.parametrize("gone", list(itertools.combinations(NAMES, 2))[::5])
def test_any_two_that_send_no_update(ten, gone):
    """And the same two answer nothing."""
    here = without(*gone)
    made = aggregate([ten.updates[name] for name in here])
    check_mean(opened(ten.plan, made, ten.enrollments, answered(made, here, ten.enrollments)), here)


@pytest.mark.parametrize("gone", list(itertools.combinations(NAMES, 2))[2::9])
def test_any_two_that_do_not_answer(ten, gone):
    made = aggregate(ten.updates.values())
    check_mean(
        opened(ten.plan, made, ten.enrollments, answered(made, without(*gone), ten.enrollments)), NAMES
    )
    with pytest.raises(RefusedError, match="7 answers given, 8 required"):
        opened(ten.plan, made, ten.enrollments, answered(made, without(*gone)[1:], ten.enrollments))


@pytest.mark.parametrize("gone", [("party-0", "party-9"), ("party-3", "party-4")])
def test_two_that_do_not_enroll(gone):
    plan = a_plan()
    here = without(*gone)
    enrollments = enrolled(plan, here)
    made = aggregate([update(plan, name, enrollments) for name in here])
    # They hold shares all the same, and may answer.
    check_mean(opened(plan, made, enrollments, answered(made, [*here[2:], *gone], enrollments)), here)


@pytest.mark.parametrize("key", [PUBLIC, None], ids=["paillier", "masks alone"])
def test_different_ones_at_each_stage(key):
    plan = a_plan(key)
    here = without("party-1")
    enrollments = enrolled(plan, here)
    sent = [name for name in here if name != "party-5"]
    made = aggregate([update(plan, name, enrollments) for name in sent])
    answers = answered(made, [name for name in NAMES if name not in ("party-7", "party-8")], enrollments)
    check_mean(opened(plan, made, enrollments, answers), sent)


def test_three_are_too_many(ten):
    here = without("party-0", "party-1", "party-2")
    made = aggregate([ten.updates[name] for name in here])
    for function in (
        lambda: answered(made, ["party-3"], ten.enrollments),
        lambda: opened(ten.plan, made, ten.enrollments, {}),
    ):
        with pytest.raises(RefusedError, match="lacks party-0, party-1, party-2"):
            function()
    seven = dict(list(ten.enrollments.items())[:7])
    with pytest.raises(RefusedError, match="7 enrollments given, 8 required"):
        update(ten.plan, "party-0", seven)


def test_a_late_update_stays_masked_though_its_round_key_is_known():
    """What single masking would give away: everybody's pairwise masks with a party that was only late."""
    plan = a_plan(key=None, values=4000)
    enrollments = enrolled(plan)
    late = "party-9"
    sent = {name: update(plan, name, enrollments, 4000) for name in NAMES}
    made = aggregate([sent[name] for name in without(late)])
    answers = answered(made, without(late), enrollments)
    # All that the answers reveal, turned against the late update.
    blocks = open_blocks(reader(made))
    assert late not in [each.party for each in blocks.contributors]
    opener = Opener(
        None,
        blocks.contributors,
        open_enrollments(rewound(enrollments.values()), plan),
        open_answers(rewound(answers.values()), "file", blocks),
        set(),
    )
    width = plan.geometry.packing.width
    assert chi_square(lanes_of(plan, sent[late]), width) < 400
    whole = body(aggregate(sent.values()))["lanes"]
    (uncovered,) = plan.scheme.unmasked(lambda batches, _: iter(batches), plan.round, opener)([whole], 0)
    assert len(uncovered) == len(whole)
    assert uncovered != whole
    assert chi_square(lanes_in(plan, uncovered), width) < 400


def test_nobody_answers_about_two_sets(ten, place):
    """The majority that one set needs leaves too few for another."""
    Path("party-3.id").write_bytes(b"x")
    record = remember("party-3.id", "answered")
    first = aggregate([ten.updates[name] for name in without("party-0")])
    second = aggregate([ten.updates[name] for name in without("party-1")])
    answered(first, ["party-3"], ten.enrollments, record=record)
    with pytest.raises(RefusedError, match="other parties of this plan or model were answered about before"):
        answered(second, ["party-3"], ten.enrollments, record=record)
    assert answered(first, ["party-3"], ten.enrollments, record=record)
    assert 2 * ten.plan.scheme.masking.needed(len(NAMES)) > len(NAMES)
    assert place


def test_an_answer_never_holds_both_secrets_of_one_party(ten):
    made = aggregate([ten.updates[name] for name in without("party-2")])
    found = Answer.parse(reader(answered(made, ["party-5"], ten.enrollments)["party-5"]))
    assert [owner for owner, _ in found.self_shares] == without("party-2")
    assert [owner for owner, _ in found.round_shares] == ["party-2"]
    both = replace(found, round_shares=(("party-3", 1),))
    out = io.BytesIO()
    file = answered(made, ["party-5"], ten.enrollments)["party-5"]
    with pytest.raises(FormatError, match="shares of both secrets of one party"):
        Answer.parse(reader(rewritten(file, header=both.header())))
    assert out.getvalue() == b""


def test_a_request_to_recover_somebody_who_is_present_reveals_nothing_usable(ten):
    """A dishonest aggregator leaves party-2 out of the list, and its update in the product."""
    here = without("party-2")
    honest, forged = aggregate(ten.updates.values()), aggregate([ten.updates[name] for name in here])
    header = reader(forged).header
    lying = rewritten(honest, header=header, sign=signer(PEOPLE["party-0"], "aggregate", ten.plan.digest))
    lying.updates = forged.updates
    with pytest.raises(MismatchError, match="is not the product"):
        answered(lying, ["party-4"], ten.enrollments)
    # What they answer about the honest one does not open this one either.
    answers = answered(forged, here, ten.enrollments)
    with pytest.raises(FormatError, match="control block"):
        opened(ten.plan, lying, ten.enrollments, answers, unverified=True)


def test_one_share_less_than_it_takes_tells_nothing():
    secret = 123456789
    shares = shamir.split(secret, 8, 10)
    assert shamir.join({at + 1: shares[at] for at in range(8)}) == secret
    for missing in range(8):
        seven = {at + 1: shares[at] for at in range(8) if at != missing}
        assert shamir.join(seven) != secret
        # Any secret is as possible: for each there is an eighth share.
        other = shamir.split(5, 8, 10)
        assert len(other) == 10


@pytest.mark.parametrize("prime", [shamir.PRIME, shamir.PRIME_257])
def test_any_threshold_of_shares_joins(prime):
    assert gmpy2.is_prime(prime)

    @given(st.integers(0, prime - 1), st.integers(1, 10), st.data())
    def check(secret, threshold, data):
        shares = shamir.split(secret, threshold, 10, prime)
        chosen = data.draw(st.permutations(range(1, 11)))[:threshold]
        assert shamir.join({number: shares[number - 1] for number in chosen}, prime) == secret

    check()


def test_the_smaller_field_is_the_largest_of_its_size():
    assert not any(gmpy2.is_prime((1 << 257) - less) for less in range(1, 93, 2))


def test_a_published_example_of_shamir_s():
    """That of Wikipedia's article on Shamir's secret sharing: 1234 + 166 x + 94 x^2 modulo 1613."""
    shares = {1: 1494, 2: 329, 3: 965, 4: 176, 5: 1188, 6: 775}
    for chosen in itertools.combinations(shares, 3):
        assert shamir.join({number: shares[number] for number in chosen}, 1613) == 1234
    assert shamir.join({2: 1942, 4: 3402, 5: 4414}, (1 << 127) - 1) == 1234


def relisted(file, **changes):
    """An answer with other content, signed again by its party."""
    header = reader(file).header | changes
    digest = plan_of(file).digest
    return rewritten(file, header=header, sign=signer(PEOPLE[header["party"]], "answer", digest))


def lying_values(header, share=None, digest=None):
    """Shares of values, of which the first is another, or the digest of one that is not revealed."""
    owner, revealed, others = header["value_shares"][0]
    first = [owner, (share or revealed[:33]) + revealed[33:], (digest or others[:32]) + others[32:]]
    return [first, *header["value_shares"][1:]]


def test_a_lying_answer_is_named(ten):
    made = aggregate([ten.updates[name] for name in without("party-2")])
    answers = answered(made, without("party-2"), ten.enrollments)
    true = reader(answers["party-7"]).header
    lie = [[owner, bytes(66)] for owner, _ in true["self_shares"]]
    for changes, says in (
        ({"self_shares": lie}, "share of party-0's secret is not the one that was dealt"),
        ({"round_shares": [["party-2", bytes(66)]]}, "share of party-2's secret is not"),
        ({"self_shares": true["self_shares"][1:]}, "does not answer about all who enrolled"),
        ({"round_shares": []}, "does not answer about all who enrolled"),
        ({"value_shares": lying_values(true, share=bytes(33))}, "share of party-0's secret is not"),
        ({"value_shares": lying_values(true, digest=bytes(32))}, "share of party-0's secret is not"),
        ({"value_shares": []}, "does not reveal shares of the values it should"),
        ({"value_shares": true["value_shares"][1:]}, "does not reveal shares of the values it should"),
        ({"value_shares": [["party-9", bytes(33), b""]]}, "does not reveal shares of the values it should"),
    ):
        others = [name for name in answers if name != "party-7"][:7]
        lying = {name: answers[name] for name in others}
        lying["party-7"] = relisted(answers["party-7"], **changes)
        with pytest.raises(FormatError, match=says):
            opened(ten.plan, made, ten.enrollments, lying)
    del answers["party-7"]
    check_mean(opened(ten.plan, made, ten.enrollments, answers), without("party-2"))
    replayed = {"party-8": answered(aggregate(ten.updates.values()), ["party-8"], ten.enrollments)["party-8"]}
    with pytest.raises(MismatchError, match="answers about other parties than those in"):
        opened(ten.plan, made, ten.enrollments, answers | replayed)
    header = reader(answers["party-8"]).header | {"party": "party-9"}
    forged = rewritten(
        answers["party-8"], header=header, sign=signer(PEOPLE["party-8"], "answer", ten.plan.digest)
    )
    with pytest.raises(HecliError, match="is not signed by party-9"):
        opened(ten.plan, made, ten.enrollments, answers | {"party-8": forged})
    twice = answers | {"again": answers["party-8"]}
    with pytest.raises(RefusedError, match="party-8 answers twice"):
        opened(ten.plan, made, ten.enrollments, twice)


def test_a_dishonest_enrollment_is_named_before_anybody_encrypts():
    plan = a_plan()
    enrollments = enrolled(plan)
    header = reader(enrollments["party-4"]).header
    for parties in (
        [[box, value, bytes(32), *shares[1:]] for box, value, *shares in header["parties"]],
        [[box, value, shares[0], bytes(32), shares[2]] for box, value, *shares in header["parties"]],
        [[box, value, *shares[:2], bytes(32)] for box, value, *shares in header["parties"]],
        [[box[:-1] + bytes([box[-1] ^ 1]), *rest] for box, *rest in header["parties"]],
    ):
        sign = signer(PEOPLE["party-4"], "enrollment", plan.digest)
        false = rewritten(enrollments["party-4"], header=header | {"parties": parties}, sign=sign)
        with pytest.raises(FormatError, match="what party-4 sealed to party-0"):
            update(plan, "party-0", enrollments | {"party-4": false})
    unsigned = rewritten(enrollments["party-4"])
    with pytest.raises(RefusedError, match="not signed"):
        update(plan, "party-0", enrollments | {"party-4": unsigned})
    by_another = rewritten(enrollments["party-4"], sign=signer(PEOPLE["party-5"], "enrollment", plan.digest))
    with pytest.raises(FormatError, match="not signed by party-4"):
        update(plan, "party-0", enrollments | {"party-4": by_another})


def test_everybody_has_to_mask_with_the_same_people(ten):
    plan = a_plan()
    enrollments = enrolled(plan)
    fewer = {name: file for name, file in enrollments.items() if name != "party-9"}
    files = [update(plan, name, enrollments) for name in NAMES[:8]] + [update(plan, "party-8", fewer)]
    with pytest.raises(MismatchError, match="masked with different people"):
        aggregate(files)
    made = aggregate(files[:8])
    with pytest.raises(MismatchError, match="other enrollments than these"):
        answered(made, ["party-0"], fewer)
    with pytest.raises(RefusedError, match="enrolled twice"):
        update(plan, "party-0", enrollments | {"again": enrollments["party-3"]})
    with pytest.raises(RefusedError, match="not among those who enrolled"):
        update(plan, "party-9", fewer)
    with pytest.raises(MismatchError, match="follows another"):
        update(ten.plan, "party-0", enrollments)


def test_with_a_key_in_shares_too():
    roster = Roster.of([each.card for each in PEOPLE.values()], coordinator=ANNA.card)
    like = npz(w=np.ones(VALUES, np.float32))
    plan = hecli.make_plan(like, scheme_for(DEALT, 2), roster=roster, value_range=16.0)
    enrollments = enrolled(plan)
    here = without("party-4", "party-6")
    made = aggregate([update(plan, name, enrollments) for name in here])
    answers = answered(made, here, enrollments)
    parts = [
        written(
            lambda out, share=each: hecli.partial(
                rewound([made])[0], out, share, updates=rewound(made.updates), identity=ANNA, jobs=1
            )
        )
        for each in dealt_shares()[1:]
    ]
    total = io.BytesIO()
    hecli.combine(
        rewound([made])[0],
        parts,
        total,
        DEALT,
        identity=ANNA,
        enrollments=rewound(enrollments.values()),
        answers=rewound(answers.values()),
        jobs=1,
    )
    mean = io.BytesIO()
    total.seek(0)
    hecli.apply(total, mean, format="npz")
    mean.seek(0)
    with np.load(mean) as file:
        check_mean(file["w"], here)


def test_plans_without_dropouts_want_no_answers(ten):
    plan = a_plan(dropouts=0)
    enrollments = enrolled(plan)
    made = aggregate([update(plan, name, enrollments) for name in NAMES])
    with pytest.raises(RefusedError, match="allows for no dropouts"):
        answered(made, ["party-0"], enrollments)
    with pytest.raises(MismatchError, match="follows another"):
        update(plan, "party-0", ten.enrollments)
    with pytest.raises(RefusedError, match="9 enrollments given, 10 required"):
        update(plan, "party-0", dict(list(enrollments.items())[:9]))
    for dropouts in (5, -1, 10):
        with pytest.raises(HecliError, match="too many to drop out"):
            a_plan(dropouts=dropouts)


def test_the_commands(place, ok, fails):
    names = ("anna", "alice", "bob", "carol", "dave")
    for name in names:
        ok("keygen", "--identity", name)
        np.save(f"{name}.npy", np.full(5, names.index(name), np.float32))
    parties = [word for name in names[1:] for word in ("--party", f"{name}.card")]
    fails(
        "plan",
        "--like",
        "carol.npy",
        *parties,
        "--identity",
        "anna.id",
        "--dropouts",
        1,
        says="is for masks",
        status=2,
    )
    ok("plan", "--like", "carol.npy", *parties, "--identity", "anna.id", "--masks", "--dropouts", 1)
    ok(
        "ledger",
        "init",
        "ledger",
        "--identity",
        "anna.id",
        "--party",
        "alice.card",
        "--party",
        "bob.card",
        "--party",
        "carol.card",
        "--party",
        "dave.card",
    )
    common = ("--plan", "round.plan", "--ledger", "ledger")
    for name in names[1:]:
        assert "3 updates and 3 answers are needed" in ok("enroll", "--identity", f"{name}.id", *common)
    for name in names[1:4]:
        ok("encrypt", f"{name}.npy", "--identity", f"{name}.id", "--enroll", "*.enroll", *common)
    files = [f"{name}.enc" for name in names[1:4]]
    ok("aggregate", *files, "--identity", "bob.id", *common)
    ok("aggregate", *files, "--identity", "alice.id", "-o", "same.agg", *common)
    for name in ("alice", "bob", "dave"):
        ok(
            "answer",
            "round.agg",
            "--enroll",
            "*.enroll",
            "--identity",
            f"{name}.id",
            "--from",
            "*.enc",
            *common,
        )
    assert (place / "alice.id.answered").stat().st_mode & 0o777 == 0o600
    facts = ok("inspect", "alice.ans", "alice.enroll")
    assert "absent       dave" in facts
    ok("decrypt", "round.agg", "--identity", "anna.id", "--enroll", "*.enroll", "--answers", "*.ans", *common)
    ok("apply", "round.sum", "-o", "mean.npy")
    assert np.load("mean.npy") == pytest.approx(np.full(5, 2.0), abs=1e-2)
    assert "one chain" in ok("ledger", "verify", "ledger", "--files", ".")
    fails("enroll", "--identity", "alice.id", says="needs --plan", status=2)
    fails("answer", "round.agg", "--identity", "alice.id", says="needs --identity and --enroll", status=2)


@pytest.mark.slow
def test_a_hundred_parties_of_whom_thirty_drop_out():
    """The sum of the seventy is exact, to the last bit of every lane."""
    people = [Identity.generate(f"party-{at:03}") for at in range(100)]
    roster = Roster.of([each.card for each in people], keyholders=[ANNA.card], coordinator=ANNA.card)
    values = [np.full(VALUES, at % 7, np.float32) for at in range(100)]
    plan = hecli.make_plan(npz(w=values[0]), scheme_for(None, 30), roster=roster, value_range=16.0)
    enrollments = [written(lambda out, who=who: hecli.enroll(out, plan, who)) for who in people]
    here = [at for at in range(100) if at % 10 not in (0, 4, 9)]
    updates = [
        written(
            lambda out, at=at: hecli.encrypt(
                npz(w=values[at]),
                out,
                plan=plan,
                identity=people[at],
                enrollments=rewound(enrollments),
                record=unrecorded,
                jobs=1,
            )
        )
        for at in here
    ]
    made = written(lambda out: hecli.aggregate(rewound(updates), out, identity=people[0], jobs=1))
    # Whoever enrolled answers, whether its update came or not.
    answers = [
        written(
            lambda out, at=at: hecli.answer(
                *rewound([made]), out, people[at], rewound(enrollments), rewound(updates), jobs=1
            )
        )
        for at in range(5, 75)
    ]
    total = io.BytesIO()
    hecli.decrypt(
        *rewound([made]),
        total,
        identity=ANNA,
        updates=rewound(updates),
        enrollments=rewound(enrollments),
        answers=rewound(answers),
        jobs=1,
    )
    found = hecli.mean(total)["w"]
    step = plan.codec.quantise.steps[0]
    exact = sum(round(float(values[at][0]) / step) for at in here) * step / len(here)
    assert found == pytest.approx(np.full(VALUES, exact), rel=1e-6)
    # Some 330 kB at 100 parties, of the one that sends a value to all others.
    assert 400_000 < max(len(each.getvalue()) for each in enrollments) < 600_000
