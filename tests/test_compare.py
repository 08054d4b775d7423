"""Techniques beside each other: what they expose, one round of each, trainings, advice, and the page."""

import io
import json
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecli.compare import comparing, pieces, tensors
from hecli.compare.advice import advise
from hecli.compare.data import LEAST_RECORDS, SPLITS, Data, Records, Split, read_data, read_rows
from hecli.compare.exposure import WHO, exposures
from hecli.compare.kept import Kept
from hecli.compare.learning import Gradients, Hands, Labels, Weights, typical_norm
from hecli.compare.networks import Network
from hecli.compare.one_round import Figures, Noise, Scene, Sent
from hecli.compare.pieces import Piece
from hecli.compare.techniques import TECHNIQUES, WHOLE, Technique, chosen
from hecli.compare.tensors import part_of, share_of
from hecli.compare.training import Curve, Keys, alone, averaged, pooled, train
from hecli.errors import DataError, FormatError, HecliError
from hecli.privacy.guarantee import PARTY, RECORD
from hecli.storage.local import LOCAL
from tests.support import command

pytest.importorskip("sklearn")

PARTIES, CLASSES = 4, 3


def untold(_):
    """Tell nobody."""


def some_records(count=240, features=24, classes=CLASSES, seed=1):
    """Records that differ by their class, and a little by themselves."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    middles = random.normal(0, 2, (classes, features))
    return Records((middles[labels] + random.normal(0, 1, (count, features))).astype(np.float32), labels)


def some_hands(parties=PARTIES, seed=0):
    records = some_records()
    test, hands = Data(records, None, CLASSES).dealt(Split("iid"), parties, seed)
    return Hands(test, hands, seed)


FEATURES = 24
NETWORK = Network(FEATURES, (24,), CLASSES)
"""So wide that a matrix goes as factors of rank 1."""


# --- who could learn what ---

EXPOSED = {
    "plain": "yes yes nobody nobody yes",
    "unsigned": "yes yes yes nobody yes",
    "paillier": "no no yes nobody no",
    "shares": "no no no no no",
    "masks": "no no nobody nobody no",
    "dropouts": "no no nobody nobody no",
    "bits": "no no yes nobody no",
    "rank": "no no yes nobody no",
    "sample": "no no yes nobody no",
    "dp": "no no partly nobody no",
    "clear": "partly partly yes nobody partly",
    "shares-masks": "no no no no no",
    "rank-masks": "no no nobody nobody no",
    "dp-masks": "no no nobody nobody no",
    "dp-rank": "no no partly nobody no",
    "distil": "no no yes nobody no",
}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_who_could_learn_an_update(name):
    found = exposures(TECHNIQUES[name], 5)
    assert [found[who].level for who in WHO] == EXPOSED[name].split()
    # What is exposed is explained.
    assert all(bool(each.why) == (each.level in ("yes", "partly")) for each in found.values())


@pytest.mark.parametrize("name", TECHNIQUES)
def test_of_two_parties_each_learns_the_other_s(name):
    other = exposures(TECHNIQUES[name], 2)["another party"]
    assert other.level == ("partly" if TECHNIQUES[name].noise else "yes")


def test_holders_are_parties_who_know_their_own():
    for name in ("shares", "shares-masks"):
        for parties, expected in ((2, "yes"), (3, "yes"), (4, "no"), (5, "no"), (20, "no")):
            assert exposures(TECHNIQUES[name], parties)["T-1 holders"].level == expected


@pytest.mark.parametrize(
    ("name", "gone"),
    [("paillier", (0, 1, 2, 3)), ("shares", (0, 0, 1, 1)), ("masks", (0, 0, 0, 0)), ("dp", (0, 0, 0, 0))],
)
def test_so_many_may_go(name, gone):
    assert tuple(TECHNIQUES[name].survived(parties) for parties in (2, 3, 4, 5)) == gone


def test_with_fewer_no_sum_opens(tmp_path, run, monkeypatch):
    """As `dropouts` says it: noise needs all, and shares their holders."""
    scene, updates = Scene(tmp_path, PARTIES), some_updates()
    monkeypatch.chdir(tmp_path)
    for name, fewest in (("dp", 4), ("shares", 2)):
        scene.measure(TECHNIQUES[name], Sent(updates, Noise(PARTY, 20.0, 20.0, 1e-5, 1)))
        (described,) = json.loads(run("inspect", "round.plan", "--json")[1])
        assert described["plan"]["min_parties"] == fewest
        if name == "shares":
            taken = ("combine", "round.agg", "round-1.part", "round-2.part", "--key", "dealt.pub")
            status, _, errors = run(*taken, "--identity", "party-1.id", "-o", "less.sum")
            assert status == 1
            assert "3 required" in errors


def test_only_masks_stay_closed_against_a_quantum_computer():
    assert {name for name, each in TECHNIQUES.items() if each.quantum} == {
        *("masks", "dropouts", "shares-masks", "rank-masks", "dp-masks")
    }


def test_techniques_are_picked_by_name():
    assert list(chosen("masks, paillier")) == ["paillier", "masks"]
    assert chosen(None) == TECHNIQUES
    for names in ("mask", "", ",", "masks,nonsense"):
        with pytest.raises(HecliError) as error:
            chosen(names)
        assert "paillier" in error.value.hint


def test_ranks_are_as_high_as_matrices_are_large_enough_for():
    from hecli.formats.tensors.specs import TensorSpec

    rank = TECHNIQUES["rank"]
    for side, expected in ((1000, 4), (40, 2), (20, 1), (4, 1)):
        assert rank.setting_for([TensorSpec("w", "float32", (side, side))]).rank == expected
    assert TECHNIQUES["bits"].setting_for([]) == TECHNIQUES["bits"].setting


# --- data ---


def file_of(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    out.seek(0)
    return out


def test_data_with_and_without_records_held_out():
    rows, labels = np.arange(24.0).reshape(12, 2), np.array(list("abc") * 4)
    data = read_data(file_of(X=rows, y=labels), "d.npz")
    assert data.classes == 3
    assert data.test is None
    assert data.records.labels.tolist() == [0, 1, 2] * 4
    held = read_data(file_of(X=rows, y=labels, X_test=rows[:2], y_test=labels[1:3]), "d.npz")
    assert held.test.labels.tolist() == [1, 2]
    # Images are rows of their pixels.
    assert read_data(file_of(X=np.zeros((12, 3, 3)), y=labels), "d.npz").records.rows.shape == (12, 9)
    assert read_rows(file_of(X=rows), "p.npz", 2).shape == (12, 2)


ROWS, CLASS = np.ones((6, 2)), np.arange(6) % 2
BAD = {
    "no X": ({"y": CLASS}, "no X"),
    "no y": ({"X": ROWS}, "no y"),
    "one feature for all": ({"X": np.ones(6), "y": CLASS}, "no table"),
    "no records": ({"X": np.ones((0, 2)), "y": np.ones(0)}, "no table"),
    "words": ({"X": np.full((6, 2), "a"), "y": CLASS}, "no table"),
    "not a number": ({"X": np.where(ROWS, np.nan, 0), "y": CLASS}, r"X\[0, 0\] is nan"),
    "infinite": ({"X": ROWS * np.inf, "y": CLASS}, "is inf"),
    "too large for float32": ({"X": ROWS * 1e300, "y": CLASS}, "is inf"),
    "other length": ({"X": ROWS, "y": CLASS[:5]}, "shape"),
    "one class": ({"X": ROWS, "y": np.zeros(6)}, "y has 1 class,"),
    "a class that is none": ({"X": ROWS, "y": np.array([0, 1, 0, 1, np.nan, 1])}, r"y\[4\]"),
    "too many classes": ({"X": np.ones((1500, 1)), "y": np.arange(1500.0)}, "1,500 classes"),
    "X_test alone": ({"X": ROWS, "y": CLASS, "X_test": ROWS}, "no y_test"),
    "another width": ({"X": ROWS, "y": CLASS, "X_test": np.ones((2, 3)), "y_test": [0, 1]}, "3 features"),
    "another class": ({"X": ROWS, "y": CLASS, "X_test": ROWS[:2], "y_test": [0, 7]}, "has not"),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_nothing_learns_from_is_refused(name):
    arrays, why = BAD[name]
    with pytest.raises(DataError, match=why):
        read_data(file_of(**arrays), "d.npz")


def test_files_that_are_none_are_refused():
    whole = file_of(X=ROWS, y=CLASS).getvalue()
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    objects = io.BytesIO()
    with zipfile.ZipFile(objects, "w") as archive:
        archive.writestr("X.npy", pickled.getvalue())
        archive.writestr("y.npy", pickled.getvalue())
    one = io.BytesIO()
    np.save(one, ROWS)
    hostile = [b"", b"nonsense" * 20, one.getvalue(), pickled.getvalue(), objects.getvalue()]
    hostile += [whole[:cut] for cut in range(1, len(whole), 37)]
    hostile += [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in range(0, len(whole), 11)]
    refused = 0
    for each in hostile:
        try:
            read_data(io.BytesIO(each), "d.npz")
        except HecliError:
            refused += 1
    assert refused > len(hostile) * 0.8
    for each in hostile[:5]:
        with pytest.raises(FormatError):
            read_data(io.BytesIO(each), "d.npz")


@given(
    st.sampled_from([Split("iid"), Split("dirichlet", 0.5), Split("dirichlet", 100), Split("labels", 2)]),
    st.integers(2, 6),
    st.integers(0, 1000),
)
def test_every_record_goes_to_one_party(split, parties, seed):
    labels = np.random.default_rng(seed).integers(0, 5, 400)
    hands = split.deal(labels, parties, np.random.default_rng(seed))
    assert len(hands) == parties
    assert sorted(np.concatenate(hands).tolist()) == list(range(400))
    again = split.deal(labels, parties, np.random.default_rng(seed))
    assert all((one == other).all() for one, other in zip(hands, again, strict=True))
    if split.kind == "labels":
        # As many pieces, of which each crosses few borders between classes.
        assert all(len(np.unique(labels[hand])) <= 4 for hand in hands)
    if split.kind == "iid":
        assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_records_are_held_out_and_scaled():
    records = some_records()
    data = Data(records, None, CLASSES)
    test, hands = data.dealt(Split("iid"), 3, 5)
    assert len(test.labels) == 48
    assert sum(len(each.labels) for each in hands) == 192
    every = Records(*(np.concatenate(each) for each in zip(*hands, strict=True)))
    scaled = every.scaled_by(every)
    np.testing.assert_allclose(scaled.rows.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(scaled.rows.std(axis=0), 1, atol=0.02)
    # A feature that is the same in all records tells nothing, and ruins nothing.
    flat = every._replace(rows=np.ones_like(every.rows))
    assert (flat.scaled_by(flat).rows == 0).all()
    assert np.abs(every.scaled_by(flat).rows).max() <= 5


def test_too_few_records_are_refused():
    few = Data(some_records(30), None, CLASSES)
    with pytest.raises(HecliError, match="too few"):
        few.dealt(Split("iid"), 20, 0)
    assert min(len(each.labels) for each in few.dealt(Split("iid"), 4, 0)[1]) >= LEAST_RECORDS


def test_splits_are_read():
    for text in ("iid", "dirichlet:0.5", "dirichlet:10", "labels:2"):
        assert str(Split.parse(text)) == text
        assert Split.parse(text).kind in SPLITS
    for text in ("", "random", "iid:1", "dirichlet", "dirichlet:0", "dirichlet:x", "dirichlet:1.2.3",
                 "labels:0", "labels:1.5", "labels:-1", "dirichlet:" + "9" * 400):  # fmt: skip
        with pytest.raises(HecliError, match="no split"):
            Split.parse(text)


# --- what learns ---


@pytest.mark.parametrize(("hidden", "classes"), [((), 3), ((12,), 3), ((12, 7), 3), ((), 2), ((5,), 2)])
def test_gradients_are_those_of_the_loss(hidden, classes):
    network = Network(6, hidden, classes)
    records = some_records(20, 6, classes)
    model = {name: each.astype(np.float64) for name, each in network.first(3).items()}

    def loss(changed):
        values = records.rows.astype(np.float64)
        for at, (_wide, _narrow) in enumerate(pairwise(network.layers)):
            values = values @ changed[f"layer{at}.weight"] + changed[f"layer{at}.bias"]
            values = np.maximum(values, 0) if at < len(network.layers) - 2 else values
        if classes == 2:
            values = np.hstack([np.zeros_like(values), values])
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        own = (powers / powers.sum(axis=1, keepdims=True))[np.arange(20), records.labels]
        return -np.log(own).sum()

    found = network.gradients(model, records, 1e9)
    for name, each in model.items():
        for place in list(np.ndindex(each.shape))[::7]:
            near = each.copy()
            near[place] += 1e-6
            assert found[name][place] == pytest.approx(
                (loss(model | {name: near}) - loss(model)) / 1e-6, abs=2e-3
            )


def test_each_record_s_gradient_is_clipped():
    records = some_records(30)
    model = NETWORK.first(1)
    norms = NETWORK.norms(model, records)
    clip = float(np.median(norms))
    singles = [NETWORK.gradients(model, records.of(np.array([at])), 1e9) for at in range(30)]
    for norm, single in zip(norms, singles, strict=True):
        assert norm == pytest.approx(np.sqrt(sum(np.square(each).sum() for each in single.values())))
    whole = NETWORK.gradients(model, records, clip)
    for name in model:
        expected = sum(each[name] * min(1, clip / norm) for each, norm in zip(singles, norms, strict=True))
        np.testing.assert_allclose(whole[name], expected, rtol=1e-9, atol=1e-12)
    # Adding or leaving out one record changes the sum by the clip norm at most.
    less = NETWORK.gradients(model, records.of(np.arange(1, 30)), clip)
    change = np.sqrt(sum(np.square(whole[name] - less[name]).sum() for name in model))
    assert change <= clip * (1 + 1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_networks_learn_and_leave_the_model_as_it_was(classes):
    network = Network(FEATURES, (12,), classes)
    records = some_records(300, FEATURES, classes)
    model = network.first(0)
    before = {name: each.copy() for name, each in model.items()}
    made = model
    for seed in range(5):
        made = network.trained(made, records, seed)
    assert network.accuracy(made, records) > 0.9 > network.accuracy(model, records)
    assert all((model[name] == before[name]).all() for name in model)
    again = network.trained(model, records, 7)
    assert all((again[name] == network.trained(model, records, 7)[name]).all() for name in model)
    soft = network.soft(made, records.rows)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    taught = network.first(9)
    for seed in range(5):
        taught = network.taught(taught, records.rows, soft, seed)
    assert network.accuracy(taught, records) > 0.85


# --- trainings ---


@pytest.fixture(scope="module")
def keys():
    return Keys(PARTIES, 2048)


def some_noise(unit=RECORD, clip=2.0, rounds=3):
    return Noise(unit, clip, 8.0, 1e-5, rounds)


def learning_of(technique, hands):
    if technique.labels:
        public = some_records(40, seed=3).rows
        return Labels(NETWORK, hands, public)
    return Gradients(NETWORK, hands, 2.0) if technique.noise else Weights(NETWORK, hands)


EXACT = ("unsigned", "paillier", "shares", "masks", "dropouts", "clear", "shares-masks")


@pytest.mark.parametrize("name", [name for name, each in TECHNIQUES.items() if each.hides])
def test_a_technique_trains_as_its_lanes_do(name, keys):
    technique, hands = TECHNIQUES[name], some_hands()
    curves = {}
    for encrypted in (True, False):
        told = []
        learning = learning_of(technique, hands)
        curves[encrypted] = train(
            technique, learning, PARTIES, 3, keys, some_noise(), told.append, encrypted=encrypted
        )
        assert told == [1, 2, 3]
    assert curves[True].bytes == curves[False].bytes
    assert len(curves[True].accuracies) == 3
    if name in EXACT:
        # Rounding to the nearest of 16 bits is the same each time, so that nothing is left to chance.
        assert curves[True].accuracies == curves[False].accuracies
        plain = averaged(Weights(NETWORK, hands), PARTIES, 3, untold)
        np.testing.assert_allclose(curves[True].accuracies, plain.accuracies, atol=0.001)
    if technique.noise:
        assert curves[True].epsilon == pytest.approx(8, abs=1e-3)
        assert curves[True].alone > 8
    else:
        assert curves[True].epsilon is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paillier", "masks", "shares"])
def test_fifty_encrypted_rounds_end_where_plain_averaging_does(name, keys):
    records = some_records(600)
    test, parties = Data(records, None, CLASSES).dealt(Split("dirichlet", 0.5), PARTIES, 2)
    hands = Hands(test, parties, 2)
    plain = averaged(Weights(NETWORK, hands), PARTIES, 50, untold)
    found = train(
        TECHNIQUES[name], Weights(NETWORK, hands), PARTIES, 50, keys, some_noise(), untold, encrypted=True
    )
    assert np.abs(np.subtract(found.accuracies, plain.accuracies)).max() <= 0.001


def test_alone_and_pooled_are_what_they_are_called():
    hands = some_hands()
    by_itself = alone(NETWORK, hands, 4, untold)
    own = NETWORK.first(0)
    for number in range(1, 5):
        own = NETWORK.trained(own, hands.parties[0], hands.draw(number, 0))
    one = alone(NETWORK, hands._replace(parties=hands.parties[:1]), 4, untold)
    assert one.accuracies[-1] == NETWORK.accuracy(own, hands.test)
    together = pooled(NETWORK, hands, 4, untold)
    assert together.accuracies[-1] >= by_itself.accuracies[-1]
    assert by_itself.bytes == together.bytes == (0, 0, 0, 0)


def test_too_few_parties_for_dropouts_are_said(keys):
    technique = TECHNIQUES["dropouts"]
    with pytest.raises(HecliError, match="of 3 parties"):
        train(technique, Weights(NETWORK, some_hands(3)), 3, 1, keys, some_noise(), untold, encrypted=False)


def test_norms_are_typical():
    hands = some_hands()
    first = NETWORK.first(hands.seed)
    every = np.concatenate([NETWORK.norms(first, each) for each in hands.parties])
    assert typical_norm(NETWORK, hands) == np.median(every)


# --- one round, by whole commands ---


def some_updates(parties=PARTIES, shape=(24, 10)):
    random = np.random.default_rng(5)
    return [
        {"v": random.normal(0, 0.1, 8).astype(np.float32), "w": random.normal(0, 1, shape).astype(np.float32)}
        for _ in range(parties)
    ]


@pytest.mark.parametrize("name", ["plain", "dropouts", "dp-masks"])
def test_a_round_is_measured(name, tmp_path):
    technique, updates = TECHNIQUES[name], some_updates()
    noise = Noise(PARTY, 20.0, 20.0, 1e-5, 1)
    found = Scene(tmp_path, PARTIES).measure(technique, Sent(updates, noise))
    assert not found.extrapolated
    assert found.party > 0
    assert (found.memory or 0) > 1e6 or name == "plain"
    if name == "dropouts":
        # The smallest of what a party sends, by the files themselves.
        sent = sum((tmp_path / f"round-party-1{each}").stat().st_size for each in (".enroll", ".enc", ".ans"))
        assert abs(found.bytes - sent) < 1000
        assert found.besides > 3000
    if name == "dp-masks":
        assert found.error > 0.1
    else:
        assert found.error < 1e-3
        assert found.largest < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, each in TECHNIQUES.items() if not each.labels])
def test_every_technique_has_a_round(name, tmp_path):
    # So large that a matrix goes as factors.
    updates = some_updates(PARTIES, (60, 60))
    found = Scene(tmp_path, PARTIES).measure(TECHNIQUES[name], Sent(updates, Noise(PARTY, 70, 20, 1e-5, 1)))
    assert found.bytes > 0


def test_what_takes_long_is_extrapolated(tmp_path, monkeypatch):
    technique, updates = TECHNIQUES["masks"], some_updates(2, (4000, 10))
    whole = Scene(tmp_path, 2).measure(technique, Sent(updates, some_noise()))
    assert share_of(40_008, 2) == 1
    monkeypatch.setattr(tensors, "MOST_VALUES", 20_000)
    share = share_of(40_008, 2)
    (tmp_path / "again").mkdir()
    few = [part_of(each, share) for each in updates]
    assert sum(each.size for each in few[0].values()) == pytest.approx(10_000, rel=0.01)
    part = Scene(tmp_path / "again", 2).measure(technique, Sent(few, some_noise(), share))
    assert part.extrapolated
    assert not whole.extrapolated
    assert part.bytes == pytest.approx(whole.bytes, rel=0.05)


def test_of_large_files_a_part_is_worked_on(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    np.savez("large.npz", w=np.full((3000, 1000), 0.1, np.float32))
    status, output, _ = run("compare", "large.npz", "--parties", 2, "--techniques", "plain", "--json")
    # The plain average hides nothing, and is none to take.
    assert status == 0
    found = json.loads(output)
    assert found["values"] == 3_000_000
    figures = found["rows"][0]["figures"]
    assert figures["extrapolated"]
    assert figures["bytes"] == pytest.approx(12_000_000, rel=0.01)


def test_one_tensor_alone_cannot_stay_in_the_clear(tmp_path):
    with pytest.raises(HecliError, match="in the clear"):
        Scene(tmp_path, 2).measure(
            TECHNIQUES["clear"], Sent([{"w": np.ones(9, np.float32)}] * 2, some_noise())
        )


def test_names_are_names(tmp_path):
    """Not parameters of whatever writes them, nor patterns."""
    updates = [{"file": each["w"], "allow_pickle": each["v"], "*": each["v"]} for each in some_updates(2)]
    for name in ("plain", "unsigned", "clear"):
        (tmp_path / name).mkdir()
        found = Scene(tmp_path / name, 2).measure(TECHNIQUES[name], Sent(updates, some_noise()))
        assert found.error < 1e-3
        assert found.bytes > sum(each.size for each in updates[0].values())


# --- going on ---


def figures(bytes):
    return Figures(bytes, 0, 1.0, 1.0, 1.0, None, 0.0, 0.0)


GARBAGE = [b"[]", b'"x"', b"5", b"true", b"null", b"{}", b"[" * 100_000, b"\xff", b'{"failure": "no"}']


def test_garbage_that_is_kept_is_measured_again(tmp_path):
    sound = json.loads(json.dumps(figures(7)._asdict()))
    wrong = [sound | {name: value} for name in sound for value in ("x", -1, [1], {}, True)]
    wrong = [each for each in wrong if each["extrapolated"] is not True] + [
        sound | {"more": 1},
        sound | {"error": None},
    ]
    hostile = [*GARBAGE, *(json.dumps(each).encode() for each in wrong)]
    hostile += [
        json.dumps(sound).replace("7", each).encode() for each in ("NaN", "1e999", "-Infinity", "9" * 5000)
    ]
    piece = Piece("a", "a", 1.0, Figures, lambda told: figures(3))
    kept = Kept(LOCAL, str(tmp_path), {})
    kept.put("a", sound)
    (path,) = tmp_path.iterdir()
    assert dict(pieces.measured([piece], 1, kept, untold))["a"]["bytes"] == 7
    assert kept.found == 1
    for each in hostile:
        path.write_bytes(each)
        assert dict(pieces.measured([piece], 1, kept, untold))["a"]["bytes"] == 3, each[:60]
    curve = {"accuracies": [0.1, 0.2], "bytes": [1, 2], "clipped": 0.0, "epsilon": None, "alone": None}
    kept.put("c", curve)
    assert kept.get("c", Curve, 2) == curve
    for each in ({"accuracies": []}, {"accuracies": [0.1]}, {"accuracies": ["a", "b"]}, {"bytes": 3}):
        kept.put("c", curve | each)
        assert kept.get("c", Curve, 2) is None


def test_what_cannot_be_kept_ends_it_at_once(tmp_path):
    measured = []

    def measure(told):
        measured.append(1)
        return figures(1)

    kept = Kept(LOCAL, str(tmp_path / "gone"), {})
    with pytest.raises(HecliError, match="gone"):
        dict(pieces.measured([Piece(name, name, 1.0, Figures, measure) for name in "ab"], 1, kept, untold))
    assert measured == [1]


def test_two_can_keep_pieces_in_one_folder(tmp_path):
    def keep(at):
        kept = Kept(LOCAL, str(tmp_path), {})
        for number in range(20):
            kept.put("a", figures(number)._asdict())
        return kept.get("a", Figures, 1)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(keep, range(4)))


def test_pieces_are_measured_once(tmp_path):
    measured = []

    def piece(name, *, failing=False):
        def measure(told):
            measured.append(name)
            told(1)
            if failing and measured.count(name) < 2:
                raise HecliError("the disk is full", "make room")
            return figures(len(measured))

        return Piece(name, f"piece {name}", 1.0, Figures, measure)

    every = [piece("a"), piece("b", failing=True), piece("c")]
    said = []
    kept = Kept(LOCAL, str(tmp_path), {"asked": 1})
    first = dict(pieces.measured(every, 1, kept, said.append))
    assert first["a"]["bytes"] == 1
    assert first["b"] == {"failure": "the disk is full (make room)"}
    assert any("3 of 3" in each and "left" in each for each in said)
    second = dict(pieces.measured(every, 1, kept, untold))
    # What failed is tried again, and what is kept is not measured again.
    assert measured == ["a", "b", "c", "b"]
    assert second["a"] == first["a"]
    assert second["b"]["bytes"] == 4
    # Another question has other answers, and what is not whole is none.
    dict(pieces.measured([piece("a")], 1, Kept(LOCAL, str(tmp_path), {"asked": 2}), untold))
    for each in tmp_path.iterdir():
        assert each.stat().st_mode & 0o077 == 0
        each.write_bytes(b'{"bytes"')
    dict(pieces.measured([piece("a")], 1, kept, untold))
    assert measured == ["a", "b", "c", "b", "a", "a"]


def test_what_is_interrupted_goes_on(tmp_path):
    measured = []

    def piece(name, *, stopping=False):
        def measure(told):
            if stopping and len(measured) < 2:
                raise KeyboardInterrupt
            measured.append(name)
            return figures(1)

        return Piece(name, name, 1.0, Figures, measure)

    kept = Kept(LOCAL, str(tmp_path), {})
    with pytest.raises(KeyboardInterrupt):
        dict(pieces.measured([piece("a"), piece("b", stopping=True)], 1, kept, untold))
    measured.append("by hand")
    dict(pieces.measured([piece("a"), piece("b", stopping=True)], 1, kept, untold))
    assert measured == ["a", "by hand", "b"]


def test_updates_are_made_up_like_those_at_hand():
    update = {
        "w": np.random.default_rng(0).normal(0, 3, 4000).astype(np.float32),
        "zero": np.zeros(3, np.float32),
    }
    made = comparing._perturbed([update], 4)
    assert len(made) == 4
    assert made[0] is update
    for each in made[1:]:
        assert each["w"].dtype == np.float32
        assert (each["zero"] == 0).all()
        assert np.std(each["w"] - update["w"]) == pytest.approx(3, rel=0.1)
    with pytest.raises(HecliError, match="more than 2 parties"):
        comparing._perturbed([update] * 3, 2)
    with pytest.raises(HecliError, match="different tensors"):
        comparing._perturbed([update, {"w": update["w"]}], 2)


# --- advice ---


def row(name, *, bytes=10_000.0, opening=1.0, accuracy=None, epsilon=None, dropouts=0, failure=None):
    technique = TECHNIQUES[name]
    figures = {"bytes": bytes, "party": 0.5, "aggregator": 0.2, "opening": opening}
    made = {
        "technique": name,
        "title": technique.title,
        "failure": failure,
        "figures": None if failure else figures,
        "learns": {who: each._asdict() for who, each in exposures(technique, 5).items()},
        "dropouts": dropouts,
        "noise": technique.noise,
        "epsilon": epsilon,
    }
    return made if accuracy is None else made | {"accuracy": {"mean": [0.1, accuracy], "spread": [0, 0]}}


NO_TRAINING = {"noise": {"unit": "party", "epsilon": 8.0}}


def test_of_two_parties_it_says_that_each_learns_the_other_s():
    both = {who: each._asdict() for who, each in exposures(TECHNIQUES["masks"], 2).items()}
    text = advise(NO_TRAINING, [row("masks") | {"learns": both}])["text"]
    assert "there are two parties" in text
    assert "nobody alone" not in text


def test_noise_that_is_taken_is_not_missed():
    text = advise(NO_TRAINING, [row("dp-masks")])["text"]
    assert text.endswith("Its noise promises epsilon 8 for each party.")


def test_the_quickest_is_taken_of_those_that_nobody_can_open():
    rows = [row("paillier", opening=0.1), row("masks", bytes=5e6), row("shares", opening=2.0)]
    assert advise(NO_TRAINING, rows)["technique"] == "shares"
    assert advise(NO_TRAINING, rows[:2])["technique"] == "masks"
    # Nothing but a key: then its holder is trusted, and it is said.
    only = advise(NO_TRAINING, rows[:1])
    assert only["technique"] == "paillier"
    assert "keyholder is trusted" in only["text"]


def test_dropouts_are_worth_more_than_time():
    assert (
        advise(NO_TRAINING, [row("masks"), row("dropouts", opening=60, dropouts=1)])["technique"]
        == "dropouts"
    )


def test_what_hides_nothing_is_not_taken():
    assert advise(NO_TRAINING, [row("plain"), row("clear"), row("unsigned")])["technique"] is None
    assert advise(NO_TRAINING, [row("plain"), row("masks", failure="no")])["technique"] is None


def test_accuracy_counts_where_there_is_one():
    summary = {"averaging": {}, "noise": {"unit": "record", "epsilon": 8.0}}
    rows = [
        row("masks", accuracy=0.95, opening=9),
        row("rank-masks", accuracy=0.93, opening=1),
        row("dp-masks", accuracy=0.90, epsilon=8.0),
    ]
    found = advise(summary, rows)
    assert found["technique"] == "masks"
    assert "epsilon 8 for each record, costs 5.0 points" in found["text"]
    assert found["text"].count(". ") == 1
    rows[1]["accuracy"]["mean"][-1] = 0.945
    assert advise(summary, rows)["technique"] == "rank-masks"
    assert advise(summary, [row("dp-masks", accuracy=0.9, epsilon=8.0)])["text"].endswith(
        "Its noise promises epsilon 8 for each record."
    )


# --- the command ---


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = some_records()
    np.savez("data.npz", X=records.rows, y=records.labels)
    np.savez("public.npz", X=some_records(40, seed=3).rows)
    np.savez("grads.npz", **some_updates(1)[0])
    return tmp_path


FEW = ("--techniques", "plain,masks")


def test_tensors_are_compared(data, run):
    status, output, errors = run("compare", "grads.npz", "--parties", 4, *FEW)
    assert status == 0
    assert "the updates of 3 parties are made up" in output
    assert "Take 'masks'" in output
    assert "1 of 2" in errors
    status, again, errors = run("compare", "grads.npz", "--parties", 4, *FEW, "--json")
    # Nothing is measured twice.
    assert status == 0
    assert "of 2" not in errors
    found = json.loads(again)
    assert found["recommendation"]["technique"] == "masks"
    assert [each["technique"] for each in found["rows"]] == ["plain", "masks"]
    assert {each["figures"]["extrapolated"] for each in found["rows"]} == {False}


def test_data_is_compared(data, run):
    words = ("--data", "data.npz", "--parties", 4, "--rounds", 2, "--seeds", 2, "--public", "public.npz")
    status, output, _ = run("compare", *words, "--techniques", "plain,masks,distil", "--html", "page.html")
    assert status == 0
    assert "each party alone" in output
    assert "all data in one place" in output
    assert "distillation" in output
    page = (data / "page.html").read_text()
    assert page.count("<svg") >= 4
    status, _, errors = run("compare", *words, *FEW, "--html", "page.html")
    assert status == 1
    assert "--force" in errors


def test_a_technique_that_fails_is_a_row_that_says_why(data, run):
    words = ("--data", "data.npz", "--parties", 3, "--rounds", 1, "--seeds", 1)
    status, output, _ = run("compare", *words, "--techniques", "plain,masks,dropouts,distil")
    assert status == 0
    assert "not measured: masks, dropouts: of 3 parties with masks none may drop out" in output
    assert "not measured: distillation: there are no public examples (give some with --public)" in output
    status, _, errors = run("compare", *words, "--techniques", "distil")
    assert (status, "no technique works" in errors) == (1, True)


TRAIN = """
import json, os
import numpy as np
model, data = dict(np.load(os.environ["HECLI_MODEL"])), np.load(os.environ["HECLI_DATA"])
X, y = data["X"], data["y"]
scores = X @ model["w"]
if BREAK:
    raise SystemExit("out of cheese")
