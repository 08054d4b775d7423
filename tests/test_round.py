"""Whole rounds in memory: exact, deterministic, within the promised error."""

import io
import itertools
import math
import subprocess

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hecli
from hecli.codec.control import Control
from hecli.errors import DataError, FormatError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.envelope import Section
from hecli.formats.tensors.files import FORMATS, open_tensors
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.costs import error_bound
from tests.support import (
    KEY,
    PUBLIC,
    aggregated,
    body,
    decrypted,
    encrypted,
    load_key,
    made_update,
    mean_of,
    npy,
    npz,
    plan_of,
    reader,
    rewritten,
    small_plan,
    steps_of,
    sum_of,
    written,
)

SHAPES = {"b": (3,), "w": (2, 5)}


def quantised(value, step, qmax, fraction=1.0):
    """What the specification says of one value, in plain Python, rounding to nearest."""
    return max(-qmax, min(qmax, round(float(value) * fraction / step)))


def opened_sums(total):
    """Lane sums of a sum file as Python integers of q."""
    plan = plan_of(total)
    header = sum_of(total)
    data = body(total)["lanes"]
    size = plan.geometry.sum_size
    raw = [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    return [value - len(header.contributors) * plan.codec.quantise.qmax for value in raw]


updates = st.lists(
    st.fixed_dictionaries(
        {
            name: hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32))
            for name, shape in SHAPES.items()
        }
    ),
    min_size=2,
    max_size=4,
)


@settings(max_examples=25)
@given(updates, st.sampled_from([2, 8, 11, 16, 31, 32]), st.data())
def test_the_opened_sum_is_the_sum_of_the_quantised_values(parties, bits, data):
    weights = [data.draw(st.integers(1, 9)) for _ in parties]
    like = npz(b=np.ones(3, np.float32), w=np.ones((2, 5), np.float32))
    plan = small_plan(like, len(parties), bits=bits, value_range=1.5, rounding="nearest", max_weight=9)
    files = [encrypted(npz(**each), plan, weight=w) for each, w in zip(parties, weights, strict=True)]
    total = decrypted(aggregated(*files))
    expected = [0] * 13
    clipped = 0
    for each, weight in zip(parties, weights, strict=True):
        flat = np.concatenate([each["b"].ravel(), each["w"].ravel()])
        for at, value in enumerate(flat):
            step, qmax = steps_of(plan)[0], plan.codec.quantise.qmax
            expected[at] += quantised(value, step, qmax, weight / 9)
            clipped += abs(round(float(value) * (weight / 9) / step)) > qmax
    assert opened_sums(total) == expected
    header = sum_of(total)
    assert (header.weight, header.clipped) == (sum(weights), clipped)


