"""Whole trainings: every scheme, rule and way to end, those who are late, and runs that are killed."""

import dataclasses
import io
import json
import os
import shlex
import shutil
import time
from datetime import timedelta

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.ledger import chain
from hecli.plan.costs import error_bound
from hecli.plan.files import read_plan
from hecli.storage.confined import Confined
from hecli.training import joining, running
from hecli.training.commands import words_of
from hecli.training.history import read_history
from hecli.training.joining import read_terms
from hecli.training.metrics import tensor_name
from hecli.training.running import abandon, end
from hecli.training.status import read_status
from hecli.training.stepping import step
from hecli.training.terms import Goal, Metric, write_training
from tests.support import KEY, PUBLIC
from tests.trainings import COORDINATOR, MODEL, Awaits, Did, Fate, Killed, Over, Scene, stepped

SCHEMES = {
    "a key": {"parties": 3},
    "masks of two": {"parties": 2, "key": None, "masks": 0},
    "masks with dropouts": {"parties": 4, "key": None, "masks": 1},
    "a key and masks": {"parties": 4, "masks": 1},
    "shares": {"parties": 5, "key": "dealt"},
    "shares and masks": {"parties": 5, "key": "dealt", "masks": 1},
}
MASKS = {"parties": 4, "key": None, "masks": 1}
QUICK = {"parties": 2, "key": None, "masks": 0}


def random_updates(scene, rounds, **options):
    generator = np.random.default_rng(7)
    for number in range(1, rounds + 1):
        for name in scene.parties:
            arrays = {
                each: generator.uniform(-1, 1, value.shape).astype(value.dtype)
                for each, value in scene.initial.items()
            }
            scene.give(name, arrays, round=number, **{k: v(name) for k, v in options.items()})


def plan_in(scene, number, attempt=1):
    with (scene.folder(number, attempt) / "round.plan").open("rb") as stream:
        return read_plan(open_reader(stream))


def bounds(scene, number, scale=1.0):
    """How far each tensor of a model may be from plain averaging, after a round from the same model."""
    plan = plan_in(scene, number)
    found = {}
    for at, spec in enumerate(plan.tensors):
        rounding = np.finfo(np.float32).eps * 8
        found[spec.name] = scale * error_bound(plan, at) + rounding
    return found


def compared(scene, rounds, **options):
    """Every round's model is plain averaging's, within what the plan promises."""
    for number in range(1, rounds + 1):
        before, after = scene.model(scene.parties[0], number - 1), scene.model(scene.parties[0], number)
        plain = scene.averaged(number, before, **options)
        for each, bound in bounds(scene, number, abs(options.get("lr", 1.0))).items():
            if each in after:
                assert np.abs(after[each] - plain[each]).max() <= bound, (number, each)


def same_everywhere(scene, names=None):
    """All members have the same last model, to the bit."""
    names = names or [COORDINATOR, *scene.parties]
    models = [scene.model(name) for name in names]
    for each in models[1:]:
        for name, value in models[0].items():
            assert np.array_equal(each[name], value), name
    return models[0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_what_plain_averaging_gives(tmp_path, scheme):
    rounds = 2 if "shares" in scheme else 3
    scene = Scene(tmp_path, rounds=rounds, **SCHEMES[scheme])
    random_updates(scene, rounds)
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) and not each.failed for each in ended.values())
    same_everywhere(scene)
    compared(scene, rounds)
    # From the second round on ranges follow from the sum, and values have the bits that were asked for.
    first, second = (plan_in(scene, number) for number in (1, 2))
    assert (first.codec.quantise.bits, second.codec.quantise.bits) == (32, 16)
    assert second.position.round == 2
    assert second.position.previous


@pytest.mark.parametrize(("rule", "lr"), [("add", 0.5), ("sgd", 0.25), ("replace", 1.0), ("add", -1.0)])
def test_every_rule_with_weights(tmp_path, rule, lr):
    scene = Scene(tmp_path, rounds=2, rule=rule, lr=lr, max_weight=9, **QUICK)
    weights = iter([3, 9, 1, 5])
    random_updates(scene, 2, weight=lambda _: next(weights))
    scene.run(scene.all())
    same_everywhere(scene)
    compared(scene, 2, rule=rule, lr=lr)


def test_a_first_range_and_few_bits(tmp_path):
    scene = Scene(tmp_path, range=2.0, bits=8, rounding="stochastic", **QUICK)
    random_updates(scene, 2)
    scene.run(scene.all())
    assert plan_in(scene, 1).codec.quantise.bits == 8
    compared(scene, 2)


def test_integers_are_rounded_and_skipped_tensors_stay(tmp_path):
    model = {
        "count": np.array([7], np.int64),
        "running": np.arange(3, dtype=np.int32),
        "w": np.zeros((2, 2), np.float32),
    }
    scene = Scene(tmp_path, model=model, skipped=("running",), **QUICK)
    for at, name in enumerate(scene.parties):
        made = {**model, "count": np.array([10 + 2 * at], np.int64), "running": np.full(3, 99, np.int32)}
        scene.give(name, made)
    scene.run(scene.all())
    found = same_everywhere(scene)
    assert found["count"] == 11
    assert found["count"].dtype == np.int64
    assert np.array_equal(found["running"], model["running"])


@pytest.mark.parametrize("format", ["tensors", "safetensors"])
def test_models_in_other_formats(tmp_path, format):
    scene = Scene(tmp_path, **QUICK)
    npz, other = scene.run(scene.all()), Scene(tmp_path / "other", **QUICK)
    other.options = {"format": format}
    assert other.run(other.all()).keys() == npz.keys()
    with (other.people / "party-1.run" / f"model-last.{format}").open("rb") as stream:
        found = to_arrays(open_tensors(stream, "model"))
    for name, value in scene.model("party-1").items():
        assert np.array_equal(found[name], value)
    with pytest.raises(HecliError, match=r"are \.\w+ files, not \.npz"):
        other.session("party-1", format="npz")


# Metrics, and when a training ends.


