"""Whoever has the opened mean, and looks in it for one record, or for the image that a party learnt from.

Without noise both are found: the mean is exact, and of few. With it an attacker
who knows all other records is right no more often than the account allows, and
what leads around noise is closed. Noise comes from the operating system, so what
is measured differs from run to run: the limits are such that a sound hecli is
beyond one of them less than once in a million runs.
"""

import io
import math
import runpy
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.codec.control import Control
from hecli.codec.interface import Decoding
from hecli.errors import DataError
from hecli.privacy.accounting import rho_within
from hecli.rounds.encrypt import noise_of
from tests.attacks.scene import NAMES, PEOPLE, ROSTER, aggregate, decrypt, rewound, update
from tests.support import (
    KEY,
    PUBLIC,
    SAMPLES,
    UNCOUNTED,
    body,
    decryptor,
    enrollments_of,
    made_update,
    numbers,
    reader,
    rewritten,
    sum_of,
    written,
)

TRAIN = runpy.run_path(str(SAMPLES / "train.py"))
MODEL = TRAIN["load"](SAMPLES / "model.npz")
ALONE = hecli.Masks(hecli.Masking(0))
"""The quickest scheme. What is opened is the same under every one."""
DELTA = 1e-5
PIXELS, NEURONS = MODEL["hidden.weight"].shape
VALUES = sum(each.size for each in MODEL.values())
DEVIATION = math.sqrt(2 / VALUES)
"""The standard deviation of a variance that is measured over all values, as a share of it."""
WIDE = 6 * DEVIATION


def data_of(party):
    found = TRAIN["load"](SAMPLES / f"party-{party}.data.npz")
    return TRAIN["scaled"](found["images"]), found["labels"]


DATA = {name: data_of(party) for party, name in enumerate(NAMES, 1)}


def gradient(name, at):
    """What one image of a party teaches."""
    images, labels = DATA[name]
    return TRAIN["gradient"](MODEL, images[at : at + 1], labels[at : at + 1])


def vector(tensors):
    """All values in the order in which a plan has them."""
    return np.concatenate([np.ravel(tensors[name]) for name in sorted(tensors)]).astype(np.float64)


def tensors_of(values):
    found, at = {}, 0
    for name in sorted(MODEL):
        shape, size = MODEL[name].shape, MODEL[name].size
        found[name], at = values[at : at + size].reshape(shape).astype(np.float32), at + size
    return found


def a_plan(unit, clip, epsilon, scheme=ALONE, **options):
    """All four parties, one of whom may tell what noise it added."""
    asked = hecli.Asked(unit, clip, None, rho_within(epsilon, DELTA, 1), 1, DELTA)
    return hecli.make_plan(MODEL, scheme, roster=ROSTER, privacy=asked, **{"min_parties": 4} | options)


def without_noise(plan):
    """The same values and steps."""
    quantise = replace(plan.codec.quantise, tail=0)
    return replace(plan, privacy=None, codec=replace(plan.codec, quantise=quantise))


def fitting(plan, values):
    """Values in the dtypes of a plan: sums over records are float64."""
    if not isinstance(values, dict):
        return values
    return {spec.name: values[spec.name].astype(spec.dtype) for spec in plan.tensors}


def sent(plan, name, values, **options):
    return update(plan, name, fitting(plan, values), **{"account": UNCOUNTED} | options)


def opened(plan, values):
    """The whole way: what everybody reads in the end."""
    files = [sent(plan, name, values[name]) for name in NAMES]
    return hecli.mean(decrypt(aggregate(files), files, key=None))


def lanes_of(plan, values):
    """What an update is before noise, in steps."""
    content = body(written(lambda out: hecli.encode(fitting(plan, values), out, plan=plan)))["lanes"]
    return np.frombuffer(content, f">u{plan.geometry.lane_size}").astype(np.int64)


def steps_of(plan, values):
    return lanes_of(plan, values) - plan.codec.quantise.qmax


