"""Tensors that travel otherwise than encrypted: under masks alone, or in the clear."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.plan.checks import check_plan
from hecli.plan.files import parse_plan
from hecli.plan.parts import MAIN, Masked, Part, Published, joined, others
from hecli.rounds.lanes import merged, selected
from hecli.rounds.residual import Feedback
from hecli.schemes.ring import RING
from tests.support import (
    KEY,
    KEYS,
    PUBLIC,
    aggregated,
    body,
    dealt_shares,
    decrypted,
    encrypted,
    enrollments_of,
    load_key,
    mean_of,
    npz,
    plan_of,
    reader,
    rewritten,
    small_plan,
    unrecorded,
    written,
)
from tests.trainings import COORDINATOR, Over, Scene

NAMES = ("alice", "bob", "carol", "dora")
PEOPLE = {name: Identity.generate(name) for name in (*NAMES, "anna")}
ANNA = PEOPLE["anna"]
LIKE = {
    "bias": np.ones(3, np.float32),
    "conv": np.ones((40, 30), np.float32),
    "emb": np.ones((50, 20)),
    "fc": np.ones((10, 10), np.float32),
}
VALUES = 3 + 1200 + 1000 + 100


def tensors(name):
    rng = np.random.default_rng(NAMES.index(name))
    return {key: rng.uniform(-1, 1, each.shape).astype(each.dtype) for key, each in LIKE.items()}


def true_mean(names):
    return {key: np.mean([tensors(name)[key] for name in names], axis=0) for key in LIKE}


def a_plan(scheme=PUBLIC, names=NAMES, value_range=1.0, **options):
    roster = Roster.of([PEOPLE[name].card for name in names], keyholders=[ANNA.card], coordinator=ANNA.card)
    return hecli.make_plan(LIKE, scheme, roster=roster, value_range=value_range, **options)


def rewound(files):
    for file in files:
        file.seek(0)
    return list(files)


def update(plan, name, enrollments=(), values=None, **options):
    enrollments = enrollments or enrollments_of(plan, PEOPLE.values())
    return written(
        lambda out: hecli.encrypt(
            values or tensors(name),
            out,
            PUBLIC if plan.scheme.sharing is None else hecli.read_public_key(KEYS / "dealt.pub"),
            plan=plan,
            identity=PEOPLE[name],
            record=unrecorded,
            enrollments=rewound(enrollments),
            jobs=1,
            **options,
        )
    )


def aggregate(files):
    return written(lambda out: hecli.aggregate(rewound(files), out, identity=PEOPLE["alice"], jobs=1))


def opened(made, files, **options):
    made.seek(0)
    return written(
        lambda out: hecli.decrypt(made, out, KEY, updates=rewound(files), identity=ANNA, jobs=1, **options)
    )


def assert_mean(total, names):
    mean = mean_of(total)
    for key, true in true_mean(names).items():
        assert np.abs(mean[key] - true).max() < 1e-4


WAYS = {
    "masked": {"masked": ["conv", "e*"]},
    "plain": {"plain": ["conv", "bias"]},
    "both": {"masked": ["conv"], "plain": ["emb", "bias"]},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_round_in_parts(way):
    """Whatever travels how, the mean is that of everything, and all who check it find it right."""
    plan = a_plan(**WAYS[way])
    files = [update(plan, name) for name in NAMES]
    made = aggregate(files)
    sections = [each.name for each in reader(made).prelude.sections]
    assert sections == [*(part.name for part in plan.geometry.others), "lanes", "control"]
    assert [each.name for each in reader(files[0]).prelude.sections] == [*sections, "proofs"]
    total = opened(made, files)
    assert_mean(total, NAMES)
    assert [each.name for each in reader(total).prelude.sections] == ["lanes", "proof"]
    hecli.verify_sum(total, made, jobs=1)
    hecli.verify_aggregate(made, rewound(files), jobs=1)
    assert hecli.verify(*rewound(files[:1]))["proofs"] == "hold"
    nested = aggregate([aggregate(files[2:]), *files[:2]])
    assert nested.getvalue() == made.getvalue()


def test_a_round_in_parts_without_a_roster():
    plan = small_plan(npz(**LIKE), 4, plain=["conv"], value_range=1.0)
    made = aggregated(*(encrypted(npz(**tensors(name)), plan) for name in NAMES))
    assert_mean(decrypted(made), NAMES)


def test_masked_and_plain_values_cost_little():
    """At the default key: 16 bits and ten parties in 20-bit lanes, and nearly nothing beside."""
    like = {"a": np.ones(100_000, np.float32), "b": np.ones(100_000, np.float32)}
    plan = hecli.make_plan(like, load_key("full").public, 10, plain=["b"])
    (plain,) = plan.geometry.others
    main = plan.geometry.main
    assert plain.values == main.values == 100_000
    assert plain.bytes / plain.values < 2.6
    assert main.bytes / main.values > 4.9


@pytest.mark.parametrize(
    ("scheme", "parts"),
    [("key", {"masked": ["conv", "emb"]}), ("shares", {"masked": ["c*", "e*"], "plain": ["bias"]})],
)
def test_masks_of_a_part_survive_dropouts(scheme, parts):
    """carol enrolls and sends nothing."""
    key = PUBLIC if scheme == "key" else hecli.read_public_key(KEYS / "dealt.pub")
    plan = a_plan(key, dropouts=1, **parts)
    enrolled = [written(lambda out, who=name: hecli.enroll(out, plan, PEOPLE[who])) for name in NAMES]
    present = ("alice", "bob", "dora")
    files = [update(plan, name, enrolled) for name in present]
    made = aggregate(files)
    answers = [
        written(
            lambda out, who=name: hecli.answer(
                *rewound([made]), out, PEOPLE[who], rewound(enrolled), rewound(files), jobs=1
            )
        )
        for name in NAMES[1:]
    ]
    masks = {"enrollments": rewound(enrolled), "answers": rewound(answers)}
    if scheme == "key":
        with pytest.raises(RefusedError, match="0 enrollments given, 3 required"):
            opened(made, files)
        total = opened(made, files, **masks)
        checks = {}
    else:
        total, partials = io.BytesIO(), []
        for share in dealt_shares()[:4]:
            out = io.BytesIO()
            hecli.partial(*rewound([made]), out, share, identity=ANNA, updates=rewound(files), jobs=1)
            partials.append(out)
        hecli.combine(*rewound([made]), rewound(partials), total, key, identity=ANNA, **masks, jobs=1)
        checks = {"partials": rewound(partials), "key": key}
    assert_mean(total, present)
    masks = {"enrollments": rewound(enrolled), "answers": rewound(answers)}
    hecli.verify_sum(*rewound([total, made]), **checks, **masks, jobs=1)


def test_masks_of_a_part_beside_masks_of_all():
    """A key and masks over everything, and some under masks alone: no sequence is used twice."""
    plan = a_plan(hecli.Paillier.of(PUBLIC, masking=hecli.Masking(0)), masked=["conv"])
    zeros = {key: np.zeros_like(each) for key, each in LIKE.items()}
    files = [update(plan, name, values=zeros) for name in NAMES]
    total = opened(aggregate(files), files)
    assert all(not each.any() for each in mean_of(total).values())
    sizes = plan.geometry
    assert plan.round_of(sizes.main).masks != plan.round_of(sizes.others[0]).masks


def test_an_encoded_file_goes_in_parts():
    plan = a_plan(**WAYS["both"])
    int_file = written(lambda out: hecli.encode(tensors("alice"), out, plan=plan))
    made = [body(update(plan, "alice", values=values)) for values in (None, int_file)]
    assert made[0]["masked"] == made[1]["masked"]
    assert made[0]["plain"] == made[1]["plain"]


def test_clipped_values_of_all_parts_are_counted():
    plan = a_plan(**WAYS["both"])
    wide = {key: 2 * np.ones_like(each) for key, each in LIKE.items()}
    files = [update(plan, name, values=wide if name == "bob" else None) for name in NAMES]
    total = opened(aggregate(files), files)
    assert reader(total).header["clipped"] == VALUES


def test_without_all_parties_masks_of_a_part_stay_on():
    plan = a_plan(**WAYS["masked"])
    files = [update(plan, name) for name in NAMES[:3]]
    with pytest.raises(RefusedError, match="lacks dora: masks come off only the sum of all"):
        opened(aggregate(files), files)


def test_a_masked_part_leaves_a_record():
    plan = a_plan(**WAYS["masked"])
    with pytest.raises(RefusedError, match="leaves a record"):
        hecli.encrypt(
            tensors("bob"),
            io.BytesIO(),
            PUBLIC,
            plan=plan,
            identity=PEOPLE["bob"],
            enrollments=enrollments_of(plan, PEOPLE.values()),
        )
    with pytest.raises(RefusedError, match="has to sign"):
        hecli.encrypt(tensors("bob"), io.BytesIO(), PUBLIC, plan=plan, record=unrecorded)


def test_a_plain_part_is_what_it_says():
    """By the specification's layout: integers and nothing else."""
    plan = a_plan(plain=["bias"], bits=8, rounding="nearest", names=NAMES[:2])
    file = update(plan, "alice", values={**tensors("alice"), "bias": np.array([1, -1, 0.5], np.float32)})
    number, width = int.from_bytes(body(file)["plain"], "big"), plan.geometry.packing.width
    count = 8191 // width
    found = [number >> width * (count - 1 - at) & ((1 << width) - 1) for at in range(count)]
    assert found == [1, 254, 0, 127 + 64, *[0] * (count - 4)]