sizes = st.sampled_from([0.001, 2.0, 128.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@settings(max_examples=15)
@given(
    parties=updates,
    bits=st.sampled_from([4, 8, 16, 32]),
    size=st.sampled_from([0.001, 2.0, 128.0]),
    data=st.data(),
)
def test_the_mean_is_within_the_bound_that_plan_promised(dtype, parties, bits, size, data):
    weights = [data.draw(st.integers(1, 4)) for _ in parties]
    rounding = data.draw(st.sampled_from(["nearest", "stochastic"]))
    numbers = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    cast = [{name: (array * (size / 2)).astype(numbers) for name, array in each.items()} for each in parties]
    files = [as_file(each) for each in cast]
    plan = small_plan(
        files[0], len(parties), bits=bits, value_range=1.01 * size, rounding=rounding, max_weight=4
    )
    encrypted_files = [encrypted(each, plan, weight=w) for each, w in zip(files, weights, strict=True)]
    out = io.BytesIO()
    hecli.apply(decrypted(aggregated(*encrypted_files)), out)
    opened = open_tensors(out, "file")
    for at, spec in enumerate(plan.tensors):
        name = spec.name
        mean = np.concatenate(list(opened.read(spec))).astype(np.float64)
        values = [each[name].astype(np.float64).ravel() for each in cast]
        true = np.average(values, axis=0, weights=weights)
        assert np.abs(mean - true).max() <= error_bound(plan, at)


def as_file(arrays):
    """A tensor file that can hold any dtype."""
    specs = tuple(TensorSpec(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays))
    out = io.BytesIO()
    FORMATS["tensors"].write(out, specs, (iter([arrays[spec.name].ravel()]) for spec in specs), None)
    return out


def test_the_default_plan_needs_nothing_but_a_key():
    parties = [np.linspace(-1, 1, 100, dtype=np.float32) * scale for scale in (1, 3)]
    mean = mean_of(decrypted(aggregated(*[encrypted(npy(each)) for each in parties])))["arr_0"]
    assert mean.dtype == np.float32
    assert np.abs(mean - np.mean(parties, axis=0)).max() <= 2**-24


def test_a_round_at_the_default_key_size():
    key = load_key("full")
    arrays = [np.linspace(-k, k, 300, dtype=np.float32) for k in (1, 2, 3)]
    plan = hecli.make_plan(npy(arrays[2]), key.public, 3)
    files = []
    for array in arrays:
        out = io.BytesIO()
        hecli.encrypt(npy(array), out, key.public, plan=plan, jobs=2)
        files.append(out)
    mean = mean_of(decrypted(aggregated(*files), key, updates=files))["arr_0"]
    assert np.abs(mean - arrays[1]).max() <= error_bound(plan, 0)


def test_phe_opens_a_file_of_hecli_s():
    """The specification's layout, read with nothing but phe and integers."""
    plan = small_plan(npz(w=np.ones(4, np.float32)), bits=8, value_range=1.0, rounding="nearest")
    file = encrypted(npz(w=np.array([1, -1, 0, 0.5], np.float32)), plan)
    found = body(file)
    assert list(found) == ["lanes", "control", "proofs"]
    del found["proofs"]
    width, lanes = plan.geometry.packing.width, plan.geometry.packing.lanes
    packed, control = (KEY.to_phe().raw_decrypt(int.from_bytes(each, "big")) for each in found.values())
    assert control == (1 << 128) + (1 << 64)
    found = [(packed >> width * (lanes - 1 - at)) % (1 << width) for at in range(lanes)]
    assert found == [1, 254, 0, 127, 127 + 64, *[0] * (lanes - 5)]
    assert packed >> width * lanes == 0


@pytest.fixture(scope="module")
def four():
    plan = small_plan(npz(w=np.ones(200, np.float32)), 6)
    arrays = [np.linspace(0, k, 200, dtype=np.float32) for k in range(4)]
    return plan, [encrypted(npz(w=each), plan, party=f"p{at}") for at, each in enumerate(arrays)]


def test_aggregates_do_not_depend_on_order_nesting_or_workers(four):
    _, files = four
    flat = aggregated(*files).getvalue()
    for order in itertools.islice(itertools.permutations(files), 0, 24, 5):
        assert aggregated(*order).getvalue() == flat
    a, b, c, d = files
    assert aggregated(aggregated(a, b), aggregated(c, d)).getvalue() == flat
    assert aggregated(aggregated(aggregated(d, b), a), c).getvalue() == flat
    out = io.BytesIO()
    hecli.aggregate(files, out, jobs=3)
    assert out.getvalue() == flat


def test_an_aggregate_lists_its_contributors_with_their_digests(four):
    _, files = four
    facts = hecli.inspect(aggregated(*files))
    assert [each["party"] for each in facts["contributors"]] == ["p0", "p1", "p2", "p3"]
    assert [each["digest"] for each in facts["contributors"]] == [reader(each).digest.hex() for each in files]


def test_the_number_of_workers_does_not_change_a_sum(four):
    _, files = four
    aggregate = aggregated(*files)
    outs = []
    for jobs in (1, 2, 3):
        out = io.BytesIO()
        hecli.decrypt(aggregate, out, KEY, updates=files, jobs=jobs)
        # But for the proofs, which are random.
        outs.append(body(out)["lanes"])
        hecli.verify_sum(out, aggregate, jobs=jobs)
    assert outs[0] == outs[1] == outs[2]


def test_many_batches_come_out_in_order():
    count = 64 * 100 * 3 + 17
    arrays = [np.arange(count, dtype=np.float32), np.full(count, 2, np.float32)]
    plan = small_plan(npy(arrays[0]), 2, bits=24, value_range=2.0**23 - 1)
    files = []
    for array in arrays:
        out = io.BytesIO()
        hecli.encrypt(npy(array), out, PUBLIC, plan=plan, jobs=2)
        files.append(out)
    out = io.BytesIO()
    hecli.aggregate(files, out, jobs=2)
    total = io.BytesIO()
    hecli.decrypt(out, total, KEY, updates=files, jobs=2)
    assert (mean_of(total)["arr_0"] == (np.arange(count) + 2) / 2).all()


def test_an_encoded_file_encrypts_like_its_tensors():
    plan = small_plan(npz(w=np.ones(6, np.float32)), max_weight=5)
    tensors = npz(w=np.linspace(-9, 9, 6, dtype=np.float32))
    encoded = io.BytesIO()
    update = hecli.encode(tensors, encoded, plan=plan, weight=5)
    assert (update.clipped, update.clipped_in) == (4, {"w": 4})
    sums = [
        decrypted(aggregated(encrypted(source, plan, weight=5), encrypted(tensors, plan, weight=5)))
        for source in (encoded, tensors)
    ]
    assert opened_sums(sums[0]) == opened_sums(sums[1])
    assert sum_of(sums[0]).clipped == sum_of(sums[1]).clipped == 8


def test_an_encoded_file_holds_the_lanes():
    plan = small_plan(npz(w=np.ones(3, np.float32)), bits=8, value_range=127.0, rounding="nearest")
    encoded = written(lambda out: hecli.encode(npz(w=np.array([0, 5, -127], np.float32)), out, plan=plan))
    assert body(encoded) == {"lanes": bytes([127, 132, 0]), "control": bytes([*[0] * 7, 1] * 2 + [0] * 8)}


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int64", "uint64"])
def test_the_mean_of_integers_is_rounded_to_even(dtype):
    counts = [np.array([3, 0, 1000, 2], dtype), np.array([5, 7, 10, 3], dtype)]
    plan = small_plan(npy(counts[0]), 2, bits=16, value_range=32767.0)
    mean = mean_of(decrypted(aggregated(*[encrypted(npy(each), plan) for each in counts])))["arr_0"]
    assert mean.dtype == dtype
    assert mean.tolist() == [4, 4, 505, 2]


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@settings(max_examples=20)
@given(
    st.sampled_from(INTEGERS),
    st.lists(hnp.arrays(np.int64, 4, elements=st.integers(0, 100)), min_size=2, max_size=3),
    st.sampled_from([8, 16]),
    st.sampled_from(["nearest", "stochastic"]),
)
def test_the_mean_of_integers_is_within_the_bound_that_plan_promised(dtype, parties, bits, rounding):
    parties = [each.astype(dtype) for each in parties]
    plan = small_plan(npy(parties[0]), 3, bits=bits, value_range=126.0, rounding=rounding)
    mean = mean_of(decrypted(aggregated(*[encrypted(npy(each), plan) for each in parties])))["arr_0"]
    assert mean.dtype == dtype
    true = np.mean(parties, axis=0)
    assert np.abs(mean.astype(np.float64) - true).max() <= error_bound(plan, 0)
    assert error_bound(plan, 0) > 0.5


@pytest.fixture(scope="module")
def integer_sum():
    """The sum whose means are 2.5, -2.5 and 100."""
    arrays = [np.array([2.0, -2, 100]), np.array([3.0, -3, 100])]
    plan = small_plan(npy(arrays[0]), 2, bits=16, value_range=32767.0)
    return decrypted(aggregated(*[encrypted(npy(each), plan) for each in arrays]))


@pytest.mark.parametrize(
    ("rule", "lr", "expected"),
    [
        # 1 - 2.5 and 4 + 2.5 lie in the middle, and go to the even one.
        ("sgd", 1.0, [-2, 6, -93]),
        ("sgd", 0.5, [0, 5, -43]),
        ("add", 1.0, [4, 2, 107]),
        ("replace", 1.0, [2, -2, 100]),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_integers_of_a_model_stay_integers(integer_sum, rule, lr, expected, dtype):
    model = npy(np.array([1, 4, 7], dtype))
    moved = mean_of(integer_sum, model=model, rule=rule, lr=lr)["arr_0"]
    assert moved.dtype == dtype
    assert moved.tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_that_do_not_fit_are_refused(integer_sum, dtype):
    limits = np.iinfo(dtype)
    for at, value in ((2, min(limits.max, 2**53) - 99), (1, max(limits.min, -(2**53)) + 1)):
        model = np.array([9, 9, 9], dtype)
        model[at] = value
        end = value + (100 if at == 2 else -2.5)
        if limits.min <= end <= limits.max:
            assert mean_of(integer_sum, model=npy(model), rule="add")["arr_0"].dtype == dtype
        else:
            with pytest.raises(DataError, match=f"tensor arr_0 would hold -?[0-9]+, which {dtype} cannot"):
                mean_of(integer_sum, model=npy(model), rule="add")


def test_the_largest_integers_are_told_from_those_beyond():
    arrays = [np.array([2.0**62]), np.array([2.0**62])]
    plan = small_plan(npy(arrays[0]), 2, bits=3, value_range=3 * 2.0**62, rounding="nearest")
    total = decrypted(aggregated(*[encrypted(npy(each), plan) for each in arrays]))
    model = npy(np.zeros(1, np.int64))
    assert mean_of(total, model=model, lr=-1.5)["arr_0"].tolist() == [3 * 2**61]
    assert mean_of(total, model=model, lr=2.0)["arr_0"].tolist() == [-(2**63)]
    assert mean_of(total, model=npy(np.zeros(1, np.uint64)), lr=-2.0)["arr_0"].tolist() == [2**63]
    for lr in (-2.0, 2.5, 1e300, -1e300):
        with pytest.raises(DataError, match="which int64 cannot"):
            mean_of(total, model=model, lr=lr)


def test_integers_beyond_what_float64_holds_exactly_are_refused(integer_sum):
    for value, dtype in ((2**53 + 1, np.int64), (-(2**53) - 1, np.int64), (2**64 - 1, np.uint64)):
        with pytest.raises(DataError, match=r"arr_0 holds integers above 2\^53"):
            mean_of(integer_sum, model=npy(np.array([0, 0, value], dtype)))


def test_weights_weigh():
    plan = small_plan(npy(np.ones(2)), 2, bits=24, value_range=4.0, max_weight=100)
    files = [
        encrypted(npy(np.array([1.0, 0])), plan, weight=75),
        encrypted(npy(np.array([0, 2.0])), plan, weight=25),
    ]
    mean = mean_of(decrypted(aggregated(*files)))["arr_0"]
    assert mean == pytest.approx([0.75, 0.5], abs=error_bound(plan, 0))


def sums(*arrays, **options):
    plan = small_plan(npy(arrays[0]), len(arrays), bits=24, value_range=8.0, **options)
    return decrypted(aggregated(*[encrypted(npy(each), plan) for each in arrays]))


@pytest.mark.parametrize(
    ("rule", "lr", "expected"),
    [("sgd", 0.5, [9.0, 8.5]), ("add", 1.0, [12.0, 13.0]), ("replace", 1.0, [2.0, 3.0])],
)
def test_the_rules(rule, lr, expected):
    total = sums(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    model = npy(np.array([10.0, 10.0], np.float32))
    moved = mean_of(total, model=model, rule=rule, lr=lr)["arr_0"]
    assert moved.dtype == np.float32
    assert moved == pytest.approx(expected, abs=1e-5)


def test_a_model_keeps_its_dtypes_and_format():
    total = sums(np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32))
    out = io.BytesIO()
    result = hecli.apply(total, out, npy(np.zeros(2, np.float16)), rule="add")
    assert result.format == "npy"
    assert np.load(io.BytesIO(out.getvalue())).dtype == np.float16
    out = io.BytesIO()
    assert hecli.apply(total, out).format == "tensors"
    assert encrypted(out).getvalue()


def test_a_step_to_infinity_is_refused():
    total = sums(np.array([4.0]), np.array([4.0]))
    for model, lr in ((np.array([-1.0], np.float16), 1e6), (np.array([np.nan], np.float32), 1.0)):
        with pytest.raises(DataError, match="would hold what"):
            mean_of(total, model=npy(model), lr=lr)


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (npz(v=np.zeros(1)), MismatchError, "no tensor arr_0"),
        (npz(arr_0=np.zeros(1), v=np.zeros(1)), MismatchError, "has a tensor v"),
        (npy(np.zeros(2)), MismatchError, r"shape \[2\], the sum calls for \[1\]"),
    ],
)
def test_another_model_is_refused(model, error, says):
    with pytest.raises(error, match=says):
        mean_of(sums(np.array([4.0]), np.array([4.0])), model=model)


def two(plan=None):
    plan = plan or small_plan(npz(w=np.ones(3, np.float32)), bits=16, value_range=1.0)
    return plan, [encrypted(npz(w=np.full(3, value, np.float32)), plan) for value in (0.5, 0.25)]


def forged(plaintexts, plan):
    """An update with this control block and these lanes, and true digests."""
    control, packed = plaintexts
    return made_update(plan, [packed], control)


def lanes(plan, *values):
    """A plaintext with these lanes first and zeros behind."""
    packing = plan.geometry.packing
    return sum(value << packing.width * (packing.lanes - 1 - at) for at, value in enumerate(values))


def test_what_no_sum_can_be_is_refused():
    plan, (good, _) = two()
    zero, packing = plan.codec.quantise.qmax, plan.geometry.packing
    control = (1 << 128) + (1 << 64)
    fine = lanes(plan, 1, zero, zero, zero)
    assert decrypted(aggregated(good, forged([control, fine], plan)))
    cases = {
        "control block does not agree": [
            [control + (1 << 128), fine],
            [(1 << 64), fine],
            [control + (1 << 2000), fine],
        ],
        "control block is out of range": [
            [(1 << 128), fine],
            [control + (1 << 64), fine],
            [control + 10, fine],
        ],
        "no sum of updates": [
            [control, fine + lanes(plan, 1)],
            [control, fine - lanes(plan, 1)],
            [control, lanes(plan, 1, 2 * zero + 1 + zero + 2 * zero, zero, zero)],
            [control, lanes(plan, 1, zero, zero, zero, 1)],
            [control, fine + (1 << packing.width * packing.lanes)],
            [control, PUBLIC.n - 1],
        ],
    }
    for says, forgeries in cases.items():
        for plaintexts in forgeries:
            with pytest.raises(FormatError, match=says):
                decrypted(aggregated(good, forged(plaintexts, plan)))


def test_fewer_than_the_fewest_are_not_opened():
    _, (one, other) = two()
    for too_few in (one, aggregated(one)):
        with pytest.raises(RefusedError, match="holds 1 contributor, the plan opens no fewer than 2"):
            decrypted(too_few)
    plan = small_plan(npz(w=np.ones(3, np.float32)), min_parties=3)
    with pytest.raises(RefusedError, match="2 contributors, the plan opens no fewer than 3"):
        decrypted(aggregated(*two(plan)[1]))
    assert decrypted(aggregated(one, other))


def test_a_lie_about_the_contributors_is_found():
    plan, (one, other) = two()
    aggregate = aggregated(one, other)
    header = reader(aggregate).header
    third = [None, bytes(31) + b"\x01"]
    longer = {**header, "contributors": sorted([*header["contributors"], third], key=lambda each: each[1])}
    with pytest.raises(FormatError, match="control block does not agree"):
        decrypted(rewritten(aggregate, header=longer))
    # One party's file dressed up as an aggregate of two.
    dressed = rewritten(aggregate, body={name: body(one)[name] for name in ("lanes", "control")})
    with pytest.raises(FormatError, match="control block does not agree"):
        decrypted(dressed)
    assert plan.min_parties == 2


def test_nobody_is_counted_twice():
    plan = small_plan(npz(w=np.ones(3, np.float32)))
    tensors = npz(w=np.ones(3, np.float32))
    a, again, b, unnamed = (encrypted(tensors, plan, party=party) for party in ("a", "a", "b", None))
    with pytest.raises(RefusedError, match="a would be counted twice"):
        aggregated(a, again)
    with pytest.raises(RefusedError, match=r"unnamed [0-9a-f]+ would be counted twice"):
        aggregated(unnamed, b, unnamed)
    with pytest.raises(RefusedError, match="a would be counted twice"):
        aggregated(aggregated(a, b), again)
    with pytest.raises(RefusedError, match="would be counted twice"):
        aggregated(aggregated(b, unnamed), aggregated(unnamed, a))


def test_no_more_than_capacity():
    plan = small_plan(npz(w=np.ones(3, np.float32)), parties=2)
    files = [encrypted(npz(w=np.ones(3, np.float32)), plan) for _ in range(3)]
    with pytest.raises(RefusedError, match="3 contributors are more than the plan's 2"):
        aggregated(*files)


def test_other_plans_and_keys_are_refused():
    _, (one, _) = two()
    _, (other, _) = two()
    with pytest.raises(MismatchError, match=r"follows another 'round' \(digest .*follows 'round' \(digest"):
        aggregated(one, other)
    key = load_key("full")
    stranger = io.BytesIO()
    hecli.encrypt(npz(w=np.ones(3, np.float32)), stranger, key.public)
    with pytest.raises(MismatchError, match=rf"under the key {PUBLIC.fingerprint}.*{key.public.fingerprint}"):
        aggregated(one, stranger)
    with pytest.raises(MismatchError, match=rf"{PUBLIC.fingerprint}.*{key.public.fingerprint}"):
        decrypted(aggregated(*two()[1]), key)
    with pytest.raises(MismatchError, match="the plan is under the key"):
        hecli.encrypt(npz(w=np.ones(3)), io.BytesIO(), key.public, plan=small_plan())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(0, id="0"),
        pytest.param(PUBLIC.n, id="n"),
        pytest.param(PUBLIC.n**2, id="n^2"),
        pytest.param(PUBLIC.n**2 + 1, id="n^2+1"),
        pytest.param(KEY.p, id="p"),
    ],
)
def test_what_is_no_ciphertext_is_found_wherever_it_comes(value):
    _, (one, other) = two()
    aggregate = aggregated(one, other)
    for number, section in enumerate(("lanes", "control")):
        changed = {section: value.to_bytes(512, "big")}
        with pytest.raises(
            FormatError, match=f"the input: (the proof of its )?ciphertexts? (from )?{number} "
        ):
            aggregated(other, rewritten(one, body=changed))
        with pytest.raises(FormatError, match=f"ciphertext {number} "):
            decrypted(rewritten(aggregate, body=changed))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([[1, 2], [np.nan, 4]]), r"tensor arr_0\[1, 0\] is nan, not a finite number"),
        (np.array([[1, np.inf]]), r"tensor arr_0\[0, 1\] is inf"),
        (np.array(-np.inf), r"tensor arr_0\[\] is -inf"),
        (np.array([0, 2**53 + 1]), r"tensor arr_0\[1\] is 9007199254740993, integer overflow"),
        (np.array([2**64 - 1], np.uint64), "integer overflow"),
        (np.array([-(2**63)]), "integer overflow"),
    ],
)
def test_what_has_no_value_is_named(array, says):
    with pytest.raises(DataError, match=says):
        encrypted(npy(array))