json.dump({"accuracy": float((scores.argmax(axis=1) == y).mean())}, open(os.environ["HECLI_METRICS"], "w"))
model["w"] += (0.01 * X.T @ np.eye(3)[y]).astype("f4") / len(y)
np.savez(os.environ["HECLI_UPDATE"], **model)
"""


def test_a_command_of_one_s_own_is_trained(data, run):
    (data / "train.py").write_text(TRAIN.replace("BREAK", "0"))
    np.savez("model.npz", w=np.zeros((FEATURES, 3), np.float32))
    words = ("--data", "data.npz", "--parties", 2, "--rounds", 2, "--seeds", 1, *FEW, "--json")
    own = ("--train", f"{sys.executable} train.py", "--model", "model.npz")
    status, output, _ = run("compare", *words, *own)
    assert status == 0
    found = json.loads(output)
    assert found["values"] == 3 * FEATURES
    masks = found["rows"][1]
    assert masks["accuracy"]["mean"][-1] > 0.8
    assert abs(masks["points"]) <= 0.1
    (data / "train.py").write_text(TRAIN.replace("BREAK", "1"))
    status, _, errors = run("compare", *words[:-1], *own, "--keep", "other")
    assert status == 1
    assert "out of cheese" in errors
    (data / "train.py").write_text(TRAIN.replace("BREAK", "0").replace('"accuracy"', '"goodness"'))
    status, _, errors = run("compare", *words[:-1], *own, "--keep", "third")
    assert status == 1
    assert "did not say how good" in errors


WRONG = {
    "nothing": ((), 2, "either GRADS"),
    "both": (("grads.npz", "--data", "data.npz"), 2, "either GRADS"),
    "no parties": (("grads.npz", "--parties", "1"), 2, "1"),
    "too many": (("grads.npz", "--parties", "65"), 2, "65"),
    "no file": (("missing.npz",), 1, "missing.npz"),
    "unknown technique": (("grads.npz", "--techniques", "magic"), 1, "'magic' is no technique"),
    "rounds without data": (("grads.npz", "--rounds", "3"), 2, "--rounds is for trainings"),
    "no split": (("--data", "data.npz", "--split", "fair"), 1, "'fair' is no split"),
    "no model": (("--data", "data.npz", "--model", "gpt"), 2, "--model is"),
    "train without model": (("--data", "data.npz", "--train", "true"), 2, "--train needs --model"),
    "no epsilon": (("grads.npz", "--epsilon", "0"), 2, "0"),
    "no accuracy": (("--data", "data.npz", "--reach", "80,120"), 2, "no list of percentages"),
    "epsilon that is no number": (("grads.npz", "--epsilon", "nan"), 2, "promises nothing"),
    "page to a pipe": (("grads.npz", "--html", "-"), 2, "--html takes the name"),
    "page over the data": (("--data", "data.npz", "--html", "data.npz", "--force"), 2, "would replace"),
    "too large": (("large.npz",), 1, "too large to make up others"),
    "too few records": (("--data", "data.npz", "--parties", "60"), 1, "too few"),
    "other features": (("--data", "data.npz", "--public", "narrow.npz"), 1, "2 features"),
    "not a number": (("nan.npz",), 1, "nan"),
    "not data": (("--data", "grads.npz"), 1, "has no X"),
    "keep is a file": (("grads.npz", "--keep", "grads.npz"), 1, "grads.npz"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name, data, run):
    np.savez("nan.npz", w=np.array([1, np.nan, 2], np.float32))
    np.savez("narrow.npz", X=np.ones((9, 2)))
    np.savez("large.npz", w=np.array([3e38, -3e38, 0], np.float32))
    words, expected, why = WRONG[name]
    parties = () if "--parties" in words else ("--parties", 3)
    status, output, errors = run("compare", *words, *parties)
    assert status == expected
    assert output == ""
    assert why in errors
    assert errors.removeprefix("dealing the records\n").startswith("error: ")


def test_an_interrupt_leaves_what_was_measured(data):
    words = [
        sys.executable,
        "-m",
        "hecli",
        "compare",
        "grads.npz",
        "--parties",
        "4",
        "--techniques",
        "plain,masks,dropouts",
    ]
    process = subprocess.Popen(
        words, cwd=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    until = time.monotonic() + 60
    while not list((data / "hecli.compare").glob("*")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(2)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == b""
    assert b"goes on from there" in errors
    assert errors.rstrip().endswith(b"error: interrupted")
    assert b"Traceback" not in errors
    assert list((data / "hecli.compare").iterdir())
    done = command(*words[3:], cwd=data)
    assert done.returncode == 0
    assert b"Take 'masks, dropouts'" in done.stdout


def test_the_registry_is_all_there_is_to_a_technique(data, run, monkeypatch):
    monkeypatch.setitem(TECHNIQUES, "mine", Technique("my own", key=WHOLE, masks=True))
    status, output, _ = run("compare", "grads.npz", "--parties", 2, "--techniques", "mine")
    assert status == 0
    assert "Take 'my own'" in output