# The plan.


runs = st.lists(st.integers(0, 60), unique=True, max_size=12).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@given(runs, st.integers(60, 70), st.data())
def test_lanes_that_were_divided_come_back_in_their_order(chosen, total, data):
    pieces = data.draw(st.lists(st.integers(1, 20)))
    lanes = np.arange(total, dtype=np.uint64)

    def cut(array):
        return iter(np.split(array, sorted({min(at, len(array)) for at in np.cumsum(pieces).tolist()})))

    rest = others(chosen, total)
    divided = [np.concatenate([*selected(cut(lanes), each), lanes[:0]]) for each in (chosen, rest)]
    for part, found in zip((chosen, rest), divided, strict=True):
        assert found.tolist() == [at for start, stop in part for at in range(start, stop)]
    together = merged([(part, cut(found)) for part, found in zip((chosen, rest), divided, strict=True)])
    assert np.concatenate(list(together)).tolist() == lanes.tolist()
    assert others(rest, total) == joined(chosen)


@given(runs.filter(bool), st.booleans())
def test_a_plan_in_parts_survives_its_file(chosen, masked):
    plan = a_plan(masked=["conv"] if masked else [])
    plan = replace(plan, plain=(Published("emb", joined(chosen)),))
    assert parse_plan(plan.to_map(), "file") == plan
    assert sum(part.values for part in plan.geometry.parts) == VALUES
    assert joined(sorted(run for part in plan.geometry.parts for run in part.runs)) == ((0, VALUES),)
    found = hecli.inspect(written(lambda out: hecli.write_plan(plan, out, ANNA)))["plan"]
    (emb,) = found["plain"]["tensors"]
    assert [tuple(run) for run in emb["runs"]] == list(joined(chosen))
    assert sum(found[name]["values"] for name in ("encrypted", "plain")) == VALUES - 1200 * masked
    assert sum(each["values"] for each in found["encrypted"]["tensors"]) == found["encrypted"]["values"]


