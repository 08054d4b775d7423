"""Parts of a round: any machines make them, in any order, and together they are the whole."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.plan import geometry
from hecli.plan.extent import Extent
from hecli.rounds.slices import Product, open_slice
from tests.support import (
    KEY,
    PUBLIC,
    body,
    changed,
    dealt_shares,
    enrollments_of,
    leaves,
    npz,
    reader,
    rewritten,
    small_plan,
    unrecorded,
    with_change,
    written,
)
from tests.test_threshold import PUBLIC as DEALT

ANNA, ALICE, BOB, CAROL, MALLORY = (
    Identity.generate(name) for name in ("anna", "alice", "bob", "carol", "mallory")
)
PARTIES = (ALICE, BOB, CAROL)
LIKE = {"bias": np.ones(500, np.float32), "conv": np.ones((100, 90), np.float32), "emb": np.ones(3000)}


@pytest.fixture(autouse=True, scope="module")
def _small_chunks():
    """Chunks of some kilobytes, so that small rounds have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelope, "CHUNK_SIZE", 1 << 13)
        patch.setattr(geometry, "CHUNK_SIZE", 1 << 13)
        yield


def a_plan(key=PUBLIC, **options):
    roster = Roster.of(
        [each.card for each in PARTIES], [ANNA.card, BOB.card], [ANNA.card], coordinator=ANNA.card
    )
    return hecli.make_plan(LIKE, key, roster=roster, bits=32, **options)


def tensors(at):
    rng = np.random.default_rng(at)
    return {name: rng.uniform(-1, 1, each.shape).astype(each.dtype) for name, each in LIKE.items()}


