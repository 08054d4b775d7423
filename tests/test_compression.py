"""Smaller updates: each step with its inverse, bases, residuals, and whole rounds and trainings of them."""

import errno
import io
import math
import os
import stat
import time
import tracemalloc
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hecli
from hecli.codec import basis as of_basis
from hecli.codec import hadamard
from hecli.codec.basis import Basis, Columns, orthonormal
from hecli.codec.chain import Codec
from hecli.codec.interface import Common, Decoding, Encoding
from hecli.codec.low_rank import LEFT, LONGEST, RIGHT, LowRank, factored, shape_of
from hecli.codec.pack import MixedRadix, Pack
from hecli.codec.quantise import Quantise
from hecli.codec.randomness import Stream
from hecli.codec.rotate import Rotate
from hecli.codec.sample import BLOCK, LEAST, Sample
from hecli.errors import DataError, FormatError, HecliError, MismatchError, RefusedError
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import PIECE
from hecli.formats.tensors.specs import TensorSpec
from hecli.rounds.residual import read_residual
from hecli.training import stepping
from hecli.training.joining import read_terms
from hecli.training.status import read_status
from hecli.training.terms import Metric
from tests.support import PUBLIC, aggregated, decrypted
from tests.trainings import COORDINATOR, Fate, Killed, Over, Scene, stepped

SEED = bytes(range(32))


def common_of(*shapes, seed=SEED, basis=None):
    return Common(
        tuple(TensorSpec(f"t{at}", "float64", each) for at, each in enumerate(shapes)),
        seed,
        basis.columns if basis else {},
    )


def pieces_of(values):
    return [values[at : at + PIECE] for at in range(0, len(values), PIECE)]


def joined(pieces):
    return np.concatenate([*pieces, np.empty(0)])


def sent(step, values, common):
    return joined(step.encode(0, pieces_of(values), Encoding("file", common, 1.0, strict=False)))


def undone(step, values, common, size):
    return joined(step.decode(0, pieces_of(values), Decoding(common, 1, 1.0), size))


sizes = st.one_of(
    st.integers(0, 300), st.sampled_from([4095, 4096, 4097, PIECE - 1, PIECE, PIECE + 70, 140_000])
)


@given(sizes, st.integers(0, 2**32))
def test_a_rotation_keeps_norms_and_is_undone_exactly(size, seed):
    """To the last bit where values are whole numbers, as sums are."""
    values = np.random.default_rng(seed).integers(-(2**29), 2**29, size).astype(np.float64)
    common = common_of((size,))
    turned = sent(Rotate(), values, common)
    assert len(turned) == size == Rotate().size(common.specs[0], size)
    assert (undone(Rotate(), turned, common, size) == values).all()
    exact = sum(Fraction(each) ** 2 for each in turned[:300])
    if size <= 300:
        assert exact == sum(int(each) ** 2 for each in values)