def mean_of(plan, sums):
    """The mean of lanes that were added up, as it is decoded."""
    decoding = Decoding(plan.common(), len(NAMES), 1 / len(NAMES))
    ends = np.cumsum(plan.geometry.sizes)[:-1]
    parts = np.split(sums.astype(np.uint64), ends)
    return np.concatenate(
        [piece for at, part in enumerate(parts) for piece in plan.codec.decode(at, [part], decoding)]
    )


def in_steps(plan, total):
    """The sum that a mean was made of, in steps."""
    return vector(hecli.mean(rewound([total])[0])) * len(NAMES) / plan.codec.quantise.steps[0]


# Membership: is this record among those that the mean was made of?

CLIP = 2.0
RECORDS = 40
CANDIDATES = range(RECORDS, RECORDS + 20)


def clipped(name, at):
    """What one record adds to an update, brought to the clip norm as a trainer does it."""
    found = vector(gradient(name, at))
    return found * min(1, CLIP / np.linalg.norm(found))


@pytest.fixture(scope="module")
def sums():
    """What each party adds up, without the record that is in question."""
    return {name: sum(clipped(name, at) for at in range(RECORDS)) for name in NAMES}


def record_plan(epsilon):
    # As coarse as may be: the table that noise is drawn by is then small.
    return a_plan("record", CLIP, epsilon, bits=17 if epsilon < 1 else None)


def rightly(plan, sums, trials, noise):
    """How often an attacker is right who knows all records but one, and mallory's noise.

    The most powerful test there is: which of two known means lies closer to the
    one that was opened. Whether the record is in is a toss of a coin.
    """
    parties = [lanes_of(plan, tensors_of(sums[name])) for name in NAMES]
    coins = np.random.default_rng().integers(0, 2, trials)
    right = 0
    for number, at in enumerate(CANDIDATES):
        alice = lanes_of(plan, tensors_of(sums["alice"] + clipped("alice", at)))
        out, into = (mean_of(plan, sum(parties[1:], each)) for each in (parties[0], alice))
        for is_in in coins[number :: len(CANDIDATES)]:
            lanes = [alice if is_in else parties[0], *parties[1:]]
            files = [noise.added(each) for each in lanes] if noise else lanes
            mallory = files[-1].astype(np.int64) - lanes[-1]
            found = mean_of(plan, sum(each.astype(np.int64) for each in files) - mallory)
            right += ((found - (into + out) / 2) @ (into - out) > 0) == is_in
    return right / trials


def most(cost):
    """The largest share of right guesses that a cost allows: (e^epsilon + delta) / (1 + e^epsilon).

    It holds for every delta with its epsilon, and so the least of them does.
    """
    promises = ((cost.epsilon(delta), delta) for delta in (DELTA, *np.logspace(-4, -1, 31)))
    return min((1 + delta * math.exp(-each)) / (1 + math.exp(-each)) for each, delta in promises)


def test_whether_a_record_is_in_the_mean_shows_without_noise(sums):
    plan = without_noise(record_plan(0.5))
    assert rightly(plan, sums, 200, None) == 1
    # What is opened in files is what is opened in these trials.
    values = {name: tensors_of(sums[name]) for name in NAMES}
    found = vector(opened(plan, values))
    expected = mean_of(plan, sum(lanes_of(plan, values[name]) for name in NAMES))
    assert np.abs(found - expected).max() < 1e-6


def test_whether_a_record_is_in_the_mean_does_not_show_with_noise(sums):
    """At epsilon 0.5, no more often than a round's cost allows: hardly more than every other time."""
    plan, trials = record_plan(0.5), 3000
    limit = most(plan.spending.cost)
    assert limit <= (math.exp(0.5) + DELTA) / (1 + math.exp(0.5))
    # Hoeffding: more than this is luck of less than one in a million.
    slack = math.sqrt(math.log(1e6) / (2 * trials))
    assert limit + slack < 0.65
    assert rightly(plan, sums, trials, noise_of(plan, plan.privacy)) <= limit + slack