class Round:
    """A round of three, with everything that one machine makes of it."""

    def __init__(self, plan, key=PUBLIC):
        self.plan = plan
        identities = PARTIES if plan.roster else [None] * 3
        self.updates = [
            written(
                lambda out, at=at, who=who: hecli.encrypt(
                    npz(**tensors(at)),
                    out,
                    key,
                    plan=plan,
                    identity=who,
                    record=unrecorded,
                    enrollments=enrollments_of(plan, PARTIES),
                    jobs=1,
                )
            )
            for at, who in enumerate(identities)
        ]
        self.aggregator = ANNA if plan.roster else None
        self.aggregate = self.aggregated()

    def files(self):
        for each in self.updates:
            each.seek(0)
        return self.updates

    def aggregated(self, part=None, identity=None):
        who = identity or self.aggregator
        return written(lambda out: hecli.aggregate(self.files(), out, identity=who, part=part, jobs=1))

    def opened(self, part=None, record=None):
        self.aggregate.seek(0)
        return written(
            lambda out: hecli.decrypt(
                self.aggregate, out, KEY, updates=self.files(), identity=self.aggregator, part=part,
                record=record, jobs=1,
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def made(_small_chunks):
    return Round(a_plan(masked=["emb"], plain=["bias"]))


@pytest.fixture(scope="module")
def unsigned(_small_chunks):
    return Round(small_plan(npz(**LIKE), 3, bits=16))


def joined(slices, **options):
    for each in slices:
        each.seek(0)
    return written(lambda out: hecli.join(slices, out, jobs=1, **options))


def same(one, other):
    return one.getvalue() == other.getvalue()


# What a part is.


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2))
def test_parts_fit_together(count, blocks, extra):
    """Every record of every section is in one part, and every group, whatever the sizes."""
    plan = small_plan(npz(w=np.ones(blocks * 300 + extra, np.float32)), 4)
    whole = plan.geometry
    extents = [Extent.part(whole, number, count) for number in range(1, count + 1)]
    assert extents[0].first == 0
    assert extents[-1].stop == extents[0].chunks
    for one, other in pairwise(extents):
        assert one.stop == other.first
    groups = [group for each in extents for group in each.groups]
    assert groups == list(range(whole.groups))
    for section in whole.aggregate:
        ranges = [each.records[section.name] for each in extents]
        records = [record for start, stop in ranges for record in range(start, stop)]
        assert records == list(range(section.records))
    assert sum(each.all_blocks for each in extents) == whole.all_blocks
    assert [each.control for each in extents].count(True) == 1
    lanes = [run for each in extents for run in each.main.runs]
    assert sum(stop - start for start, stop in lanes) == whole.main.values
    assert max(each.stop - each.first for each in extents) <= -(-extents[0].chunks // count)


def test_there_is_no_part_beyond_the_last():
    for number, count in ((0, 4), (5, 4), (-1, 4)):
        with pytest.raises(HecliError, match=rf"there is no part {number} of 4"):
            Extent.part(small_plan().geometry, number, count)


# Aggregates.


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_slices_of_an_aggregate_become_the_very_file(made, count):
    slices = [made.aggregated((number, count)) for number in range(1, count + 1)]
    assert same(joined(slices[::-1], identity=ANNA), made.aggregate)


def test_slices_are_the_same_whoever_makes_them(made, unsigned):
    assert same(unsigned.aggregated((2, 3)), unsigned.aggregated((2, 3)))
    # But for the signature.
    one, other = made.aggregated((2, 3)), made.aggregated((2, 3), identity=BOB)
    assert reader(one).digest == reader(other).digest
    parts = [made.aggregated((number, 3), identity=who) for number, who in ((1, BOB), (2, ANNA), (3, BOB))]
    assert same(joined(parts, identity=ANNA), made.aggregate)


def test_slices_that_are_there_twice_count_once(unsigned):
    slices = [unsigned.aggregated((number, 3)) for number in (1, 2, 3, 2, 1)]
    assert same(joined(slices), unsigned.aggregate)


def test_a_gap_is_named(unsigned):
    slices = [unsigned.aggregated((number, 4)) for number in (1, 2, 3, 4)]
    chunks = Extent.all(unsigned.plan.geometry).chunks
    with pytest.raises(RefusedError, match=rf"no slice has chunks? \d+.* of {chunks}"):
        joined([slices[0], slices[1], slices[3]])
    with pytest.raises(RefusedError, match=rf"no slice has chunks? 1.* of {chunks}"):
        joined(slices[1:])
    with pytest.raises(RefusedError, match=rf"no slice has chunks? .*{chunks} of {chunks}"):
        joined(slices[:3])
    with pytest.raises(RefusedError, match="overlap"):
        joined([*slices[:3], unsigned.aggregated((2, 2))])
    with pytest.raises(RefusedError, match="nothing to join"):
        joined([])


def test_slices_of_different_files_are_refused(unsigned):
    other = Round(unsigned.plan)
    with pytest.raises(MismatchError, match="are slices of different files"):
        joined([unsigned.aggregated((1, 2)), other.aggregated((2, 2))])
    another = Round(replace(unsigned.plan, name="another"))
    with pytest.raises(MismatchError, match="follows 'another', the input follows 'round'"):
        joined([unsigned.aggregated((1, 2)), another.aggregated((2, 2))])


def forged(slice_, **options):
    """The slice with one of its ciphertexts exchanged for another, as a dishonest machine makes it."""
    content = body(slice_)
    name = next(iter(content))
    size = reader(slice_).prelude.sections[0].record_size
    return rewritten(slice_, body={name: content[name][size : 2 * size] + content[name][size:]}, **options)


def test_a_wrong_part_is_named_by_whoever_makes_it_again(unsigned):
    good, bad = unsigned.aggregated((1, 3)), forged(unsigned.aggregated((1, 3)))
    with pytest.raises(MismatchError, match="are about the same chunks, and differ"):
        joined([good, bad, unsigned.aggregated((2, 3)), unsigned.aggregated((3, 3))])
    for each in (good, bad):
        each.seek(0)
    assert len(hecli.verify_slice(good, unsigned.files(), jobs=1)) == 3
    with pytest.raises(MismatchError, match="ciphertext 0 is not the product of the updates'"):
        hecli.verify_slice(bad, unsigned.files(), jobs=1)
    # Joined unseen, it is found as in any aggregate: by making it again, or one part of it.
    whole = joined([bad, unsigned.aggregated((2, 3)), unsigned.aggregated((3, 3))])
    with pytest.raises(MismatchError, match="ciphertext 0 is not the product"):
        hecli.verify_aggregate(whole, unsigned.files(), part=(1, 3), jobs=1)
    whole.seek(0)
    assert hecli.verify_aggregate(whole, unsigned.files(), part=(2, 3), jobs=1)


def test_a_damaged_slice_is_refused(unsigned):
    data = bytearray(unsigned.aggregated((1, 2)).getvalue())
    data[len(data) // 2] ^= 1
    with pytest.raises(FormatError, match="does not match its digest"):
        joined([io.BytesIO(data), unsigned.aggregated((2, 2))])


def test_only_an_aggregator_makes_slices_of_an_aggregate(made):
    with pytest.raises(RefusedError, match="alice"):
        made.aggregated((1, 2), identity=ALICE)
    with pytest.raises(RefusedError, match="alice"):
        joined([made.aggregated((number, 2)) for number in (1, 2)], identity=ALICE)
    with pytest.raises(RefusedError, match="whoever wants to aggregate has to sign"):
        joined([made.aggregated((number, 2)) for number in (1, 2)])
    unsigned_ = rewritten(made.aggregated((1, 2)))
    with pytest.raises(RefusedError, match="is not signed"):
        joined([unsigned_, made.aggregated((2, 2))], identity=ANNA)
    for who in (ALICE, MALLORY):
        stolen = rewritten(made.aggregated((1, 2)), sign=signer(who, "slice", made.plan.digest))
        with pytest.raises(RefusedError, match=who.card.name):
            joined([stolen, made.aggregated((2, 2))], identity=ANNA)


def test_nothing_in_the_header_of_a_slice_can_be_changed(unsigned):
    good = unsigned.aggregated((1, 2))
    header = reader(good).header
    for path in leaves({**header, "header": {**header["header"], "plan": {}}}):
        if path[:2] == ("header", "plan"):
            continue
        other = rewritten(good, header=with_change(header, path))
        with pytest.raises(HecliError):
            joined([other, unsigned.aggregated((1, 2)), unsigned.aggregated((2, 2))])
    assert changed(1) == 2


def test_a_part_checks_the_proofs_of_its_own_groups(unsigned):
    """A proof that does not hold is found by the part that it is in, and by no other."""
    content = body(unsigned.updates[1])
    size = unsigned.plan.scheme.knowledge.proof_size
    proofs = bytearray(content["proofs"])
    proofs[size * (unsigned.plan.geometry.groups - 1)] ^= 1
    wrong = rewritten(unsigned.updates[1], body={"proofs": bytes(proofs)})
    files = [unsigned.updates[0], wrong, unsigned.updates[2]]
    for part in ((1, 2), (2, 2)):
        for each in files:
            each.seek(0)
        if part == (2, 2):
            with pytest.raises(FormatError, match="does not hold"):
                hecli.aggregate(files, io.BytesIO(), part=part, jobs=1)
        else:
            hecli.aggregate(files, io.BytesIO(), part=part, jobs=1)


def test_slices_of_ones_own_workers_are_known_by_their_digests(made):
    """They bear no signature; what the storage puts in their place is refused, whoever signed it."""
    slices = [rewritten(made.aggregated((number, 2))) for number in (1, 2)]
    known = frozenset(reader(each).digest for each in slices)
    assert same(joined(slices, identity=ANNA, known=known), made.aggregate)
    with pytest.raises(FormatError, match="is not the slice that a worker made"):
        joined([forged(slices[0]), slices[1]], identity=ANNA, known=known)
    other = forged(slices[0], sign=signer(ANNA, "slice", made.plan.digest))
    with pytest.raises(FormatError, match="is not the slice that a worker made"):
        joined([other, slices[1]], identity=ANNA, known=known)


# Sums.


@pytest.mark.parametrize("count", [1, 2, 5])
def test_slices_of_a_sum_become_a_sum(made, count):
    slices = [made.opened((number, count)) for number in range(1, count + 1)]
    made.aggregate.seek(0)
    total = joined(slices, aggregate=made.aggregate, key=KEY, identity=ANNA)
    assert body(total)["lanes"] == body(made.opened())["lanes"]
    for each in (total, made.aggregate):
        each.seek(0)
    assert len(hecli.verify_sum(total, made.aggregate, jobs=1)) == 3
    mean = hecli.mean(io.BytesIO(total.getvalue()))
    for name in LIKE:
        expected = np.mean([tensors(at)[name] for at in range(3)], axis=0)
        assert np.allclose(mean[name], expected, atol=1e-4)


def test_a_wrong_slice_of_a_sum_is_not_proven(unsigned):
    slices = [unsigned.opened((number, 2)) for number in (1, 2)]
    content = body(slices[0])["lanes"]
    lied = rewritten(slices[0], body={"lanes": content[:-1] + bytes([content[-1] ^ 1])})
    unsigned.aggregate.seek(0)
    out = io.BytesIO()
    with pytest.raises(FormatError, match="what the slices hold together: is not what"):
        hecli.join([lied, slices[1]], out, aggregate=unsigned.aggregate, key=KEY, jobs=1)
    large = rewritten(slices[0], body={"lanes": b"\xff" * len(content)})
    unsigned.aggregate.seek(0)
    with pytest.raises(FormatError, match="holds a lane value above"):
        joined([large, slices[1]], aggregate=unsigned.aggregate, key=KEY)


def test_the_proof_of_a_sum_takes_its_aggregate_and_the_key(unsigned):
    slices = [unsigned.opened((number, 2)) for number in (1, 2)]
    with pytest.raises(RefusedError, match="made of its aggregate, with the key"):
        joined(slices)
    other = Round(unsigned.plan).aggregate
    with pytest.raises(MismatchError, match="was opened from another aggregate"):
        joined(slices, aggregate=other, key=KEY)


def test_every_part_of_an_opening_is_recorded(unsigned):
    """One record, whatever parts there are: no second aggregate is opened bit by bit."""
    seen = []
    for number in (1, 2):
        unsigned.opened((number, 2), record=lambda *use: seen.append(use))
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_a_part_is_opened_only_where_its_own_blocks_are_what_the_updates_make(unsigned):
    """What was put into another part is that part's to find; nothing of it is opened before."""
    content = body(unsigned.aggregate)
    size = unsigned.plan.scheme.block_size
    wrong = rewritten(unsigned.aggregate, body={"lanes": content["lanes"][:-size] + content["lanes"][:size]})
    last = Extent.all(unsigned.plan.geometry).chunks
    for number in (1, last):
        wrong.seek(0)
        part = (number, last)
        if number == 1:
            hecli.decrypt(wrong, io.BytesIO(), KEY, updates=unsigned.files(), part=part, jobs=1)
            continue
        # The last chunk of the lanes is the one before the control block's.
        with pytest.raises(MismatchError, match="is not the product of the updates'"):
            hecli.decrypt(wrong, io.BytesIO(), KEY, updates=unsigned.files(), part=(last - 1, last), jobs=1)


def test_no_part_opens_a_control_block_that_the_updates_do_not_make(made):
    """It holds a weight: whoever exchanges it for one party's own would be told that party's."""
    content = body(made.aggregate)
    alone = body(made.updates[2])["control"]
    wrong = rewritten(
        made.aggregate, body={"control": alone}, sign=signer(ANNA, "aggregate", made.plan.digest)
    )
    assert content["control"] != alone
    for part in ((1, 3), (2, 3), (3, 3)):
        seen = []
        wrong.seek(0)
        with pytest.raises(MismatchError, match="is not the product of the updates'"):
            hecli.decrypt(
                wrong, io.BytesIO(), KEY, updates=made.files(), identity=ANNA, part=part,
                record=lambda *use, seen=seen: seen.append(use), jobs=1,
            )  # fmt: skip
        assert seen == []


def test_a_wrong_value_in_the_clear_is_not_joined(made):
    """The proof is of what the key opened; the rest is opened again by whoever joins."""
    slices = [made.opened((number, 2)) for number in (1, 2)]
    for name in ("plain", "masked"):
        at = next(at for at, each in enumerate(slices) if name in body(each))
        content = body(slices[at])[name]
        lied = rewritten(
            slices[at],
            body={name: content[:-1] + bytes([content[-1] ^ 1])},
            sign=signer(ANNA, "slice", made.plan.digest),
        )
        made.aggregate.seek(0)
        others = [each for number, each in enumerate(slices) if number != at]
        with pytest.raises(FormatError, match="what the slices hold together: is not what"):
            joined([lied, *others], aggregate=made.aggregate, key=KEY, identity=ANNA)


def test_a_sum_is_joined_where_some_of_it_was_opened(place, ok, run):
    for at in range(2):
        np.savez(f"{at}.npz", w=np.full(5, at, np.float32))
        ok("encrypt", f"{at}.npz", "-o", f"{at}.enc", "--party", f"p{at}")
    ok("aggregate", "0.enc", "1.enc")
    ok("decrypt", "round.agg", "--part", "1/1")
    (place / "hecli.key.opened").rename(place / "elsewhere")
    status, _, errors = run("join", "round.sum-1.slice", "--from", "round.agg")
    assert status == 1
    assert "hecli.key.opened does not say that any of this was opened here before" in errors
    (place / "elsewhere").rename(place / "hecli.key.opened")
    ok("join", "round.sum-1.slice", "--from", "round.agg")


def test_no_slice_says_what_no_file_may(made, unsigned):
    slices = [unsigned.opened((number, 2)) for number in (1, 2)]
    header = reader(slices[0]).header
    for field, value in (("weight", -5), ("clipped", -1), ("weight", 2**63), ("aggregate", b"1")):
        other = rewritten(slices[0], header={**header, "header": {**header["header"], field: value}})
        with pytest.raises(FormatError, match=r"out of range|wrong length"):
            open_slice(reader(other))
    one = {**header, "header": {**header["header"], "contributors": header["header"]["contributors"][:1]}}
    with pytest.raises(FormatError, match="has 1 contributors, which its plan does not allow"):
        open_slice(reader(rewritten(slices[0], header=one)))


# Partials and attestations.


def test_slices_of_a_partial_become_a_partial(monkeypatch):
    for module in (envelope, geometry):
        # No chunk is smaller than a group of partials under any key.
        monkeypatch.setattr(module, "CHUNK_SIZE", 1 << 15)
    monkeypatch.setitem(LIKE, "conv", np.ones((10, 9), np.float32))
    made = Round(small_plan(npz(**LIKE), 3, bits=16, scheme=hecli.Paillier.of(DEALT)), DEALT)
    partials = []
    for share in dealt_shares()[:4]:
        slices = []
        for number in (1, 2, 3):
            made.aggregate.seek(0)
            slices.append(
                written(
                    lambda out, share=share, number=number: hecli.partial(
                        made.aggregate, out, share, updates=made.files(), part=(number, 3), jobs=1
                    )
                )
            )
        partials.append(joined([*slices, slices[1]]))
    made.aggregate.seek(0)
    total = written(lambda out: hecli.combine(made.aggregate, partials, out, DEALT, jobs=1))
    assert np.allclose(
        hecli.mean(io.BytesIO(total.getvalue()))["emb"],
        np.mean([tensors(at)["emb"] for at in range(3)], axis=0),
        atol=1e-3,
    )


def test_slices_of_an_attestation_become_one(made):
    def attested(part=None, who=CAROL):
        made.aggregate.seek(0)
        return written(lambda out: hecli.attest(made.aggregate, made.files(), out, who, part=part, jobs=1))

    slices = [attested((number, 2)) for number in (1, 2)]
    assert same(joined(slices, identity=CAROL), attested())
    with pytest.raises(RefusedError, match="is a slice of carol's attestation"):
        joined(slices, identity=ALICE)
    with pytest.raises(MismatchError, match="slices of different files"):
        joined([slices[0], attested((2, 2), ALICE)], identity=CAROL)
    with pytest.raises(RefusedError, match="no slice has chunk"):
        joined(slices[:1], identity=CAROL)
    stolen = rewritten(slices[1], sign=signer(ALICE, "slice", made.plan.digest))
    with pytest.raises(FormatError, match="is not signed by carol"):
        joined([slices[0], stolen], identity=CAROL)
    with pytest.raises(RefusedError, match="is a slice of an attestation file"):
        hecli.verify_slice(slices[0], made.files(), jobs=1)


# Hostile slices.


def test_a_slice_of_what_has_none_is_refused(unsigned):
    good = unsigned.aggregated((1, 2))
    header = reader(good).header
    for of in ("update", "slice", "private key", ""):
        with pytest.raises(FormatError, match="which has none"):
            open_slice(reader(rewritten(good, header={**header, "of": of})))
    for first, stop in ((-1, 1), (2, 1), (0, 10**6)):
        with pytest.raises(FormatError, match="chunks that its round does not have"):
            open_slice(reader(rewritten(good, header={**header, "first": first, "stop": stop})))
    with pytest.raises(FormatError, match="where its header calls for"):
        open_slice(reader(rewritten(good, header={**header, "stop": header["stop"] + 1})))


def test_an_empty_part_is_a_slice(unsigned):
    chunks = Extent.all(unsigned.plan.geometry).chunks
    empty = unsigned.aggregated((1, 10 * chunks))
    found = open_slice(reader(empty))
    assert found.extent.first == found.extent.stop
    assert isinstance(found.product, Product)
    slices = [unsigned.aggregated((number, 2)) for number in (1, 2)]
    assert same(joined([empty, *slices]), unsigned.aggregate)


# As people type it.


def test_a_round_in_parts_as_people_type_it(place, ok, run):
    for at in range(3):
        np.savez(f"{at}.npz", **tensors(at))
        ok("encrypt", f"{at}.npz", "-o", f"{at}.enc", "--party", f"p{at}")
    ok("aggregate", "0.enc", "1.enc", "2.enc", "-o", "whole.agg")
    for number in (1, 2, 3):
        said = ok("aggregate", "*.enc", "--part", f"{number}/3")
        assert f"round.agg-{number}.slice: 3 contributors, chunk" in said
    assert "3 slices joined" in ok("join", "round.agg-*.slice")
    assert (place / "whole.agg").read_bytes() == (place / "round.agg").read_bytes()
    assert "proofs hold" in ok("verify", "round.agg-2.slice", "--from", "*.enc")
    assert "the product of 3 updates" in ok("verify", "round.agg", "--from", "*.enc", "--part", "2/3")
    for number in (1, 2):
        assert "of the sum of 3 contributors" in ok("decrypt", "round.agg", "--part", f"{number}/2")
    assert "2 slices joined" in ok("join", "round.sum-*.slice", "--from", "round.agg")
    assert "is the sum of the 3 contributors" in ok("verify", "round.sum", "--from", "round.agg")
    assert "slice of     aggregate" in ok("inspect", "round.agg-1.slice")
    for words, message in (
        (("aggregate", "*.enc", "--part", "0/3"), "is no part"),
        (("aggregate", "*.enc", "--part", "4/3"), "is no part"),
        (("aggregate", "*.enc", "--part", "3"), "is no part"),
        (("aggregate", "*.enc", "--part", "1/3", "--ledger", "book"), "is for whole files"),
        (("verify", "round.sum", "--from", "round.agg", "--part", "1/2"), "is for an aggregate"),
        (("join", "round.agg-1.slice", "--key", "hecli.key", "-o", "x"), "is for sums that have a proof"),
        (("join", "round.sum-1.slice", "-o", "x.sum"), "give it with --from"),
    ):
        status, _, errors = run(*words)
        assert status == 2, errors
        assert message in errors
    status, _, errors = run("join", "round.agg-1.slice", "-o", "x.agg")
    assert status == 1
    assert "no slice has chunk" in errors
    status, _, errors = run("join", "0.enc", "-o", "x.agg")
    assert status == 1
    assert "is an update file, not a slice file" in errors
