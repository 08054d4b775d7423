"""Dishonest share holders: fewer than it takes, at the bound, with partials that do not hold."""

import io
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.arithmetic.engines import combiner, deal, partial_maker
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.identity.signatures import signer
from hecli.plan.checks import check_plan
from hecli.storage.use_record import remember
from tests.attacks.scene import NAMES, PEOPLE, a_plan, aggregate, rewound, tensors, update
from tests.support import (
    KEYS,
    body,
    dealt_shares,
    encryptor,
    joined,
    mean_of,
    reader,
    rewritten,
    unrecorded,
    written,
)

DEALT = hecli.read_public_key(KEYS / "dealt.pub")


@pytest.fixture(scope="module")
def scene():
    """A round under a key of five shares of which four open, and all partials."""
    plan = a_plan(DEALT)
    files = [update(plan, name, key=DEALT) for name in NAMES[:3]]
    made = aggregate(files)
    return plan, files, made, [partial(made, files, share) for share in dealt_shares()]


def partial(made, files, share, who="anna", **options):
    options.setdefault("updates", rewound(files))
    return written(
        lambda out: hecli.partial(*rewound([made]), out, share, identity=PEOPLE[who], jobs=1, **options)
    )


def combine(made, partials, key=DEALT):
    found = {}
    total = written(
        lambda out: found.update(
            made=hecli.combine(*rewound([made]), rewound(partials), out, key, identity=PEOPLE["anna"], jobs=1)
        )
    )
    return total, found["made"].refused


@pytest.mark.parametrize(("threshold", "shares"), [(2, 3), (3, 5), (2, 4)])
def test_one_dishonest_holder_opens_two_sums_with_two_groups_of_honest_ones(threshold, shares):
    """Why a plan refuses such keys: each honest holder opens one sum, and their difference is one party."""
    key, values = deal(2048, threshold, shares)
    session = bytes(64)
    square = key.n**2
    one, other = (int.from_bytes(encryptor(key.n)(each.to_bytes(256, "big")), "big") for each in (1000, 234))
    sums = [joined([one * other % square], 512), joined([other], 512)]
    dishonest = 1
    honest = list(range(2, shares + 1))
    groups = [honest[: threshold - 1], honest[threshold - 1 : 2 * threshold - 2]]
    assert not set(groups[0]) & set(groups[1])
    opened = []
    for batch, group in zip(sums, groups, strict=True):
        chosen = [dishonest, *group]
        parts = [partial_maker(key, index, values[index - 1], session)(batch) for index in chosen]
        opened.append(
            int.from_bytes(combiner(key, chosen, session)(b"".join([batch, *parts]))[threshold:], "big")
        )
    assert opened[0] - opened[1] == 1000
    public = hecli.PublicKey(key.n, key)
    with pytest.raises(HecliError, match="one dishonest holder opens two sums"):
        a_plan(public)
    with pytest.raises(HecliError, match="one dishonest holder opens two sums"):
        hecli.make_plan(tensors("alice"), public, 4)
    # With the whole roster in every sum there is no second one.
    assert a_plan(public, min_parties=len(NAMES)).scheme.sharing.bound == 0


def test_a_coordinator_sends_out_a_plan_under_such_a_key(scene):
    plan, _, _, _ = scene
    sharing = replace(plan.scheme.sharing, threshold=3)
    with pytest.raises(HecliError, match="one dishonest holder opens two sums"):
        check_plan(replace(plan, scheme=replace(plan.scheme, sharing=sharing)))


def test_three_of_four_hold_against_one_dishonest_holder(tmp_path):
    """It needs two honest ones for each sum, and there are three: one of them would have to open both."""
    key, shares = hecli.deal(3, 4, 2048)
    plan = a_plan(key)
    assert plan.scheme.sharing.bound == 1
    files = [update(plan, name, key=key) for name in NAMES[:3]]
    whole, part = aggregate(files), aggregate(files[:2])
    records = {}
    for share in shares[1:]:
        path = tmp_path / f"{share.index}.share"
        path.write_bytes(b"")
        records[share.index] = remember(str(path), "opened")

    def asked(made, sources, group):
        return [
            partial(made, sources, share, record=records.get(share.index, unrecorded))
            for share in shares
            if share.index in group
        ]

    total, _ = combine(whole, asked(whole, files, (1, 2, 3)), key)
    assert np.abs(mean_of(total)["w"]).max() <= 1
    with pytest.raises(RefusedError, match="was opened before"):
        asked(part, files[:2], (1, 3, 4))
    with pytest.raises(RefusedError, match="2 partials given, 3 required"):
        combine(part, asked(part, files[:2], (1, 4)), key)


def test_fewer_holders_than_it_takes_open_nothing(scene):
    _, _, made, partials = scene
    with pytest.raises(RefusedError, match="3 partials given, 4 required"):
        combine(made, partials[:3])


def test_a_holder_opens_what_nobody_verified(scene):
    """Shares are as strict as keys."""
    _, files, made, _ = scene
    for options in ({"updates": None}, {"updates": None, "unverified": True}):
        with pytest.raises(RefusedError, match="nothing shows"):
            partial(made, files, dealt_shares()[0], **options)
    with pytest.raises(MismatchError, match="is not among the files"):
        partial(made, files[:2], dealt_shares()[0])