def test_a_record_changes_no_more_than_the_account_says(sums):
    plan = record_plan(0.5)
    without = lanes_of(plan, tensors_of(sums["alice"]))
    for at in CANDIDATES:
        change = lanes_of(plan, tensors_of(sums["alice"] + clipped("alice", at))) - without
        assert plan.privacy.norm2 / 2 < (change**2).sum() <= plan.privacy.norm2


def test_whether_a_record_is_in_the_mean_shows_with_little_noise(sums):
    """An epsilon of 20 promises nothing worth having, and the same attack works."""
    plan = record_plan(20)
    assert rightly(plan, sums, 400, noise_of(plan, plan.privacy)) > 0.8


def test_files_with_noise_open_to_the_noise_of_all(sums):
    """What the trials above add by hand is what updates bring."""
    plan = record_plan(20)
    values = {name: tensors_of(sums[name]) for name in NAMES}
    expected = mean_of(plan, sum(lanes_of(plan, values[name]) for name in NAMES))
    noise = (vector(opened(plan, values)) - expected) * len(NAMES) / plan.codec.quantise.steps[0]
    assert abs(noise.var() / (4 * plan.privacy.variance) - 1) < WIDE


# Inversion: the image that a party learnt from.

NORM = 5.0
"""Above that of a gradient of one image: nothing is clipped, and both ways send the same."""
ROUNDS = range(0, 200, 10)


CHANCE = 0.12
"""Of two images that have nothing to do with it, one comes closer than the other by chance.

The best of 48 correlations over 64 pixels has a deviation of 0.055. This is more than six times that of a
mean of 20 differences of such.
"""


@pytest.fixture(scope="module")
def party_plan():
    return a_plan("party", NORM, 4)


def images_in(mean):
    """Divide, neuron by neuron: of those that one image alone excites, the quotient is that image."""
    bias, weights = mean["hidden.bias"], mean["hidden.weight"].reshape(PIXELS, NEURONS)
    return [weights[:, at] / bias[at] for at in np.flatnonzero(bias)]


def best(found, image):
    """The likeness of the quotient that comes closest, as if somebody told which it is."""
    return max((np.corrcoef(each, image)[0, 1] for each in found if each.any()), default=0.0)


def looked_for(plan):
    """How close an attacker comes to alice's image, and to one that nobody had, in many rounds."""
    found = []
    for at in ROUNDS:
        quotients = images_in(opened(plan, {name: gradient(name, at) for name in NAMES}))
        found.append([best(quotients, DATA["alice"][0][each]) for each in (at, at + 205)])
    return np.array(found)


def test_the_image_that_a_party_learnt_from_is_in_the_mean_without_noise(party_plan):
    theirs, nobodys = looked_for(without_noise(party_plan)).T
    assert (theirs > 0.98).mean() > 0.7
    assert theirs.mean() > nobodys.mean() + 2 * CHANCE


def test_the_image_that_a_party_learnt_from_is_not_in_the_mean_with_noise(party_plan):
    """At an epsilon of 4: as close to an image that nobody had."""
    theirs, nobodys = looked_for(party_plan).T
    # Of 64 pixels of nothing but noise a correlation of 0.7 is one in 10^10.
    assert theirs.max() < 0.7
    assert abs((theirs - nobodys).mean()) < CHANCE


# What would lead around noise.


@pytest.fixture(scope="module")
def encrypted():
    """A round under a key, of which the keyholder opens more than it should."""
    plan = a_plan("party", NORM, 4, PUBLIC, min_parties=3)
    values = {name: gradient(name, 0) for name in NAMES}
    files = {name: sent(plan, name, values[name]) for name in NAMES}
    return plan, {name: steps_of(plan, values[name]) for name in NAMES}, files


def seen_in(plan, file, parties=1):
    """What the keyholder reads in any file, with a tool that asks no questions: sums in steps."""
    plaintexts = decryptor(KEY.p, KEY.q)(body(file)["lanes"])
    sums = plan.geometry.packing.unpack(plaintexts, parties, plan.geometry.values)
    return sums.astype(np.int64) - parties * plan.codec.quantise.qmax