def test_metrics_are_weighted_means_of_those_who_measured(tmp_path):
    metrics = (Metric("accuracy", 1.0), Metric("loss", 10.0))
    scene = Scene(tmp_path, parties=3, metrics=metrics, max_weight=4, rounds=1)
    measured = [{"loss": 2.0, "accuracy": 0.5}, {"loss": 5.0}, {"loss": 50.0, "extra": 1}]
    for name, weight, each in zip(scene.parties, (1, 4, 2), measured, strict=True):
        scene.give(name, MODEL, weight=weight, metrics=each)
    scene.run(scene.all())
    found = json.loads((scene.people / "party-2.run" / "round-0001" / "applied.json").read_text())["metrics"]
    # The third one's loss is clipped to the range; only the first measured an accuracy.
    assert found["loss"] == pytest.approx((2 * 1 + 5 * 4 + 10 * 2) / 7, abs=1e-3)
    assert found["accuracy"] == pytest.approx(0.5, abs=1e-3)
    assert "the metric 'extra' is none of the training's; it was ignored" in scene.said["party-3"]
    assert "the metric loss is 50, clipped to ±10" in scene.said["party-3"]
    assert "the metric accuracy was not measured" in scene.said["party-2"]
    # They are no part of the model.
    assert scene.model("party-1").keys() == MODEL.keys()
    status = _status(scene)
    assert status["rounds"][0]["metrics"]["loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_what_nobody_measured_is_nothing(tmp_path):
    scene = Scene(tmp_path, metrics=(Metric("loss", 10.0),), rounds=1, **QUICK)
    scene.run(scene.all())
    assert _status(scene)["rounds"][0]["metrics"] == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the metrics are no JSON map"),
        ("[1]", "the metrics are no JSON map"),
        ('{"loss": NaN}', "loss is no finite number"),
        ('{"loss": "5"}', "loss is no finite number"),
        ('{"loss": true}', "loss is no finite number"),
        ('{"loss": 1e999}', "loss is no finite number"),
        ("[" * 60_000, "the metrics are no JSON map"),
        ("\x00\xff", "the metrics are no JSON map"),
    ],
)
def test_metrics_that_are_none_are_ignored(tmp_path, text, says):
    scene = Scene(tmp_path, metrics=(Metric("loss", 10.0),), rounds=1, **QUICK)
    (scene.root / "given" / "party-1" / "every.json").write_text(text)
    scene.give("party-2", MODEL, metrics={"loss": 4})
    ended = scene.run(scene.all())
    assert isinstance(ended["party-1"], Over)
    assert any(says in line for line in scene.said["party-1"])
    assert _status(scene)["rounds"][0]["metrics"]["loss"] == pytest.approx(4, abs=1e-3)


def _with_losses(tmp_path, losses, goal):
    scene = Scene(tmp_path, metrics=(Metric("loss", 10.0),), goal=goal, rounds=len(losses), **QUICK)
    for number, loss in enumerate(losses, 1):
        for at, name in enumerate(scene.parties):
            made = {each: np.full_like(value, number + at) for each, value in MODEL.items()}
            scene.give(name, made, round=number, metrics={"loss": loss})
    return scene, scene.run(scene.all())


def test_a_target_ends_it_and_the_best_model_is_the_one_that_was_measured(tmp_path):
    scene, ended = _with_losses(tmp_path, [5, 2, 3, 0.9, 4], Goal("loss", False, 1.0, 0))
    assert ended["party-1"].why.startswith("loss reached 0.9")
    assert not (scene.shared / "round-0005").exists()
    # Metrics of a round are about the model that it began with.
    best, before = scene.model("party-2", "best"), scene.model("party-2", 3)
    assert all(np.array_equal(best[name], before[name]) for name in MODEL)


def test_no_improvement_ends_it(tmp_path):
    scene, ended = _with_losses(tmp_path, [5, 2, 3, 2, 4, 1], Goal("loss", False, None, 2))
    assert {each.why for each in ended.values()} == {"loss did not get better in 2 rounds"}
    status = _status(scene)
    assert len(status["rounds"]) == 4
    assert (status["over"], status["awaited"]) == ("loss did not get better in 2 rounds", None)
    best, before = scene.model("party-1", "best"), scene.model("party-1", 1)
    assert all(np.array_equal(best[name], before[name]) for name in MODEL)


def test_a_model_that_does_not_move_ends_it(tmp_path):
    """For nobody may send a second update about a model."""
    scene = Scene(tmp_path, rounds=9, **QUICK)
    ended = scene.run(scene.all())
    why = "the model after round 2 is the one after round 1 again, to the bit"
    assert set(ended.values()) == {Over(why, failed=False)}
    assert (_status(scene)["over"], _status(scene)["awaited"]) == (why, None)


def test_status_waits_for_those_who_have_not_applied_the_last_sum(tmp_path):
    scene = Scene(
        tmp_path, rounds=9, metrics=(Metric("loss", 10.0),), goal=Goal("loss", False, 5.0, 0), **QUICK
    )
    for name in scene.parties:
        scene.give(name, MODEL, metrics={"loss": 1.0})
    coordinator, *parties = scene.all()
    scene.run([coordinator, *parties], until=lambda it: (it.folder(1) / "round.sum").exists())
    scene.run([coordinator])
    status = _status(scene)
    assert (status["over"], status["awaited"]["what"]) == (None, "the model")
    assert status["awaited"]["names"] == scene.parties
    scene.run(parties)
    assert (_status(scene)["over"], _status(scene)["awaited"]) == ("loss reached 1", None)


def test_the_coordinator_ends_it(tmp_path):
    scene = Scene(tmp_path, rounds=5, **QUICK)
    scene.run(scene.all(), until=lambda it: (it.folder(2) / "round.plan").exists())
    with pytest.raises(RefusedError, match="only the coordinator may end"):
        end(scene.session("party-1"), "no")
    assert end(scene.session(COORDINATOR), "enough is enough") == "the training was ended: enough is enough"
    ended = scene.run(scene.all())
    assert set(ended.values()) == {Over("enough is enough (registry)", failed=False)}
    assert _status(scene)["over"] == "enough is enough"


def test_what_is_over_is_not_ended(tmp_path):
    scene = Scene(tmp_path, rounds=1, **QUICK)
    scene.run(scene.all())
    with pytest.raises(RefusedError, match="the training is over already"):
        end(scene.session(COORDINATOR), "too late")


def test_an_abandoned_round_gets_a_new_plan(tmp_path):
    scene = Scene(tmp_path, rounds=1, **MASKS)
    scene.run([scene.session(name) for name in (COORDINATOR, "party-1")])
    with pytest.raises(RefusedError, match="only the coordinator may abandon"):
        abandon(scene.session("party-1"), "no")
    abandon(scene.session(COORDINATOR), "wrong start")
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values())
    assert (scene.folder(1, 2) / "round.sum").exists()
    assert not (scene.folder(1) / "round.sum").exists()
    same_everywhere(scene)
    with pytest.raises(RefusedError, match="no round to abandon"):
        abandon(scene.session(COORDINATOR), "too late")