def test_a_rotation_is_what_the_specification_says():
    """In plain Python: signs from the stream, Hadamard matrices in blocks of powers of four."""
    size = 64 + 16 + 4 + 2
    values = np.arange(1.0, size + 1)
    common = common_of((size,))
    bits = Stream("rotate", SEED, 0).take(-(-size // 8))
    signed = [v * (-1 if bits[at // 8] >> (7 - at % 8) & 1 else 1) for at, v in enumerate(values.tolist())]
    expected = []
    while len(expected) < size:
        left = size - len(expected)
        block = max(4**j for j in range(7) if 4**j <= left)
        part = signed[len(expected) : len(expected) + block]
        for row in range(block):
            total = sum(v * (-1) ** (row & column).bit_count() for column, v in enumerate(part))
            expected.append(total / math.isqrt(block))
    assert sent(Rotate(), values, common).tolist() == expected


def test_signs_differ_between_plans_tensors_and_labels():
    some = {
        Stream(*each).take(16) for each in (("rotate", SEED, 0), ("rotate", SEED, 1), ("sample", SEED, 0))
    }
    assert len(some | {Stream("rotate", bytes(32), 0).take(16)}) == 4
    assert set(hadamard.signs(Stream("rotate", SEED, 0), 1000).tolist()) == {1.0, -1.0}


@given(sizes, st.integers(1, BLOCK - 1))
def test_a_sample_comes_back_to_its_places(size, count):
    values = np.arange(1.0, size + 1)
    common, step = common_of((size,)), Sample(count)
    drawn = sent(step, values, common)
    assert len(drawn) == step.size(common.specs[0], size)
    back = undone(step, drawn, common, size)
    assert len(back) == size
    assert (back[back != 0] == values[back != 0]).all()
    assert (back != 0).sum() == len(drawn)
    if size >= LEAST:
        for at in range(0, size, BLOCK):
            block = back[at : at + BLOCK]
            assert (block != 0).sum() == -(-len(block) * count // BLOCK)
    else:
        assert (back == values).all()


def test_a_sample_is_what_the_specification_says():
    size, count = BLOCK + 100, 410
    values = np.arange(1.0, size + 1)
    data = Stream("sample", SEED, 0).take(8 * size)
    expected = []
    for start, length in ((0, BLOCK), (BLOCK, 100)):
        numbers = [
            int.from_bytes(data[8 * (start + at) : 8 * (start + at) + 8], "big") >> 12 << 12 | at
            for at in range(length)
        ]
        least = sorted(numbers)[: -(-length * count // BLOCK)]
        expected += sorted(start + (each & 4095) for each in least)
    assert (sent(Sample(count), values, common_of((size,))) - 1).tolist() == expected


def test_every_place_is_drawn_as_often():
    hits = np.zeros(BLOCK)
    rounds, count = 400, 410
    for seed in range(rounds):
        common = common_of((BLOCK,), seed=seed.to_bytes(32, "big"))
        hits[sent(Sample(count), np.arange(BLOCK * 1.0), common).astype(int)] += 1
    mean, deviation = rounds * count / BLOCK, math.sqrt(rounds * count / BLOCK * (1 - count / BLOCK))
    # Chi-square over all places, about normal with so many degrees of freedom.
    chi = (((hits - mean) / deviation) ** 2).sum()
    assert abs(chi - BLOCK) < 6 * math.sqrt(2 * BLOCK)


@given(st.integers(1, 6), st.integers(0, 3000), st.integers(0, 2**32))
def test_a_basis_is_orthonormal(rank, more, seed):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(rank + 1 + more, rank))
    vectors[:, generator.integers(rank)] *= 1e-6
    if seed % 3 == 0:
        vectors[:, -1] = vectors[:, 0]
    if seed % 5 == 0:
        vectors[:, 0] = 0
    basis = orthonormal(vectors, Stream("basis", SEED, 0))
    matrix = basis.numbers.astype(np.float64) * 2.0**-basis.exponent
    assert np.abs(matrix.T @ matrix - np.eye(rank)).max() < 2e-4
    assert np.abs(basis.numbers).max() >= 1 << 14
    # In the space of what it is of, where that has so many directions.
    if seed % 3 and seed % 5:
        unit = np.linalg.qr(vectors)[0]
        assert np.abs(unit @ (unit.T @ matrix) - matrix).max() < 1e-2


@pytest.mark.parametrize("kind", ["normal", "alike", "a spike", "steep"])
def test_a_basis_is_exact_however_sums_are_ordered(kind):
    """What everybody has to come to: here with integers alone, but for what the specification rounds."""
    rank, count = 5, 1500
    vectors = np.random.default_rng(7).normal(size=(count, rank))
    if kind == "alike":
        vectors[:, 1:] = vectors[:, :1] + 1e-4 * vectors[:, 1:]
    if kind == "a spike":
        vectors[0] = 1e3
    if kind == "steep":
        vectors = np.exp(3 * vectors)

    def whole(vector):
        scale = 2.0 ** (20 - math.frexp(max(map(abs, vector)))[1])
        return [round(each * scale) for each in vector]

    def product(one, other):
        return sum(each * also for each, also in zip(one, other, strict=True))

    done = []
    for column in vectors.T.tolist():
        left = whole(column)
        for _ in range(2):
            for each in done:
                share = product(each, left) / 2**44
                left = [round(value - part * share) for value, part in zip(left, each, strict=True)]
            left = whole(left)
        length = 2.0**22 / math.sqrt(product(left, left))
        done.append([round(value * length) for value in left])
    shift = 15 - max(abs(value) for each in done for value in each).bit_length()
    expected = [[round(value * 2.0**shift) for value in each] for each in done]
    basis = orthonormal(vectors, Stream("basis", SEED, 0))
    assert basis.numbers.T.tolist() == expected
    assert basis.exponent == 22 + shift


def test_products_for_a_basis_are_exact_where_they_are_largest(monkeypatch):
    """A column that is much longer in one value than it was in any, behind one that is taken out of it."""
    count = LONGEST
    one = np.full(count, 1 / math.sqrt(2 * count))
    one[0] = math.sqrt(0.5)
    vectors = np.stack([one, np.where(np.arange(count) % 2, 1.0, -1.0), np.ones(count)], axis=1)
    product, largest = of_basis._product, []

    def checked(left, right):
        found = product(left, right)
        whole = [each.astype(np.int64).astype(object) for each in (left, right)]
        assert all((each == kept).all() for each, kept in zip(whole, (left, right), strict=True))
        assert found == (whole[0] * whole[1]).sum()
        largest.append(np.abs(right).max())
        return found

    monkeypatch.setattr(of_basis, "_product", checked)
    orthonormal(vectors, Stream("basis", SEED, 0))
    assert max(largest) > 1 << 27


def a_basis(shape, rank, side, seed=0):
    rows, columns = shape[0], math.prod(shape[1:])
    vectors = np.random.default_rng(seed).normal(size=(columns if side == RIGHT else rows, rank))
    return Basis(SEED, {"t0": orthonormal(vectors, Stream("basis", SEED, 0))})


@given(
    st.sampled_from([(70, 75), (300, 400), (90, 10, 3, 3), (700, 300)]),
    st.sampled_from([RIGHT, LEFT]),
    st.integers(1, 4),
)
def test_a_factor_gives_the_projection_back(shape, side, rank):
    basis = a_basis(shape, rank, side)
    common, step = common_of(shape, basis=basis), LowRank(rank, side, SEED)
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=shape_of(common.specs[0]))
    factor = sent(step, matrix.reshape(-1), common)
    assert len(factor) == step.size(common.specs[0], matrix.size)
    unit = basis.columns["t0"].numbers.astype(np.float64) * 2.0 ** -basis.columns["t0"].exponent
    expected = matrix @ unit @ unit.T if side == RIGHT else unit @ unit.T @ matrix
    assert np.allclose(undone(step, factor, common, matrix.size).reshape(matrix.shape), expected)


def test_a_projection_is_exact_however_sums_are_ordered():
    """What everybody has to come to: products of whole numbers, to the last bit."""
    shape, rank = (60, 50), 3
    for side in (RIGHT, LEFT):
        basis = a_basis(shape, rank, side)
        common, step = common_of(shape, basis=basis), LowRank(rank, side, SEED)
        factor = np.random.default_rng(2).integers(-(2**20), 2**20, step.size(common.specs[0], 0))
        numbers = basis.columns["t0"].numbers.astype(object)
        exact = factor.astype(object).reshape(-1, rank) @ numbers.T
        exact = exact if side == RIGHT else exact.T
        found = undone(step, factor.astype(np.float64), common, 3000).reshape(shape)
        assert all(
            Fraction(each) * 2 ** basis.columns["t0"].exponent == whole
            for each, whole in zip(found.ravel().tolist(), exact.ravel(), strict=True)
        )


def test_what_goes_as_a_factor():
    for shape, rank, whole in (
        ((64, 128), 4, False),
        ((128,), 1, True),
        ((64, 10), 2, True),
        ((64, 64), 4, True),
        ((64, 65), 4, False),
        ((0, 8), 1, True),
        ((32, 16, 3, 3), 2, False),
        ((1 << 21, 4), 1, True),
        ((), 1, True),
    ):
        assert factored(TensorSpec("w", "float32", shape), rank) is not whole, shape


@given(
    st.integers(3, 8),
    st.integers(2, 40),
    st.sampled_from([(Rotate(),), (Rotate(), Sample(410)), (), "low rank", "all"]),
    st.sampled_from([Pack(), MixedRadix()]),
    st.integers(0, 2**32),
)
def test_sums_of_many_come_out_as_the_sums_of_each(bits, parties, steps, pack, seed):
    """Through lanes and plaintexts: coded sums are sums of what was coded, exactly."""
    shape, generator = (40, 50), np.random.default_rng(seed)
    basis = None
    if isinstance(steps, str):
        basis = a_basis(shape, 2, RIGHT, seed % 7)
        steps = (LowRank(2, RIGHT, SEED), Rotate(), *([Sample(2000)] if steps == "all" else []))
    codec = Codec(Quantise(bits, "nearest", (0.25,)), pack, steps)
    common = common_of(shape, basis=basis)
    codec.check(common.specs, parties)
    packing = codec.packing(parties, 2047, 256)
    values = generator.normal(size=(parties, 2000))
    lanes = [
        joined(codec.encode(0, [each], Encoding("file", common, 1.0, strict=False))).astype(np.uint64)
        for each in values
    ]
    plaintexts = [packing.pack(each) for each in lanes]
    total = [
        sum(int.from_bytes(each[at : at + 256], "big") for each in plaintexts).to_bytes(256, "big")
        for at in range(0, len(plaintexts[0]), 256)
    ]
    sums = packing.unpack(b"".join(total), parties, len(lanes[0]))
    assert (sums == np.sum(lanes, axis=0)).all()
    mean = joined(codec.decode(0, [sums], Decoding(common, parties, 1 / parties)))
    each = [joined(codec.undone(0, [one], Decoding(common, 1, 1.0))) for one in lanes]
    assert (mean == np.sum(each, axis=0) * (0.25 * (1 / parties))).all()


@given(st.integers(2, 6), st.integers(2, 300), st.integers(200, 3071), st.integers(0, 2**32))
def test_mixed_radix_packs_no_less_and_is_what_integers_say(bits, parties, room, seed):
    largest = 2 * (2 ** (bits - 1) - 1) * parties
    packing = MixedRadix().packing(largest, room, 400)
    assert packing.lanes >= Pack().packing(largest, room, 400).lanes
    assert packing.radix**packing.digits <= 1 << packing.width <= 1 << 63
    assert packing.width * (packing.lanes // packing.digits) <= room
    count = packing.values + 3
    values = np.random.default_rng(seed).integers(0, largest + 1, count).astype(np.uint64)
    packed = packing.pack(values, parties)
    row = [parties, *values[: packing.values].tolist()]
    expected = 0
    for at in range(0, packing.lanes, packing.digits):
        word = sum(each * packing.radix**place for place, each in enumerate(row[at : at + packing.digits]))
        expected = expected << packing.width | word
    assert int.from_bytes(packed[:400], "big") == expected
    assert (packing.unpack(packed, parties, count) == values).all()
    assert packing.unpack(packed, parties + 1, count) is None


def test_a_word_that_no_sum_can_have_is_seen():
    packing = MixedRadix().packing(6, 2047, 256)
    words = packing.lanes // packing.digits
    # A count of 1 in the first word, and in the second all bits.
    all_bits = ((1 << packing.width) - 1) << packing.width * (words - 2)
    plaintext = (1 << packing.width * (words - 1) | all_bits).to_bytes(256, "big")
    found = packing.unpack(plaintext, 1, packing.values)
    assert packing.digits > 1
    assert found is not None
    assert found.max() > 6


@given(st.integers(2, 15), st.integers(2, 9), st.data())
def test_values_of_several_lanes_come_back(bits, parties, data):
    """As metrics do where the bits are few."""
    qmax = 2 ** (bits - 1) - 1
    digits = data.draw(st.integers(1, 20 // bits + 1))
    quantise = Quantise(bits, "nearest", (1.0, 1.0), (1, digits) if digits > 1 else ())
    largest = quantise.largest(1)
    assert largest == ((2 * qmax + 1) ** digits - 1) // 2
    values = data.draw(hnp.arrays(np.float64, (parties, 7), elements=st.integers(-largest, largest)))
    common = common_of((7,), (7,))
    lanes = [joined(quantise.encode(1, [each], Encoding("f", common, 1.0, strict=True))) for each in values]
    assert len(lanes[0]) == 7 * digits == quantise.lanes(1, 7)
    assert max(each.max() for each in lanes) <= 2 * qmax
    sums = np.sum(lanes, axis=0).astype(np.uint64)
    back = joined(quantise.decode(1, [sums[:3], sums[3:]], Decoding(common, parties, 1.0)))
    assert (back == values.sum(axis=0)).all()


# Rounds by hand.


def grads(seed, shape=(80, 60)):
    generator = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=(shape[0], 3)) @ np.random.default_rng(98).normal(
        size=(3, shape[1])
    )
    return {
        "b": generator.normal(size=shape[1]).astype(np.float32),
        "w": (common + 0.1 * generator.normal(size=shape)).astype(np.float32),
    }


def a_round(plan, updates, **options):
    files = []
    for at, each in enumerate(updates):
        out = io.BytesIO()
        own = {name: value[at] for name, value in options.items()}
        hecli.encrypt(each, out, PUBLIC, plan=plan, party=f"p{at}", **own)
        files.append(out)
    return decrypted(aggregated(*files))


def apart(mean, updates):
    """How far a mean is from the true one, over the true one's norm."""
    true = {name: np.mean([each[name] for each in updates], axis=0) for name in updates[0]}
    off = sum(np.square(mean[name] - true[name]).sum() for name in true)
    return math.sqrt(off / sum(np.square(each).sum() for each in true.values()))


UPDATES = [grads(at) for at in range(3)]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"bits": 8, "rotate": True}, 0.02),
        ({"bits": 4, "rotate": True}, 0.3),
        ({"bits": 2, "rotate": True}, 2.0),
        ({"bits": 16, "sample": 0.5}, 0.9),
        ({"bits": 16}, 0.001),
    ],
    ids=str,
)
def test_a_compressed_mean_is_near_the_true_one(options, most):
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, **options)
    mean = hecli.mean(a_round(plan, UPDATES))
    assert 0 < apart(mean, UPDATES) < most


def low_rank_plan(total, rank=3, **options):
    out = io.BytesIO()
    made = hecli.make_basis(total, out, rank)
    plan = hecli.make_plan(total, PUBLIC, 3, low_rank=made.step, **({"bits": 16} | options))
    return plan, out


def test_low_rank_goes_on_from_round_to_round():
    first = a_round(hecli.make_plan(UPDATES[0], PUBLIC, 3), UPDATES)
    plan, bases = low_rank_plan(first)
    assert plan.codec.steps[0].side == RIGHT
    assert plan.geometry.sizes == (60, 80 * 3)
    total = a_round(plan, UPDATES, basis=[bases] * 3)
    assert apart(hecli.mean(total, basis=bases), UPDATES) < 0.12
    # The other factor of the same matrices, on what the first one showed.
    following = io.BytesIO()
    second = hecli.next_plan(plan, total, bases=following)
    assert second.codec.steps[0].side == LEFT
    assert second.geometry.sizes == (60, 60 * 3)
    assert apart(hecli.mean(a_round(second, UPDATES, basis=[following] * 3), basis=following), UPDATES) < 0.12
    # Made again, it is the same file: whoever has the sum can check it.
    again = io.BytesIO()
    hecli.make_basis(total, again, 3)
    assert again.getvalue() == following.getvalue()


def test_a_plan_of_low_rank_takes_its_own_basis_and_no_other():
    first = a_round(hecli.make_plan(UPDATES[0], PUBLIC, 3), UPDATES)
    plan, bases = low_rank_plan(first)
    with pytest.raises(RefusedError, match="its basis is not here"):
        hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan)
    other = a_round(hecli.make_plan(UPDATES[0], PUBLIC, 3), UPDATES)
    _, wrong = low_rank_plan(other)
    with pytest.raises(MismatchError, match="is not the plan's"):
        hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, basis=wrong)
    total = a_round(plan, UPDATES, basis=[bases] * 3)
    with pytest.raises(RefusedError, match="its basis is not here"):
        hecli.mean(total)
    with pytest.raises(HecliError, match="gives no bases of rank 2"):
        hecli.make_basis(total, io.BytesIO(), 2)
    with pytest.raises(HecliError, match="does not show how large"):
        hecli.make_plan(total, PUBLIC, 3)
    with pytest.raises(RefusedError, match="new bases"):
        hecli.next_plan(plan, total)
    # Bases of the right digest that do not fit the tensors: whoever made the plan made it wrong.
    squeezed = {"w": Columns(np.ones((7, 3), np.int16), 15)}
    with pytest.raises(MismatchError, match="do not fit together"):
        plan.common(Basis(plan.codec.steps[0].basis, squeezed))


def test_matrices_that_are_too_small_are_no_reason_for_low_rank():
    total = a_round(hecli.make_plan({"b": np.ones(9)}, PUBLIC, 3), [{"b": np.ones(9)}] * 3)
    with pytest.raises(HecliError, match="no tensor is a matrix large enough for rank 3"):
        hecli.make_basis(total, io.BytesIO(), 3)


def test_a_sum_of_zeros_gives_a_basis_too():
    zeros = {"w": np.zeros((80, 60), np.float32)}
    total = a_round(hecli.make_plan(zeros, PUBLIC, 3), [zeros] * 3)
    out = io.BytesIO()
    basis = hecli.make_basis(total, out, 3).basis.columns["w"]
    matrix = basis.numbers * 2.0**-basis.exponent
    assert np.abs(matrix.T @ matrix - np.eye(3)).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rotate": True, "value_range": 1.0}, "no range of their own"),
        ({"norm": 1.0}, "no norm to go by"),
        ({"sample": 0.0}, "a sample of 0.0 is none"),
        ({"sample": 1.0}, "a sample of 1.0 is none"),
        ({"rotate": True, "norm": -1.0}, "holds nothing"),
        ({"rotate": True, "norm": math.nan}, "holds nothing"),
        ({"rotate": True, "norm": 1e300}, r"tensor b: a norm of 1e\+300 is too large"),
        ({"rotate": True, "bits": 32, "parties": 16384}, "would not be exact"),
        ({"rotate": True, "norm": {"x*": 1.0}}, "no tensor matches 'x"),
        ({"sample": 0.5, "bits": 2}, "would never get through"),
    ],
)
def test_compression_that_cannot_be_is_refused(options, says):
    parties = options.pop("parties", 3)
    with pytest.raises(HecliError, match=says):
        hecli.make_plan(UPDATES[0], PUBLIC, parties, **options)


