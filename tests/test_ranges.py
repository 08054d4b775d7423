"""The ranges of the next plan: exact, the same for all, wide enough for what one party may have had."""

import io
import itertools
import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecli.codec.chain import Coding
from hecli.codec.rotate import Rotate
from hecli.codec.sample import Sample
from hecli.codec.squares import sum_of_squares
from hecli.errors import FormatError, MismatchError
from hecli.formats import envelope
from hecli.formats.contributors import Contributor, sorted_contributors
from hecli.formats.tensors.specs import TensorSpec
from hecli.rounds.headers import Sum
from hecli.rounds.ranges import steps_after
from tests.support import aggregated, decrypted, encrypted, npz, quantised_with, reader, small_plan, steps_of

SIZES = (3, 1, 5)


def a_plan(bits=16, steps=(0.5, 0.25, 3.0), sizes=SIZES, **changes):
    specs = tuple(TensorSpec(f"t{at}", "float32", (size,)) for at, size in enumerate(sizes))
    plan = replace(small_plan(npz(w=np.ones(1)), 20), tensors=specs, **changes)
    return quantised_with(plan, bits=bits, steps=tuple(steps))


def a_sum(plan, parties, values, clipped=0):
    """A sum of so many parties that holds these values, in steps; nobody looks at its proof."""
    contributors = sorted_contributors([Contributor(None, bytes([at]) * 32, None) for at in range(parties)])
    total = Sum(plan, contributors, bytes(32), parties, clipped)
    sizes = plan.geometry
    lanes = (np.asarray(values, np.int64) + parties * plan.codec.quantise.qmax).astype(f">u{sizes.sum_size}")
    proof = bytes(sizes.sum[1].record_size)
    out = io.BytesIO()
    envelope.write(out, "sum", total.header(), sizes.sum, [lanes.tobytes(), proof])
    out.seek(0)
    return out


def expected(plan, parties, tensors, clipped, bits):
    """What the specification says, in plain Python."""
    qmax, steps = plan.codec.quantise.qmax, [Fraction(step) for step in plan.codec.quantise.steps]
    largest = [max(map(abs, values), default=0) for values in tensors]
    ranges = [
        2 * min(parties, 8) * Fraction(m, parties) * step for m, step in zip(largest, steps, strict=True)
    ]
    ranges = [each or max(ranges) for each in ranges] if any(ranges) else [qmax * step for step in steps]
    if 1000 * clipped > parties * sum(map(len, tensors)):
        ranges = [max(each, 2 * qmax * step) for each, step in zip(ranges, steps, strict=True)]
    elif bits == plan.codec.quantise.bits:
        ranges = [max(each, qmax * step / 2) for each, step in zip(ranges, steps, strict=True)]
    least, most = Fraction(2) ** -512, Fraction(2) ** 512 - Fraction(2) ** 459
    return tuple(float(min(max(each / (2 ** (bits - 1) - 1), least), most)) for each in ranges)


@given(
    st.integers(2, 20),
    st.integers(2, 32),
    st.integers(2, 32),
    st.lists(st.floats(2.0**-512, 2.0**511), min_size=3, max_size=3),
    st.data(),
)
def test_steps_are_what_the_specification_says(parties, old_bits, bits, steps, data):
    plan = a_plan(old_bits, steps)
    most = parties * plan.codec.quantise.qmax
    value = st.one_of(st.just(0), st.integers(-most, most))
    tensors = [data.draw(st.lists(value, min_size=size, max_size=size)) for size in SIZES]
    clipped = data.draw(st.integers(0, parties * sum(SIZES)))
    found = steps_after(a_sum(plan, parties, [*itertools.chain(*tensors)], clipped), Coding(bits))
    assert found == expected(plan, parties, tensors, clipped, bits)
    assert all(2.0**-512 <= step < 2.0**512 for step in found)


