"""Whoever copies files today, and breaks X25519 later; and whoever takes one half of a secret away now."""

import io

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError
from hecli.formats import envelope
from hecli.identity import curves, kem, sealing
from hecli.identity.cards import Card
from hecli.identity.sealing import SENT_SIZE, seal, unseal
from hecli.identity.signatures import signer
from hecli.rounds.enrollments import open_enrollments
from hecli.schemes.masks import protocol
from hecli.schemes.masks.dealing import context_of
from hecli.schemes.masks.exchange import pair_key, value_of
from hecli.schemes.masks.files import Enrollment
from tests.attacks.scene import NAMES, PEOPLE, a_plan, aggregate, decrypt, tensors, update
from tests.support import PUBLIC, enrollments_of, plan_of, reader, rewritten, written

ALICE, BOB, MALLORY = (PEOPLE[name] for name in ("alice", "bob", "mallory"))
SECRET, ABOUT = b"a share of a key", b"what it belongs to"
ALONE = hecli.Masks(hecli.Masking(0))
ONE_MAY_GO = hecli.Masks(hecli.Masking(1))


def opens(box, identity=BOB, about=ABOUT):
    try:
        return unseal(box, identity, about, "file") == SECRET
    except HecliError:
        return False


# Boxes.


def test_a_box_with_another_half_opens_for_nobody():
    """Replaced by one of the attacker's, by that of another box, or by nothing."""
    box, other = seal(SECRET, BOB.card, ABOUT), seal(SECRET, BOB.card, ABOUT)
    assert opens(box)
    agreed, sent, inside = box[:32], box[32:SENT_SIZE], box[SENT_SIZE:]
    mine, mine_public = curves.fresh_agreement()
    assert mine
    carrier = kem.encapsulate(BOB.card.known_key)[1]
    for half in (mine_public, other[:32], bytes(32), MALLORY.card.agree):
        assert not opens(half + sent + inside)
    for half in (carrier, other[32:SENT_SIZE], bytes(len(sent)), sent[:-1] + bytes([sent[-1] ^ 1])):
        assert not opens(agreed + half + inside)
    assert not opens(agreed + inside)
    assert not opens(sent + inside)


def test_a_box_is_opened_by_nobody_who_has_broken_one_half_alone():
    """A quantum computer gives X25519's private keys; a mistake in ML-KEM would give its secrets."""
    box = seal(SECRET, BOB.card, ABOUT)
    public, carrier = box[:32], box[32:SENT_SIZE]
    agreed = curves.agree(BOB.agree_secret, public)
    sent = kem.decapsulate(BOB.kem_secret, carrier)

    def tried(sent, agreed):
        key = sealing._box_key(sent, agreed, public + carrier, BOB.card, ABOUT)
        try:
            return curves.decrypt_under(key, None, box[SENT_SIZE:], None) == SECRET
        except ValueError:
            return False

    assert tried(sent, agreed)
    for nothing in (bytes(32), agreed, kem.decapsulate(MALLORY.kem_secret, carrier)):
        assert not tried(nothing, agreed)
    for nothing in (bytes(32), sent, curves.agree(MALLORY.agree_secret, public)):
        assert not tried(sent, nothing)
    # Nor with what is not bound to the card that it was sealed to.
    without = curves.derive(sent + agreed, "box", [public + carrier, *BOB.card[:3], ABOUT])
    with pytest.raises(ValueError, match="does not open"):
        curves.decrypt_under(without, None, box[SENT_SIZE:], None)


def test_a_box_is_taken_to_another_card_round_or_owner():
    box = seal(SECRET, BOB.card, ABOUT)
    assert not opens(box, MALLORY)
    assert not opens(box, about=ABOUT + b"x")
    half = Card.of(BOB.card.name, BOB.card.sign, BOB.card.agree, MALLORY.card.known_key)
    assert not opens(seal(SECRET, half, ABOUT))


# Cards.


def card_file(card, key, who=BOB):
    out = io.BytesIO()
    header = {"card": list(card)} | ({} if key is None else {"kem": key})
    envelope.write(out, "card", header, sign=signer(who, "card"))
    out.seek(0)
    return out


