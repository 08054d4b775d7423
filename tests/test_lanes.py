"""Fixed point and packing, against plain Python integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hecli.codec.pack import pack, unpack
from hecli.codec.quantise import count_clipped, from_sums, scaled, to_lanes

widths = st.integers(1, 56)


@given(widths, st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.data())
def test_packing_is_what_integers_say(width, lanes, rows, spare, data):
    size = -(-(lanes * width) // 8) + spare
    values = data.draw(hnp.arrays(np.uint64, (rows, lanes), elements=st.integers(0, 2**width - 1)))
    packed = pack(values, width, size)
    for row, at in zip(values.tolist(), range(0, rows * size, size), strict=True):
        expected = 0
        for value in row:
            expected = expected << width | value
        assert int.from_bytes(packed[at : at + size], "big") == expected
    back, clean = unpack(packed, width, lanes, size)
    assert clean
    assert (back == values).all()


@given(st.integers(1, 30), st.integers(1, 5), st.data())
def test_a_bit_above_the_lanes_is_seen(width, lanes, data):
    size = -(-(lanes * width) // 8) + 1
    at = data.draw(st.integers(lanes * width, 8 * size - 1))
    _, clean = unpack((1 << at).to_bytes(size, "big"), width, lanes, size)
    assert not clean


finite = st.floats(-1e6, 1e6)


@given(
    hnp.arrays(np.float64, st.integers(1, 50), elements=finite),
    st.integers(2, 32),
    st.floats(1e-9, 1e3),
    st.booleans(),
)
def test_lanes_are_in_range_and_near_their_values(values, bits, step, stochastic):
    qmax = 2 ** (bits - 1) - 1
    steps = scaled(values, step, 1.0)
    lanes = to_lanes(steps, qmax, stochastic=stochastic)
    assert (lanes <= 2 * qmax).all()
    back = from_sums(lanes, qmax, 1)
    inside = np.abs(steps) <= qmax
    bound = 1.0 if stochastic else 0.5
    assert (np.abs(back - steps)[inside] <= bound + 1e-6).all()
    assert (back[~inside] == np.sign(steps[~inside]) * qmax).all()
    assert count_clipped(steps, qmax) == sum(abs(round(float(each))) > qmax for each in steps)


def test_zero_is_exact_and_extremes_fit():
    lanes = to_lanes(np.array([0.0, -0.0, 127.0, -127.0, 1e300, -1e300]), 127, stochastic=False)
    assert lanes.tolist() == [127, 127, 254, 0, 254, 0]


def test_values_beyond_float64_are_clipped_not_lost():
    steps = scaled(np.array([1e308, -1e308]), 1e-300, 1.0)
    assert count_clipped(steps, 127) == 2
    assert to_lanes(steps, 127, stochastic=True).tolist() == [254, 0]


def test_stochastic_rounding_is_unbiased():
    count = 40_000
    back = from_sums(to_lanes(np.full(count, 0.3), 127, stochastic=True), 127, 1)
    assert set(back.tolist()) == {0, 1}
    # Five standard deviations of a mean of so many coin flips.
    assert abs(back.mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / count)


@pytest.mark.parametrize("contributors", [1, 2, 7])
@given(data=st.data())
def test_sums_of_lanes_are_sums_of_values(contributors, data):
    qmax = 2**15 - 1
    values = data.draw(hnp.arrays(np.int64, (contributors, 5), elements=st.integers(-qmax, qmax)))
    sums = (values + qmax).sum(axis=0).astype(np.uint64)
    assert (from_sums(sums, qmax, contributors) == values.sum(axis=0)).all()