def test_values_of_several_lanes_are_exact_behind_other_steps_or_refused():
    """Eighteen digits of 3, of 16,384 parties and in 4,096 values, take 54 bits together."""
    specs = (TensorSpec("t", "float64", (4096,)), TensorSpec("u", "float64", (3,)))
    pack, parties = Pack(), 1 << 14
    with pytest.raises(HecliError, match="would not be exact"):
        Codec(Quantise(2, "nearest", (1.0, 1.0), (18, 1)), pack, (Rotate(),)).check(specs, parties)
    # Few values, such as metrics, are not added up.
    Codec(Quantise(2, "nearest", (1.0, 1.0), (1, 20)), pack, (Rotate(),)).check(specs, parties)
    # The most that is let through: sums of all parties at their largest come out as in integers.
    quantise = Quantise(2, "nearest", (1.0, 1.0), (17, 1))
    codec = Codec(quantise, pack, (Rotate(),))
    codec.check(specs, parties)
    signs = np.random.default_rng(5).integers(0, 2, 4096) * 2 - 1
    sums = signs * quantise.largest(0) * parties - np.arange(4096)
    found = hadamard.turn(sums.astype(np.float64))
    rows = [[(-1) ** (i & k).bit_count() for k in range(4096)] for i in (0, 1, 2047, 4095)]
    for at, row in zip((0, 1, 2047, 4095), rows, strict=True):
        assert Fraction(float(found[at])) * 64 == sum(a * b for a, b in zip(row, sums.tolist(), strict=True))


