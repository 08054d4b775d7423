"""Dishonest parties, aggregators and storage against masks, with and without dropouts."""

import io

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.envelope import KEY_SIZE
from hecli.identity import curves
from hecli.identity.signatures import Identity, signer
from hecli.rounds.enrollments import open_answers, open_enrollments
from hecli.rounds.headers import open_blocks, update_header
from hecli.schemes.masks import shamir
from hecli.schemes.masks.dealing import sealed_to
from hecli.schemes.masks.exchange import VALUE_SIZE, pair_key
from hecli.schemes.masks.files import ROUND_SIZE, Answer
from hecli.schemes.masks.keystream import Masks, Pair
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.protocol import pairs_of, self_pair
from hecli.schemes.masks.revealing import pairs_left, shares_in
from hecli.schemes.ring import RING
from hecli.storage.use_record import remember
from tests.attacks.scene import (
    NAMES,
    PEOPLE,
    a_plan,
    aggregate,
    decrypt,
    false_aggregate,
    listed,
    rewound,
    signed_update,
    tensors,
    update,
)
from tests.attacks.scene import blocks_of as ciphertexts
from tests.support import (
    PUBLIC,
    body,
    chi_square,
    enrollments_of,
    joined,
    lanes_in,
    mean_of,
    numbers,
    reader,
    rewritten,
    unrecorded,
    written,
)

ALONE = hecli.Masks(hecli.Masking(0))
SIZE = 1024


class Pooled:
    """What a dishonest party knows with the answers of the others, share by share."""

    def __init__(self, plan, identity, enrolled, answers):
        self.plan, self.enrolled = plan, enrolled
        self.exchange = plan.masking.exchange(plan.round)
        self.names = list(self.exchange.roster.parties)
        self.seeds = {name: {} for name in self.names}
        self.secrets = {name: {} for name in self.names}
        self.values = {}
        for name, each in answers.items():
            at = self.names.index(name) + 1
            for owner, share in each.self_shares:
                self.seeds[owner][at] = share
            for owner, share in each.round_shares:
                self.secrets[owner][at] = share
            for owner, shares, _ in each.value_shares:
                gone = [other for other in self.exchange.later(owner) if other in each.absent]
                for other, share in zip(gone, shares, strict=True):
                    self.values.setdefault((owner, other), {})[at] = share
        self.own = pairs_of(self.exchange, identity, enrolled)
        self.name = identity.card.name
        at = self.names.index(self.name) + 1
        for owner in self.names:
            sealed = sealed_to(self.exchange, identity, enrolled.by_party[owner])
            self.seeds[owner][at], self.secrets[owner][at] = sealed.shares
            for other, share in zip(self.exchange.later(owner), sealed.values, strict=True):
                self.values.setdefault((owner, other), {})[at] = share

    def enough(self, shares):
        return len(shares) >= self.plan.masking.needed(len(self.names))

    def joined(self, shares, size, prime=shamir.PRIME):
        assert self.enough(shares)
        count = self.plan.masking.needed(len(self.names))
        return shamir.join(dict(list(shares.items())[:count]), prime).to_bytes(size, "big")

    def uncovered(self, blocks, sought, others):
        """Take off every mask of the sum of those sought that is known, and give the plaintexts."""
        digest, pairs = self.enrolled.digest, []
        for name in sought:
            seed = self.joined(self.seeds[name], 32)
            pairs.append(self_pair(self.exchange, seed, self.enrolled, subtract=True))
            between = self.own[1 + [each for each in self.names if each != self.name].index(name)]
            pairs.append(Pair(between.key, subtract=name < self.name))
        for gone in others:
            secret = self.joined(self.secrets[gone], ROUND_SIZE)
            for name in sought:
                # All those sought come first by name, so they made the values.
                value = self.joined(self.values[name, gone], VALUE_SIZE, shamir.PRIME_257)
                public = self.enrolled.by_party[name].mask_key
                key = pair_key(self.exchange, value, secret[:KEY_SIZE], public, (gone, name), digest)
                pairs.append(Pair(key, subtract=name < gone))
        return b"".join(Masks(RING, pairs)([joined(blocks, SIZE)], 0))