# Those who are late, or not there.


def later(scene, name, number, seconds, suffix=".plan"):
    """Let somebody's own clock have gone on since they saw what began a stage."""
    for path in (scene.people / f"{name}.run" / f"round-{number:04}").glob(f"*{suffix}"):
        then = time.time() - seconds
        os.utime(path, (then, then))


def test_who_is_late_is_left_out_told_so_and_in_the_next_round_again(tmp_path):
    scene = Scene(tmp_path, parties=3, rounds=2, deadline=600)
    there = [scene.session(name) for name in (COORDINATOR, "party-1", "party-2")]
    ended = scene.run(there)
    assert ended[COORDINATOR] == Awaits("updates", ("party-3",), 1)
    assert ended["party-1"] == Awaits("updates", ("party-3",), 1)
    later(scene, COORDINATOR, 1, 601)
    ended = scene.run(there, until=lambda it: (it.folder(2) / "round.plan").exists())
    ended = scene.run([*there, late := scene.session("party-3")])
    assert all(isinstance(each, Over) for each in ended.values())
    assert "round 1: closed with 2 of 3 parties, without party-3" in scene.said[COORDINATOR]
    assert "round 2: closed with 3 of 3 parties" in scene.said[COORDINATOR]
    same_everywhere(scene)
    compared_first = scene.averaged(1, MODEL, parties=["party-1", "party-2"])
    bound = bounds(scene, 1)
    found = scene.model("party-3", 1)
    assert all(np.abs(found[name] - compared_first[name]).max() <= bound[name] for name in MODEL)
    assert late.skipped == {}


def test_an_update_that_comes_too_late_is_told_so(tmp_path):
    scene = Scene(tmp_path, parties=3, rounds=2, deadline=600)
    everybody = scene.all()
    scene.run([each for each in everybody if each.name != "party-3"])
    later(scene, COORDINATOR, 1, 601)
    # It looks before the round is closed, and is done afterwards.
    late = next(each for each in everybody if each.name == "party-3")
    step(next(each for each in everybody if each.name == COORDINATOR))
    scene.run([late])
    assert "round 1: was closed without this party's update" in scene.said["party-3"]
    ended = scene.run(everybody)
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene)


def test_too_few_are_waited_for(tmp_path):
    scene = Scene(tmp_path, parties=3, rounds=1, deadline=600, min_parties=3)
    there = [scene.session(name) for name in (COORDINATOR, "party-1", "party-2")]
    scene.run(there)
    later(scene, COORDINATOR, 1, 10**6)
    assert scene.run(there)[COORDINATOR] == Awaits("updates", ("party-3",), 1)
    assert not any(each.entry.event == "closed" for each in there[0].ledger.links)
    ended = scene.run([*there, scene.session("party-3")])
    assert all(isinstance(each, Over) for each in ended.values())


@pytest.mark.parametrize("key", [None, KEY], ids=["masks", "a key and masks"])
@pytest.mark.parametrize("stage", ["before enrolling", "after enrolling", "after sending"])
def test_masks_survive_who_drops_out(tmp_path, stage, key):
    scene = Scene(tmp_path, parties=4, rounds=1, deadline=600, key=key, masks=1)
    gone = "party-2"
    there = [each for each in scene.all() if each.name != gone]
    if stage == "after enrolling":
        everybody = scene.all()
        scene.run(everybody, until=lambda it: it.file(gone, ".enroll").exists())
        there = [each for each in everybody if each.name != gone]
    if stage == "after sending":
        everybody = scene.all()
        scene.run(everybody, until=lambda it: it.file(gone, ".enc").exists())
        there = [each for each in everybody if each.name != gone]
    scene.run(there)
    for suffix in (".plan", ".enrolled"):
        later(scene, COORDINATOR, 1, 601, suffix)
    scene.run(there)
    later(scene, COORDINATOR, 1, 601, ".enrolled")
    ended = scene.run(there)
    assert all(isinstance(each, Over) for each in ended.values())
    present = [name for name in scene.parties if name != gone or stage == "after sending"]
    applied = json.loads((scene.people / "party-1.run" / "round-0001" / "applied.json").read_text())
    assert applied["contributors"] == present
    plain, bound = scene.averaged(1, MODEL, parties=present), bounds(scene, 1)
    found = same_everywhere(scene, [COORDINATOR, *(each.name for each in there if each.name != COORDINATOR)])
    assert all(np.abs(found[name] - plain[name]).max() <= bound[name] for name in MODEL)
    # And who was away comes back, and has what the others have.
    assert isinstance(scene.run([scene.session(gone)])[gone], Over)
    same_everywhere(scene)


def test_clocks_that_differ_by_days_change_nothing(tmp_path, monkeypatch):
    scene = Scene(tmp_path, rounds=2, **MASKS)
    everybody, real = scene.all(), chain.datetime
    offsets = {COORDINATOR: -86400, "party-1": 86400, "party-2": -3 * 86400, "party-3": 0, "party-4": 40}

    def by_own_clock(session):
        class Clock(real):
            @classmethod
            def now(cls, zone=None):
                return real.now(zone) + timedelta(seconds=offsets[session.name])

        with monkeypatch.context() as patch:
            patch.setattr(chain, "datetime", Clock)
            return step(session)

    ended = scene.run(everybody, step=by_own_clock)
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene)
    status = _status(scene)
    assert all(each["closed"] and not each["missing"] for each in status["rounds"])


# Files that are bad, late or foreign.