@given(st.integers(2, 8), st.integers(2, 32), st.data())
def test_what_one_party_alone_had_fits_the_next_range(parties, bits, data):
    plan = a_plan(17 if bits == 16 else 16)
    alone = [data.draw(st.integers(1, 2**15 - 1)) for _ in SIZES]
    tensors = [[value, *[0] * (size - 1)] for value, size in zip(alone, SIZES, strict=True)]
    steps = steps_after(a_sum(plan, parties, [*itertools.chain(*tensors)]), Coding(bits))
    for value, old, step in zip(alone, steps_of(plan), steps, strict=True):
        assert step * (2 ** (bits - 1) - 1) == pytest.approx(2 * value * old)


def test_a_tensor_of_zeros_gets_the_widest_range_of_the_others():
    plan = a_plan(steps=(1.0, 1.0, 1.0))
    steps = steps_after(a_sum(plan, 4, [0, 0, 0, -7, 2, 1, 0, 0, 0]), Coding(12))
    assert steps == (14 / 2047, 14 / 2047, 4 / 2047)


def test_where_all_is_zero_ranges_stay():
    plan = a_plan()
    assert steps_after(a_sum(plan, 4, [0] * 9), Coding(16)) == steps_of(plan)


def test_ranges_are_doubled_where_more_than_one_value_in_a_thousand_was_clipped():
    plan = a_plan(steps=(1.0,), sizes=(1000,))
    values = [1, *[0] * 999]
    assert steps_after(a_sum(plan, 4, values, clipped=4), Coding(15)) == (2 / 16383,)
    assert steps_after(a_sum(plan, 4, values, clipped=5), Coding(16)) == (2.0,)
    # What the sum asks for may be wider still.
    assert steps_after(a_sum(plan, 4, [4 * 32767, *values[1:]], clipped=5), Coding(16)) == (8.0,)


def test_ranges_shrink_by_half_at_most():
    """Where parties pull apart, their mean is small, and their values are not."""
    plan = a_plan(steps=(1.0,), sizes=(1000,))
    values = [1, *[0] * 999]
    assert steps_after(a_sum(plan, 4, values), Coding(16)) == (0.5,)
    # A first round with more bits had a range that nobody chose.
    assert steps_after(a_sum(plan, 4, values), Coding(8)) == (2 / 127,)


def test_tensors_without_values_get_a_step_too():
    plan = a_plan(steps=(1.0, 1.0), sizes=(0, 2))
    assert steps_after(a_sum(plan, 2, [3, 1]), Coding(15)) == (6 / 16383, 6 / 16383)


def test_steps_stay_within_what_a_plan_can_hold():
    wide = a_plan(bits=32, steps=(2.0**511,), sizes=(1,))
    assert steps_after(a_sum(wide, 4, [4 * (2**31 - 1)]), Coding(2)) == (math.nextafter(2.0**512, 0),)
    fine = a_plan(bits=2, steps=(2.0**-512,), sizes=(1,))
    assert steps_after(a_sum(fine, 4, [1]), Coding(32)) == (2.0**-512,)


def test_ranges_of_rotated_values_stay_within_what_a_plan_can_hold():
    """Their squares are beyond float64."""
    wide = a_plan(bits=32, steps=(2.0**511,), sizes=(1,))
    assert steps_after(a_sum(wide, 4, [4 * (2**31 - 1)]), Coding(2, ROTATED)) == (
        math.nextafter(2.0**512, 0),
    )
    fine = a_plan(bits=2, steps=(2.0**-512,), sizes=(1,))
    assert steps_after(a_sum(fine, 4, [1]), Coding(16, ROTATED)) == (2.0**-512,)


def test_a_next_round_fits_what_the_last_one_had():
    """Through real files."""
    arrays = [np.array([[0.5, -0.25]]), np.array([[0.0, 0.125]])]
    plan = small_plan(npz(w=np.ones((1, 2))), 2, bits=16, value_range=64.0)
    total = decrypted(aggregated(*[encrypted(npz(w=each), plan) for each in arrays]))
    (step,) = steps_after(total, Coding(20), plan=plan)
    assert step * (2**19 - 1) == pytest.approx(1.0, abs=2 * 64 / 32767)
    with pytest.raises(MismatchError):
        steps_after(total, Coding(16), plan=small_plan(npz(w=np.ones((1, 2))), 2))