def blocks_of(file):
    found = body(file)
    return numbers(found["lanes"] + found["control"], SIZE)


# Masks alone: no key, no ciphertexts, and so no proofs.


@pytest.fixture(scope="module")
def masked():
    plan = a_plan(ALONE)
    return plan, {name: update(plan, name) for name in NAMES}


def posted(plan, name, blocks):
    out = io.BytesIO()
    sign = signer(PEOPLE[name], "update", plan.digest)
    content = [joined([each % RING for each in blocks], SIZE)]
    header = update_header(plan, name, listed(plan), b"")
    envelope.write(out, "update", header, plan.geometry.update, content, sign=sign)
    out.seek(0)
    return out


def test_a_party_derives_its_masked_update_from_another_s(masked):
    """Whatever it makes of alice's numbers, the masks do not come off but for the honest sum."""
    plan, files = masked
    alice, mine = blocks_of(files["alice"]), blocks_of(files["mallory"])
    width = plan.geometry.packing.width
    honest = [files[name] for name in NAMES[:3]]
    for blocks in (
        alice,
        [3 * a - b - c for a, b, c in zip(*map(blocks_of, honest), strict=True)],
        [a + m for a, m in zip(alice, mine, strict=True)],
        [2 * a + m for a, m in zip(alice, mine, strict=True)],
        [m - a for a, m in zip(alice, mine, strict=True)],
    ):
        last = posted(plan, "mallory", blocks)
        made = aggregate([*honest, last])
        with pytest.raises(FormatError, match=r"control block|no sum of updates"):
            decrypt(made, [*honest, last], key=None)
        # What it opens to is noise, not anybody's values.
        assert chi_square(lanes_in(plan, body(made)["lanes"]), width) < 400


def test_a_party_scales_the_honest_sum_and_masks_alone_do_not_hinder_it(masked):
    """What is left: the sum of the others, times a factor, with counts put right; nobody's own update."""
    plan, _ = masked
    half = {name: {"w": tensors(name)["w"] / 2} for name in NAMES[:3]}
    honest = [update(plan, name, half[name]) for name in NAMES[:3]]
    qmax, sizes = plan.codec.quantise.qmax, plan.geometry
    nothing = {"w": np.zeros(sizes.values, np.float32)}
    identity = {"identity": PEOPLE["mallory"], "record": unrecorded}
    enrollments = enrollments_of(plan, PEOPLE.values())
    zero = written(
        lambda out: hecli.encrypt(nothing, out, plan=plan, **identity, enrollments=enrollments, jobs=1)
    )
    packed = sizes.packing.pack(np.full(sizes.values, qmax, np.uint64))
    plain = [*numbers(packed, SIZE), (1 << 128) + (1 << 64)]
    masks = [m - p for m, p in zip(blocks_of(zero), plain, strict=True)]
    others = [sum(each) for each in zip(*map(blocks_of, honest), strict=True)]
    # Twice the others, its own masks as often, and counts and offsets that make four parties of six.
    last = posted(plan, "mallory", [o + 2 * m - 2 * p for o, m, p in zip(others, masks, plain, strict=True)])
    files_ = [*honest, last]
    total = decrypt(aggregate(files_), files_, key=None)
    true = sum(each["w"] for each in half.values())
    assert np.abs(mean_of(total)["w"] - 2 * true / 4).max() < 1e-3


def test_anybody_opens_masks_alone_only_after_checking(masked):
    plan, files = masked
    made = aggregate(files.values())
    with pytest.raises(RefusedError, match="nothing shows"):
        decrypt(made, key=None)
    total = decrypt(made, files.values(), key=None)
    assert hecli.verify_sum(*rewound([total, made]), jobs=1)
    content = bytearray(body(total)["lanes"])
    content[5] ^= 1
    sign = signer(PEOPLE["anna"], "sum", plan.digest)
    false = rewritten(total, body={"lanes": bytes(content)}, sign=sign)
    with pytest.raises(FormatError, match="is not what"):
        hecli.verify_sum(*rewound([false, made]), jobs=1)