def test_values_that_would_not_stay_numbers_are_refused():
    """Sums of them are infinite, and the difference of two such is no number, nor a lane."""
    signs = np.where(np.arange(4096) % 3, 1.0, -1.0)
    for size, fits in ((1e308, False), (2.0**900, False), (2.0**899, True)):
        update = {"w": size * signs}
        plan = hecli.make_plan(update, PUBLIC, 2, bits=8, rotate=True, norm=1.0)
        if not fits:
            with pytest.raises(DataError, match=r"tensor w holds -.*too large to be added up"):
                hecli.encrypt(update, io.BytesIO(), PUBLIC, plan=plan)
            continue
        assert hecli.encrypt(update, io.BytesIO(), PUBLIC, plan=plan).update.clipped > 1000


@pytest.mark.parametrize("size", [1e200, 1.7e308])
def test_tensors_whose_norm_is_beyond_float64_are_refused(size):
    with pytest.raises(HecliError, match="tensor w: a norm of inf is too large"):
        hecli.make_plan({"w": np.full(100, size)}, PUBLIC, 2, bits=8, rotate=True)


def test_a_norm_is_what_the_range_follows_from():
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=8, rotate=True, norm={"w": 6.0, "b": None})
    steps = plan.codec.quantise.steps
    assert steps[1] * 127 == pytest.approx(3 * 6.0 / math.sqrt(4800))
    own = np.linalg.norm(UPDATES[0]["b"].astype(np.float64))
    assert steps[0] * 127 == pytest.approx(3 * 2 * own / math.sqrt(60))