def test_not_a_number_deep_in_a_large_tensor_is_named():
    array = np.zeros((300, 1000), np.float32)
    array[257, 3] = np.nan
    with pytest.raises(DataError, match=r"tensor arr_0\[257, 3\] is nan"):
        encrypted(npy(array))


def test_strict_refuses_what_would_be_clipped():
    plan = small_plan(npz(w=np.ones(3, np.float32)), value_range=1.0)
    tensors = npz(w=np.array([0, 1.0, 1.1], np.float32))
    with pytest.raises(DataError, match=r"tensor w holds 1\.1\d*, out of its range of ±1"):
        encrypted(tensors, plan, strict=True)
    encoded = written(lambda out: hecli.encode(tensors, out, plan=plan))
    with pytest.raises(DataError, match="1 values were clipped"):
        encrypted(encoded, strict=True)
    assert encrypted(npz(w=np.array([0, 1.0, -1.0], np.float32)), plan, strict=True)


def test_weights_out_of_range_are_refused():
    plan = small_plan(npz(w=np.ones(3, np.float32)), max_weight=10)
    tensors = npz(w=np.ones(3, np.float32))
    for weight in (0, 11, -1):
        with pytest.raises(RefusedError, match=f"weight {weight} is not from 1 to 10"):
            encrypted(tensors, plan, weight=weight)
    with pytest.raises(RefusedError, match="no weight was given"):
        encrypted(tensors, plan)
    encoded = written(lambda out: hecli.encode(tensors, out, plan=plan, weight=3))
    with pytest.raises(MismatchError, match="encoded with weight 3, not 4"):
        encrypted(encoded, weight=4)