def test_one_file_less_is_noise(masked):
    """Storage that withholds a file, or a party that sends none, opens nothing."""
    plan, files = masked
    some = [files[name] for name in NAMES[:3]]
    made = aggregate(some)
    with pytest.raises(RefusedError, match="lacks mallory"):
        decrypt(made, some, key=None)
    assert chi_square(lanes_in(plan, body(made)["lanes"]), plan.geometry.packing.width) < 400


def test_a_party_masks_two_updates_alike_through_an_encoded_file(place, ok, fails):
    """The plan came inside the file, and no record was kept: their difference is that of the updates."""
    for name in ("anna", "alice", "bob"):
        ok("keygen", "--identity", name)
    for at in (1, 2):
        np.savez(place / f"{at}.npz", w=np.full(4, at / 4, np.float32))
    parties = ("--party", "alice.card", "--party", "bob.card", "--identity", "anna.id")
    ok("plan", "--like", "1.npz", *parties, "--masks", "--range", 1)
    for at in (1, 2):
        ok("encode", f"{at}.npz", "--plan", "round.plan")
    for name in ("alice", "bob"):
        ok("enroll", "--plan", "round.plan", "--identity", f"{name}.id")
    everybody = ("--enroll", "alice.enroll", "--enroll", "bob.enroll")
    ok("encrypt", "1.int", "--identity", "alice.id", "--key", "hecli.pub", *everybody)
    assert (place / "alice.id.masked").exists()
    second = ("encrypt", "2.int", "--identity", "alice.id", "--key", "hecli.pub", *everybody)
    fails(*second, says="another update of this plan or model was masked before")
    fails("encrypt", "2.npz", "--plan", "round.plan", *second[2:], says="was masked before")
    assert not (place / "2.enc").exists()


def test_python_masks_nothing_without_a_record(tmp_path):
    plan = a_plan(ALONE)
    call = {"plan": plan, "identity": PEOPLE["alice"]}

    def everybody():
        return {"enrollments": enrollments_of(plan, PEOPLE.values())}

    with pytest.raises(RefusedError, match="a masked update leaves a record"):
        hecli.encrypt(tensors("alice"), io.BytesIO(), **call, **everybody())
    path = tmp_path / "alice.id"
    hecli.write_identity(PEOPLE["alice"], path)
    call["record"] = path
    hecli.encrypt(tensors("alice"), io.BytesIO(), **call, **everybody())
    out = io.BytesIO()
    with pytest.raises(RefusedError, match="was masked before"):
        hecli.encrypt(tensors("bob"), out, **call, **everybody())
    assert not out.getvalue()


# Dropouts: enrollments before, answers after.


PLAN = a_plan(hecli.Masks(hecli.Masking(1)))


@pytest.fixture(scope="module")
def enrolled():
    return {name: enroll(name) for name in NAMES}


def enroll(name, plan=PLAN):
    return written(lambda out: hecli.enroll(out, plan, PEOPLE[name]))


@pytest.fixture(scope="module")
def dropped(enrolled):
    """A round in which all four send, and any one may be left out."""
    return {name: update(PLAN, name, enrollments=list(enrolled.values())) for name in NAMES}


def answer(name, made, files, enrolled, record=None):
    return written(
        lambda out: hecli.answer(
            *rewound([made]),
            out,
            PEOPLE[name],
            rewound(enrolled.values()),
            rewound(files),
            record=record,
            jobs=1,
        )
    )


def records(folder):
    made = {}
    for name in NAMES:
        (folder / f"{name}.id").write_bytes(b"")
        made[name] = remember(str(folder / f"{name}.id"), "answered")
    return made