# What did not get through.


def total_of(plan, path_of, updates):
    return a_round(plan, updates, feedback=[path_of(at) for at in range(len(updates))])


def test_what_did_not_get_through_goes_with_the_next_update(tmp_path):
    """Over the rounds nothing is lost: what was sent and what is left are all that was trained."""

    def path_of(at):
        return tmp_path / f"{at}.residual"

    sent_in_all = {name: np.zeros_like(value, np.float64) for name, value in UPDATES[0].items()}
    for _ in range(4):
        plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, sample=0.3)
        total = total_of(plan, path_of, UPDATES)
        mean = hecli.mean(total)
        for name in sent_in_all:
            sent_in_all[name] += mean[name]
        for at in range(3):
            assert hecli.settle(path_of(at), total)
            assert stat.S_IMODE(os.stat(path_of(at)).st_mode) == 0o600
    left = [residual_in(path_of(at)) for at in range(3)]
    for name, value in sent_in_all.items():
        trained = 4 * np.mean([each[name] for each in UPDATES], axis=0)
        rest = np.mean([each[name] for each in left], axis=0)
        assert np.allclose(value + rest, trained, atol=1e-4)
        assert np.abs(rest).max() > 0.01


def residual_in(path, section="kept"):
    with path.open("rb") as stream:
        found = read_residual(open_reader(stream))
        data = found.reader.section(section).read(1 << 30)
    arrays, at = {}, 0
    for spec in found.specs:
        arrays[spec.name] = np.frombuffer(data, "<f4", spec.size, at).reshape(spec.shape)
        at += spec.nbytes
    return arrays