def test_hostile_encoded_files_are_refused():
    plan = small_plan(npz(w=np.ones(3, np.float32)), bits=8)
    encoded = written(lambda out: hecli.encode(npz(w=np.ones(3, np.float32)), out, plan=plan))
    with pytest.raises(FormatError, match="a lane value above 254"):
        encrypted(rewritten(encoded, body={"lanes": b"\x00\xff\x00"}))
    for control, says in (
        (Control(1, 2, 0), "weight is not from 1 to 1"),
        (Control(1, 0, 0), "weight is not"),
        (Control(1, 1, 99), "more values were clipped"),
        (Control(2, 1, 0), "not that of one party"),
    ):
        with pytest.raises(FormatError, match=says):
            encrypted(rewritten(encoded, body={"control": control.pack()}))


def test_hostile_sums_are_refused():
    total = sums(np.array([4.0]), np.array([4.0]))
    header = reader(total).header
    twice = header["contributors"][:1] * 2
    for change, says in (
        ({"weight": 0}, "total weight or clipped count is out of range"),
        ({"weight": 10**6}, "total weight or clipped count is out of range"),
        ({"clipped": 2**63}, "total weight or clipped count is out of range"),
        ({"contributors": header["contributors"][:1]}, "has 1 contributors"),
        ({"contributors": []}, "missing or out of order"),
        ({"contributors": twice}, "lists a contributor twice"),
        ({"contributors": header["contributors"][::-1]}, "out of order"),
        ({"contributors": [[1, b""]]}, "malformed"),
        ({"contributors": [["\x1b[31m", bytes(32)], ["b", bytes(32)]]}, "cannot be a name"),
        ({"aggregate": b""}, "wrong length"),
    ):
        with pytest.raises(FormatError, match=says):
            mean_of(rewritten(total, header=header | change))
    with pytest.raises(FormatError, match=r"a lane value above .*, which is out of range"):
        mean_of(rewritten(total, body={"lanes": b"\xff\xff\xff\xff"}))