def test_bad_and_foreign_files_are_named_and_the_round_goes_on(tmp_path):
    scene = Scene(tmp_path, parties=4, rounds=2, deadline=600)
    everybody = scene.all()
    scene.run(everybody, until=lambda it: (it.folder(2) / "round.plan").exists())
    old = scene.file("party-4", ".enc", 1).read_bytes()
    shutil.copy(scene.file("party-3", ".enc", 1), scene.folder(2) / "anna.enc")
    there = [each for each in everybody if each.name not in ("party-3", "party-4")]
    scene.run(there, until=lambda it: it.file("party-1", ".enc", 2).exists())
    # One is of the round before, and one is cut short in the middle of a ciphertext.
    scene.file("party-4", ".enc", 2).write_bytes(old)
    whole = scene.file("party-1", ".enc", 2).read_bytes()
    scene.file("party-3", ".enc", 2).write_bytes(whole[: len(whole) // 2])
    scene.run(there)
    later(scene, COORDINATOR, 2, 601)
    ended = scene.run(there)
    assert all(isinstance(each, Over) for each in ended.values())
    said = "\n".join(scene.said[COORDINATOR])
    assert "anna.enc is of nobody on the roster, and is left out" in said
    assert "the file of party-4 is left out: " in said
    assert "round 2: closed with 2 of 4 parties, without party-3, party-4" in said
    assert "party-1 is left out" not in said


@pytest.mark.parametrize("damage", ["removed", "emptied", "cut", "altered"])
def test_a_party_puts_its_update_back(tmp_path, damage):
    scene = Scene(tmp_path, parties=3, rounds=1)
    there = [each for each in scene.all() if each.name != "party-3"]
    scene.run(there)
    file = scene.file("party-1", ".enc")
    sent = file.read_bytes()
    damaged(file, damage)
    last = scene.session("party-3")
    if damage == "altered":
        # Each run compares all of it once, and its digest again and again: the others wait, and say for whom.
        ended = scene.run([*there, last])
        assert ended[COORDINATOR] == Awaits("a whole file", ("party-1",), 1)
        assert any(
            "does not match its digest; its maker has to put it back" in each
            for each in scene.said[COORDINATOR]
        )
        there[1] = scene.session("party-1")
    ended = scene.run([*there, last])
    assert all(isinstance(each, Over) for each in ended.values())
    assert file.read_bytes() == sent


def damaged(file, how):
    data = file.read_bytes()
    middle = len(data) // 2
    if how == "removed":
        file.unlink()
        return
    file.write_bytes(
        {
            "emptied": b"",
            "cut": data[:middle],
            "altered": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        }[how]
    )


@pytest.mark.parametrize("damage", ["removed", "cut", "altered"])
@pytest.mark.parametrize("what", ["aggregate", "answer", "sum", "enrollment", "update"])
def test_what_is_damaged_is_put_back_by_its_maker(tmp_path, what, damage):
    scene = Scene(tmp_path, rounds=1, **MASKS)
    absent = "party-4" if what in ("sum", "aggregate", "update") else COORDINATOR
    paths = {
        "aggregate": scene.folder(1) / "round.agg",
        "sum": scene.folder(1) / "round.sum",
        "answer": scene.file("party-2", ".ans"),
        "enrollment": scene.file("party-2", ".enroll"),
        "update": scene.file("party-2", ".enc"),
    }
    everybody = scene.all()
    scene.run(everybody, until=lambda _: paths[what].exists())
    if what in ("aggregate", "update", "enrollment"):
        scene.run(everybody, until=lambda it: it.folder(1).joinpath("round.agg").exists())
    damaged(paths[what], damage)
    # All runs are started again, and only one does not come back at once.
    ended = scene.run([scene.session(name) for name in (COORDINATOR, *scene.parties) if name != absent])
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values()), ended
    assert not any(link.entry.event == "refused" for link in scene.session(COORDINATOR).ledger.links)
    same_everywhere(scene)


@pytest.mark.parametrize("opened", [False, True], ids=["an open round", "an opened one"])
def test_the_coordinator_puts_a_plan_back_for_which_the_others_wait(tmp_path, opened):
    """Also where its entry is merely copied before it, as by a synchronised drive."""
    scene = Scene(tmp_path, parties=3, rounds=1, deadline=600)
    there = [scene.session(name) for name in (COORDINATOR, "party-1", "party-2")]
    scene.run(there)
    if opened:
        later(scene, COORDINATOR, 1, 601)
        scene.run(there, until=lambda it: (it.folder(1) / "round.sum").exists())
    (scene.folder(1) / "round.plan").unlink()
    last = scene.session("party-3")
    assert step(last) == Awaits("the plan", (COORDINATOR,), 1)
    step(there[0])
    ended = scene.run([*there, last])
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene)


@pytest.mark.parametrize(
    ("scheme", "suffix"),
    [
        ("a key", ".plan"),
        ("a key", ".agg"),
        ("a key", ".enc"),
        ("a key", ".sum"),
        ("masks with dropouts", ".enroll"),
        ("masks with dropouts", ".ans"),
        ("shares", ".part"),
    ],
)
def test_whoever_is_behind_gets_back_what_the_others_have_done_with(tmp_path, scheme, suffix):
    scene = Scene(tmp_path, rounds=2, deadline=600, **SCHEMES[scheme])
    *others, last = scene.all()
    scene.run([*others, last], until=lambda it: (it.folder(1) / "round.sum").exists())
    scene.run(others, until=lambda it: (it.folder(2) / "round.plan").exists())
    scene.run(others)
    gone = list(scene.folder(1).glob(f"*{suffix}"))
    for each in gone:
        each.unlink()
    assert gone
    scene.run(others)
    ended = scene.run([*others, last])
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene)


@pytest.mark.parametrize(
    ("scheme", "suffix", "what"),
    [("masks with dropouts", ".ans", "answers"), ("shares", ".part", "partials")],
)
def test_nobody_is_blamed_where_answers_or_partials_are_taken_away(tmp_path, scheme, suffix, what):
    scene = Scene(tmp_path, rounds=1, **SCHEMES[scheme])
    everybody = scene.all()
    scene.run(everybody, until=lambda it: (it.folder(1) / "round.sum").exists())
    for name in scene.parties:
        scene.file(name, suffix).rename(tmp_path / name)
    # Its own it puts back itself.
    *others, last = scene.parties
    assert step(everybody[-1]) == Awaits(what, tuple(others), 1)
    scene.file(last, suffix).unlink()
    for name in scene.parties:
        (tmp_path / name).rename(scene.file(name, suffix))
    ended = scene.run(everybody)
    assert all(isinstance(each, Over) for each in ended.values())
    assert not any(link.entry.event == "refused" for link in scene.session(COORDINATOR).ledger.links)