def test_a_round_that_lists_another_update_or_none_loses_nothing(tmp_path):
    path = tmp_path / "my.residual"
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True)
    hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
    without = a_round(plan, UPDATES[1:])
    assert not hecli.settle(path, without)
    left = residual_in(path)
    for name, value in UPDATES[0].items():
        assert np.array_equal(left[name], value)
    with pytest.raises(MismatchError, match="waits for no sum: that of 'round', or a later one, was applied"):
        hecli.settle(path, without)


def test_a_round_that_nobody_opened_loses_nothing(tmp_path):
    path = tmp_path / "my.residual"
    for times in (1, 2, 3):
        plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=8, rotate=True, norm=1000.0)
        made = hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
        # Whoever only forgot to apply a sum is told.
        assert (made.repeats is None) == (times == 1)
        assert times == 1 or "goes again" in made.repeats
        whole = residual_in(path, "whole")
        for name, value in UPDATES[0].items():
            assert np.allclose(whole[name], times * value, rtol=1e-6)


def test_the_same_round_again_starts_from_where_it_did(tmp_path):
    path = tmp_path / "my.residual"
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True)
    hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
    again = hecli.encrypt(UPDATES[1], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
    assert "send this update, and not the one before" in again.repeats
    whole = residual_in(path, "whole")
    for name, value in UPDATES[1].items():
        assert np.array_equal(whole[name], value)


def test_the_sum_of_another_round_settles_nothing(tmp_path):
    path = tmp_path / "my.residual"
    plan, other = (hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True) for _ in range(2))
    hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
    before = path.read_bytes()
    with pytest.raises(MismatchError, match="waits for the sum of another round"):
        hecli.settle(path, a_round(other, UPDATES))
    assert path.read_bytes() == before


def test_weights_are_taken_out_of_what_is_left(tmp_path):
    path = tmp_path / "my.residual"
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=16, rotate=True, max_weight=10)
    hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path, weight=5)
    rest = residual_in(path, "rest")
    # Of 16 bits little is lost, unless a scaled update were taken for the whole.
    assert max(np.abs(each).max() for each in rest.values()) < 0.01


def test_what_is_left_stays_within_what_a_residual_can_hold(tmp_path):
    """Else it would be no number, which the next update would be blamed for."""
    path, update = tmp_path / "my.residual", {"w": np.full(64, 3e38, np.float32)}
    plans = [hecli.make_plan(update, PUBLIC, 2, bits=8, rotate=True, norm=1.0) for _ in range(2)]
    hecli.encrypt(update, tmp_path / "1.enc", PUBLIC, plan=plans[0], feedback=path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="of tensor w more is left than float32 can hold"):
        hecli.encrypt(update, tmp_path / "2.enc", PUBLIC, plan=plans[1], feedback=path)
    assert path.read_bytes() == before
    assert not (tmp_path / "2.enc").exists()


def test_a_link_to_a_residual_stays_one(tmp_path):
    there, link = tmp_path / "there", tmp_path / "my.residual"
    link.symlink_to(there)
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True)
    for _ in range(2):
        hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=link)
    without = a_round(plan, UPDATES[1:])
    assert not hecli.settle(link, without)
    assert link.is_symlink()
    assert residual_in(there).keys() == {"b", "w"}


def test_a_residual_is_not_written_over_and_an_update_that_may_count_twice_is_said(place, ok, fails):
    np.savez("a.npz", **UPDATES[0])
    for name in ("one", "two"):
        hecli.write_plan(hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True), f"{name}.plan")
    made = ("encrypt", "a.npz", "--residual", "my.residual", "--force", "--plan")
    assert "warning" not in ok(*made, "one.plan")
    assert "send this update, and not the one before" in ok(*made, "one.plan")
    before = (place / "my.residual").read_bytes()
    fails(*made, "one.plan", "-o", "my.residual", says="is a secret")
    fails(*made, "one.plan", "-o", "-", says="goes into a file")
    assert (place / "my.residual").read_bytes() == before
    assert "all of that update goes again" in ok(*made, "two.plan")
    (place / "round.sum").write_bytes(a_round(hecli.read_plan("two.plan"), UPDATES[1:]).getvalue())
    applied = ("apply", "round.sum", "--residual", "my.residual", "--force", "-o")
    fails(*applied, "my.residual", says="is a secret")
    ok(*applied, "mean.npz")
    fails(*applied, "mean.npz", says="waits for no sum", hint="leave out --residual to apply a sum again")


def test_a_setting_is_chosen_among_those_that_go(place, ok, fails):
    """Ranges are for values as they are, norms for rotated ones; and behind low rank all are rotated."""
    np.savez("a.npz", **UPDATES[0])
    made = ("plan", "--parties", 3, "--force", "--target-bytes")
    assert " bits: of all" in ok(*made, "1M", "--like", "a.npz", "--range", 5)
    fails(*made, "4k", "--like", "a.npz", "--range", 5, says="rotated values have no range", hint="--norm")
    assert "rotated: of all" in ok(*made, "1M", "--like", "a.npz", "--norm", 100)
    first = a_round(hecli.make_plan(UPDATES[0], PUBLIC, 3), UPDATES)
    low_rank = hecli.make_basis(first, "low.basis", 2)
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=8, low_rank=low_rank.step)
    (place / "low.sum").write_bytes(a_round(plan, UPDATES, basis=[low_rank.basis] * 3).getvalue())
    assert "rotated: of all" in ok(*made, "1M", "--like", "low.sum")