def test_a_body_that_does_not_fit_its_plan_is_refused():
    _, (one, _) = two()
    short = io.BytesIO()
    sections = [Section.of("lanes", 512, 2), Section.of("control", 512, 1)]
    blocks = [body(one)["lanes"] * 2, body(one)["control"]]
    envelope.write(short, "update", reader(one).header, sections, blocks)
    with pytest.raises(FormatError, match=r"holds 2 records of 512 bytes .* where its header calls for 1"):
        aggregated(short)


def test_stochastic_rounding_is_unbiased_through_a_round():
    count = 4000
    plan = small_plan(npy(np.ones(count)), 2, bits=2, value_range=1.0)
    assert plan.codec.quantise.rounding == "stochastic"
    files = [encrypted(npy(np.full(count, 0.3)), plan) for _ in range(2)]
    mean = mean_of(decrypted(aggregated(*files)))["arr_0"].mean()
    assert abs(mean - 0.3) < 5 * math.sqrt(0.21 / (2 * count))


def test_npy_through_a_pipe_is_encrypted_as_it_comes(tmp_path, monkeypatch):
    """Nothing is kept on the way: the whole of it need not be there when the first ciphertexts are."""
    import hecli.api as functions

    def never(_):
        raise AssertionError("the pipe was kept")

    monkeypatch.setattr(functions, "spooled", never)
    array = np.linspace(-1, 1, 200_000, dtype=np.float32)
    plan = small_plan(npy(array), 2, value_range=1.0)
    np.save(tmp_path / "a.npy", array)
    piped = io.BytesIO()
    with subprocess.Popen(["cat", tmp_path / "a.npy"], stdout=subprocess.PIPE) as cat:
        hecli.encrypt(cat.stdout, piped, PUBLIC, plan=plan, jobs=2)
    mean = mean_of(decrypted(aggregated(piped, encrypted(npy(array), plan))))["arr_0"]
    assert np.abs(mean - array).max() <= error_bound(plan, 0)


