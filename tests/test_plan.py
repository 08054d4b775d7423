"""The plan: what follows from it, what it promises, and which plans are refused."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.formats import envelope
from hecli.formats.tensors.layout import TensorSpec
from hecli.plan.data import Control, Plan, Tensor, default_plan
from tests.support import PUBLIC, load_key, npz, reader, small_plan

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
    largest = 2 * made.qmax * parties
    assert 2 ** (made.lane_width - 1) <= largest < 2**made.lane_width
    assert parties < 2**made.lane_width
    assert made.lanes * made.lane_width <= PUBLIC.n.bit_length() - 1 < (made.lanes + 1) * made.lane_width
    out = io.BytesIO()
    hecli.write_plan(made, out)
    assert hecli.read_plan(out) == made
    assert Plan.read(reader(out)).digest == made.digest


def test_the_figures_of_the_design():
    key = load_key("full").public
    million = TensorSpec("w", "float32", (1_000_000,))
    base = default_plan(key.n, (million,))
    compact = replace(base, bits=16, capacity=256)
    assert (compact.lane_width, compact.values_per_ciphertext, compact.ciphertexts) == (24, 126, 7938)
    smallest = replace(base, bits=8, capacity=16)
    assert (smallest.lane_width, smallest.values_per_ciphertext) == (12, 254)
    assert smallest.ciphertext_bytes / 1_000_000 < 3.2
    assert (base.lane_width, base.qmax * base.tensors[0].step) == (40, pytest.approx(128))


def test_ranges_are_taken_from_the_example_with_headroom():
    ranges = [tensor.step * 32767 for tensor in plan().tensors]
    assert ranges == pytest.approx([8.0, 1.0])
    assert [tensor.step * 127 for tensor in plan(bits=8).tensors] == pytest.approx([8.0, 1.0])
    fixed = plan(value_range=0.5)
    assert [tensor.step * 32767 for tensor in fixed.tensors] == pytest.approx([0.5, 0.5])


def test_a_tensor_of_zeros_gets_the_widest_range():
    made = small_plan(npz(a=np.zeros(3), b=np.full(2, 0.25)))
    assert made.tensors[0].step == made.tensors[1].step
    assert small_plan(npz(a=np.zeros(3))).tensors[0].step * 32767 == pytest.approx(4.0)


def test_few_bits_are_rounded_stochastically_unless_told():
    assert plan(bits=8).rounding == "stochastic"
    assert plan(bits=16).rounding == "nearest"
    assert plan(bits=8, rounding="nearest").rounding == "nearest"


def test_the_error_bound_is_half_a_step_or_a_step():
    nearest, stochastic = plan(bits=16), plan(bits=8)
    # The second tensor is float64, to which nothing is added for its own rounding.
    assert nearest.error_bound(nearest.tensors[1]) == pytest.approx(1.0 / 32767 / 2, rel=1e-4)
    assert stochastic.error_bound(stochastic.tensors[1]) == pytest.approx(1.0 / 127, rel=1e-4)
    weighted = plan(max_weight=10)
    assert weighted.error_bound(weighted.tensors[1]) == pytest.approx(10.0 / 32767 / 2, rel=1e-4)
    half = 8.0 / 32767 / 2
    assert nearest.error_bound(nearest.tensors[0]) == pytest.approx(half * (1 + 2**-16) + 8 * 2**-24)


def test_two_plans_never_share_a_digest():
    assert plan().digest != plan().digest


def test_the_default_plan_is_the_same_for_all():
    specs = (TensorSpec("w", "float32", (3,)),)
    assert default_plan(PUBLIC.n, specs) == default_plan(PUBLIC.n, specs)
    default_plan(PUBLIC.n, specs).check()


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
    "a field missing": (lambda m: m.pop("bits"), "no field 'bits'"),
    "a field too many": (lambda m: m.update(extra=1), "unknown field 'extra'"),
    "a bool for an int": (lambda m: m.update(bits=True), "'bits' of the wrong type"),
    "a short id": (lambda m: m.update(id=b"1"), "id has the wrong length"),
    "a short key": (lambda m: m.update(key=b"\x81" * 100), "too short"),
    "an even key": (lambda m: m.update(key=b"\x80" * 256), "even"),
    "a padded key": (lambda m: m.update(key=b"\0" + m["key"]), "canonical"),
    "an endless key": (lambda m: m.update(key=b"\x81" * 3000), "canonical"),
    "a very long key": (lambda m: m.update(key=b"\x81" * 2049), "canonical"),
    "an int for a step": (lambda m: m["tensors"][0].__setitem__(3, 1), "malformed"),
    "a step of zero": (lambda m: m["tensors"][0].__setitem__(3, 0.0), "impossible step"),
    "a negative step": (lambda m: m["tensors"][0].__setitem__(3, -1.0), "impossible step"),
    "an infinite step": (lambda m: m["tensors"][0].__setitem__(3, math.inf), "impossible step"),
    "a step that is none": (lambda m: m["tensors"][0].__setitem__(3, math.nan), "impossible step"),
    "tensors out of order": (lambda m: m["tensors"].reverse(), "not in order"),
    "a tensor twice": (lambda m: m["tensors"].append(m["tensors"][1]), "two tensors named"),
    "no tensors": (lambda m: m["tensors"].clear(), "holds 0 tensors"),
    "a tensor without values": (lambda m: m.update(tensors=[["a", "float32", [0], 1.0]]), "no values"),
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
        Plan.read(reader(out))
    assert says in error.value.message


def test_what_differs_between_two_plans_is_said():
    one = plan()
    with pytest.raises(MismatchError, match=r"they differ in id\)"):
        one.check_same(plan(), "a", "b")
    with pytest.raises(MismatchError, match=r"they differ in bits, rounding\)"):
        one.check_same(replace(one, bits=8, rounding="stochastic"), "a", "b")
    with pytest.raises(MismatchError, match="under the key"):
        one.check_same(replace(one, n=load_key("full").public.n), "a", "b")
    fewer = replace(one, tensors=one.tensors[:1])
    with pytest.raises(MismatchError, match="b has no tensor w"):
        one.check_same(fewer, "a", "b")
    with pytest.raises(MismatchError, match="b has a tensor w"):
        fewer.check_same(one, "a", "b")
    wider = replace(one, tensors=(Tensor(TensorSpec("b", "float32", (3,)), 1.0), one.tensors[1]))
    with pytest.raises(MismatchError, match=r"tensor b has shape \[3\], a calls for \[2\]"):
        one.check_same(wider, "a", "b")


@given(st.integers(0, 2**14), st.integers(0, 2**46), st.integers(0, 2**54))
def test_the_control_block_survives_its_packing(count, weight, clipped):
    control = Control(count, weight, clipped)
    assert Control.unpack(control.pack()) == control
