"""Noise that adds up: how much, how exact, what it costs, and who counts it."""

import io
import json
import math
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import dp_accounting as accounting
import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.codec import noise as noises
from hecli.codec.basis import Basis, Columns, within
from hecli.codec.chain import compressing
from hecli.codec.interface import Encoding
from hecli.codec.low_rank import RIGHT, LowRank
from hecli.codec.noise import Noise, thresholds
from hecli.codec.squares import sum_of_squares
from hecli.errors import DataError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.tensors.arrays import of_arrays
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.plan.checks import check_plan
from hecli.plan.private import with_noise
from hecli.privacy.account import Spending, balances, read_account, write_account
from hecli.privacy.accounting import TAIL_BITS, Cost, rho_within
from hecli.privacy.choosing import Asked, Field, fit
from hecli.privacy.describe import shown
from hecli.privacy.guarantee import LARGEST_VARIANCE, Privacy, squared_norm, tail_of
from hecli.rounds.clipping import clipped_lanes
from hecli.rounds.encrypt import noise_of
from hecli.rounds.residual import Feedback
from hecli.rounds.spending import spending, spent_in
from hecli.rounds.update import open_update
from hecli.storage.local import LOCAL
from tests.support import KEY, PUBLIC, UNCOUNTED, enrollments_of, npz, reader, small_plan, written

dp.enable_features("contrib")

NAMES = ("alice", "bob", "carol", "dora")
PEOPLE = {name: Identity.generate(name) for name in NAMES}
ALICE = PEOPLE["alice"]
ROSTER = Roster.of([each.card for each in PEOPLE.values()], (), (), coordinator=ALICE.card)
GRADS = {"b": np.array([3.0, -4.0], np.float32), "w": np.full((5, 8), 0.5, np.float32)}


def asked(unit="party", clip=1.0, noise=1.0, rho=None, colluders=1, delta=1e-5):
    return Asked(unit, clip, noise, rho, colluders, delta)


def noisy_plan(like=None, want=None, **options):
    options = {"min_parties": 4, "roster": ROSTER, "privacy": want or asked()} | options
    return small_plan(npz(**(like or GRADS)), None, **options)


def encrypted(arrays, plan, who=ALICE, **options):
    out = io.BytesIO()
    options = {"account": UNCOUNTED, "jobs": 1} | options
    hecli.encrypt(arrays, out, PUBLIC, plan=plan, identity=who, **options)
    out.seek(0)
    return out


def lattice(arrays, plan):
    """The quantised values of an update, before noise."""
    update = open_update(of_arrays(arrays), plan, None, None)
    lanes = np.concatenate([*update.lanes]).astype(np.int64)
    return lanes - plan.codec.quantise.qmax, update


# The account.