def test_the_clipped_count_is_of_the_lanes_that_are_sent():
    """With few bits and random rounding: what was counted is what the lanes show, each time anew."""
    plan = small_plan(npy(np.ones(5000)), 2, bits=3, value_range=3.0)
    encoded = written(lambda out: hecli.encode(npy(np.where(np.arange(5000) % 2, 3.4, 0.5)), out, plan=plan))
    lanes = np.frombuffer(body(encoded)["lanes"], np.uint8)
    clipped = Control.unpack(body(encoded)["control"]).clipped
    # 3.4 lies between the largest lane and one more: sent as the largest, clipped two times in five.
    assert set(lanes[1::2].tolist()) == {6}
    assert abs(clipped - 1000) < 5 * math.sqrt(2500 * 0.24)
    total = decrypted(aggregated(encrypted(encoded, plan), encrypted(npy(np.zeros(5000)), plan)))
    assert sum_of(total).clipped == clipped


def test_paths_streams_and_mappings_are_all_taken(tmp_path):
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}
    plan = small_plan(arrays, 3, value_range=8.0, bits=24)
    np.savez(tmp_path / "a.npz", **arrays)
    hecli.encrypt(tmp_path / "a.npz", tmp_path / "a.enc", PUBLIC, plan=plan)
    with (tmp_path / "b.enc").open("wb") as out:
        hecli.encrypt(npz(**arrays), out, PUBLIC, plan=plan)
    hecli.encrypt(arrays, str(tmp_path / "c.enc"), PUBLIC, plan=plan)
    with (tmp_path / "b.enc").open("rb") as stream:
        hecli.aggregate([tmp_path / "a.enc", stream, str(tmp_path / "c.enc")], tmp_path / "round.agg")
    updates = [tmp_path / f"{name}.enc" for name in "abc"]
    hecli.decrypt(tmp_path / "round.agg", tmp_path / "round.sum", KEY, updates=updates)
    mean = hecli.mean(tmp_path / "round.sum")
    assert {name: each.dtype for name, each in mean.items()} == {"w": np.float32, "b": np.float64}
    moved = hecli.next_model(tmp_path / "round.sum", arrays, rule="add")
    for name, array in arrays.items():
        assert np.abs(mean[name] - array).max() < 1e-5
        assert np.abs(moved[name] - 2 * array).max() < 1e-5
    assert hecli.inspect(tmp_path / "round.sum")["kind"] == "sum"