def test_an_update_that_cannot_be_kept_aside_is_refused(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def flush(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True)
    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with pytest.raises(HecliError, match="cannot keep an update aside: no space left") as caught:
        hecli.encrypt(UPDATES[0], tmp_path / "x.enc", PUBLIC, plan=plan, feedback=tmp_path / "my.residual")
    assert "TMPDIR" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_plan_and_its_bases_do_not_go_into_one_file(place, fails):
    np.savez("a.npz", **UPDATES[0])
    (place / "round.sum").write_bytes(a_round(hecli.make_plan(UPDATES[0], PUBLIC, 3), UPDATES[1:]).getvalue())
    made = ("plan", "--like", "round.sum", "--parties", 3, "--rank", 1, "--force")
    fails(*made, "-o", "x.basis", says="x.basis is where the bases of the plan go", hint="round.plan")


def test_a_residual_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "my.residual"
    plan = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=4, rotate=True)
    hecli.encrypt(UPDATES[0], io.BytesIO(), PUBLIC, plan=plan, feedback=path)
    small = {"w": np.ones((3, 3), np.float32)}
    other = hecli.make_plan(small, PUBLIC, 3, bits=4, rotate=True)
    before = path.read_bytes()
    with pytest.raises(MismatchError, match="has other tensors than the plan"):
        hecli.encrypt(small, tmp_path / "x.enc", PUBLIC, plan=other, feedback=path)
    with pytest.raises(RefusedError, match="no plan that compresses"):
        hecli.encrypt(small, tmp_path / "x.enc", PUBLIC, feedback=path)
    few = hecli.make_plan(UPDATES[0], PUBLIC, 3, bits=2, rotate=True)
    with pytest.raises(RefusedError, match="loses more than gets through"):
        hecli.encrypt(UPDATES[0], tmp_path / "x.enc", PUBLIC, plan=few, feedback=path)
    encoded = io.BytesIO()
    hecli.encode(UPDATES[0], encoded, plan=plan)
    encoded.seek(0)
    with pytest.raises(FormatError, match="encoded"):
        hecli.encrypt(encoded, tmp_path / "x.enc", PUBLIC, plan=plan, feedback=path)
    bad = UPDATES[0] | {"w": np.full((80, 60), np.nan, np.float32)}
    with pytest.raises(DataError, match="not a finite number"):
        hecli.encrypt(bad, tmp_path / "x.enc", PUBLIC, plan=plan, feedback=path)
    damaged = bytearray(before)
    damaged[len(damaged) // 6] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match="does not match its digest"):
        hecli.encrypt(UPDATES[0], tmp_path / "x.enc", PUBLIC, plan=plan, feedback=path)
    assert path.read_bytes() == damaged
    assert not (tmp_path / "x.enc").exists()


# Trainings.

LARGE = {"b": np.zeros(40, np.float32), "w": np.zeros((60, 40), np.float32)}


def filled(value):
    return {name: np.full_like(array, value) for name, array in LARGE.items()}


COMPRESSED = {
    "two bits": ({"bits": 2, "rotate": True}, 0.5),
    "low rank": ({"bits": 8, "rank": 2}, 0.3),
    "a sample": ({"bits": 8, "sample": 2048}, 0.3),
}


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_training_comes_to_where_plain_averaging_does(tmp_path, kind):
    """Targets pull each party; the mean of them is where all end, and everybody has the same model."""
    rounds, (terms, most) = 10, COMPRESSED[kind]
    scene = Scene(
        tmp_path,
        3,
        key=None,
        masks=0,
        model=LARGE,
        rounds=rounds,
        lr=0.3,
        rule="sgd",
        rounding="stochastic",
        **terms,
    )
    generator = np.random.default_rng(5)
    target = {
        "b": generator.normal(size=40),
        "w": generator.normal(size=(60, 2)) @ generator.normal(size=(2, 40)),
    }
    sessions = scene.all()

    def pulling(name):
        offset = {"party-1": -0.1, "party-2": 0.0, "party-3": 0.1}[name]
        model = scene.model(name)
        return {each: (model[each] - value - offset).astype(np.float32) for each, value in target.items()}

    def each_step(session):
        if session.name in scene.parties:
            number = len(session.own.applied()) + 1
            scene.give(session.name, pulling(session.name), round=number)
        return stepping.step(session)

    ended = scene.run(sessions, step=each_step)
    assert all(isinstance(each, Over) for each in ended.values()), ended
    models = [scene.model(name) for name in [COORDINATOR, *scene.parties]]
    for each in models[1:]:
        assert all(np.array_equal(each[name], value) for name, value in models[0].items())
    start = math.sqrt(sum(np.square(value).sum() for value in target.values()))
    off = math.sqrt(sum(np.square(models[0][name] - value).sum() for name, value in target.items()))
    assert off < most * start
    # What `status` shows of a round goes by what was coded in it.
    session = scene.session(COORDINATOR)
    shown = read_status(session.shared, read_terms(session.shared), session.ledger, datetime.now(UTC))
    for each in shown["rounds"]:
        coded = hecli.inspect(scene.folder(each["round"]) / "round.plan")["plan"]["values"]
        assert each["clipped_share"] == each["clipped"] / (3 * coded)
    sizes = [scene.file("party-1", ".enc", number).stat().st_size for number in (1, rounds)]
    assert sizes[1] < sizes[0]


def test_metrics_are_told_apart_however_few_bits_values_have(tmp_path):
    scene = Scene(
        tmp_path,
        3,
        key=None,
        masks=0,
        model=LARGE,
        rounds=3,
        bits=2,
        rotate=True,
        rounding="stochastic",
        metrics=(Metric("loss", 10.0),),
    )
    values = {"party-1": 1.25, "party-2": 2.0, "party-3": -4.5}
    for name, value in values.items():
        scene.give(
            name, {each: np.full_like(array, 0.5) for each, array in LARGE.items()}, metrics={"loss": value}
        )
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values())
    for each in scene.session("party-1").own.applied():
        assert each["metrics"]["loss"] == pytest.approx(sum(values.values()) / 3, abs=10 / 16_000)