def test_one_dishonest_aggregator_shows_two_sets_to_two_parties():
    """With N = 2K + 1 two answers of each are enough for both sets, and their difference is the third."""
    roster = hecli.Roster.of([PEOPLE[name].card for name in NAMES[:3]], coordinator=PEOPLE["anna"].card)
    with pytest.raises(HecliError, match="1 of 3 parties are too many to drop out"):
        a_plan(hecli.Masks(hecli.Masking(1)), roster)
    for parties, dropouts, works in ((4, 1, True), (5, 2, False), (6, 2, True), (2, 0, True), (2, 1, False)):
        people = [Identity.generate(f"p{at}").card for at in range(parties)]
        roster = hecli.Roster.of(people, coordinator=PEOPLE["anna"].card)
        if works:
            Masking(dropouts).check(roster, parties)
        else:
            with pytest.raises(HecliError, match="too many to drop out"):
                Masking(dropouts).check(roster, parties)


def test_a_party_that_answers_about_two_sets_uncovers_nobody_alone(enrolled, dropped, tmp_path):
    """Mallory answers about both sets; each honest party about one, and three answers are needed."""
    kept = records(tmp_path)
    sets = {gone: [dropped[name] for name in NAMES if name != gone] for gone in ("alice", "bob")}
    made = {gone: aggregate(files) for gone, files in sets.items()}
    answers = {gone: [answer("mallory", made[gone], sets[gone], enrolled)] for gone in sets}
    answers["alice"] += [
        answer(name, made["alice"], sets["alice"], enrolled, kept[name]) for name in ("bob", "carol")
    ]
    for name in ("bob", "carol"):
        with pytest.raises(RefusedError, match="other parties of this plan or model"):
            answer(name, made["bob"], sets["bob"], enrolled, kept[name])
    answers["bob"].append(answer("alice", made["bob"], sets["bob"], enrolled, kept["alice"]))
    masks = {"enrollments": rewound(enrolled.values())}
    assert decrypt(made["alice"], sets["alice"], key=None, answers=rewound(answers["alice"]), **masks)
    masks = {"enrollments": rewound(enrolled.values())}
    with pytest.raises(RefusedError, match="2 answers given, 3 required"):
        decrypt(made["bob"], sets["bob"], key=None, answers=rewound(answers["bob"]), **masks)