def test_a_path_is_written_whole_or_not_at_all_and_never_over_another(tmp_path):
    plan = small_plan(npy(np.ones(3)), 2)
    with pytest.raises(DataError, match="not a finite number"):
        hecli.encrypt({"arr_0": np.array([1, np.nan, 1])}, tmp_path / "a.enc", PUBLIC, plan=plan)
    assert list(tmp_path.iterdir()) == []
    hecli.encode({"arr_0": np.ones(3)}, tmp_path / "a.int", plan=plan)
    assert (tmp_path / "a.int").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "a.int").read_bytes()
    with pytest.raises(RefusedError, match="exists"):
        hecli.encode({"arr_0": np.zeros(3)}, tmp_path / "a.int", plan=plan)
    assert (tmp_path / "a.int").read_bytes() == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: hecli.encrypt(np.ones(3), io.BytesIO(), PUBLIC),
            "a mapping of names to arrays, not ndarray",
        ),
        (
            lambda: hecli.encrypt([1], io.BytesIO(), PUBLIC),
            "source takes a path, a binary stream or a mapping",
        ),
        (lambda: hecli.encrypt({"w": np.ones(1)}, 5, PUBLIC), "out takes a path or a binary stream, not int"),
        (lambda: hecli.encrypt({"w": np.ones(1)}, io.StringIO(), PUBLIC), "out takes"),
        (lambda: hecli.aggregate("round.agg", io.BytesIO()), "sources takes a list of paths"),
        (lambda: hecli.aggregate(5, io.BytesIO()), "sources takes a list of paths"),
        (lambda: hecli.aggregate([5], io.BytesIO()), "sources takes a path or a binary stream, not int"),
        (lambda: hecli.inspect(b"bytes"), "source takes a path or a binary stream, not bytes"),
        (lambda: hecli.inspect(io.StringIO("text")), "not one of text"),
        (lambda: hecli.encrypt({3: np.ones(1)}, io.BytesIO(), PUBLIC), "names of type str"),
        (hecli.inspect, "source"),
    ],
)
def test_a_wrong_type_is_said(call, says):
    with pytest.raises(TypeError, match=says):
        call()
