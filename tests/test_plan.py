"""The plan: what follows from it, what it promises, and which plans are refused."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.arithmetic import engines
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.formats import envelope
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.checks import check_plan, check_same
from hecli.plan.costs import START, costs, error_bound
from hecli.plan.files import read_plan
from hecli.plan.making import default_plan
from hecli.schemes.interface import Load
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.keys import PublicKey
from hecli.schemes.registry import scheme_of
from tests.support import (
    PUBLIC,
    aggregated,
    dealt_shares,
    decrypted,
    encrypted,
    load_key,
    mean_of,
    npz,
    quantised_with,
    reader,
    small_plan,
    steps_of,
)

LIKE = {"b": np.array([0.5, -2.0], np.float32), "w": np.full((2, 3), 0.25, np.float64)}


def plan(**options):
    return small_plan(npz(**LIKE), **options)


@given(
    st.integers(2, 32),
    st.integers(2, 16384),
    st.integers(1, 2**32 - 1),
    st.sampled_from(["nearest", "stochastic"]),
    st.sampled_from(["short", "half", "full"]),
)
def test_any_plan_holds_at_capacity_and_survives_its_file(bits, parties, weight, rounding, randomness):
    made = plan(parties=parties, bits=bits, max_weight=weight, rounding=rounding, randomness=randomness)
    largest = 2 * made.codec.quantise.qmax * parties
    packing = made.geometry.packing
    assert 2 ** (packing.width - 1) <= largest < 2**packing.width
    assert parties < 2**packing.width
    assert packing.lanes * packing.width <= PUBLIC.n.bit_length() - 1 < (packing.lanes + 1) * packing.width
    out = io.BytesIO()
    hecli.write_plan(made, out)
    assert hecli.read_plan(out) == made
    assert read_plan(reader(out)).digest == made.digest


def test_the_figures_of_the_design():
    key = load_key("full").public
    million = TensorSpec("w", "float32", (1_000_000,))
    base = default_plan(scheme_of(key), (million,))
    compact = replace(quantised_with(base, bits=16), capacity=256).geometry
    assert (compact.packing.width, compact.packing.values, compact.blocks) == (24, 126, 7938)
    smallest = replace(quantised_with(base, bits=8), capacity=16).geometry
    assert (smallest.packing.width, smallest.packing.values) == (12, 254)
    assert smallest.bytes / 1_000_000 < 3.2
    assert (base.geometry.packing.width, base.codec.quantise.qmax * steps_of(base)[0]) == (
        40,
        pytest.approx(128),
    )


def test_costs_are_foreseen():
    made = costs(plan(), 2)
    assert made.file_bytes == plan().geometry.bytes
    assert made.tensor_bytes == 2 * 4 + 6 * 8
    assert list(made.seconds) == ["encrypt", "aggregate", "decrypt"]
    assert START < made.seconds["aggregate"] < made.seconds["decrypt"]


def large(scheme, parties=5):
    spec = TensorSpec("w", "float32", (200_000,))
    return replace(quantised_with(default_plan(scheme, (spec,)), bits=16), capacity=parties)


def test_every_step_of_a_round_is_foreseen(monkeypatch):
    """Whoever opens does all that whoever aggregates does, and partials are far more than decryptions."""
    measured, measure = {}, engines.measure

    def once(n, randomness, *others):
        """The same figures for one and for two workers, however busy the machine is."""
        return measured.setdefault((n, randomness), measure(n, randomness, *others))

    monkeypatch.setattr(engines, "measure", once)
    key = scheme_of(load_key("full").public)
    dealt = scheme_of(PublicKey(dealt_shares()[0].key.n, dealt_shares()[0].key))
    one, two = costs(large(key), 1).seconds, costs(large(key), 2).seconds
    assert all(two[step] < one[step] for step in one)
    assert one["decrypt"] - one["aggregate"] > 3 * one["encrypt"]
    assert costs(large(key, 50), 1).seconds["aggregate"] > 3 * one["aggregate"]
    full = costs(large(replace(key, randomness="full")), 1).seconds
    assert full["encrypt"] > 10 * one["encrypt"]
    shared = costs(large(dealt), 1).seconds
    assert list(shared) == ["encrypt", "aggregate", "partial", "combine"]
    assert shared["partial"] > shared["combine"]
    assert 4 * shared["combine"] > shared["aggregate"]
    masked = costs(replace(large(key), scheme=replace(key, masking=Masking(1))), 1).seconds
    assert list(masked) == ["encrypt", "aggregate", "answer", "decrypt"]
    assert costs(replace(large(key), scheme=Masks(Masking(0))), 1).seconds == {}


def test_blocks_are_shared_out_by_groups():
    load = Load(blocks=1000, group=128, parties=5, workers=3)
    assert load.each(128) == 3 * 128
    assert load.each(1) == 334
    assert load.each(128, sources=5) == 14 * 128
    assert load._replace(workers=100).each(128) == 128
    assert load._replace(workers=1).each(128) == 1000


def test_ranges_are_taken_from_the_example_with_headroom():
    ranges = [step * 32767 for step in steps_of(plan())]
    assert ranges == pytest.approx([8.0, 1.0])
    assert [step * 127 for step in steps_of(plan(bits=8))] == pytest.approx([8.0, 1.0])
    fixed = plan(value_range=0.5)
    assert [step * 32767 for step in steps_of(fixed)] == pytest.approx([0.5, 0.5])


def ranges_of(made):
    return {
        spec.name: pytest.approx(step * made.codec.quantise.qmax)
        for spec, step in zip(made.tensors, steps_of(made), strict=True)
    }


def test_ranges_are_given_by_patterns_of_names():
    like = {
        name: np.full(2, value) for name, value in (("conv1.b", 1), ("conv1.w", 2), ("fc[0]", 3), ("z", 0))
    }

    def ranges(given):
        return ranges_of(small_plan(npz(**like), value_range=given))

    assert ranges({"conv*": 0.5, "*": 0.25}) == {"conv1.b": 0.5, "conv1.w": 0.5, "fc[0]": 0.25, "z": 0.25}
    # The first that matches counts; what none matches finds its own range, zeros among the like.
    assert ranges({"*.w": 0.5, "conv*": 7.0}) == {"conv1.b": 7.0, "conv1.w": 0.5, "fc[0]": 12.0, "z": 12.0}
    assert ranges({"fc[0]": 0.5}) == {"conv1.b": 4.0, "conv1.w": 8.0, "fc[0]": 0.5, "z": 8.0}
    assert ranges({"conv1.b": None, "conv*": 1.0})["conv1.b"] == 4.0
    assert ranges({}) == ranges(None)
    assert ranges({"[cfz]*": 1.0, "*": 2.0}) == dict.fromkeys(like, 1.0)


@pytest.mark.parametrize(
    ("given", "says", "hint"),
    [
        ({"Conv*": 1.0}, "no tensor matches 'Conv*'", "the tensors are b, w"),
        ({"b": -1.0}, "range of -1.0", "positive"),
        ({"*": 1.0, "b": 2.0}, "the range of 'b' counts nowhere", "before"),
    ],
)
def test_ranges_that_mean_nothing_are_refused(given, says, hint):
    with pytest.raises(HecliError) as error:
        plan(value_range=given)
    assert says in error.value.message
    assert hint in error.value.hint


def test_ranges_on_the_command_line(place, ok, fails):
    np.savez(place / "a.npz", **LIKE, **{"x=y": np.ones(2)})
    make = ("plan", "--like", "a.npz", "--parties", 3, "--force")
    ok(*make, "--range", "w=auto", "--range", "x=y=0.5", "--range", 0.1)
    assert ranges_of(hecli.read_plan(place / "round.plan")) == {"b": 0.1, "w": 1.0, "x=y": 0.5}
    ok(*make, "--range", "auto")
    assert ranges_of(hecli.read_plan(place / "round.plan")) == {"b": 8.0, "w": 1.0, "x=y": 4.0}
    fails(*make, "--range", "v*=1", says="no tensor matches 'v*'", hint="the tensors are b, w, x=y")
    fails(*make, "--range", "1", "--range", "2", says="the same tensors twice", hint="--help", status=2)
    fails(*make, "--range", "w=wide", says="'wide' is neither", hint="--help", status=2)


BATCH_NORM = {
    "bn.count": np.array(2**60),
    "bn.mean": np.full(2, np.nan),
    "w": np.full(3, 0.25, np.float32),
}


def test_tensors_can_be_skipped():
    # Their values, which no round could take, are not even looked at.
    made = small_plan(npz(**BATCH_NORM), skip=["bn.*", "bn.count"])
    assert made.skipped == ("bn.count", "bn.mean")
    assert [spec.name for spec in made.tensors] == ["w"]
    assert ranges_of(made) == {"w": 1.0}
    assert made.geometry.values == 3
    assert "skipped" not in small_plan(npz(**LIKE)).to_map()
    out = io.BytesIO()
    hecli.write_plan(made, out)
    assert hecli.read_plan(out) == made
    assert hecli.inspect(out)["plan"]["skipped"] == ["bn.count", "bn.mean"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"skip": ["bn*", "x*"]}, r"no tensor matches 'x\*'"),
        ({"skip": ["*"]}, "all tensors are skipped"),
        ({"skip": ["bn*"], "value_range": {"bn*": 1.0}}, r"no tensor matches 'bn\*'"),
    ],
)
def test_skipping_nothing_or_all_is_refused(options, says):
    with pytest.raises(HecliError, match=says):
        small_plan(npz(**BATCH_NORM), **options)


def test_patterns_are_no_single_text():
    with pytest.raises(TypeError, match="skip takes a list of patterns"):
        small_plan(npz(**BATCH_NORM), skip="bn*")


def test_skipped_tensors_are_counted_with_the_others():
    made = plan()
    most = tuple(f"{number:05}" for number in range((1 << 16) - 2))
    check_plan(replace(made, skipped=most))
    with pytest.raises(HecliError, match="more than 65,536 tensors"):
        check_plan(replace(made, skipped=(*most, "a")))


def test_a_round_goes_around_skipped_tensors():
    key = load_key("small")
    made = small_plan(npz(**BATCH_NORM), 2, skip=["bn.*"])
    updates = [BATCH_NORM, {"w": np.full(3, 0.75, np.float32)}, {"w": BATCH_NORM["w"], "bn.mean": np.ones(9)}]
    files = [encrypted(npz(**each), made) for each in updates[:2]]
    assert hecli.encode(npz(**updates[2]), io.BytesIO(), plan=made).clipped == 0
    total = decrypted(aggregated(*files), key)
    assert mean_of(total).keys() == {"w"}
    model = BATCH_NORM | {"bn.count": np.array([7, 8], ">i4"), "w": np.zeros(3, np.float32)}
    moved = mean_of(total, model=npz(**model), rule="add")
    assert moved.keys() == model.keys()
    assert moved["bn.count"].tolist() == [7, 8]
    assert np.isnan(moved["bn.mean"]).all()
    assert moved["w"] == pytest.approx([0.5] * 3, abs=1e-3)
    # A model need not have them; what is not skipped is refused as ever.
    assert mean_of(total, model=npz(w=model["w"])).keys() == {"w"}
    with pytest.raises(MismatchError, match="has a tensor v"):
        mean_of(total, model=npz(w=model["w"], v=np.ones(1)))
    with pytest.raises(MismatchError, match="has a tensor v"):
        encrypted(npz(v=np.ones(1), **BATCH_NORM), made)


def test_plans_like_a_sum_skip_what_it_skipped():
    made = small_plan(npz(v=np.ones(2), **BATCH_NORM), 2, skip=["bn.*"])
    arrays = {"v": np.ones(2), "w": np.ones(3, np.float32)}
    total = decrypted(aggregated(*[encrypted(npz(**arrays), made) for _ in range(2)]))
    assert hecli.next_plan(made, total).skipped == made.skipped
    like = hecli.make_plan(total, PUBLIC, 2, skip=["bn.mean", "v"])
    assert like.skipped == ("bn.count", "bn.mean", "v")
    assert [spec.name for spec in like.tensors] == ["w"]


def test_skipping_on_the_command_line(place, ok, fails):
    np.savez(place / "a.npz", **BATCH_NORM)
    make = ("plan", "--like", "a.npz", "--parties", 3)
    fails(*make, "--skip", "x*", says="no tensor matches 'x*'", hint="bn.count, bn.mean, w")
    fails(*make, "--skip", "*", says="all tensors are skipped", hint="leave some")
    said = ok(*make, "--skip", "bn.count", "--skip", "*.mean")
    assert "skipped      bn.count, bn.mean" in said
    assert "1 tensor, 3 values" in said
    said = ok("inspect", "round.plan")
    assert "skipped      bn.count\n               bn.mean\n" in said
    ok("encrypt", "a.npz", "--plan", "round.plan")


def test_rosters_are_taken_from_many_files_and_patterns(place, ok, fails):
    np.savez(place / "a.npz", **LIKE)
    (place / "cards").mkdir()
    for name in ("anna", "bob", "carol", "dora", "emil"):
        ok("keygen", "--identity", name)
        (place / f"{name}.card").rename(place / "cards" / f"{name}.card")
    make = ("plan", "--like", "a.npz", "--identity", "anna.id", "--force")
    bob, carol, dora, emil = (f"cards/{name}.card" for name in ("bob", "carol", "dora", "emil"))

    def made(*arguments):
        ok(*make, *arguments)
        return hecli.read_plan(place / "round.plan").roster

    roster = made("--party", bob, carol, "--keyholder", dora, "--aggregator", dora, emil)
    assert roster.parties == ("bob", "carol")
    assert (roster.keyholders, roster.aggregators) == (("dora",), ("dora", "emil"))
    assert made("--party", "cards/*.card").parties == ("anna", "bob", "carol", "dora", "emil")
    assert made("--party", bob, "--party", "cards/[cd]*.card", "--masks").parties == ("bob", "carol", "dora")
    fails(*make, "--party", "cards/*.crd", says="no file matches cards/*.crd", hint="pattern")
    fails(*make, "--party", "--masks", says="option '--party' needs files", hint="--help", status=2)
    fails(*make, "--party", bob, "cards/[bc]*.card", says="given twice", hint="once")


def test_a_tensor_of_zeros_gets_the_widest_range():
    made = small_plan(npz(a=np.zeros(3), b=np.full(2, 0.25)))
    assert steps_of(made)[0] == steps_of(made)[1]
    assert steps_of(small_plan(npz(a=np.zeros(3))))[0] * 32767 == pytest.approx(4.0)


def test_few_bits_are_rounded_stochastically_unless_told():
    assert plan(bits=8).codec.quantise.rounding == "stochastic"
    assert plan(bits=16).codec.quantise.rounding == "nearest"
    assert plan(bits=8, rounding="nearest").codec.quantise.rounding == "nearest"


def test_the_error_bound_is_half_a_step_or_a_step():
    nearest, stochastic = plan(bits=16), plan(bits=8)
    # The second tensor is float64, to which nothing is added for its own rounding.
    assert error_bound(nearest, 1) == pytest.approx(1.0 / 32767 / 2, rel=1e-4)
    assert error_bound(stochastic, 1) == pytest.approx(1.0 / 127, rel=1e-4)
    weighted = plan(max_weight=10)
    assert error_bound(weighted, 1) == pytest.approx(10.0 / 32767 / 2, rel=1e-4)
    half = 8.0 / 32767 / 2
    assert error_bound(nearest, 0) == pytest.approx(half * (1 + 2**-16) + 8 * 2**-24)


def test_two_plans_never_share_a_digest():
    assert plan().digest != plan().digest


def test_the_default_plan_is_the_same_for_all():
    specs = (TensorSpec("w", "float32", (3,)),)
    assert default_plan(scheme_of(PUBLIC), specs) == default_plan(scheme_of(PUBLIC), specs)
    check_plan(default_plan(scheme_of(PUBLIC), specs))


BAD = {
    "one party": ({"parties": 1}, "parties must be from 2"),
    "too many parties": ({"parties": 20_000}, "parties must be from 2 to 16,384"),
    "one bit": ({"bits": 1}, "bits must be from 2"),
    "no bits": ({"bits": -3}, "bits must be from 2"),
    "too many bits": ({"bits": 33}, "bits must be from 2 to 32"),
    "opening one": ({"min_parties": 1}, "fewest parties must be from 2"),
    "opening more than there are": ({"parties": 3, "min_parties": 4}, "fewest parties must be from 2 to 3"),
    "no weight": ({"max_weight": 0}, "largest weight must be from 1"),
    "too much weight": ({"max_weight": 2**32}, "largest weight must be"),
    "no range": ({"value_range": 0.0}, "range of 0.0"),
    "a negative range": ({"value_range": -1.0}, "range of -1.0"),
    "an endless range": ({"value_range": math.inf}, "range of inf"),
    "a range that is none": ({"value_range": math.nan}, "range of nan"),
    "a tiny range": ({"value_range": 1e-300}, "impossible step"),
    "another rounding": ({"rounding": "up"}, "'up' is none of"),
    "another randomness": ({"randomness": "none"}, "'none' is none of"),
    "a blank name": ({"name": " "}, "cannot be a name"),
    "a name with escapes": ({"name": "\x1b[31m"}, "cannot be a name"),
    "a long name": ({"name": "x" * 65}, "cannot be a name"),
}


@pytest.mark.parametrize("name", BAD)
def test_plans_that_cannot_be_kept_are_refused(name):
    options, says = BAD[name]
    with pytest.raises(HecliError) as error:
        plan(**options)
    assert says in error.value.message


FORGED = {
    "a field missing": (lambda m: m.pop("codec"), "no field 'codec'"),
    "bits missing": (lambda m: m["codec"][0].pop("bits"), "no field 'bits'"),
    "a field too many": (lambda m: m.update(extra=1), "unknown field 'extra'"),
    "a bool for an int": (lambda m: m["codec"][0].update(bits=True), "'bits' of the wrong type"),
    "a short id": (lambda m: m.update(id=b"1"), "id has the wrong length"),
    "a short key": (lambda m: m["scheme"].update(key=b"\x81" * 100), "too short"),
    "an even key": (lambda m: m["scheme"].update(key=b"\x80" * 256), "even"),
    "a padded key": (lambda m: m["scheme"].update(key=b"\0" + m["scheme"]["key"]), "canonical"),
    "an endless key": (lambda m: m["scheme"].update(key=b"\x81" * 3000), "more than 2,048"),
    "a very long key": (lambda m: m["scheme"].update(key=b"\x81" * 2049), "more than 2,048"),
    "an int for a step": (lambda m: m["codec"][0]["steps"].__setitem__(0, 1), "malformed"),
    "a step of zero": (lambda m: m["codec"][0]["steps"].__setitem__(0, 0.0), "impossible step"),
    "a negative step": (lambda m: m["codec"][0]["steps"].__setitem__(0, -1.0), "impossible step"),
    "an infinite step": (lambda m: m["codec"][0]["steps"].__setitem__(0, math.inf), "impossible step"),
    "a step that is none": (lambda m: m["codec"][0]["steps"].__setitem__(0, math.nan), "impossible step"),
    "tensors out of order": (lambda m: m["tensors"].reverse(), "not in order"),
    "a tensor twice": (lambda m: m["tensors"].append(m["tensors"][1]), "two tensors named"),
    "no tensors": (lambda m: m["tensors"].clear(), "holds 0 tensors"),
    "a tensor without values": (lambda m: m.update(tensors=[["a", "float32", [0]]]), "no values"),
    "a negative shape": (lambda m: m["tensors"][0].__setitem__(2, [-2]), "impossible shape"),
    "a bool in a shape": (lambda m: m["tensors"][0].__setitem__(2, [True]), "malformed"),
    "a huge shape": (lambda m: m["tensors"][0].__setitem__(2, [2**62, 2**62]), "too many values"),
    "many dimensions": (lambda m: m["tensors"][0].__setitem__(2, [1] * 40), "impossible shape"),
    "an unknown dtype": (lambda m: m["tensors"][0].__setitem__(1, "object"), "cannot be encoded"),
    "an unprintable tensor": (lambda m: m["tensors"][0].__setitem__(0, "\x1b[2J"), "cannot name a tensor"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_plans_are_refused(name):
    alter, says = FORGED[name]
    forged = plan().to_map()
    alter(forged)
    out = io.BytesIO()
    envelope.write(out, "plan", {"plan": forged})
    with pytest.raises(FormatError) as error:
        read_plan(reader(out))
    assert says in error.value.message


def test_what_differs_between_two_plans_is_said():
    one = plan()
    with pytest.raises(MismatchError, match=r"b follows another .* \(digest .*, a follows"):
        check_same(one, plan(), "a", "b")
    with pytest.raises(MismatchError, match=r"they differ in codec\)"):
        check_same(one, quantised_with(one, bits=8, rounding="stochastic"), "a", "b")
    other = replace(one, scheme=scheme_of(load_key("full").public))
    with pytest.raises(MismatchError, match="under the key"):
        check_same(one, other, "a", "b")
    fewer = replace(one, tensors=one.tensors[:1])
    with pytest.raises(MismatchError, match="b has no tensor w"):
        check_same(one, fewer, "a", "b")
    with pytest.raises(MismatchError, match="b has a tensor w"):
        check_same(fewer, one, "a", "b")
    wider = replace(one, tensors=(TensorSpec("b", "float32", (3,)), one.tensors[1]))
    with pytest.raises(MismatchError, match=r"tensor b has shape \[3\], a calls for \[2\]"):
        check_same(one, wider, "a", "b")
    check_same(one, replace(one), "a", "b")