def test_a_card_is_stripped_of_its_ml_kem_key_or_given_another():
    """By whoever hands it on, and by whoever makes a plan."""
    card = BOB.card
    for forged in (
        card_file(card[:3], None),
        card_file(card, None),
        card_file(card, MALLORY.card.known_key),
        card_file(card, bytes(1184)),
        card_file(card, b""),
        # Its owner's, with another's key: it would not be able to open what is sealed to it.
        card_file(card, BOB.card.known_key[:-1]),
    ):
        with pytest.raises(FormatError, match=r"no key against|no field 'kem'|not that of the card"):
            hecli.read_card(forged)
    assert hecli.read_card(card_file(card, card.known_key)) == card
    another = Card.of(card.name, card.sign, card.agree, MALLORY.card.known_key)
    assert another != card
    assert another.fingerprint != card.fingerprint


def test_a_coordinator_exchanges_ml_kem_keys_in_a_plan():
    plan, anna = a_plan(ALONE), PEOPLE["anna"]
    true = written(lambda out: hecli.write_plan(plan, out, anna))
    keys = plan.roster.kem_keys
    sign = signer(anna, "plan", plan.digest)
    for false in (keys[::-1], keys[:-1], [*keys[:-1], MALLORY.card.known_key + b"x"], [keys[0]] * 4, "x"):
        forged = rewritten(true, header={"plan": plan.to_map(), "kem": false}, sign=sign)
        with pytest.raises(FormatError, match=r"ML-KEM key|'kem' of the wrong type"):
            hecli.read_plan(forged)
    bare = rewritten(true, header={"plan": plan.to_map()}, sign=sign)
    with pytest.raises(FormatError, match="lacks them"):
        hecli.read_plan(bare)


def test_nobody_enrolls_by_a_plan_that_is_not_from_its_own_file():
    """Copies elsewhere have no keys to seal to: nothing is sent to a key that whoever copied it chose."""
    plan = a_plan(ALONE)
    carried = plan_of(enrollments_of(plan, PEOPLE.values())[0])
    assert carried == plan
    with pytest.raises(HecliError, match=r"the ML-KEM key of .* is not known here"):
        hecli.enroll(io.BytesIO(), carried, ALICE)


# Masks.


@pytest.fixture(scope="module")
def masked():
    plan = a_plan(ALONE)
    return plan, {name: update(plan, name) for name in NAMES}


def changed_enrollment(plan, name, change):
    """A party's enrollment, otherwise than it should be, signed by the party."""
    at = plan.roster.parties.index(name)
    true = enrollments_of(plan, PEOPLE.values())[at]
    header = reader(true).header
    changed = header | change(header)
    return rewritten(true, header=changed, sign=signer(PEOPLE[name], "enrollment", plan.digest))


def all_with(plan, name, false):
    given = dict(zip(plan.roster.parties, enrollments_of(plan, PEOPLE.values()), strict=True))
    return list((given | {name: false}).values())


def keys_known(plan, who):
    """What a party masks with, by the other's name."""
    enrollments = open_enrollments(enrollments_of(plan, PEOPLE.values()), plan)
    pairs = protocol.pairs_of(plan.masking.exchange(plan.round), PEOPLE[who], enrollments)
    return enrollments, dict(
        zip([name for name in NAMES if name != who], [each.key for each in pairs], strict=True)
    )


def test_whoever_breaks_x25519_later_takes_no_mask_off(masked):
    """With every private key of X25519: the cards' and the round's."""
    plan, _ = masked
    enrollments, keys = keys_known(plan, "alice")
    exchange = plan.masking.exchange(plan.round)
    own = enrollments.by_party["alice"]
    opened = unseal(own.own, ALICE, context_of(exchange, "alice", ""), "own")
    round_key, drawn = opened[:32], opened[32:]
    public = enrollments.by_party["bob"].mask_key
    names = "alice", "bob"
    true = pair_key(exchange, value_of(exchange, drawn, *names), round_key, public, names, enrollments.digest)
    assert keys["bob"] == true
    guesses = [b"", bytes(32), own.parties[1].value, own.parties[1].box[:32], curves.agree(round_key, public)]
    for guess in guesses:
        assert pair_key(exchange, guess, round_key, public, names, enrollments.digest) != true
    # And whoever has the value, but not the round key, has none either.
    value = value_of(exchange, drawn, *names)
    mine, _ = curves.fresh_agreement()
    assert pair_key(exchange, value, mine, public, names, enrollments.digest) != true


