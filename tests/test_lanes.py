"""The codec: fixed point and packing against plain Python integers, and steps with their inverses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hecli.codec import bits
from hecli.codec.chain import Codec
from hecli.codec.control import SIZE, Control
from hecli.codec.fixed_point import of_digits, to_lanes
from hecli.codec.interface import Common, Decoding, Encoding
from hecli.codec.pack import Packing
from hecli.codec.quantise import Quantise
from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.tensors.specs import TensorSpec

widths = st.integers(1, 56)
SPEC = TensorSpec("w", "float64", (9,))
COMMON = Common((SPEC, SPEC))


@given(widths, st.integers(2, 40), st.integers(1, 9), st.integers(0, 3), st.data())
def test_packing_is_what_integers_say(width, lanes, rows, spare, data):
    size = -(-(lanes * width) // 8) + spare
    values = data.draw(hnp.arrays(np.uint64, (rows, lanes), elements=st.integers(0, 2**width - 1)))
    packed = bits.pack(values, width, size)
    for row, at in zip(values.tolist(), range(0, rows * size, size), strict=True):
        expected = 0
        for value in row:
            expected = expected << width | value
        assert int.from_bytes(packed[at : at + size], "big") == expected
    back, clean = bits.unpack(packed, width, lanes, size)
    assert clean
    assert (back == values).all()


@given(widths, st.integers(2, 40), st.integers(1, 90), st.data())
def test_values_come_out_as_they_went_in(width, lanes, count, data):
    packing = Packing(width, lanes, -(-(lanes * width) // 8) + 1)
    values = data.draw(hnp.arrays(np.uint64, count, elements=st.integers(0, 2**width - 1)))
    packed = packing.pack(values)
    assert len(packed) == packing.size * -(-count // packing.values)
    assert (packing.unpack(packed, 1, count) == values).all()
    # Another count, and one value that should not be there.
    assert packing.unpack(packed, 2, count) is None
    if values[-1]:
        assert packing.unpack(packed, 1, count - 1) is None


@given(st.integers(1, 30), st.integers(2, 5), st.data())
def test_a_bit_above_the_lanes_is_seen(width, lanes, data):
    size = -(-(lanes * width) // 8) + 1
    at = data.draw(st.integers(lanes * width, 8 * size - 1))
    _, clean = bits.unpack((1 << at).to_bytes(size, "big"), width, lanes, size)
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
    lanes, outside = to_lanes(values, 1.0, step, qmax, qmax, stochastic=stochastic)
    assert (lanes <= 2 * qmax).all()
    back = of_digits(lanes, 2 * qmax + 1, 1, qmax)
    exact = values / step
    bound = 1.0 if stochastic else 0.5
    inside = np.ones(len(values), bool) if outside is None else ~outside
    assert (np.abs(back - exact)[inside] <= bound + 1e-6).all()
    assert (back[~inside] == np.sign(exact[~inside]) * qmax).all()
    # What is clipped rounds to something out of range, and nothing else is.
    assert (np.abs(exact[~inside]) > qmax).all()
    assert (np.abs(exact[inside]) < qmax + 1).all()
    if not stochastic:
        assert [not each for each in inside] == [abs(round(float(each))) > qmax for each in exact]


@given(
    hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1, 1)),
    st.integers(2, 32),
    st.floats(0.1, 1.0),
    st.sampled_from(["nearest", "stochastic"]),
)
def test_decoding_undoes_encoding(values, bits, fraction, rounding):
    """Of one party, in pieces, within half a step or one."""
    step = 1 / (2 ** (bits - 1) - 1)
    quantise = Quantise(bits, rounding, (1.0, step))
    encoding = Encoding("file", COMMON, fraction, strict=True)
    pieces = [values[:20], values[20:]]
    lanes = list(quantise.encode(1, [piece for piece in pieces if len(piece)], encoding))
    decoding = Decoding(COMMON, 1, 1 / fraction)
    back = np.concatenate(list(quantise.decode(1, lanes, decoding))) * quantise.scale(1, decoding)
    allowed = (0.5 if rounding == "nearest" else 1.0) * step / fraction
    assert np.abs(back - values).max() <= allowed * (1 + 2**-16)
    assert quantise.error_bound(1, SPEC, 1 / fraction) >= allowed
    assert quantise.lanes(1, 17) == 17


def test_what_is_clipped_is_counted_in_the_same_pass():
    quantise = Quantise(3, "stochastic", (1.0, 1.0))
    encoding = Encoding("file", COMMON, 1.0, strict=False)
    values = np.full(10_000, 3.5)
    lanes = np.concatenate(list(quantise.encode(1, [values], encoding)))
    assert set(lanes.tolist()) == {6}
    # 3.5 goes up to 4, beyond the range, half of the time: as often as it was counted.
    assert abs(encoding.clipped[1] - 5000) < 5 * math.sqrt(10_000 / 4)
    assert encoding.clipped[0] == 0
    with pytest.raises(DataError, match=r"tensor w holds 9\.0, out of its range of ±3"):
        list(quantise.encode(0, [np.array([1.0, 9.0])], Encoding("file", COMMON, 1.0, strict=True)))


def test_zero_is_exact_and_extremes_fit():
    values = np.array([0.0, -0.0, 127.0, -127.0, 1e300, -1e300])
    lanes, outside = to_lanes(values, 1.0, 1.0, 127, 127, stochastic=False)
    assert lanes.tolist() == [127, 127, 254, 0, 254, 0]
    assert outside.tolist() == [False] * 4 + [True] * 2


def test_values_beyond_float64_are_clipped_not_lost():
    lanes, outside = to_lanes(np.array([1e308, -1e308]), 1.0, 1e-300, 127, 127, stochastic=True)
    assert outside.all()
    assert lanes.tolist() == [254, 0]


def test_stochastic_rounding_is_unbiased():
    count = 40_000
    lanes, _ = to_lanes(np.full(count, 0.3), 1.0, 1.0, 127, 127, stochastic=True)
    back = of_digits(lanes, 255, 1, 127)
    assert set(back.tolist()) == {0, 1}
    # Five standard deviations of a mean of so many coin flips.
    assert abs(back.mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / count)


@pytest.mark.parametrize("contributors", [1, 2, 7])
@given(data=st.data())
def test_sums_of_lanes_are_sums_of_values(contributors, data):
    qmax = 2**15 - 1
    values = data.draw(hnp.arrays(np.int64, (contributors, 5), elements=st.integers(-qmax, qmax)))
    sums = (values + qmax).sum(axis=0).astype(np.uint64)
    assert (of_digits(sums, 2 * qmax + 1, 1, contributors * qmax) == values.sum(axis=0)).all()


@given(st.integers(0, 2**14), st.integers(0, 2**46), st.integers(0, 2**54), st.integers(SIZE, 99))
def test_the_control_block_survives_its_packing(count, weight, clipped, size):
    control = Control(count, weight, clipped)
    assert Control.unpack(control.pack(size)) == control
    assert len(control.pack(size)) == size


@given(
    st.integers(2, 32),
    st.sampled_from(["nearest", "stochastic"]),
    st.lists(st.floats(2.0**-512, 2.0**511), min_size=1, max_size=4),
)
def test_a_codec_survives_its_plan(bits, rounding, steps):
    codec = Codec(Quantise(bits, rounding, tuple(steps)))
    assert Codec.parse(codec.to_list(), "file") == codec
    codec.check((SPEC,) * len(steps), 9)
    with pytest.raises(HecliError, match="steps for"):
        codec.check((SPEC,) * (len(steps) + 1), 9)


QUANTISE = {"step": "quantise", "bits": 8, "rounding": "nearest", "steps": [0.5]}
PACK = {"step": "pack"}


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([], "malformed"),
        ([{}], "malformed"),
        (["pack"], "malformed"),
        ([{"step": 1}], "malformed"),
        ([QUANTISE], "do not fit together"),
        ([PACK], "do not fit together"),
        ([PACK, QUANTISE], "do not fit together"),
        ([QUANTISE, QUANTISE, PACK], "do not fit together"),
        ([QUANTISE, PACK, PACK], "do not fit together"),
        ([{"step": "novel"}, QUANTISE, PACK], "unknown step 'novel'"),
        ([QUANTISE, {"step": "novel"}], "unknown step 'novel'"),
        ([QUANTISE | {"more": 1}, PACK], "unknown field 'more'"),
        ([QUANTISE, PACK | {"more": 1}], "unknown field 'more'"),
    ],
)
def test_a_chain_that_does_not_hold_together_is_refused(items, says):
    with pytest.raises(FormatError, match=says):
        Codec.parse(items, "file")