# Training commands that fail.


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("exit 7", "the training command ended with status 7"),
        ("echo lost; exit 1", "ended with status 1 (lost)"),
        ("kill -9 $$", "the training command was ended by signal 9"),
        ("true", "the training command wrote no update"),
        ("echo x > $HECLI_UPDATE", "is not a tensor file"),
        ("cp ROOT/nan.npz $HECLI_UPDATE", "tensor b[1] is nan, not a finite number"),
        ("cp ROOT/inf.npz $HECLI_UPDATE", "tensor b[1] is inf, not a finite number"),
        ("cp ROOT/shape.npz $HECLI_UPDATE", "tensor w has shape [3, 3], the model has [3, 4]"),
        ("cp ROOT/less.npz $HECLI_UPDATE", "has no tensor b, which the model has"),
        ("cp ROOT/good.npz $HECLI_UPDATE", "wrote no weight"),
        (
            "cp ROOT/good.npz $HECLI_UPDATE; echo 100 > $HECLI_WEIGHT",
            "the weight 100, the training has 1 to 9",
        ),
        ("cp ROOT/good.npz $HECLI_UPDATE; echo 0 > $HECLI_WEIGHT", "the weight 0, the training has 1 to 9"),
        ("cp ROOT/good.npz $HECLI_UPDATE; echo 1.5 > $HECLI_WEIGHT", "is no whole number"),
        ("sleep 60", "the training command took longer than the 1 s that it may"),
    ],
)
def test_a_training_command_that_fails_skips_the_round_and_says_so(tmp_path, command, says):
    scene = Scene(tmp_path, parties=3, rounds=1, deadline=600, max_weight=9)
    nan, inf = ({**MODEL, "b": np.array([0, value, 0, 0], np.float32)} for value in (np.nan, np.inf))
    np.savez(tmp_path / "nan.npz", **nan)
    np.savez(tmp_path / "inf.npz", **inf)
    np.savez(tmp_path / "shape.npz", b=MODEL["b"], w=np.zeros((3, 3), np.float32))
    np.savez(tmp_path / "less.npz", w=MODEL["w"])
    np.savez(tmp_path / "good.npz", **MODEL)
    command = command.replace("ROOT", str(tmp_path))
    if "weight" not in says and "whole" not in says:
        command = f"echo 2 > $HECLI_WEIGHT; {command}"
    failing = scene.session("party-2", train=["sh", "-c", command], limit=1.0)
    there = [failing, *(scene.session(name) for name in (COORDINATOR, "party-1", "party-3"))]
    start = time.monotonic()
    scene.run(there)
    assert says in failing.skipped[1]
    assert any(line.startswith("round 1: skipped here: ") for line in scene.said["party-2"])
    assert time.monotonic() - start < 45
    later(scene, COORDINATOR, 1, 601)
    ended = scene.run(there)
    assert all(isinstance(each, Over) for each in ended.values())
    assert not scene.file("party-2", ".enc").exists()
    same_everywhere(scene)


def test_a_training_command_that_failed_is_tried_again_in_a_new_attempt(tmp_path):
    """Where all have to be there, nothing else goes on."""
    scene = Scene(tmp_path, rounds=1, **QUICK)
    flag = tmp_path / "ready"
    command = ["sh", "-c", f'[ -e {flag} ] && cp "$HECLI_MODEL" "$HECLI_UPDATE"']
    failing = scene.session("party-2", train=command)
    there = [scene.session(COORDINATOR), scene.session("party-1"), failing]
    scene.run(there)
    flag.touch()
    assert scene.run(there)["party-2"] == Awaits("updates", ("party-2",), 1)
    abandon(there[0], "party-2 is ready now")
    ended = scene.run(there)
    assert all(isinstance(each, Over) for each in ended.values())
    assert failing.skipped == {}