def noisy(plan, noise, parties):
    """Whether noise has the variance of so many parties', and is about 0."""
    variance = parties * plan.privacy.variance
    return abs(noise.var() / variance - 1) < WIDE and abs(noise.mean()) < 6 * math.sqrt(variance / VALUES)


@pytest.mark.parametrize("unit", ["party", "record"])
def test_the_control_block_of_noisy_updates_tells_nothing(unit):
    """Not even where all that a party sends is far beyond what it may be."""
    plan = a_plan(unit, 0.01, 20, rotate=True)
    # So large that a rotation makes many values too large which were not before.
    values = {name: tensors_of(1e6 * vector(gradient(name, 0))) for name in NAMES}
    own = hecli.encode(fitting(plan, values["alice"]), io.BytesIO(), plan=plan)
    assert own.clipped if unit == "record" else own.shrunk < 0.01
    files = [sent(plan, name, values[name]) for name in NAMES]
    total = sum_of(decrypt(aggregate(files), files, key=None))
    assert (total.weight, total.clipped) == (len(NAMES), 0)


def test_the_control_block_of_one_noisy_update_tells_nothing(encrypted):
    """Not even of an encoded file that says what was clipped."""
    plan, _, _ = encrypted
    large = {name: each * 100 for name, each in gradient("alice", 0).items()}
    encoded = written(lambda out: hecli.encode(large, out, plan=plan))
    telling = rewritten(encoded, body={"control": Control(1, 1, 1000).pack()})
    for source in (large, encoded, telling):
        found = decryptor(KEY.p, KEY.q)(body(sent(plan, "alice", source))["control"])
        assert Control.unpack(found) == Control(1, 1, 0)


def test_a_single_update_has_its_own_noise_alone(encrypted):
    """The account says so: what it shows of whoever opens single ones is more."""
    plan, steps, files = encrypted
    for name in NAMES:
        assert noisy(plan, seen_in(plan, files[name]) - steps[name], 1)
    assert plan.spending.cost_alone.rho == plan.spending.honest * plan.spending.cost.rho
    assert plan.spending.cost_alone.epsilon(DELTA) > plan.spending.cost.epsilon(DELTA)


@pytest.mark.parametrize("parties", [3, 4])
def test_a_sum_has_the_noise_of_all_who_are_in_it(encrypted, parties):
    plan, steps, files = encrypted
    some = NAMES[:parties]
    total = seen_in(plan, aggregate([files[name] for name in some]), parties)
    assert noisy(plan, total - sum(steps[name] for name in some), parties)


def test_two_sums_that_differ_by_one_party_show_its_update_under_its_own_noise(encrypted):
    plan, steps, files = encrypted
    everybody, others = (
        seen_in(plan, aggregate([files[name] for name in some]), len(some)) for some in (NAMES, NAMES[:3])
    )
    difference = everybody - others
    assert (difference == seen_in(plan, files["mallory"])).all()
    assert noisy(plan, difference - steps["mallory"], 1)


def test_what_is_left_of_an_update_does_not_depend_on_its_noise(tmp_path, party_plan):
    """Two encryptions of one update leave the same, to the last byte but for the digest."""
    files, left = [], []
    for number in range(2):
        path = tmp_path / f"{number}.residual"
        # The second one starts from what the first one left.
        for at in range(2):
            last = sent(party_plan, "alice", gradient("alice", at), feedback=path)
        files.append(last)
        left.append(io.BytesIO(path.read_bytes()))
    assert body(files[0]) != body(files[1])
    assert body(left[0]) == body(left[1])
    headers = [reader(each).header for each in left]
    assert headers[0].pop("update") != headers[1].pop("update")
    assert headers[0] == headers[1]