@pytest.mark.parametrize("rho", [1e-4, 0.01, 0.1, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
def test_epsilon_is_that_of_opendp_and_of_dp_accounting(rho, delta):
    mine = Cost(Fraction(rho), 1).epsilon(delta)
    gaussian = dp.m.make_gaussian(
        dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=1 / math.sqrt(2 * rho)
    )
    theirs = dp.c.make_zCDP_to_approxDP(gaussian).map(1).epsilon(delta)
    # They charge nothing for noise that is cut off.
    assert theirs * (1 - 1e-9) <= mine <= theirs * (1 + 1e-5)
    accountant = accounting.rdp.RdpAccountant(orders=[1 + x for x in np.geomspace(1e-3, 1e5, 1000)])
    accountant.compose(accounting.GaussianDpEvent(1 / math.sqrt(2 * rho)))
    assert mine == pytest.approx(accountant.get_epsilon(delta), rel=5e-4)


def test_epsilon_is_no_less_than_that_of_the_exact_privacy_loss():
    """The conversion is a bound: the true curve of the Gaussian lies below it, by little."""
    accountant = accounting.pld.PLDAccountant()
    accountant.compose(accounting.GaussianDpEvent(1 / math.sqrt(2 * 0.01)), 60)
    exact = accountant.get_epsilon(1e-5)
    mine = Cost(Fraction(1, 100), 1).times(60).epsilon(1e-5)
    assert exact < mine < exact * 1.1


@given(st.floats(0.01, 30), st.sampled_from([1e-9, 1e-5, 1e-3]), st.integers(1, 5000))
def test_what_an_opening_may_cost_is_the_most_that_keeps_a_promise(epsilon, delta, rounds):
    rho = rho_within(epsilon, delta, rounds)
    assert Cost(Fraction(rho), 1).times(rounds).epsilon(delta) <= epsilon
    assert Cost(Fraction(rho) * Fraction(1001, 1000), 1).times(rounds).epsilon(delta) > epsilon


def test_what_noise_is_cut_off_is_charged():
    """At an epsilon of 36 so much of delta goes to it that it shows, and at one of 60 all of it."""
    one = Cost(Fraction(12), 1)
    assert one.times(1).epsilon(1e-5) < math.inf
    charged = Cost(Fraction(12), 1 << 20).epsilon(1e-5)
    assert charged > one.epsilon(1e-5)
    assert Cost(Fraction(40), 1).epsilon(1e-5) == math.inf
    assert shown(math.inf) == "unbounded"


@given(st.floats(1e-6, 1e6))
def test_epsilon_is_never_shown_less_than_it_is(epsilon):
    assert epsilon * (1 - 1e-6) <= float(shown(epsilon)) <= epsilon * 1.01


# The sampler.


@pytest.mark.parametrize(
    ("variance", "shift", "count"), [(16, 0, 60), (17, 0, 90), (10_000, 0, 1300), (10**9, 9, 800)]
)
def test_thresholds_are_exact_to_their_last_bit(variance, shift, count):
    context = Context(prec=200)
    weights = [
        int(
            context.scaleb(
                context.exp(context.divide(Decimal(-((y << shift) ** 2)), Decimal(2 * variance))), 150
            )
        )
        for y in range(count)
    ]
    # Whatever a program that hecli is used in has chosen for its own decimal numbers.
    with localcontext() as others:
        others.prec = 3
        found = list(thresholds(variance, shift, count))
    assert len(found) == count - 1
    below = 0
    for weight, each in zip(weights, found, strict=False):
        below += weight
        assert abs(each - Fraction(below << 256, sum(weights))) <= 1


@pytest.mark.parametrize("sigma", [4, 9, 300, 20_000])
def test_noise_is_a_discrete_gaussian(sigma):
    count, noise = 400_000, Noise(sigma**2, 12 * sigma)
    drawn = np.concatenate([noise.draw(count // 4) for _ in range(4)])
    edges = np.unique(np.rint(np.linspace(-3 * sigma, 3 * sigma, 25)).astype(int))
    places = np.arange(-12 * sigma, 12 * sigma + 1)
    weights = np.exp(-(places.astype(float) ** 2) / (2 * sigma**2))
    expected = np.histogram(places, [-1e9, *edges, 1e9], weights=weights / weights.sum())[0] * count
    found = np.histogram(drawn, [-1e9, *edges, 1e9])[0]
    chi = float((np.square(found - expected) / expected).sum())
    # Of as many degrees of freedom as there are bins: so far above once in 10^8.
    assert chi < len(edges) + 9 * math.sqrt(2 * len(edges))
    assert abs(drawn.mean()) < 6 * sigma / math.sqrt(count)


def test_noise_is_that_of_opendp():
    sigma, count = 5, 20_000
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l2_distance(T=float)
    theirs = np.array(dp.m.make_gaussian(*space, scale=float(sigma))([0] * count))
    mine = Noise(sigma**2, 12 * sigma).draw(count)
    edges = [-1e9, *range(-12, 13), 1e9]
    one, other = (np.histogram(each, edges)[0].astype(float) for each in (mine, theirs))
    chi = float((np.square(one - other) / (one + other)).sum())
    assert chi < len(edges) + 9 * math.sqrt(2 * len(edges))


class Fixed:
    """A stream that says what it is told to."""

    def __init__(self, *said):
        self.said = list(said)

    def update(self, zeros):
        return (self.said.pop(0) if len(self.said) > 1 else self.said[0])[: len(zeros)].rjust(
            len(zeros), b"\0"
        )


def test_numbers_that_begin_like_a_threshold_are_told_apart():
    noise = Noise(16, 50)
    every = list(thresholds(16, 0, 51))
    rest = noises.BITS - 64
    for at in (0, 10, 25, 49):
        number = every[at]
        for nearby, place in ((number, at + 1), (number - 1, at)):
            noise._stream = Fixed((nearby & ((1 << rest) - 1)).to_bytes(rest // 8, "big"))
            assert noise._looked_up(np.array([nearby >> rest], np.uint64))[0] == place


def test_what_float64_cannot_tell_is_worked_out():
    """Whether a value is kept, where the random number is its probability to the last bit that is drawn."""
    noise = Noise(10**9, 12 * 31623)
    shift, low, high = noise._shift, 77, 40_000
    bits = 63 - shift
    missing = low * (2 * (high >> shift << shift) + low)
    context = Context(prec=120)
    exact = context.exp(context.divide(Decimal(-missing), Decimal(2 * 10**9)))
    number, rest = divmod(int(context.multiply(exact, Decimal(1 << (bits + 256)))), 1 << 256)
    word = np.array([number << shift | low], np.uint64)
    at = [np.array([each], np.int64) for each in (high >> shift << shift, low)]
    for last, kept in ((rest - 1, True), (rest, False)):
        noise._stream = Fixed(last.to_bytes(32, "big"))
        assert noise._kept(*at, word)[0] == kept


@pytest.mark.parametrize(("byte", "value"), [(b"\xff", -50), (b"\0", 0)])
def test_ends_of_the_table_are_reached_and_not_passed(byte, value):
    noise = Noise(16, 50)
    noise._stream = Fixed(byte * 8000)
    assert noise.draw(2).tolist() == [value, value]


def test_zero_has_no_sign():
    noise = Noise(16, 50)
    # The first number is the least there is, and its sign is minus: it is drawn again.
    noise._stream = Fixed(bytes(8000), b"\xff" * 8000, b"\xff" * 8000)
    assert noise.draw(1).tolist() == [-50]


def test_every_update_has_noise_of_its_own():
    one, other = (Noise(10**4, 1300).draw(1000) for _ in range(2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.25


# How much.


@given(
    st.sampled_from(["party", "record"]),
    st.floats(1e-3, 1e3),
    st.floats(0.05, 50),
    st.integers(1, 10**8),
    st.integers(2, 2000),
    st.integers(1, 1000),
)
def test_what_fits_keeps_what_it_promises(unit, clip, noise, values, parties, colluders):
    fewest = max(2, min(parties, colluders + 1))
    field = Field(values, parties, fewest, Fraction(1), None)
    want = asked(unit, clip, noise, None, min(colluders, fewest - 1))
    try:
        found = fit(want, field, None)
    except HecliError:
        return
    privacy, qmax = found.privacy, (1 << (found.bits - 1)) - 1
    honest = fewest - want.colluders
    assert privacy.norm2 == squared_norm(unit, clip, found.step, values, Fraction(1))
    assert honest * privacy.variance >= (Fraction(noise) * Fraction(clip) / Fraction(found.step)) ** 2
    assert found.tail >= tail_of(privacy.variance, values * parties)
    assert found.tail < qmax
    # What is promised of all noise together, that it stays within its tail, in logarithms.
    tail = tail_of(privacy.variance, values * parties)
    beyond = math.log2(2 * values * parties) - tail**2 / (2 * privacy.variance) / math.log(2)
    assert beyond <= -TAIL_BITS
    finer = fit(want, field, min(32, found.bits + 3))
    assert finer.step <= found.step


@pytest.mark.parametrize(
    ("want", "field", "bits", "says"),
    [
        (asked(clip=0.0), {}, None, "a clip norm of 0 leaves nothing"),
        (asked(noise=0.0), {}, None, "a noise of 0 promises nothing"),
        (asked(noise=-1.0), {}, None, "a noise of -1 promises nothing"),
        (asked(noise=None, rho=0.0), {}, None, "a cost of 0 a round promises nothing"),
        (asked(noise=None, rho=1e308), {}, None, "a round promises nothing"),
        (asked(clip=1e-320), {}, None, "leaves nothing"),
        (asked(noise=1e200), {}, None, "a noise of 1e"),
        (asked(delta=0.5), {}, None, "a delta of 0.5 promises nothing"),
        (asked("record", noise=2e-9), {"range": 1e-9}, 32, "a party would add"),
        (asked(colluders=0), {}, None, "at least one colluder is counted"),
        (asked(colluders=4), {}, None, "no noise counts"),
        (asked(delta=0.0), {}, None, "a delta of 0"),
        (asked("user"), {}, None, "no unit of privacy"),
        (asked(), {"range": 1.0}, None, "a party's values are clipped by their norm"),
        (asked(), {}, 4, "4 bits are too coarse"),
        # Noise of less than four steps a party, whatever the step.
        (asked(noise=1e-9), {}, None, "a party would add"),
        (asked(noise=1e9), {}, None, "a party would add"),
        (asked("record", noise=30.0), {"values": 10**10}, None, "a party would add"),
    ],
)
def test_what_cannot_be_promised_is_refused(want, field, bits, says):
    with pytest.raises(HecliError, match=says):
        fit(
            want,
            Field(
                **({"values": 1000, "parties": 4, "fewest": 4, "stretch": Fraction(1), "range": None} | field)
            ),
            bits,
        )


def test_noise_of_less_than_four_steps_is_no_plan():
    plan = noisy_plan()
    weak = plan.privacy._replace(variance=15)
    with pytest.raises(HecliError, match=r"noise of 3\.87 steps a party cannot be accounted for"):
        weak.check()


def test_a_plan_with_noise_looks_at_no_values():
    """Ranges of private data would tell of it."""
    far = {"b": GRADS["b"] * 1e6, "w": GRADS["w"] * -1e-6}
    one, other = noisy_plan(GRADS), noisy_plan(far)
    assert (one.codec, one.privacy) == (other.codec, other.privacy)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_weight": 2}, "a weight tells of a party's data"),
        ({"plain": ["b"]}, "noise does not protect what is in the clear"),
        ({"norm": 1.0}, "all values have one step"),
        ({"rounding": "stochastic"}, "all values have one step"),
        ({"value_range": {"b": 1.0}}, "all values have one step"),
        ({"min_parties": 2, "privacy": asked(colluders=2)}, "no noise counts"),
    ],
)
def test_what_would_leak_around_noise_is_no_plan(options, says):
    with pytest.raises(HecliError, match=says):
        noisy_plan(**options)


def test_noise_needs_a_roster():
    with pytest.raises(HecliError, match="without a roster nobody knows whose noise"):
        small_plan(npz(**GRADS), 4, min_parties=4, privacy=asked())


# Clipping.


VECTORS = st.lists(
    st.floats(-1e30, 1e30, allow_subnormal=False) | st.sampled_from([0.5, -0.5, 0.0, 1e269, -1e269]),
    min_size=1,
    max_size=40,
)


@given(VECTORS, st.booleans(), st.floats(1e-3, 1e3))
def test_no_update_of_a_party_is_beyond_the_norm(values, rotate, clip):
    arrays = {"v": np.array(values, np.float64)}
    plan = noisy_plan(arrays, asked(clip=clip), rotate=rotate)
    found, update = lattice(arrays, plan)
    assert sum(int(x) ** 2 for x in found) <= plan.privacy.norm2
    assert np.abs(found).max() <= plan.codec.quantise.bound(0)
    norm = math.hypot(*values)
    # A direction is kept, and what is short enough is left as it is.
    if norm <= clip * 0.99:
        assert update.shrunk > 0.99
    if norm > 1e-3 * clip and not rotate:
        step = plan.codec.quantise.steps[0]
        back = found * step
        wanted = np.array(values) / norm * min(clip, norm)
        assert math.hypot(*(back - wanted)) <= 0.02 * min(clip, norm) + step * math.sqrt(len(values))


def bases(rank, rows, columns, seed=1):
    rng = np.random.default_rng(seed)
    matrix, _ = np.linalg.qr(rng.normal(size=(columns, rank)))
    return Basis(bytes(32), {"v": Columns(np.rint(matrix * 2**14).astype(np.int16), 14)})


@pytest.mark.parametrize("steps", ["none", "rotated", "low rank"])
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e4, 1e25]))
def test_a_record_changes_no_more_than_is_accounted_for(steps, seed, scale):
    """Whatever the others are, the rounded update moves by the squared norm at most."""
    shape, clip = (64, 48), 0.7
    low_rank = LowRank(1, RIGHT, bytes(32)) if steps == "low rank" else None
    done = compressing(low_rank=low_rank, rotate=steps == "rotated")
    like = of_arrays({"v": np.zeros(shape)})
    want = asked("record", clip, 3.0)
    quantise, privacy = with_noise(want, like.specs, done, 4, 4, None)
    plan = noisy_plan({"v": np.zeros(shape)}, want, low_rank=low_rank, rotate=steps == "rotated")
    assert (plan.codec.quantise, plan.privacy) == (quantise, privacy)
    basis = bases(1, *shape) if low_rank is not None else None
    rng = np.random.default_rng(seed)
    others = rng.normal(size=shape) * scale * clip
    record = rng.normal(size=shape) * (rng.random(shape) < rng.choice([0.001, 0.1, 1.0]))
    record *= clip / max(np.linalg.norm(record), 1e-30)
    # The worst case for rounding: all others on the edge between two steps.
    if rng.random() < 0.5:
        others = (np.rint(others / quantise.steps[0]) + 0.5) * quantise.steps[0]
    lanes = []
    for arrays in ({"v": others}, {"v": others + record}):
        encoding = Encoding("x", plan.common(basis), 1.0, strict=False)
        pieces = clipped_lanes(of_arrays(arrays), plan, privacy, encoding)
        lanes.append(np.concatenate([*pieces]).astype(np.int64))
    assert sum_of_squares(lanes[1] - lanes[0]) <= privacy.norm2


def test_what_rounding_adds_to_a_record_is_attained():
    """The bound is no larger than it must be: all values on an edge, and a record that tips them."""
    values, clip = 10_000, 1.0
    plan = noisy_plan({"v": np.zeros(values)}, asked("record", clip, 5.0))
    step = plan.codec.quantise.steps[0]
    edge = np.full(values, 0.5 * step * (1 - 1e-9))
    record = np.full(values, clip / math.sqrt(values))
    (one, _), (other, _) = (lattice({"v": each}, plan) for each in (edge, edge + record))
    assert 0.9 * plan.privacy.norm2 < sum_of_squares(other - one) <= plan.privacy.norm2


def test_bases_that_make_vectors_longer_are_none():
    long = Columns(np.full((100, 1), 2000, np.int16), 14)
    assert not within(long, Fraction(129, 128))
    assert within(bases(3, 64, 48).columns["v"], Fraction(129, 128))
    arrays = {"v": np.ones((64, 48), np.float32)}
    numbers = np.full((48, 1), 1 << 14, np.int16)
    plan = noisy_plan(arrays, asked("record"), low_rank=LowRank(1, RIGHT, bytes(32)))
    with pytest.raises(MismatchError, match="is none: its columns are not orthonormal"):
        plan.common(Basis(bytes(32), {"v": Columns(numbers, 14)}))


def test_nothing_is_refused_for_its_values():
    plan = noisy_plan()
    with pytest.raises(RefusedError, match="to refuse an update for its values would tell of them"):
        encrypted(GRADS, plan, strict=True)
    with pytest.raises(DataError, match="not a finite number"):
        encrypted({**GRADS, "b": np.array([np.nan, 0], np.float32)}, plan)


def test_tensors_that_change_while_they_are_read_are_not_sent():
    plan = noisy_plan()
    source, reads = of_arrays(GRADS), []

    def growing(spec):
        reads.append(spec)
        # Once for the norm, once for the squares, and at last for the lanes.
        larger = np.float32(10 if len(reads) > 4 else 1)
        return (piece * larger for piece in source.read(spec))

    changing = type(source)(source.name, source.format, source.specs, growing)
    update = open_update(changing, plan, None, None)
    with pytest.raises(DataError, match="its squared norm is"):
        list(update.lanes)


# A round.


def test_a_round_with_noise_opens_to_the_mean_and_the_noise():
    arrays = {"w": np.random.default_rng(1).normal(size=4000).astype(np.float32) / 100}
    plan = noisy_plan(arrays, asked(clip=1.0, noise=0.5))
    updates = [encrypted(arrays, plan, who) for who in PEOPLE.values()]
    aggregate, total = io.BytesIO(), io.BytesIO()
    hecli.aggregate(updates, aggregate, identity=ALICE, jobs=1)
    opened = hecli.decrypt(aggregate, total, KEY, updates=updates, identity=ALICE, jobs=1)
    assert (opened.total.weight, opened.total.clipped) == (4, 0)
    mean = hecli.mean(total)["w"]
    expected = math.sqrt(plan.privacy.variance / 4) * plan.codec.quantise.steps[0]
    assert np.std(mean - arrays["w"]) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("scheme", ["masks", "masked part"])
def test_noise_goes_with_every_scheme(scheme):
    options = {"scheme": hecli.Masks(hecli.Masking(0))} if scheme == "masks" else {"masked": ["w"]}
    plan = noisy_plan(**options)
    key = None if scheme == "masks" else PUBLIC
    updates = []
    for who in PEOPLE.values():
        out = io.BytesIO()
        record = {"record": lambda plan, file: None, "account": UNCOUNTED}
        record["enrollments"] = enrollments_of(plan, PEOPLE.values())
        hecli.encrypt(GRADS, out, key, plan=plan, identity=who, jobs=1, **record)
        out.seek(0)
        updates.append(out)
    aggregate, total = io.BytesIO(), io.BytesIO()
    hecli.aggregate(updates, aggregate, identity=ALICE, jobs=1)
    private = None if scheme == "masks" else KEY
    hecli.decrypt(aggregate, total, private, updates=updates, identity=ALICE, jobs=1)
    noise = 6 * math.sqrt(plan.privacy.variance / 4) * plan.codec.quantise.steps[0]
    assert np.abs(hecli.mean(total)["b"] - np.array([3, -4]) / math.hypot(3, 4, math.sqrt(10))).max() < noise


def test_no_more_noise_than_the_account_says_is_drawn():
    """However much room a plan has: a table as large as the room would fill the memory."""
    plan = noisy_plan(bits=17)
    noise = noise_of(plan, plan.privacy)
    tail = tail_of(plan.privacy.variance, plan.geometry.values * plan.capacity)
    assert noise._largest == tail <= plan.codec.quantise.tail


def test_an_encoded_file_has_no_noise_and_gets_some():
    plan = noisy_plan()
    out = io.BytesIO()
    hecli.encode(GRADS, out, plan=plan)
    (one, other) = (encrypted(io.BytesIO(out.getvalue()), plan) for _ in range(2))
    assert one.getvalue() != other.getvalue()
    again = io.BytesIO()
    hecli.encode(GRADS, again, plan=plan)
    assert again.getvalue() == out.getvalue()


def test_what_is_left_of_records_is_not_kept(tmp_path):
    plan = noisy_plan(want=asked("record"), rotate=True)
    with pytest.raises(RefusedError, match="of which noise hides one"):
        encrypted(GRADS, plan, feedback=Feedback(None, io.BytesIO()))


# Accounts.


def kept(tmp_path, budget=None, who=ALICE):
    (tmp_path / "a.id").touch()
    return spending(LOCAL, str(tmp_path / "a.id.spent"), who, str(tmp_path / "a.id"), budget)


def test_an_update_counts_when_it_is_encrypted(tmp_path):
    plan, spend = noisy_plan(), kept(tmp_path)
    with pytest.raises(RefusedError, match="an update with noise is accounted for"):
        encrypted(GRADS, plan, account=None)
    for _ in range(3):
        encrypted(GRADS, plan, account=spend)
    spent = spent_in(LOCAL, str(tmp_path / "a.id.spent"), ALICE)
    assert spent == (plan.spending,) * 3
    assert (tmp_path / "a.id.spent").stat().st_mode & 0o777 == 0o600
    (balance,) = balances(spent)
    # Of four contributors, one may collude.
    privacy = plan.privacy
    assert balance.sums == Cost(Fraction(3 * privacy.norm2, 2 * 3 * privacy.variance), 3)
    assert balance.alone == Cost(Fraction(3 * privacy.norm2, 2 * privacy.variance), 3)
    assert balance.epsilon_alone > balance.epsilon


def test_what_is_not_sound_costs_nothing(tmp_path):
    plan, spend = noisy_plan(), kept(tmp_path)
    with pytest.raises(DataError):
        encrypted({**GRADS, "b": np.array([np.inf, 0], np.float32)}, plan, account=spend)
    with pytest.raises(MismatchError):
        encrypted({"b": GRADS["b"]}, plan, account=spend)
    assert not (tmp_path / "a.id.spent").exists()


def test_nothing_is_sent_beyond_the_budget(tmp_path):
    plan = noisy_plan(want=asked(noise=4.0))
    one, two = (plan.spending.cost.times(count).epsilon(1e-5) for count in (1, 2))
    spend = kept(tmp_path, budget=(one + two) / 2)
    encrypted(GRADS, plan, account=spend)
    before = (tmp_path / "a.id.spent").read_bytes()
    with pytest.raises(RefusedError, match="above the budget") as error:
        encrypted(GRADS, plan, account=spend)
    assert f"{shown(one)} was spent before" in error.value.hint
    assert (tmp_path / "a.id.spent").read_bytes() == before
    # A budget below what was spent already.
    with pytest.raises(RefusedError, match="above the budget"):
        encrypted(GRADS, plan, account=kept(tmp_path, budget=one / 2))


def test_what_protects_a_party_counts_for_its_records_too():
    """A record can move its party's update by twice the norm; for a party, records are nothing."""
    records, parties = noisy_plan(want=asked("record")).spending, noisy_plan().spending
    assert [each.unit for each in balances([parties])] == ["party"]
    found = {each.unit: each for each in balances([records, parties])}
    assert found["record"].sums == Cost(records.cost.rho + 4 * parties.cost.rho, 2)
    assert found["party"].epsilon == math.inf


def test_a_budget_holds_whatever_a_plan_asks_for(tmp_path):
    """A larger delta would promise less, and another unit something else."""
    loud = noisy_plan(want=asked(noise=4.0))
    epsilon = loud.spending.cost.epsilon(1e-5)
    lax = noisy_plan(want=asked(noise=4.0, delta=2.0**-8))
    assert lax.spending.cost.epsilon(2.0**-8) < epsilon / 1.3
    with pytest.raises(RefusedError, match="at delta 1e-05, above the budget"):
        encrypted(GRADS, lax, account=kept(tmp_path, budget=epsilon / 1.2))
    account = kept(tmp_path, budget=1.1 * epsilon)
    encrypted(GRADS, loud, account=account)
    records = noisy_plan(
        {name: each.astype(float) for name, each in GRADS.items()}, asked("record", noise=1e3)
    )
    with pytest.raises(
        RefusedError, match="rounds that protect all a party sends, and rounds that protect records"
    ):
        encrypted({name: each.astype(float) for name, each in GRADS.items()}, records, account=account)


def test_what_costs_too_much_uses_no_masks(tmp_path):
    plan, uses = noisy_plan(scheme=hecli.Masks(hecli.Masking(0))), []
    for budget in (1e-3, 100):
        options = {"account": kept(tmp_path, budget), "record": lambda plan, file: uses.append(file)}
        options["enrollments"] = enrollments_of(plan, PEOPLE.values())
        out = io.BytesIO()
        if budget < 1:
            with pytest.raises(RefusedError, match="above the budget"):
                hecli.encrypt(GRADS, out, plan=plan, identity=ALICE, jobs=1, **options)
            assert not uses
        else:
            hecli.encrypt(GRADS, out, plan=plan, identity=ALICE, jobs=1, **options)
    assert len(uses) == 1


def test_an_account_is_that_of_whoever_signs(tmp_path):
    with pytest.raises(MismatchError, match=r"the account is bob's, and the update alice's"):
        encrypted(GRADS, noisy_plan(), account=kept(tmp_path, who=PEOPLE["bob"]))


@pytest.mark.parametrize("budget", [math.nan, 0.0, -1.0, math.inf])
def test_a_budget_is_a_number(tmp_path, budget):
    with pytest.raises(HecliError, match="allows for nothing"):
        kept(tmp_path, budget)


def test_an_account_can_be_elsewhere(tmp_path, place):
    """Behind a link, which stays one."""
    identity, vault = tmp_path / "alice.id", tmp_path / "vault"
    hecli.write_identity(ALICE, identity)
    vault.mkdir()
    (tmp_path / "alice.id.spent").symlink_to(vault / "account")
    for _ in range(2):
        encrypted(GRADS, noisy_plan(), account=hecli.spending(identity, ALICE))
    assert (tmp_path / "alice.id.spent").is_symlink()
    assert len(spent_in(LOCAL, str(vault / "account"), ALICE)) == 2


def test_an_altered_account_is_noticed(tmp_path):
    plan, path = noisy_plan(), tmp_path / "a.id.spent"
    encrypted(GRADS, plan, account=kept(tmp_path))
    earlier = path.read_bytes()
    encrypted(GRADS, plan, account=kept(tmp_path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HecliError, match=r"a\.id\.spent"):
        encrypted(GRADS, plan, account=kept(tmp_path))
    # Another's, even where its maker signed it.
    other = written(lambda out: write_account([plan.spending], out, PEOPLE["bob"]))
    path.write_bytes(other.getvalue())
    with pytest.raises(MismatchError, match="is the account of"):
        encrypted(GRADS, plan, account=kept(tmp_path))
    # An earlier one looks like any: what it lacks shows to a training, or a ledger.
    path.write_bytes(earlier)
    encrypted(GRADS, plan, account=kept(tmp_path))
    assert len(read_account(reader(io.BytesIO(path.read_bytes())))) == 2


@given(
    st.lists(
        st.builds(
            Spending,
            st.binary(min_size=32, max_size=32),
            st.sampled_from(["round", "a-2"]),
            st.sampled_from(["party", "record"]),
            st.integers(1, 2**60),
            st.integers(1, LARGEST_VARIANCE),
            st.integers(1, 10_000),
            st.floats(1e-12, 0.5),
        ),
        max_size=5,
    )
)
def test_accounts_come_back_as_they_were(spent):
    made = written(lambda out: write_account(spent, out, ALICE))
    assert read_account(reader(made), ALICE.card) == tuple(spent)


@given(
    st.builds(
        Privacy,
        st.sampled_from(["party", "record"]),
        st.floats(1e-9, 1e9),
        st.integers(1, 2**60),
        st.integers(16, LARGEST_VARIANCE),
        st.integers(1, 1000),
        st.floats(1e-12, 2.0**-7),
    )
)
def test_the_privacy_of_plans_comes_back_as_it_was(privacy):
    assert Privacy.parse(privacy.to_map(), "x") == privacy


# At the command line.


@pytest.fixture
def people(place, ok):
    for name in NAMES[:3]:
        ok("keygen", "--identity", name)
    np.savez("g.npz", **GRADS)
    return place


CARDS = tuple(word for name in NAMES[:3] for word in ("--party", f"{name}.card"))
PLAN = ("plan", "--like", "g.npz", *CARDS, "--identity", "alice.id")


def test_a_round_at_the_command_line(people, ok, fails, run):
    said = ok(*PLAN, "--clip", 2, "--epsilon", 4, "--rounds", 10, "--delta", "1e-6")
    assert "of all that a party sends, clipped to a norm of 2" in said
    assert "of 2 honest contributors; 1 may collude" in said
    assert "4 in 10 rounds" in said
    said = ok("encrypt", "g.npz", "--plan", "round.plan", "--identity", "bob.id")
    assert "the update was multiplied by" in said
    assert "is spent, in 1 update, says bob.id.spent" in said
    status, output, _ = run("privacy", "bob.id", "--json")
    assert status == 0
    (line,) = json.loads(output)
    assert (line["name"], line["updates"], line["delta"]) == ("round", 1, 1e-6)
    assert line["protects"] == "all a party sent"
    assert line["epsilon"] < line["epsilon_alone"]
    assert "at delta 1e-05" in ok("privacy", "bob.id.spent", "--delta", "1e-5")
    assert "no update with noise" in ok("privacy", "carol.id")
    fails(
        "encrypt",
        "g.npz",
        "--plan",
        "round.plan",
        "--identity",
        "bob.id",
        "-o",
        "second.enc",
        "--budget",
        "0.5",
        says="above the budget of 0.5",
        hint="nothing is ever taken back",
    )
    assert not (people / "second.enc").exists()


def test_a_ledger_shows_what_everybody_spent(people, ok, fails):
    ok("ledger", "init", "book", "--identity", "alice.id")
    noise = ("--clip", 1, "--noise", 2, "--ledger", "book")
    ok(*PLAN, *noise)
    for name in ("bob", "carol"):
        own = ("--identity", f"{name}.id", "--ledger", "book", "-o", f"{name}.enc")
        ok("encrypt", "g.npz", "--plan", "round.plan", *own)
    said = ok("privacy", "book")
    assert [line.split()[0] for line in said.splitlines()[:3]] == ["party", "bob", "carol"]
    (people / "away").mkdir()
    fails("privacy", "book", "--files", "away", says="of 'round' is not in away", hint=None)


@pytest.mark.parametrize(
    ("options", "says", "hint", "status"),
    [
        (("--clip", 0, "--noise", 1), "a clip norm of 0 leaves nothing", "above 0", 1),
        (("--clip", 1, "--noise", 0), "a noise of 0 promises nothing", "above 0", 1),
        (("--clip", 1), "--clip needs either --noise or --epsilon", "--help", 2),
        (("--clip", 1, "--noise", 1, "--epsilon", 1), "either --noise or --epsilon", "--help", 2),
        (("--noise", 1), "--noise is for noise, with --clip", "--help", 2),
        (("--clip", 1, "--epsilon", -1), "an epsilon of -1 promises nothing", "--help", 2),
        (("--clip", 1, "--epsilon", 50), "an epsilon of 50 promises nothing", "--help", 2),
        (("--rounds", 5), "--rounds is for noise, with --clip", "--help", 2),
        (("--clip", 1, "--epsilon", 1, "--delta", 2), "a delta of 2 promises nothing", "1e-5", 1),
        (("--clip", 1, "--noise", 1, "--bits", 3), "3 bits are too coarse", "or more", 1),
        (("--clip", 1, "--noise", "1e-12"), "a party would add", "more noise", 1),
        (("--clip", 1, "--noise", 1, "--max-weight", 9), "a weight tells", "--max-weight", 1),
        (("--clip", 1, "--noise", 1, "--plain", "b"), "does not protect what is in the clear", "--help", 2),
        (("--clip", 1, "--noise", 1, "--target-bytes", "9k"), "leave out --target-bytes", "--help", 2),
        (("--clip", 1, "--noise", 1, "--colluders", 3), "no noise counts", "--colluders", 1),
        (("--clip", 1, "--noise", 1, "--range", 1), "clipped by their norm", "--range", 1),
    ],
)
def test_what_cannot_be_asked_for(people, fails, options, says, hint, status):
    fails(*PLAN, *options, says=says, hint=hint, status=status)
    assert not (people / "round.plan").exists()


def test_noise_without_a_roster_is_refused(people, fails):
    fails(
        "plan",
        "--like",
        "g.npz",
        "--parties",
        3,
        "--clip",
        1,
        "--noise",
        1,
        says="without a roster",
        hint="--party",
    )


def test_a_next_plan_costs_as_much(people, ok):
    ok(*PLAN, "--clip", 1, "--noise", 3)
    for name in NAMES[:3]:
        ok("encrypt", "g.npz", "--plan", "round.plan", "--identity", f"{name}.id", "-o", f"{name}.enc")
    ok("aggregate", *(f"{name}.enc" for name in NAMES[:3]), "--identity", "alice.id")
    from_ = [word for name in NAMES[:3] for word in ("--from", f"{name}.enc")]
    ok("decrypt", "round.agg", "--identity", "alice.id", *from_)
    ok("plan", "--next", "round.plan", "--like", "round.sum", "--identity", "alice.id")
    first, second = (hecli.read_plan(people / f"{name}.plan") for name in ("round", "round-2"))
    assert (first.codec, first.privacy) == (second.codec, second.privacy)
    check_plan(second)


def test_a_pipe_is_kept_aside(people):
    from tests.support import command

    made = command(*map(str, PLAN), "--clip", "1", "--noise", "2", cwd=people)
    assert made.returncode == 0
    np.save("w.npy", GRADS["w"])
    command(
        "plan",
        "--like",
        "w.npy",
        *CARDS,
        "--identity",
        "alice.id",
        "--clip",
        "1",
        "--noise",
        "2",
        "-o",
        "w.plan",
        cwd=people,
    )
    data = (people / "w.npy").read_bytes()
    sent = command("encrypt", "-", "--plan", "w.plan", "--identity", "bob.id", cwd=people, stdin=data)
    (people / "w.enc").write_bytes(sent.stdout)
    assert hecli.inspect(people / "w.enc")["kind"] == "update"


def test_what_came_to_nothing_counts_and_says_so(people, run, ok, monkeypatch):
    ok(*PLAN, "--clip", 1, "--noise", 2)

    original = envelope.write

    def full(out, kind, *args, **kwargs):
        if kind == "update":
            raise OSError(28, "No space left on device")
        return original(out, kind, *args, **kwargs)

    monkeypatch.setattr(envelope, "write", full)
    status, _, errors = run("encrypt", "g.npz", "--plan", "round.plan", "--identity", "bob.id")
    assert status == 1
    assert "was not written, and counts in your account all the same" in errors
    monkeypatch.setattr(envelope, "write", original)
    assert "round   all a party sent" in ok("privacy", "bob.id").replace("rounds ", "")


def test_no_account_is_found_where_there_is_none(people, fails, ok):
    assert "no account stands beside it: there is no carol.id.spent" in ok("privacy", "carol.id")
    assert json.loads(ok("privacy", "carol.id", "--json")) == []
    fails("privacy", "carol.card", says="carol.card is a card file", hint="")