@pytest.mark.parametrize("word", ["", "x = 1; " * 100], ids=["empty", "a long script"])
def test_a_word_of_a_command_that_names_no_file_stays(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    found = words_of(shlex.join(["python", "-c", word, "train.py"]))
    assert found == ["python", "-c", word, str(tmp_path / "train.py")]


def test_what_a_training_command_is_told_and_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HECLI_PASSPHRASE", "swordfish")
    monkeypatch.setenv("HECLI_IDENTITY", "x.id")
    monkeypatch.setenv("MY_OWN", "stays")
    scene = Scene(tmp_path, rounds=2, **QUICK)
    told = tmp_path / "told"
    command = (
        f"env | sort > {told}-$HECLI_ROUND; pwd >> {told}-$HECLI_ROUND; cat; "
        'echo $HECLI_ROUND >> "$HECLI_STATE/seen"; cp "$HECLI_MODEL" "$HECLI_UPDATE"'
    )
    sessions = [
        scene.session(COORDINATOR),
        scene.session("party-1"),
        scene.session("party-2", train=["sh", "-c", command]),
    ]
    scene.run(sessions)
    own = scene.people / "party-2.run"
    first, second = (
        dict(
            line.split("=", 1)
            for line in (tmp_path / f"told-{number}").read_text().splitlines()
            if "=" in line
        )
        for number in (1, 2)
    )
    assert {name for name in first if name.startswith("HECLI_")} == {
        "HECLI_METRICS",
        "HECLI_MODEL",
        "HECLI_ROUND",
        "HECLI_SEED",
        "HECLI_STATE",
        "HECLI_UPDATE",
        "HECLI_WEIGHT",
    }
    assert first["MY_OWN"] == "stays"
    assert "swordfish" not in (tmp_path / "told-1").read_text()
    assert (tmp_path / "told-1").read_text().splitlines()[-1].startswith(str(own / "work-"))
    assert first["HECLI_SEED"] == second["HECLI_SEED"]
    assert (own / "state" / "seen").read_text() == "1\n2\n"
    assert not list(own.glob("work-*"))
    for path in [own, *(each for each in own.rglob("*") if each.parent.name != "state")]:
        assert path.stat().st_mode & 0o077 == 0, path
    # Its own seed: another's is another.
    assert json.loads((scene.people / "party-1.run" / "seed.json").read_text()) != json.loads(
        (own / "seed.json").read_text()
    )


def test_a_run_without_a_training_command_says_so(tmp_path):
    scene = Scene(tmp_path, **QUICK)
    scene.run([scene.session(COORDINATOR)])
    with pytest.raises(RefusedError, match="parties train") as caught:
        scene.run([scene.session("party-1", train=None)])
    assert "--train" in caught.value.hint


# What a member accepts.


def test_a_model_that_moves_too_far_is_refused_and_the_refusal_is_seen(tmp_path):
    scene = Scene(tmp_path, rounds=2, **QUICK)
    scene.run([careful := scene.session("party-1", max_step=1.0), scene.session(COORDINATOR)])
    others = [scene.session(name) for name in (COORDINATOR, "party-2")]
    with pytest.raises(RefusedError, match=r"moved by 1\.5, more than --max-step allows"):
        scene.run([careful, *others])
    with pytest.raises(RefusedError, match="moved by"):
        step(careful)
    refusals = [link for link in careful.ledger.links if link.entry.event == "refused"]
    assert [link.signer.name for link in refusals] == ["party-1"]
    assert not (scene.people / "party-1.run" / "model-0001.npz").exists()
    last = scene.model("party-1")
    assert all(np.array_equal(last[name], MODEL[name]) for name in MODEL)
    scene.run(others)
    assert any(
        "party-1 refuses the model: the model of round 1 moved" in line for line in scene.said["party-2"]
    )
    assert _status(scene)["rounds"][0]["refused"].keys() == {"party-1"}


@pytest.mark.parametrize(
    ("command", "accepted"), [("test -s $HECLI_MODEL", True), ("echo bad; exit 3", False)]
)
def test_a_model_that_fails_its_check_is_refused(tmp_path, command, accepted):
    scene = Scene(tmp_path, rounds=1, **QUICK)
    everybody = [scene.session(COORDINATOR), scene.session("party-2")]
    careful = scene.session("party-1", check=["sh", "-c", command])
    if accepted:
        assert isinstance(scene.run([careful, *everybody])["party-1"], Over)
        return
    with pytest.raises(RefusedError, match=r"the check ended with status 3$"):
        scene.run([careful, *everybody])


def test_terms_are_accepted_once(tmp_path):
    scene = Scene(tmp_path, **QUICK)
    asked = []

    def accept(training, digest):
        asked.append((training.name, digest))
        return True

    with pytest.raises(RefusedError, match="not accepted"):
        scene.session("party-1", accept=lambda *_: False)
    scene.session("party-1", accept=accept)
    scene.session("party-1", accept=accept)
    assert asked == [("trial", scene.begun.digest)]
    # The coordinator has signed them.
    scene.session(COORDINATOR, accept=lambda *_: False)


def test_another_training_needs_another_folder_of_ones_own(tmp_path):
    scene = Scene(tmp_path, **QUICK)
    scene.run(scene.all())
    shutil.rmtree(scene.shared)
    scene.shared.mkdir()
    scene.begin(MODEL, 0, {})
    with pytest.raises(RefusedError, match="belongs to another training"):
        scene.session("party-1")


def test_a_second_run_for_the_same_model_needs_again(tmp_path):
    """On another machine nothing is here of what was sent; a record tells, or the folder."""
    scene = Scene(tmp_path, parties=3, rounds=2)
    scene.run([scene.session("party-1"), scene.session(COORDINATOR)])
    shutil.rmtree(scene.people / "party-1.run")
    fresh = scene.session("party-1")
    scene.run([fresh, scene.session(COORDINATOR)])
    assert "sent before" in fresh.skipped[1]
    (scene.people / "party-1.id.sent").unlink()
    shutil.rmtree(scene.people / "party-1.run")
    fresh = scene.session("party-1")
    scene.run([fresh])
    assert "sent from another machine" in fresh.skipped[1]
    again = scene.session("party-1", again=True)
    scene.run([again])
    assert again.skipped == {}


def test_old_files_go_once_all_have_applied(tmp_path):
    scene = Scene(tmp_path, rounds=4, keep=1, **MASKS)
    random_updates(scene, 4)
    absent = "party-4"
    everybody = scene.all()
    scene.run(everybody, until=lambda it: (it.folder(2) / "round.sum").exists())
    for _ in range(3):
        scene.run([each for each in everybody if each.name != absent])
    # One has not applied the second sum yet, so it is still there.
    assert (scene.folder(2) / "round.sum").exists()
    ended = scene.run(everybody)
    assert all(isinstance(each, Over) for each in ended.values()), ended
    for number in (1, 2, 3):
        assert [path.name for path in scene.folder(number).iterdir()] == ["round.plan"], number
    assert (scene.folder(4) / "round.sum").exists()
    assert len(list((scene.shared / "ledger").iterdir())) > 20
    kept = sorted(path.name for path in (scene.people / "party-1.run").glob("model-*"))
    # One round more stays with each member, to be put back if the folder loses it.
    assert kept == ["model-0002.npz", "model-0003.npz", "model-0004.npz", "model-last.npz"]
    status = _status(scene)
    assert [each["bytes"]["update"] > 1000 for each in status["rounds"]] == [True] * 4


@pytest.mark.parametrize("how", ["removed", "emptied", "altered"])
def test_a_plan_is_put_back_by_the_coordinator(tmp_path, how):
    scene = Scene(tmp_path, rounds=1, **QUICK)
    scene.run([scene.session(COORDINATOR)])
    damaged(scene.folder(1) / "round.plan", how)
    parties = [scene.session(name) for name in scene.parties]
    assert scene.run(parties)["party-1"] == Awaits("the plan", (COORDINATOR,), 1)
    ended = scene.run([scene.session(COORDINATOR), *parties])
    assert all(isinstance(each, Over) for each in ended.values())


def test_a_format_that_cannot_be_read_is_not_stayed_with(tmp_path, monkeypatch):
    scene = Scene(tmp_path, rounds=1, **QUICK)

    def missing(*_):
        raise HecliError("safetensors needs packages that are not installed")

    with monkeypatch.context() as patch:
        patch.setattr(joining, "open_tensors", missing)
        with pytest.raises(HecliError, match="not installed"):
            scene.session("party-1", format="safetensors")
    scene.session("party-1", format="npz")


# Runs that are stopped, and run twice.


def _resumed(tmp_path, monkeypatch, base, victim, count):
    """A copy of a training in which one member's run is killed at that operation, and started again."""
    scene = base.copy_to(tmp_path / f"{victim}-{count}")
    everybody = {each.name: each for each in scene.all()}
    fate = Fate(monkeypatch, count)

    def step_or_die(session):
        if session.name != victim:
            return step(session)
        try:
            return stepped(everybody[victim], fate)
        except Killed:
            everybody[victim] = scene.session(victim)
            return Did("was killed")

    ended = scene.run(list(everybody.values()), step=step_or_die)
    assert all(isinstance(each, Over) and not each.failed for each in ended.values()), (victim, count)
    same_everywhere(scene)
    compared(scene, 1)
    enc = {name: scene.file(name, ".enc").read_bytes() for name in scene.parties}
    assert len(set(enc.values())) == len(scene.parties)
    shutil.rmtree(scene.root)
    return fate.seen


KILLED = {
    "masks with dropouts": {"parties": 4, "key": None, "masks": 1},
    "a key": {"parties": 2},
}


@pytest.mark.parametrize("victim", [COORDINATOR, "party-1"])
@pytest.mark.parametrize("scheme", KILLED)
def test_a_run_killed_at_a_file_operation_goes_on(tmp_path, monkeypatch, scheme, victim):
    """One operation in so many; the next test takes them all."""
    base = Scene(tmp_path / "base", rounds=1, **KILLED[scheme])
    total = _resumed(tmp_path, monkeypatch, base, victim, 0)
    assert total > 40
    for count in range(3, total, total // 10):
        _resumed(tmp_path, monkeypatch, base, victim, count)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_run_killed_at_every_file_operation_goes_on(tmp_path, monkeypatch, scheme):
    """Under keys in shares, where a round takes seconds, at every seventh."""
    base = Scene(tmp_path / "base", rounds=1, **SCHEMES[scheme])
    for victim in (COORDINATOR, "party-1"):
        total = _resumed(tmp_path, monkeypatch, base, victim, 0)
        for count in range(1, total + 1, 7 if "shares" in scheme else 1):
            _resumed(tmp_path, monkeypatch, base, victim, count)


def test_two_runs_of_one_identity_send_one_update(tmp_path):
    scene = Scene(tmp_path, rounds=3, **MASKS)
    random_updates(scene, 3)
    twice = [scene.session("party-1"), *scene.all(), scene.session(COORDINATOR), scene.session("party-1")]
    ended = scene.run(twice)
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene)
    compared(scene, 3)
    # Nobody's clock or count says that a party sent two.
    events = [(link.signer.name, link.entry.event, link.entry.plan) for link in twice[0].ledger.links]
    assert len([each for each in events if each[1] == "plan"]) == 3
    assert len([each for each in events if each[1] == "closed"]) == 3


def test_a_run_that_waits_says_for_whom_and_goes_on_by_itself(tmp_path, monkeypatch):
    scene = Scene(tmp_path, rounds=1, **QUICK)
    coordinator, other = scene.session(COORDINATOR), scene.session("party-2")
    seen = []

    def waiting(awaits, seconds):
        seen.append(awaits)
        # Meanwhile the others do their part.
        step(other if len(seen) % 2 else scene.session("party-1"))

    monkeypatch.setattr(running.time, "sleep", lambda _: None)
    outcome = running.run(coordinator, once=False, waiting=waiting)
    assert isinstance(outcome, Over)
    assert seen[0] == Awaits("enrollments", ("party-1", "party-2"), 1)
    assert running.run(scene.session("party-1"), once=True, waiting=waiting) == outcome


def test_a_lost_file_of_ones_own_is_said(tmp_path):
    scene = Scene(tmp_path, rounds=2, **QUICK)
    scene.run(scene.all())
    (scene.people / "party-1.run" / "round-0001" / "applied.json").write_text("{")
    with pytest.raises(HecliError, match="cannot read"):
        step(scene.session("party-1"))
    model = scene.people / "party-2.run" / "model-0002.npz"
    model.unlink()
    assert isinstance(step(scene.session("party-2")), Over)


# The commands of a single round, on the files of a training.


def test_a_party_s_round_by_hand(tmp_path, monkeypatch, ok):
    """Its update encrypted by hand is as good as one of hecli run."""
    scene = Scene(tmp_path, parties=2, rounds=1, rule="sgd", max_weight=3)
    others = [scene.session(name) for name in (COORDINATOR, "party-1")]
    scene.run(others)
    monkeypatch.chdir(scene.root)
    scene.give("party-2", {name: np.full_like(value, 2) for name, value in MODEL.items()}, weight=3)
    plan, file = scene.folder(1) / "round.plan", scene.file("party-2", ".enc")
    hand = ("--identity", "people/party-2.id", "--key", "hecli.pub", "--weight", "3")
    hecli.write_public_key(PUBLIC, scene.root / "hecli.pub")
    ok("encrypt", "given/party-2/every.npz", "--plan", plan, *hand, "-o", file)
    scene.run(others)
    compared(scene, 1, rule="sgd")
    applied = json.loads((scene.people / "party-1.run" / "round-0001" / "applied.json").read_text())
    assert applied["contributors"] == ["party-1", "party-2"]


def test_everything_after_the_closing_by_hand(tmp_path, monkeypatch, ok):
    scene = Scene(tmp_path, parties=2, rounds=1)
    parties = [scene.session(name) for name in scene.parties]
    everybody = [scene.session(COORDINATOR), *parties]
    scene.run(everybody, until=lambda _: "round 1: closed with 2 of 2 parties" in scene.said[COORDINATOR])
    monkeypatch.chdir(scene.folder(1))
    monkeypatch.setenv("HECLI_LEDGER", "../ledger")
    monkeypatch.setenv("HECLI_IDENTITY", str(scene.people / f"{COORDINATOR}.id"))
    files = sorted(path.name for path in scene.folder(1).glob("*.enc"))
    ok("aggregate", *files, "--plan", "round.plan", "-o", "round.agg")
    ok("decrypt", "round.agg", "--plan", "round.plan", "--key", scene.root / "hecli.key", "-o", "round.sum")
    monkeypatch.delenv("HECLI_LEDGER")
    ended = scene.run(parties)
    assert all(isinstance(each, Over) for each in ended.values())
    same_everywhere(scene, scene.parties)
    compared(scene, 1)
    ok("verify", "round.agg", "--from", *files, "--plan", "round.plan")
    ok("verify", "round.sum", "--from", "round.agg", "--plan", "round.plan")
    ok("ledger", "verify", "../ledger", "--files", "..")
    model = scene.people / "party-1.run" / "model-0000.npz"
    ok("apply", "round.sum", model, "--rule", "add", "--plan", "round.plan", "-o", scene.root / "next.npz")
    with np.load(scene.root / "next.npz") as next_model:
        for name, value in scene.model("party-2", 1).items():
            assert np.array_equal(next_model[name], value)


# Status.


def _status(scene):
    session = scene.session(COORDINATOR)
    session.look()
    terms = read_terms(session.shared)
    return read_status(session.shared, terms, session.ledger, chain.datetime.now(chain.UTC))


def test_status_says_who_is_awaited_and_since_when(tmp_path):
    scene = Scene(tmp_path, rounds=2, **MASKS)
    awaited = _status(scene)["awaited"]
    assert (awaited["what"], awaited["names"], awaited["round"]) == ("the plan", [COORDINATOR], 1)
    scene.run([scene.session(name) for name in (COORDINATOR, "party-2")])
    awaited = _status(scene)["awaited"]
    assert (awaited["what"], awaited["names"]) == ("enrollments", ["party-1", "party-3", "party-4"])
    assert awaited["seconds"] >= 0
    scene.run(scene.all())
    status = _status(scene)
    assert status["awaited"] is None or status["awaited"]["what"] == "the model"
    assert status["rounds_done"] == 2
    assert all(len(each["applied"]) >= 4 for each in status["rounds"])


def test_the_ledger_of_a_training_is_one_that_hecli_verifies(tmp_path):
    scene = Scene(tmp_path, rounds=2, **SCHEMES["a key and masks"])
    scene.run(scene.all())
    session = scene.session(COORDINATOR)
    ledger = chain.read_ledger(session.shared, "ledger")
    assert not ledger.problems
    history = read_history(ledger, session.training)
    assert [(each.number, each.attempt) for each in history.rounds] == [(1, 1), (2, 1)]
    assert all(set(each.applied) == {COORDINATOR, *scene.parties} for each in history.rounds)


def test_a_training_of_ten_parties_and_many_rounds(tmp_path):
    scene = Scene(tmp_path, parties=10, rounds=3, key=None, masks=2)
    random_updates(scene, 3)
    scene.run(scene.all())
    same_everywhere(scene)
    compared(scene, 3)


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, KEY], ids=["masks", "a key"])
def test_fifty_rounds_of_ten_parties(tmp_path, key):
    scene = Scene(tmp_path, parties=10, rounds=50, key=key, masks=2 if key is None else None, keep=3)
    scene.patience = 900
    random_updates(scene, 50)
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) and not each.failed for each in ended.values())
    same_everywhere(scene)
    assert len(_status(scene)["rounds"]) == 50