def test_noise_does_not_cancel_over_rounds_with_error_feedback(tmp_path, party_plan):
    rounds, totals = 20, []
    values = {name: gradient(name, 0) for name in NAMES}
    for at in range(rounds):
        plan = replace(party_plan, id=bytes([at]) * len(party_plan.id))
        paths = {name: tmp_path / f"{name}.residual" for name in NAMES}
        files = [sent(plan, name, values[name], feedback=paths[name]) for name in NAMES]
        total = decrypt(aggregate(files), files, key=None)
        for path in paths.values():
            assert hecli.settle(path, rewound([total])[0])
        totals.append(in_steps(plan, total))
    true = sum(vector(each) for each in values.values()) / party_plan.codec.quantise.steps[0]
    one = len(NAMES) * party_plan.privacy.variance
    assert abs((totals[0] - true).var() / one - 1) < WIDE
    # What rounding leaves is sent with the next update, and is next to nothing in the end.
    assert abs((sum(totals) - rounds * true).var() / (rounds * one) - 1) < WIDE


# Dishonest parties.


@pytest.mark.parametrize("unit", ["party", "record"])
def test_an_encoded_file_beyond_the_norm_spends_nothing(tmp_path, unit):
    """Forged, with true digests: its lanes are checked before the account or the masks know of it."""
    plan = a_plan(unit, NORM, 4)
    identity = tmp_path / "alice.id"
    hecli.write_identity(PEOPLE["alice"], identity)
    account = hecli.spending(identity, PEOPLE["alice"])
    honest = written(lambda out: hecli.encode(fitting(plan, gradient("alice", 0)), out, plan=plan))
    who = {"plan": plan, "identity": PEOPLE["alice"], "record": identity, "account": account, "jobs": 1}
    quantise, word = plan.codec.quantise, f">u{plan.geometry.lane_size}"
    one = np.zeros(VALUES, np.int64)
    one[-1] = quantise.bound(0) + 1
    forged = {"leaves no room for noise": [one, -one]}
    if unit == "party":
        least = np.zeros(VALUES, np.int64)
        least[: plan.privacy.norm2 // 100 + 1] = 10
        forged["its squared norm is"] = [least]
    for says, all_steps in forged.items():
        for steps in all_steps:
            lanes = (steps + quantise.qmax).astype(word).tobytes()
            false, out = rewritten(honest, body={"lanes": lanes}), io.BytesIO()
            with pytest.raises(DataError, match=says):
                hecli.encrypt(false, out, **who, enrollments=enrollments_of(plan, PEOPLE.values()))
            assert not out.getvalue()
    assert [each.name for each in tmp_path.iterdir()] == ["alice.id"]
    rewound([honest])
    hecli.encrypt(honest, io.BytesIO(), **who, enrollments=enrollments_of(plan, PEOPLE.values()))
    assert {each.name for each in tmp_path.iterdir()} >= {"alice.id.spent", "alice.id.masked"}


def test_a_party_that_adds_no_noise_is_the_colluder_that_is_counted(encrypted):
    """Nobody can see it. The sum has a part less of noise, for which the account makes up."""
    plan, steps, files = encrypted
    lanes = (steps["mallory"] + plan.codec.quantise.qmax).astype(np.uint64)
    size = plan.scheme.plaintext_size
    packed = numbers(plan.geometry.packing.pack(lanes), size)
    control = int.from_bytes(Control(1, 1, 0).pack(size), "big")
    lazy = made_update(plan, packed, control, identity=PEOPLE["mallory"])
    for some in (NAMES[1:], NAMES):
        handed_in = [lazy if name == "mallory" else files[name] for name in some]
        assert decrypt(aggregate(handed_in), handed_in)
        total = seen_in(plan, aggregate(handed_in), len(some))
        noise = total - sum(steps[name] for name in some)
        assert noisy(plan, noise, len(some) - 1)
        # The rest is no less than what the account goes by.
        assert noise.var() > plan.spending.honest * plan.privacy.variance * (1 - WIDE)
    assert plan.spending.honest == plan.min_parties - 1
    assert plan.spending.cost.rho * 2 * plan.spending.honest * plan.privacy.variance == plan.privacy.norm2