@pytest.mark.parametrize("scheme", [ALONE, ONE_MAY_GO], ids=["all", "all but one"])
def test_a_party_seals_another_value_than_it_says(scheme):
    """Whoever opens it sees it, before anything is masked, and says whose it is."""
    plan = a_plan(scheme)

    def exchanged(header):
        parties = [list(each) for each in header["parties"]]
        parties[-1][1] = bytes(32)
        return {"parties": parties}

    false = changed_enrollment(plan, "alice", exchanged)
    given = all_with(plan, "alice", false)
    with pytest.raises(FormatError, match="what alice sealed to mallory is not what it says"):
        update(plan, "mallory", enrollments=given)
    with pytest.raises(FormatError, match="alice's own enrollment says other keys than it seals"):
        update(plan, "alice", enrollments=given)


def test_a_party_seals_a_value_for_another_or_of_another_round():
    plan, other = a_plan(ALONE), a_plan(ALONE)
    foreign = Enrollment.parse(reader(enrollments_of(other, PEOPLE.values())[0]))

    def swapped(header):
        parties = [list(each) for each in header["parties"]]
        parties[1][0], parties[2][0] = parties[2][0], parties[1][0]
        return {"parties": parties}

    def replayed(_header):
        return {"parties": [[each.box, each.value, *each.shares] for each in foreign.parties]}

    for change in (swapped, replayed):
        given = all_with(plan, "alice", changed_enrollment(plan, "alice", change))
        with pytest.raises(FormatError, match="what alice sealed to bob does not open"):
            update(plan, "bob", enrollments=given)


def test_a_party_masks_with_another_value_than_it_enrolled_with(masked, monkeypatch):
    """Nobody is named: the masks do not cancel, and no sum opens."""
    plan, files = masked
    honest = protocol.pair_key
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "pair_key", lambda exchange, value, *rest: honest(exchange, bytes(32), *rest))
        lying = update(plan, "mallory")
    given = [*(files[name] for name in NAMES[:3]), lying]
    with pytest.raises(FormatError, match=r"control block|no sum of updates"):
        decrypt(aggregate(given), given, key=None)


def test_values_are_revealed_of_nobody_who_is_there():
    """An answer holds shares of what was sent to absent parties; one that holds more is refused."""
    plan = a_plan(ONE_MAY_GO)
    enrollments = enrollments_of(plan, PEOPLE.values())
    here = ("alice", "carol", "mallory")
    files = [update(plan, name) for name in here]
    made = aggregate(files, who="alice")

    def answer(out):
        for each in (made, *files):
            each.seek(0)
        hecli.answer(made, out, ALICE, enrollments, files, jobs=1)

    given = written(answer)
    header = reader(given).header
    # alice sent a value to bob, who is absent; carol and mallory, who are later, sent him none.
    assert [(owner, len(shares) // 33) for owner, shares, _ in header["value_shares"]] == [("alice", 1)]
    owner, shares, digests = header["value_shares"][0]
    assert len(digests) == 2 * 32
    for values in ([[owner, shares * 2, digests[32:]]], [[owner, shares, digests], ["carol", shares, b""]]):
        false = rewritten(
            given, header=header | {"value_shares": values}, sign=signer(ALICE, "answer", plan.digest)
        )
        with pytest.raises(FormatError, match="of the values it should, and of no others"):
            hecli.verify(false)


def test_paillier_alone_is_said_to_leave_values_open():
    """What --post-quantum refuses is what plans and files say of themselves."""
    covered = hecli.Paillier.of(PUBLIC, masking=hecli.Masking(0))
    for plan, closed in ((a_plan(), False), (a_plan(covered), True), (a_plan(ALONE), True)):
        file = written(lambda out, plan=plan: hecli.write_plan(plan, out, PEOPLE["anna"]))
        found = hecli.inspect(file)["plan"]
        assert found["post_quantum"] is closed
        said = dict(found["scheme_lines"])["quantum"]
        assert said.startswith("values stay closed" if closed else "values do not stay closed")


def test_masked_updates_still_add_up(masked):
    _, files = masked
    total = decrypt(aggregate(files.values()), files.values(), key=None)
    true = np.mean([tensors(name)["w"] for name in NAMES], axis=0)
    assert np.abs(hecli.mean(total)["w"] - true).max() < 1e-3