def test_other_files_and_damage_are_refused():
    plan = a_plan()
    total = a_sum(plan, 4, [0] * 9)
    with pytest.raises(FormatError, match="not a sum"):
        steps_after(encrypted(npz(w=np.ones(1))), Coding(16))
    damaged = bytearray(total.getvalue())
    lanes = reader(total).section("lanes").read(9)
    damaged[bytes(damaged).index(lanes) + 3] ^= 1
    with pytest.raises(FormatError, match="does not match its digest"):
        steps_after(io.BytesIO(bytes(damaged)), Coding(16))


def test_memory_does_not_grow_with_the_model():
    peaks = []
    for size in (1 << 18, 1 << 21):
        total = a_sum(a_plan(steps=(1.0,), sizes=(size,)), 4, np.arange(size) % 100)
        tracemalloc.start()
        steps_after(total, Coding(16))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


ROTATED = (Rotate(),)
FACTORS = ((30, 4), (10, 2), (1, 1.25), (0.1, 1), (0.001, 0.8))


def expected_of_norms(plan, coding, parties, tensors, clipped):
    """The specification in plain Python, with floats where it has fractions."""
    codec = plan.codec
    qmax, share = codec.quantise.qmax, 100 * clipped / (parties * plan.geometry.values)
    factor = next((factor for above, factor in FACTORS if share > above), 0.5)
    ranges = []
    for at, values in enumerate(tensors):
        step, size = codec.quantise.steps[at], max(1, SIZES[at])
        drawn = codec.coded(plan.tensors[at])
        mean = step * math.sqrt(sum(value**2 for value in values) * size / max(1, drawn)) / parties
        norm = qmax * step * math.sqrt(size) / 3
        if codec.steps:
            norm = max(mean, min(factor * norm, 3 * math.sqrt(parties) * mean))
        else:
            norm = math.sqrt(parties) * mean
        ranges.append(3 * norm / math.sqrt(size))
    old = [qmax * step for step in codec.quantise.steps]
    widest = max(ranges)
    ranges = [each or widest or before for each, before in zip(ranges, old, strict=True)]
    return [each / (2 ** (coding.bits - 1) - 1) for each in ranges]


@given(st.integers(2, 20), st.integers(2, 16), st.integers(2, 16), st.booleans(), st.data())
def test_steps_of_rotated_values_follow_norms(parties, old_bits, bits, rotated, data):
    plan = a_plan(old_bits)
    if rotated:
        plan = replace(plan, codec=replace(plan.codec, steps=ROTATED))
    most = parties * plan.codec.quantise.qmax
    value = st.one_of(st.just(0), st.integers(-most, most))
    tensors = [data.draw(st.lists(value, min_size=size, max_size=size)) for size in SIZES]
    total = parties * sum(SIZES)
    clipped = data.draw(st.sampled_from([0, 1, total // 50, total // 8, total // 2]))
    coding = Coding(bits, ROTATED)
    found = steps_after(a_sum(plan, parties, [*itertools.chain(*tensors)], clipped), coding)
    assert found == pytest.approx(expected_of_norms(plan, coding, parties, tensors, clipped), rel=1e-12)


def test_what_was_not_in_a_sample_counts_as_much():
    steps = (Rotate(), Sample(2048))
    size = 4096
    plan = a_plan(8, (1.0,), (size,))
    plan = replace(plan, codec=replace(plan.codec, steps=steps))
    # Half of the values, all of them 5: the norm of all is that of 4,096 such.
    (step,) = steps_after(a_sum(plan, 2, [10] * 2048), Coding(8, steps))
    assert step * 127 == pytest.approx(3 * min(max(0.5 * 127 / 3, 5), 3 * math.sqrt(2) * 5))


def test_squares_of_the_largest_sums_are_exact():
    values = np.array([2.0**45, -(2.0**45) + 1, 3.0])
    assert sum_of_squares(values) == sum(int(each) ** 2 for each in values)