def bad_partials(scene):
    """A partial of share 2 cut short, damaged, unsigned, by one who may not, of something else, and a lie."""
    plan, files, _, partials = scene
    good = partials[1]
    lie = bytearray(body(good)["lanes"])
    lie[700] ^= 1
    sign = {name: signer(PEOPLE[name], "partial", plan.digest) for name in ("anna", "bob", "oscar")}
    damaged = bytearray(good.getvalue())
    damaged[-900] ^= 1
    other = partial(aggregate(files[:2]), files[:2], dealt_shares()[1])
    return {
        "cut short": (io.BytesIO(good.getvalue()[:-1]), "ends too early"),
        "empty": (io.BytesIO(b""), "ends too early"),
        "damaged": (io.BytesIO(bytes(damaged)), "does not match its digest"),
        "unsigned": (rewritten(good), "is not signed"),
        "by no keyholder": (rewritten(good, sign=sign["bob"]), "may not make a partial"),
        "by a stranger": (rewritten(good, sign=sign["oscar"]), "not on the plan's roster"),
        "of another aggregate": (other, "partial of another aggregate"),
        "a lie": (rewritten(good, body={"lanes": bytes(lie)}, sign=sign["anna"]), "proof does not hold"),
        "not its share": (
            rewritten(partials[2], header=reader(partials[2]).header | {"index": 2}, sign=sign["anna"]),
            "proof does not hold",
        ),
    }


def test_a_holder_s_bad_partial_is_named_and_left_out_where_others_are_enough(scene):
    _, _, made, partials = scene
    good = [partials[0], *partials[2:]]
    expected = body(combine(made, good)[0])["lanes"]
    for name, (bad, says) in bad_partials(scene).items():
        total, refused = combine(made, [good[0], bad, *good[1:]])
        assert body(total)["lanes"] == expected, name
        assert len(refused) == 1, name
        assert says in refused[0], name
        with pytest.raises(HecliError) as error:
            combine(made, [good[0], bad, *good[1:3]])
        assert says in error.value.message or "required" in error.value.message, name


def test_a_holder_s_bad_partial_under_another_s_number_spoils_nothing(scene):
    """Two of share 1: the one that holds counts, whichever comes first, and once."""
    plan, _, made, partials = scene
    sign = signer(PEOPLE["anna"], "partial", plan.digest)
    false = rewritten(partials[2], header=reader(partials[2]).header | {"index": 1}, sign=sign)
    expected = body(combine(made, partials[:4])[0])["lanes"]
    for order in ([false, *partials[:4]], [*partials[:4], false], [partials[0], *partials[:4]]):
        total, refused = combine(made, order)
        assert body(total)["lanes"] == expected
        assert len(refused) == (0 if false not in order else 1)
    with pytest.raises(RefusedError, match="3 partials given, 4 required"):
        combine(made, [false, *partials[:3]])


def test_a_holder_s_sum_is_checked_by_anybody_with_the_partials(scene):
    plan, _, made, partials = scene
    total, _ = combine(made, partials[:4])
    assert hecli.verify_sum(*rewound([total, made]), rewound(partials[1:]), key=DEALT, jobs=1)
    content = bytearray(body(total)["lanes"])
    content[7] ^= 1
    false = rewritten(total, body={"lanes": bytes(content)}, sign=signer(PEOPLE["anna"], "sum", plan.digest))
    with pytest.raises(FormatError, match="is not what"):
        hecli.verify_sum(*rewound([false, made]), rewound(partials[1:]), key=DEALT, jobs=1)
    with pytest.raises(RefusedError, match="key that was dealt"):
        hecli.verify_sum(*rewound([total, made]), rewound(partials), jobs=1)


def test_a_dealer_gives_a_party_another_dealing_of_the_same_modulus(scene):
    """Its partials would be checked with other keys; the fingerprint covers the dealing."""
    plan, _, _, _ = scene
    other = replace(DEALT, shared=replace(DEALT.shared, keys=DEALT.shared.keys[::-1]))
    plain = hecli.PublicKey(DEALT.n)
    assert len({DEALT.fingerprint, other.fingerprint, plain.fingerprint}) == 3
    for key in (other, plain):
        with pytest.raises(MismatchError, match="the key given is"):
            update(plan, "alice", key=key)


def test_one_person_gets_two_shares(place, ok, fails):
    assert place
    for name in ("alice", "bob", "carol"):
        ok("keygen", "--identity", name)
    cards = [word for name in ("alice", "bob", "alice", "carol") for word in ("--card", f"{name}.card")]
    fails("keygen", "--threshold", 3, "--shares", 4, *cards, "-o", "dealt", says="a card is given twice")
    assert not list(place.glob("dealt*"))


def test_everybody_is_told_how_many_dishonest_holders_a_key_holds_against(scene, place, ok, run):
    plan, _, _, _ = scene
    assert place
    assert ("to open", "4 of 5 shares; holds against 2 dishonest holders") in plan.scheme.lines(4)
    deal_ = ("keygen", "--bits", 2048, "--threshold", 2, "--shares", 3, "-o", "weak")
    assert "one dishonest holder can open two sums" in ok(*deal_)
    assert "one dishonest holder can open two sums" in ok("inspect", "weak.pub")
    ok("encrypt", str(save(place)), "--key", KEYS / "dealt.pub")
    status, _, errors = run("encrypt", "a.npy", "--key", "weak.pub", "-o", "b.enc")
    assert status == 1
    assert "one dishonest holder opens two sums" in errors


def save(place):
    np.save(place / "a.npy", np.ones(3, np.float32))
    return place / "a.npy"