# How a training begins.


def test_what_cannot_be_begun(tmp_path):
    scene = Scene(tmp_path, **QUICK)
    with pytest.raises(RefusedError, match="there is a training in this folder already"):
        scene.begin(MODEL, 0, {})
    for file in ("training.hecli", "key.pub"):
        (scene.shared / file).unlink(missing_ok=True)
        with pytest.raises(RefusedError, match="something else is in this folder already: model"):
            scene.begin(MODEL, 0, {})
    bad = {tensor_name("loss"): np.zeros(2), **MODEL}
    for changes, says in (
        ({"model": bad}, "no tensor may be named hecli.metric.loss"),
        ({"model": {**MODEL, "b": np.array([0, np.nan, 0, 0])}}, r"tensor b\[1\] is nan"),
        ({"rounds": 0}, "0 rounds"),
        ({"bits": 1}, "values of 1 bits"),
        ({"range": float("nan")}, "a range of nan"),
        ({"deadline": 0}, "a deadline of 0 s"),
        ({"metrics": (Metric("loss", -1.0),)}, "the metric 'loss' cannot be"),
        ({"goal": Goal("loss", False, None, 0)}, "a goal that is none of its metrics"),
        ({"min_parties": 3}, "part"),
        ({"skipped": ("b", "w")}, "the list of skipped tensors"),
    ):
        shutil.rmtree(scene.shared)
        scene.shared.mkdir()
        model = changes.pop("model", MODEL)
        with pytest.raises(HecliError, match=says):
            scene.begin(model, 0, changes)
        assert not (scene.shared / "training.hecli").exists()