def test_dishonest_ones_pool_what_is_answered_about_many_sets(tmp_path):
    """Known, and counted: each honest party is shown another true set, and two stay together at least.

    Of six parties two may be missing, and one is dishonest. All shares of the seeds of
    alice and bob come, and of the round's secrets of the three others; none of any two parties
    fewer. What is opened is the sum of alice and bob, never either alone.
    """
    names = ("alice", "bob", "carol", "dave", "erin", "mallory")
    people = {name: Identity.generate(name) for name in names}
    roster = hecli.Roster.of([each.card for each in people.values()], coordinator=PEOPLE["anna"].card)
    values = {name: {"w": np.full(40, (at + 1) / 10, np.float32)} for at, name in enumerate(names)}
    plan = hecli.make_plan(
        values["alice"], hecli.Masks(hecli.Masking(2)), roster=roster, value_range=1.0, min_parties=4
    )
    enrollments = [written(lambda out, who=who: hecli.enroll(out, plan, people[who])) for who in names]
    updates = {
        name: written(
            lambda out, name=name: hecli.encrypt(
                values[name],
                out,
                plan=plan,
                identity=people[name],
                enrollments=rewound(enrollments),
                record=unrecorded,
                jobs=1,
            )
        )
        for name in names
    }
    missing = {
        "alice": ("carol", "dave"),
        "bob": ("dave", "erin"),
        "carol": ("carol", "erin"),
        "dave": ("carol", "dave"),
        "erin": ("erin",),
    }
    answers = {}
    for name, gone in missing.items():
        files = [updates[each] for each in names if each not in gone]
        made = written(
            lambda out, files=files: hecli.aggregate(rewound(files), out, identity=people["mallory"], jobs=1)
        )
        (tmp_path / name).write_bytes(b"")
        found = written(
            lambda out, name=name, made=made, files=files: hecli.answer(
                *rewound([made]),
                out,
                people[name],
                rewound(enrollments),
                rewound(files),
                record=remember(str(tmp_path / name), "answered"),
                jobs=1,
            )
        )
        answers[name] = Answer.parse(reader(found))
    pooled = Pooled(plan, people["mallory"], open_enrollments(rewound(enrollments), plan), answers)
    sought, others = ("alice", "bob"), ("carol", "dave", "erin")
    assert {owner for owner in names if pooled.enough(pooled.seeds[owner])} == {*sought, "mallory"}
    assert {owner for owner in names if pooled.enough(pooled.secrets[owner])} == set(others)

    total = [sum(each) % RING for each in zip(*(blocks_of(updates[name]) for name in sought), strict=True)]
    opened = pooled.uncovered(total, sought, others)
    lanes = plan.geometry.packing.unpack(opened[:-SIZE], 2, plan.geometry.values)
    quantise = plan.codec.quantise
    sum_found = (np.array(lanes, dtype=float) - 2 * quantise.qmax) * quantise.steps[0]
    assert np.allclose(sum_found, 0.3, atol=1e-3)
    # The mask between those two is known to nobody else, and one alone stays noise.
    alone = pooled.uncovered(blocks_of(updates["alice"]), ("alice",), others)
    assert (np.bincount(np.frombuffer(alone, np.uint8), minlength=256) < len(alone) // 10).all()
    assert plan.masking.fewest_honest(len(names), 1) == len(sought)


def test_a_coordinator_counts_noise_that_dishonest_ones_could_leave_out():
    people = [Identity.generate(f"p{at}").card for at in range(10)]
    roster = hecli.Roster.of(people, coordinator=PEOPLE["anna"].card)
    scheme = hecli.Masks(hecli.Masking(2))
    # Of nine honest parties of ten, seven at least are in every sum that is opened: 9 * 5 / 7.
    options = {"roster": roster, "privacy": hecli.Asked("party", 1.0, None, 0.5, 1, 1e-6)}
    for parties in (9, 10):
        with pytest.raises(HecliError, match="1 who collude could open sums of only 7 others"):
            hecli.make_plan(tensors("alice"), scheme, min_parties=parties, **options)
    assert hecli.make_plan(tensors("alice"), scheme, min_parties=8, **options).privacy


def test_an_aggregator_burns_everybody_s_answer_with_a_false_body(enrolled, dropped, tmp_path):
    """The updates are checked first, and nothing is on record of what was refused."""
    kept = records(tmp_path)
    files = [dropped[name] for name in NAMES[:3]]
    true = aggregate(files)
    false = false_aggregate(files, [1] * PLAN.geometry.blocks)
    false = (
        rewritten(true, body={"lanes": body(false)["lanes"][:SIZE] * PLAN.geometry.lane_blocks}, sign=None)
        if False
        else false
    )
    with pytest.raises(MismatchError, match="is not the product"):
        answer("alice", false, files, enrolled, kept["alice"])
    assert not (tmp_path / "alice.id.answered").exists()
    assert answer("alice", true, files, enrolled, kept["alice"])


def test_a_party_with_two_updates_burns_nobody_s_answer(enrolled, dropped, tmp_path):
    """Two aggregates of the same parties: an answer is about the parties, and the same once more."""
    kept = records(tmp_path)
    second = update(PLAN, "carol", tensors("alice"), enrollments=list(enrolled.values()))
    sets = [[dropped["alice"], dropped["bob"], carol] for carol in (dropped["carol"], second)]
    made = [aggregate(files) for files in sets]
    both = [answer("alice", *each, enrolled, kept["alice"]) for each in zip(made, sets, strict=True)]
    assert both[0].getvalue() == both[1].getvalue()
    answers = [answer(name, made[0], sets[0], enrolled, kept[name]) for name in NAMES[:3]]
    for each, files in zip(made, sets, strict=True):
        masks = {"enrollments": rewound(enrolled.values()), "answers": rewound(answers)}
        total = decrypt(each, files, key=None, **masks)
        assert np.abs(mean_of(total)["w"]).max() <= 1


def test_a_false_answer_is_named_and_left_out_where_others_are_enough(enrolled, dropped):
    """Four answer, three are needed; one signs shares that were not dealt."""
    files = [dropped[name] for name in NAMES[:3]]
    made = aggregate(files)
    answers = {name: answer(name, made, files, enrolled) for name in NAMES}
    header = reader(answers["mallory"]).header
    lies = [[owner, bytes(66)] for owner, _ in header["self_shares"]]
    sign = signer(PEOPLE["mallory"], "answer", PLAN.digest)
    answers["mallory"] = rewritten(answers["mallory"], header=header | {"self_shares": lies}, sign=sign)
    out = io.BytesIO()
    options = {"enrollments": rewound(enrolled.values()), "updates": rewound(files)}
    made.seek(0)
    opened = hecli.decrypt(
        made, out, identity=PEOPLE["anna"], answers=rewound(answers.values()), **options, jobs=1
    )
    assert len(opened.refused) == 1
    assert "is not the one that was dealt" in opened.refused[0]
    del answers["alice"]
    masks = {"enrollments": rewound(enrolled.values()), "answers": rewound(answers.values())}
    with pytest.raises(FormatError, match="is not the one that was dealt"):
        decrypt(made, files, key=None, **masks)


def test_answers_about_one_set_open_no_other(enrolled, dropped):
    files = [dropped[name] for name in NAMES[:3]]
    made, all_four = aggregate(files), aggregate(dropped.values())
    answers = [answer(name, made, files, enrolled) for name in NAMES[:3]]
    masks = {"enrollments": rewound(enrolled.values()), "answers": rewound(answers)}
    with pytest.raises(MismatchError, match="answers about other parties"):
        decrypt(all_four, dropped.values(), key=None, **masks)
    # Nor does all that they reveal, turned against the others' file by hand.
    blocks = open_blocks(reader(made))
    known = open_enrollments(rewound(enrolled.values()), PLAN)
    given = open_answers(rewound(answers), "made", blocks)
    exchange = PLAN.scheme.masking.exchange(PLAN.round)
    shown = [shares_in(exchange, known, NAMES[:3], each) for each in given]
    pairs = pairs_left(exchange, known, NAMES[:3], shown)
    (uncovered,) = Masks(RING, pairs)([body(dropped["mallory"])["lanes"]])
    assert chi_square(lanes_in(PLAN, uncovered), PLAN.geometry.packing.width) < 400


def test_a_party_enrolls_twice_and_is_named(enrolled):
    again = enroll("carol")
    with pytest.raises(RefusedError, match="carol enrolled twice"):
        update(PLAN, "alice", enrollments=[*enrolled.values(), again])
    other = {**enrolled, "carol": again}
    one = update(PLAN, "alice", enrollments=list(enrolled.values()))
    two = update(PLAN, "bob", enrollments=list(other.values()))
    with pytest.raises(MismatchError, match="masked with different people: carol enrolled twice"):
        aggregate([one, two])


def test_a_party_s_own_enrollment_is_exchanged_for_one_with_another_key(enrolled):
    """Whoever has the storage and the party's signature once: its box seals one key, and it says another."""
    header = reader(enrolled["alice"]).header
    sign = signer(PEOPLE["alice"], "enrollment", PLAN.digest)
    for change in ({"mask_key": curves.fresh_agreement()[1]}, {"self_digest": bytes(32)}):
        false = rewritten(enrolled["alice"], header=header | change, sign=sign)
        with pytest.raises(FormatError, match="alice's own enrollment says other keys than it seals"):
            update(PLAN, "alice", enrollments=[false, *list(enrolled.values())[1:]])


def test_storage_swaps_enrollments_between_two_rounds(enrolled):
    other = a_plan(hecli.Masks(hecli.Masking(1)))
    with pytest.raises(MismatchError, match="follows another"):
        update(other, "alice", enrollments=list(enrolled.values()))


def test_a_party_under_a_key_and_masks_proves_its_masked_plaintexts():
    """Proofs are of what is encrypted, masks included; a copy of another's does not pass either."""
    plan = a_plan(hecli.Paillier.of(PUBLIC, masking=hecli.Masking(0)))
    files = {name: update(plan, name) for name in NAMES}
    assert aggregate(files.values())
    copy = signed_update(plan, "mallory", ciphertexts(files["alice"]), files["mallory"])
    with pytest.raises(FormatError, match="does not hold"):
        aggregate([*(files[name] for name in NAMES[:3]), copy])