def test_by_default_everything_is_encrypted():
    plan = a_plan()
    assert (plan.masked, plan.plain) == (None, ())
    assert not {"masked", "plain"} & plan.to_map().keys()
    assert [part.name for part in plan.geometry.parts] == [MAIN]


BAD = {
    "a pattern that means nothing": ({"masked": ["x*"]}, "no tensor matches 'x*'"),
    "another": ({"plain": ["x*"]}, "no tensor matches 'x*'"),
    "everything plain": ({"plain": ["*"]}, "nothing of the model is left to encrypt"),
    "everything masked": ({"masked": ["*"]}, "nothing of the model is left to encrypt"),
    "everything in parts": ({"masked": ["[bc]*"], "plain": ["[ef]*"]}, "nothing of the model is left"),
    "one in both": ({"masked": ["conv"], "plain": ["*n*"]}, "tensor conv is masked, and plain"),
    "too many dropouts": ({"masked": ["conv"], "dropouts": 2}, "too many to drop out"),
    "masked under masks": (
        {"scheme": hecli.Masks(hecli.Masking(0)), "masked": ["conv"]},
        "masks everything already",
    ),
    "plain under masks": (
        {"scheme": hecli.Masks(hecli.Masking(0)), "plain": ["conv"]},
        "nothing in the clear",
    ),
    "plain under a key and masks": (
        {"scheme": hecli.Paillier.of(PUBLIC, masking=hecli.Masking(0)), "plain": ["conv"]},
        "nothing in the clear",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_parts_that_cannot_be_are_refused(name):
    options, says = BAD[name]
    with pytest.raises(HecliError) as error:
        a_plan(**options)
    assert says in error.value.message


def test_masks_of_a_part_need_a_roster():
    with pytest.raises(HecliError, match="parties of a roster"):
        small_plan(npz(**LIKE), 4, masked=["conv"])


def test_tensors_without_values_are_in_no_part():
    like = {"a": np.ones(5), "b": np.ones((0, 3)), "c": np.ones(5)}
    plan = hecli.make_plan(like, PUBLIC, 3, plain=["[ab]"])
    assert plan.plain == (Published("a", ((0, 5),)),)
    with pytest.raises(FormatError, match="tensor b is plain, and the round has no values of it"):
        parse_plan({**plan.to_map(), "plain": [["b", 0, 1]]}, "file")


RUNS = [((0, 2), (1, 3)), ((0, 1), (1, 2)), ((2, 1),), ((1, 1),), ((-1, 1),), ((0, 4),), ((3, 4), (0, 1))]


@pytest.mark.parametrize("chosen", RUNS)
def test_runs_that_cannot_be_are_refused(chosen):
    """Of a tensor of three values, in a plan that is made and in one that is read."""
    plan = replace(a_plan(), plain=(Published("bias", chosen),))
    with pytest.raises(HecliError, match="not in order, or none of its"):
        check_plan(plan)
    with pytest.raises(FormatError):
        parse_plan(plan.to_map(), "file")


def test_what_hides_nothing_is_no_scheme_of_a_plan():
    """It carries parts only: no file can make it a plan's own."""
    with pytest.raises(FormatError, match="unknown scheme 'plain'"):
        parse_plan({**a_plan().to_map(), "scheme": {"name": "plain"}}, "file")


# Who alters something.


@pytest.fixture(scope="module")
def scene():
    plan = a_plan(**WAYS["both"])
    files = [update(plan, name) for name in NAMES]
    return plan, files, aggregate(files)


def altered(file, section, kind, who, at=1000):
    content = bytearray(body(file)[section])
    content[at] ^= 1
    sign = signer(PEOPLE[who], kind, plan_of(file).digest)
    return rewritten(file, body={section: bytes(content)}, sign=sign)


@pytest.mark.parametrize("section", ["masked", "plain"])
def test_an_aggregator_alters_a_part(scene, section):
    _, files, made = scene
    false = altered(made, section, "aggregate", "alice")
    with pytest.raises(MismatchError, match=f"block 0 of its {section} part is not the product"):
        hecli.verify_aggregate(false, rewound(files), jobs=1)
    with pytest.raises(MismatchError, match="is not the product"):
        opened(false, files)


@pytest.mark.parametrize("section", ["masked", "plain"])
def test_storage_alters_a_part(scene, section):
    """One bit of a signed update, its digests as they were."""
    _, files, _ = scene
    data = bytearray(files[0].getvalue())
    place = data.find(body(files[0])[section]) + 100
    data[place] ^= 1
    with pytest.raises(FormatError, match="does not match its digest"):
        aggregate([io.BytesIO(bytes(data)), *files[1:]])


def test_an_update_without_a_part_or_with_another_order(scene):
    plan, files, _ = scene
    found, opened_file = body(files[0]), reader(files[0])
    sign = signer(PEOPLE["alice"], "update", plan.digest)
    sections = opened_file.prelude.sections
    layouts = [
        [each for each in sections if each.name != "plain"],
        [each for each in sections if each.name != "masked"],
        [sections[1], sections[0], *sections[2:]],
        [sections[0], sections[1]._replace(records=sections[1].records + 1), *sections[2:]],
    ]
    for layout in layouts:
        out = io.BytesIO()
        contents = [found[each.name].ljust(each.records * each.record_size, b"\0") for each in layout]
        envelope.write(out, "update", opened_file.header, layout, contents, sign=sign)
        with pytest.raises(FormatError, match="where its header calls for"):
            aggregate([out, *files[1:]])


@pytest.mark.parametrize("section", ["masked", "plain"])
def test_a_block_that_is_not_below_the_modulus(scene, section):
    plan, files, _ = scene
    sign = signer(PEOPLE["alice"], "update", plan.digest)
    content = body(files[0])[section]
    false = rewritten(files[0], body={section: RING.to_bytes(1024, "big") + content[1024:]}, sign=sign)
    with pytest.raises(FormatError, match=f"block 0 of its {section} part is not below the modulus"):
        aggregate([false, *files[1:]])


@pytest.mark.parametrize("section", ["masked", "plain"])
def test_a_party_sends_a_part_that_is_none(scene, section):
    """Its count is wrong, which shows when all is opened; a plain one could be looked into before."""
    plan, files, _ = scene
    sign = signer(PEOPLE["alice"], "update", plan.digest)
    content = bytes(len(body(files[0])[section]))
    false = [rewritten(files[0], body={section: content}, sign=sign), *files[1:]]
    with pytest.raises(FormatError, match=rf"of its {section} part.* opens to what no sum of updates can be"):
        opened(aggregate(false), false)


def test_a_masked_part_of_another_round_is_noise(scene):
    plan, files, _ = scene
    again = a_plan(**WAYS["both"])
    sign = signer(PEOPLE["alice"], "update", plan.digest)
    other = body(update(again, "alice"))["masked"]
    false = [rewritten(files[0], body={"masked": other}, sign=sign), *files[1:]]
    with pytest.raises(FormatError, match=r"of its masked part.* opens to what no sum of updates can be"):
        opened(aggregate(false), false)


@pytest.mark.parametrize("tensor", ["conv", "emb", "fc"])
def test_a_keyholder_publishes_another_sum_of_a_part(scene, tensor, monkeypatch):
    """With a proof of correct decryption for the lanes it publishes: what takes no key is opened again."""
    plan, files, made = scene
    names = [spec.name for spec in plan.tensors]
    place = sum(plan.geometry.sizes[: names.index(tensor)])

    def false(parts):
        lanes = np.concatenate(list(merged(parts)))
        lanes[place] ^= np.uint64(1)
        yield lanes

    assert len(hecli.verify_sum(*rewound([opened(made, files), made]), jobs=1)) == 4
    monkeypatch.setattr("hecli.rounds.opening.merged", false)
    forged = opened(made, files)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="is not what the input holds"):
        hecli.verify_sum(*rewound([forged, made]), jobs=1)


# By a map of how much each value tells.


def a_map(bits=16, **arrays):
    found = {key: np.abs(each) for key, each in arrays.items()}
    plan = small_plan(npz(**found), 2, bits=bits)
    return decrypted(aggregated(encrypted(npz(**found), plan), encrypted(npz(**found), plan)))


def test_the_most_sensitive_blocks_are_encrypted():
    """Blocks of 256, by what they tell for each value; a short block costs less and needs no more."""
    like = {"a": np.zeros(1000), "b": np.zeros(300)}
    like["a"][256:512], like["a"][768:] = 2, 3
    like["b"][256:], like["b"][:256] = 2.5, 1
    plan = hecli.make_plan({"a": np.ones(1000), "b": np.ones(300)}, PUBLIC, 3)
    total = a_map(**like)

    def chosen(share):
        return hecli.plain_by_sensitivity(plan, total, share).plain

    # 232 values of 3 each are 17.8 %, with 44 of 2.5 they are 21.2 %, with 256 of 2 they are 40.9 %.
    assert chosen(0.178) == (Published("a", ((0, 768),)), Published("b", ((0, 300),)))
    assert chosen(0.18) == (Published("a", ((0, 768),)), Published("b", ((0, 256),)))
    assert chosen(0.4) == (Published("a", ((0, 256), (512, 768))), Published("b", ((0, 256),)))
    assert chosen(1) == ()
    # Of equal blocks the first is encrypted.
    assert chosen(0.7) == (Published("a", ((512, 768),)),)


def test_tensors_are_compared_in_their_own_units():
    """The steps of the two tensors differ by a factor of 1,000."""
    like = {"a": np.full(300, 1000.0), "b": np.full(300, 1.0)}
    plan = hecli.make_plan(like, PUBLIC, 3)
    assert hecli.plain_by_sensitivity(plan, a_map(**like), 0.5).plain == (Published("b", ((0, 300),)),)


def test_a_share_is_meant_in_decimal():
    """0.07 as a float64 is a little more, and would take another block of a thousand."""
    like = {"a": np.ones(256 * 100)}
    plan, total = hecli.make_plan(like, PUBLIC, 3), a_map(bits=11, **like)
    for share in (0.07, 0.1, 0.2, 0.57):
        (plain,) = hecli.plain_by_sensitivity(plan, total, share).plain
        assert plain.runs == ((round(share * 100) * 256, 25_600),)


@pytest.fixture(scope="module")
def whole_map():
    return a_map(**tensors("alice"))


def test_a_map_and_masks_go_together(whole_map):
    """What is masked stays so, and counts on neither side."""
    plan = a_plan(masked=["conv"])
    made = hecli.plain_by_sensitivity(plan, whole_map, 0.5)
    assert made.masked == Masked(("conv",), hecli.Masking(0))
    assert "conv" not in {each.tensor for each in made.plain}
    assert 0.5 <= made.geometry.main.values / (VALUES - 1200) < 0.75
    files = [update(made, name) for name in NAMES]
    assert_mean(opened(aggregate(files), files), NAMES)


def test_maps_that_are_none(whole_map):
    plan = a_plan()
    both_signs = small_plan(npz(**LIKE), 2)
    total = decrypted(aggregated(*(encrypted(npz(**tensors("bob")), both_signs) for _ in range(2))))
    with pytest.raises(HecliError, match="holds numbers below zero"):
        hecli.plain_by_sensitivity(plan, total, 0.5)
    with pytest.raises(MismatchError, match="tensor bias is not the same in both"):
        hecli.plain_by_sensitivity(plan, a_map(conv=LIKE["conv"]), 0.5)
    with pytest.raises(FormatError, match="not a sum file"):
        hecli.plain_by_sensitivity(plan, written(lambda out: hecli.write_public_key(PUBLIC, out)), 0.5)
    for share in (0, -1, 1.5, float("nan")):
        with pytest.raises(HecliError, match="cannot be encrypted"):
            hecli.plain_by_sensitivity(plan, whole_map, share)
    with pytest.raises(HecliError, match="chosen already"):
        hecli.plain_by_sensitivity(a_plan(plain=["conv"]), whole_map, 0.5)


# The commands.


@pytest.fixture
def members(place, ok):
    for name in ("anna", "alice", "bob"):
        ok("keygen", "--identity", name)
        np.savez(f"{name}.npz", **tensors("alice"))
    return "--party", "alice.card", "--party", "bob.card", "--identity", "anna.id"


# Beside compression.


def test_whole_tensors_in_parts_are_rotated():
    """Each by itself: rotation mixes nothing of one tensor into another."""
    plan = a_plan(bits=12, rotate=True, norm=40.0, masked=["conv"], plain=["emb"], value_range=None)
    files = [update(plan, name) for name in NAMES]
    total = opened(aggregate(files), files)
    mean = mean_of(total)
    for key, true in true_mean(NAMES).items():
        assert np.abs(mean[key] - true).max() < 0.02
    assert len(hecli.verify_sum(*rewound([total, aggregate(files)]), jobs=1)) == 4
    shown = hecli.inspect(*rewound(files[:1]))["plan"]["plain"]
    assert shown["tensors"] == [{"name": "emb", "values": 1000, "of": 1000, "runs": [[0, 1000]]}]


def test_what_compression_would_undo_is_refused(whole_map):
    rotated = a_plan(bits=12, rotate=True, norm=40.0, value_range=None)
    with pytest.raises(HecliError, match="lanes are made of many values"):
        hecli.plain_by_sensitivity(rotated, whole_map, 0.5)
    with pytest.raises(HecliError, match="what is left out of an update is sent with a later one"):
        a_plan(bits=8, sample=0.5, norm=40.0, value_range=None, plain=["emb"])
    with pytest.raises(RefusedError, match="what was hidden before could be among them"):
        update(a_plan(plain=["emb"]), "alice", feedback=Feedback(None, io.BytesIO()))
    compressed = small_plan(npz(**LIKE), 2, rotate=True)
    total = decrypted(aggregated(*(encrypted(npz(**tensors("bob")), compressed) for _ in range(2))))
    with pytest.raises(MismatchError, match="is of a round that compresses"):
        hecli.plain_by_sensitivity(a_plan(), total, 0.5)


def test_what_masks_alone_hide_may_be_sampled_and_sent_later():
    plan = a_plan(bits=8, sample=0.5, norm=40.0, value_range=None, masked=["conv"])
    files, residuals = [], []
    for name in NAMES:
        residuals.append(io.BytesIO())
        files.append(update(plan, name, feedback=Feedback(None, residuals[-1])))
    total = opened(aggregate(files), files)
    assert len(hecli.verify_sum(*rewound([total, aggregate(files)]), jobs=1)) == 4
    assert all(reader(each).kind == "residual" for each in residuals)


def test_the_commands(place, ok, fails, members):
    like = ("plan", "--like", "alice.npz")
    said = ok(*like, *members, "--masked", "c*", "--plain", "emb", "--plain", "bias")
    assert "masked       1,200 values (52 %) under masks alone" in said
    assert "plain        1,003 values (44 %) in the clear: whoever has an update reads them\n" in said
    assert "             bias, emb" in said
    assert "every party's update is needed" in said
    for name in ("alice", "bob"):
        ok("enroll", "--plan", "round.plan", "--identity", f"{name}.id")
    everybody = ("--enroll", "alice.enroll", "--enroll", "bob.enroll")
    for name in ("alice", "bob"):
        said = ok("encrypt", f"{name}.npz", "--plan", "round.plan", "--identity", f"{name}.id", *everybody)
        assert "warning: 1,003 values (44 %) will be in the clear, your own: bias, emb" in said
        assert "100 of 2,303 values in" in said
    assert (place / "alice.id.masked").exists()
    for file in ("round.plan", "alice.enc"):
        assert "plain        1,003 values (44 %) in the clear" in ok("inspect", file)
    shown = json.loads(ok("inspect", "alice.enc", "--json"))[0]["plan"]
    assert [each["name"] for each in shown["plain"]["tensors"]] == ["bias", "emb"]
    assert shown["masked"]["share"] == 1200 / VALUES
    ok("aggregate", "alice.enc", "bob.enc", "--identity", "alice.id")
    ok("decrypt", "round.agg", "--identity", "alice.id", "--plan", "round.plan")
    ok("verify", "round.sum", "--from", "round.agg", "--plan", "round.plan")
    ok("apply", "round.sum", "-o", "mean.npz")
    with np.load("mean.npz") as mean:
        assert np.abs(mean["emb"] - tensors("alice")["emb"]).max() < 1e-3
    # The next plan keeps to it.
    ok("plan", "--next", "round.plan", "--like", "round.sum", "--identity", "anna.id")
    with Path("round-2.plan").open("rb") as stream:
        following = hecli.read_plan(stream)
    assert following.masked == Masked(("conv",), hecli.Masking(0))
    assert [each.tensor for each in following.plain] == ["bias", "emb"]


def test_the_commands_say_it_of_encoded_files_too(ok, members):
    ok("plan", "--like", "alice.npz", *members, "--plain", "conv")
    ok("encode", "alice.npz", "--plan", "round.plan")
    assert "will be in the clear" in ok("encrypt", "alice.int", "--identity", "alice.id")


def test_the_commands_choose_by_a_map(ok, fails, members):
    np.savez("map.npz", **{key: np.abs(each) for key, each in tensors("alice").items()})
    ok("plan", "--like", "map.npz", "--parties", 2, "-o", "map.plan")
    for name in "ab":
        ok("encrypt", "map.npz", "--plan", "map.plan", "--party", name, "-o", f"{name}.enc")
    ok("aggregate", "a.enc", "b.enc", "-o", "map.agg")
    ok("decrypt", "map.agg", "--plan", "map.plan")
    by_map = ("plan", "--like", "alice.npz", "--parties", 2, "--sensitivity", "map.sum")
    said = ok(*by_map, "--encrypt-share", 0.2)
    assert "in the clear: whoever has an update reads them" in said
    assert "of 1,200)" in said
    fails(*by_map, says="go together", status=2)
    fails(*by_map, "--encrypt-share", 0.2, "--target-bytes", 5000, says="value by value", status=2)
    fails(*by_map, "--encrypt-share", 0.2, "--plain", "conv", says="give one", status=2)
    fails(*by_map, "--encrypt-share", 2, says="--encrypt-share", status=2)
    fails("plan", "--like", "alice.npz", "--parties", 2, "--encrypt-share", 1, says="go together", status=2)


def test_the_commands_set_a_plan_in_parts_beside_those_that_can_be(ok, members):
    said = ok("plan", "--like", "alice.npz", *members, "--plain", "conv", "--json")
    others = json.loads(said)["others"]
    assert any("rotated" in each for each in others)
    assert not any("rank" in each or "of the values" in each for each in others)


def test_the_commands_refuse(fails, members):
    like = ("plan", "--like", "alice.npz")
    fails(*like, *members, "--masked", "x", says="no tensor matches 'x'", hint="the tensors are")
    fails(*like, "--parties", 3, "--masked", "conv", says="need a roster", status=2)
    fails(*like, *members, "--dropouts", 1, says="is for masks", status=2)
    fails(*like, *members, "--masks", "--plain", "conv", says="leave nothing in the clear")
    fails(*like, *members, "--scheme", "masks", "--masked", "conv", says="masks everything already")


def test_a_part_knows_its_blocks():
    part = a_plan(plain=["conv"]).geometry.others[0]
    assert isinstance(part, Part)
    assert part.block(3) == "block 3 of its plain part"


# In a training.


def test_a_training_masks_some_tensors_and_leaves_some_in_the_clear(tmp_path):
    """Under a key: each travels as the terms say, in every round, and the model is everybody's."""
    model = {
        "b": np.zeros(4, np.float32),
        "clear": np.zeros(6, np.float32),
        "large": np.zeros((5, 40), np.float32),
    }
    masked = Masked(("large",), hecli.Masking(1))
    scene = Scene(tmp_path, 4, model=model, rounds=2, masked=masked, plain=("clear",))
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) and not each.failed for each in ended.values()), ended
    models = [scene.model(name) for name in [COORDINATOR, *scene.parties]]
    for each in models:
        assert all(np.array_equal(each[name], value) for name, value in models[0].items())
    # Each party pulls to its own number: 1, 2, 3 and 4.
    assert all(np.allclose(value, 2.5, atol=0.01) for value in models[0].values())
    said = hecli.inspect(scene.file("party-1", ".enc", 2))["plan"]
    assert [each["name"] for each in said["masked"]["tensors"]] == ["large"]
    assert [each["name"] for each in said["plain"]["tensors"]] == ["clear"]
    lines = hecli.inspect(scene.shared / "training.hecli")["training"]["lines"]
    assert any(line.startswith("masked ") and "large" in line for line in lines)
    assert any(line.startswith("plain ") and "clear" in line for line in lines)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"plain": ("none",)}, "the list of plain tensors"),
        ({"plain": ("b",), "skipped": ("b",)}, "the list of plain tensors"),
        ({"plain": ("b", "w")}, "nothing of the model is left"),
        ({"masked": Masked(("none",), hecli.Masking(0))}, "none"),
        ({"masked": Masked(("b", "w"), hecli.Masking(0))}, "nothing of the model is left"),
        ({"masked": Masked(("w",), hecli.Masking(0)), "plain": ("w",)}, "masked, and plain"),
        ({"masked": Masked(("w",), hecli.Masking(1))}, "."),
    ],
    ids=str,
)
def test_terms_of_parts_that_no_round_can_have_are_refused(tmp_path, terms, says):
    with pytest.raises(HecliError, match=says):
        Scene(tmp_path, 3, **terms)