def test_a_training_keeps_what_did_not_get_through_of_all_that_is_no_metric(tmp_path):
    """Names of metrics lie between those of tensors, and are in no residual."""
    scene = Scene(
        tmp_path,
        3,
        key=None,
        masks=0,
        model=LARGE,
        rounds=2,
        bits=8,
        sample=1024,
        rounding="stochastic",
        metrics=(Metric("loss", 10.0),),
    )
    for name in scene.parties:
        scene.give(name, {"b": np.full(40, 0.5, np.float32), "w": np.full((60, 40), 0.25, np.float32)})
    scene.run(scene.all())
    path = scene.people / "party-1.run" / "residual"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = residual_in(path)
    assert found.keys() == {"b", "w"}
    # Round 1 moved the model to where they pull, but for rounding; what is left of round 2 is small.
    assert max(np.abs(each).max() for each in found.values()) < 0.01


def test_who_was_left_out_of_a_round_sends_all_of_it_with_the_next(tmp_path):
    terms = {"bits": 8, "sample": 1024, "rounding": "stochastic", "deadline": 1, "min_parties": 3}
    scene = Scene(tmp_path, 4, key=None, masks=1, model=LARGE, rounds=3, rule="sgd", lr=0.1, **terms)
    for name in scene.parties:
        for number in (1, 2, 3):
            scene.give(
                name, {each: np.full_like(array, number) for each, array in LARGE.items()}, round=number
            )
    everybody = scene.all()
    scene.run(everybody, until=lambda _: len(everybody[-1].own.applied()) == 1)
    late = everybody[-1]
    # It makes its update of round 2, and its file is lost on the way.
    while not (late.own.root / "residual").exists():
        scene.run(everybody[:-1])
        assert isinstance(stepping.step(late), stepping.Did)
    before = residual_in(late.own.root / "residual", "whole")
    assert all((each == 2).all() for each in before.values())
    for each in scene.folder(2).glob(f"{late.identity.card.fingerprint}.enc"):
        each.unlink()
    for each in (late.own.root / "round-0002").glob("*.enc"):
        each.unlink()
    time.sleep(1.1)
    scene.run(everybody[:-1], until=lambda _: len(everybody[0].own.applied()) == 2)
    scene.run([late], until=lambda _: len(late.own.applied()) == 2)
    kept = residual_in(late.own.root / "residual")
    assert all((each == 2).all() for each in kept.values())


@pytest.mark.parametrize("terms", [{"rank": 2}, {"sample": 1024}], ids=str)
def test_a_killed_run_keeps_its_residual_in_step(tmp_path, monkeypatch, terms):
    """Whatever operation it ends at, what is left belongs to what was sent."""
    base = Scene(
        tmp_path / "base", 2, key=None, masks=0, model=LARGE, rounds=2, bits=8, rounding="stochastic", **terms
    )
    for name in base.parties:
        base.give(name, filled(0.5))
    rest = base.all()
    base.run(rest, until=lambda _: all(len(each.own.applied()) == 1 for each in rest))
    fate = Fate(monkeypatch)
    counted = base.copy_to(tmp_path / "counted")
    ended = resumed(counted, fate)
    assert ended > 15
    for count in range(2, ended, max(1, ended // 8)):
        scene = base.copy_to(tmp_path / f"at-{count}")
        resumed(scene, Fate(monkeypatch, count))
        models = [scene.model(name) for name in [COORDINATOR, *scene.parties]]
        for each in models[1:]:
            assert all(np.array_equal(each[name], value) for name, value in models[0].items())
        with (scene.people / "party-1.run" / "residual").open("rb") as stream:
            assert not read_residual(open_reader(stream)).pending


def resumed(scene, fate):
    """Run to the end, with party-1 ended by a fate and started again; give how much it touched."""
    sessions = {name: scene.session(name) for name in [COORDINATOR, *scene.parties]}
    ended = {}
    while len(ended) < len(sessions):
        for name, session in list(sessions.items()):
            try:
                outcome = stepped(session, fate) if name == "party-1" else stepping.step(session)
            except Killed:
                sessions[name] = scene.session(name)
                continue
            if isinstance(outcome, Over):
                ended[name] = outcome
    return fate.seen


def test_memory_does_not_grow_with_the_model_nor_with_what_is_left(tmp_path):
    peaks = []
    for size in (1 << 19, 1 << 21):
        np.save(
            tmp_path / "grads.npy", np.random.default_rng(1).normal(size=(size >> 9, 512)).astype(np.float32)
        )
        plan = hecli.make_plan(tmp_path / "grads.npy", PUBLIC, 3, bits=4, sample=0.1)
        for _ in range(2):
            tracemalloc.start()
            hecli.encrypt(
                tmp_path / "grads.npy",
                io.BytesIO(),
                PUBLIC,
                plan=plan,
                feedback=tmp_path / f"{size}.residual",
                jobs=1,
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    # What it writes to is in memory here, and grows by the ciphertexts.
    assert peaks[3] < 1.5 * peaks[1] + (1 << 21) // 10 * 2