def test_a_beginning_that_fails_leaves_no_identities(place, fails, ok):
    np.savez("model.npz", **MODEL)
    people = ("--make-identities", "people", "--parties", 2)
    fails(
        "start", "trial", "--model", "other.npz", *people, says="cannot read other.npz", hint="check the path"
    )
    assert not (place / "people").exists()
    assert not (place / "trial").exists()
    rule = ("--rule", "replace", "--lr", 0.5)
    fails("start", "trial", "--model", "model.npz", *people, *rule, says="--lr is for the rules", status=2)
    ok("start", "trial", "--model", "model.npz", *people)


@pytest.mark.parametrize("option", ["--max-step", "--time-limit"])
@pytest.mark.parametrize("value", ["nan", "0", "-1", "inf"])
def test_a_limit_is_a_number_above_0(run, place, option, value):
    status, _, errors = run("run", "shared", "--identity", "x.id", option, value)
    assert status == 2
    assert f"{option} is a number above 0" in errors


def test_a_beginning_that_fails_leaves_nothing(place, fails, ok):
    np.savez("nan.npz", w=np.array([np.nan]))
    np.savez("model.npz", w=np.array([1.0]))
    identities = ("--make-identities", "people", "--parties", "2")
    fails("start", "shared", "--model", "nan.npz", *identities, says="w[0] is nan", hint="begin with")
    assert not (place / "people").exists()
    assert not (place / "shared").exists()
    ok("start", "shared", "--model", "model.npz", *identities)


def test_a_system_without_folders_to_hold_on_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "supports_dir_fd", set())
    with pytest.raises(HecliError, match="cannot be used safely on this system"):
        Confined(str(tmp_path))


def test_terms_are_signed_by_their_coordinator(tmp_path):
    scene = Scene(tmp_path, **QUICK)
    session = scene.session("party-1")
    terms = read_terms(session.shared)
    assert terms.training == scene.begun.training
    with pytest.raises(RefusedError, match="signed by its coordinator"):
        write_training(terms.training, io.BytesIO(), scene.identities["party-1"])
    data = bytearray(terms.data)
    data[-3] ^= 1
    (scene.shared / "training.hecli").write_bytes(data)
    with pytest.raises(FormatError):
        read_terms(session.shared)
    assert dataclasses.replace(terms.training, rounds=3) != terms.training


def test_terms_of_which_only_a_later_round_cannot_be_leave_nothing(tmp_path):
    """As with two bits and a rank: the next try finds the folder as it was."""
    with pytest.raises(HecliError, match="would never get through"):
        Scene(tmp_path, bits=2, sample=100, rounding="stochastic", **QUICK)
    assert not list((tmp_path / "shared").iterdir())
