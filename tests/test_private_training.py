"""Trainings with noise: what they promise, what they spend, and what they leave unsaid."""

import json
import shutil
from fractions import Fraction

import numpy as np
import pytest

from hecli.errors import HecliError, RefusedError
from hecli.ledger.chain import read_ledger
from hecli.plan.files import write_plan
from hecli.privacy.accounting import Cost, rho_within
from hecli.privacy.choosing import Promise
from hecli.rounds.spending import spending, spent_in
from hecli.storage.confined import Confined
from hecli.storage.local import LOCAL
from hecli.training import running
from hecli.training.contributing import check_account
from hecli.training.deriving import derive_plan
from hecli.training.history import read_history
from hecli.training.stepping import step
from tests.support import KEY
from tests.trainings import COORDINATOR, MODEL, Did, Fate, Killed, Over, Scene, stepped

GRADIENT = {"b": np.ones(4), "w": np.full((3, 4), -0.25)}


def promise(rounds=3, unit="record", epsilon=8.0, **changes):
    found = Promise(unit, 0.5, rho_within(epsilon, 1e-5, rounds), epsilon, 1e-5, 1)
    return found._replace(**changes)


def scene(tmp_path, rounds=3, parties=3, key=None, **terms):
    terms = {
        "privacy": promise(rounds),
        "rule": "sgd",
        "lr": 0.01,
        "rounds": rounds,
        "min_parties": parties,
        "bits": None,
    } | terms
    made = Scene(tmp_path, parties, key=key, masks=0 if key is None else None, **terms)
    for name in made.parties:
        made.give(name, GRADIENT)
    return made


def spent_by(made, name):
    path = made.people / f"{name}.id"
    return spent_in(LOCAL, f"{path}.spent", made.identities[name])


def events(made):
    return [link.entry.event for link in read_ledger(Confined(str(made.shared)), "ledger").links]


@pytest.mark.parametrize("unit", ["record", "party"])
def test_a_training_spends_what_it_promises(tmp_path, unit):
    made = scene(tmp_path, privacy=promise(unit=unit))
    ended = made.run(made.all())
    assert all(isinstance(each, Over) for each in ended.values())
    for name in made.parties:
        spent = spent_by(made, name)
        assert len(spent) == 3
        assert {each.unit for each in spent} == {unit}
        total = sum((each.cost.rho for each in spent), Fraction(0))
        assert 7.5 < Cost(total, 3).epsilon(1e-5) <= 8
    # The mean of what all sent, within its noise.
    moved = made.model(made.parties[0])["b"]
    assert not np.array_equal(moved, MODEL["b"])


@pytest.mark.parametrize("terms", [{"rotate": True}, {"rank": 1}, {"sample": 2048}])
def test_noise_goes_with_compression(tmp_path, terms):
    model = {"w": np.zeros((32, 40), np.float32)}
    terms = {"rule": "sgd", "rounds": 3, "min_parties": 3, "bits": None} | terms
    made = Scene(tmp_path, 3, key=None, masks=0, model=model, privacy=promise(unit="party"), **terms)
    for at, name in enumerate(made.parties):
        made.give(name, {"w": np.full((32, 40), 0.01 * (at + 1), np.float32)})
    ended = made.run(made.all())
    assert all(isinstance(each, Over) for each in ended.values())
    costs = {float(each.cost.rho) for each in spent_by(made, made.parties[0])}
    assert max(costs) <= promise(unit="party").rho
    # What does not get through is kept, before noise.
    assert (made.people / f"{made.parties[0]}.run" / "residual").exists()


def test_a_round_that_is_tried_again_spends_again(tmp_path):
    made = scene(tmp_path, rounds=2)
    sessions = made.all()
    handed = lambda made: made.file(made.parties[0], ".enc").exists()  # noqa: E731
    made.run(sessions[:1])
    made.enroll()
    made.run(sessions[:2], until=handed)
    assert len(spent_by(made, made.parties[0])) == 1
    running.abandon(sessions[0], "again")
    ended = made.run(sessions)
    assert {each.why for each in ended.values()} == {"the privacy of 2 rounds is spent"}
    assert len(spent_by(made, made.parties[0])) == 2
    # The second attempt was opened; there is no second round.
    assert sessions[0].own.applied()[0]["contributors"] == sorted(made.parties)
    assert len(sessions[0].own.applied()) == 1


def test_a_plan_beyond_the_promise_is_none(tmp_path):
    """Whoever coordinates cannot have more updates than were promised."""
    made = scene(tmp_path, rounds=1)
    sessions = made.all()
    made.run(sessions)
    coordinator = sessions[0]
    history = read_history(coordinator.ledger, made.begun.training)
    position = history.rounds[0]
    plan = coordinator.plans[position.digest]
    further = derive_plan(
        made.begun.training, plan.position._replace(round=2, previous=bytes(32)), None, bytes(16)
    )
    folder = made.shared / "round-0002"
    folder.mkdir()
    with (folder / "round.plan").open("wb") as out:
        write_plan(further, out, coordinator.identity)
    coordinator.record("plan", plan=further.digest, text=further.name)
    ended = made.run([made.session(name) for name in made.parties])
    assert all(isinstance(each, Over) for each in ended.values())
    assert all(len(spent_by(made, name)) == 1 for name in made.parties)


def test_a_party_stops_at_its_own_budget(tmp_path):
    made = scene(tmp_path, rounds=3)
    session = made.session(made.parties[0])
    path = made.people / f"{made.parties[0]}.id"
    own = spending(LOCAL, f"{path}.spent", session.identity, str(path), 0.001)
    session.secrets.__dict__["account"] = own
    made.run([made.session(COORDINATOR)])
    made.enroll()
    with pytest.raises(RefusedError, match=r"above the budget of 0\.001"):
        made.run([made.session(COORDINATOR), session])
    assert not made.file(made.parties[0], ".enc").exists()


def test_an_account_that_was_rolled_back_is_noticed(tmp_path):
    made = scene(tmp_path, rounds=2)
    sessions = made.all()
    made.run(sessions)
    name = made.parties[0]
    account = made.people / f"{name}.id.spent"
    spent = spent_by(made, name)
    check_account(sessions[1], spent)
    for lacking in (spent[:1], ()):
        with pytest.raises(HecliError, match=r"lacks [12] updates? of this training"):
            check_account(sessions[1], lacking)
    account.unlink()
    with pytest.raises(HecliError, match="lacks 2 updates of this training"):
        check_account(sessions[1], spent_by(made, name))


def test_an_account_of_another_machine_is_noticed(tmp_path):
    """Nothing of the party's own is here but the identity: its signed updates lie in the folder."""
    made = scene(tmp_path, rounds=2)
    made.run(made.all())
    name = made.parties[0]
    shutil.rmtree(made.people / f"{name}.run")
    (made.people / f"{name}.id.spent").unlink()
    with pytest.raises(HecliError, match="lacks 2 updates of this training"):
        check_account(made.session(name), ())
    check_account(made.session(COORDINATOR), ())


def test_everybody_is_charged_for_every_attempt(tmp_path, run):
    """Whoever closes rounds, or says that they were closed, takes nothing off what the folder shows."""
    made = scene(tmp_path, rounds=3)
    sessions = made.all()
    made.run(sessions[:2], until=lambda made: made.file(made.parties[0], ".enc").exists())
    # A member who may not close it says that nobody was in it.
    plan = read_history(sessions[0].ledger, made.begun.training).rounds[0].digest
    made.session(made.parties[1]).record("closed", plan=plan, files=[])
    running.abandon(sessions[0], "again")
    for where in (made.shared, made.shared / "ledger"):
        status, output, _ = run("privacy", where, "--json")
        assert status == 0
        lines = {line["name"]: line for line in json.loads(output)}
        assert set(lines) == set(made.parties)
        assert {line["updates"] for line in lines.values()} == {1}
    status, output, _ = run("status", made.shared)
    assert "privacy      epsilon" in output


def test_what_a_check_of_private_data_says_is_not_sent(tmp_path):
    made = scene(tmp_path, rounds=2)
    sessions = [
        made.session(name, check=["false"] if name == made.parties[1] else None)
        for name in [COORDINATOR, *made.parties]
    ]
    with pytest.raises(RefusedError, match="the check"):
        made.run(sessions)
    assert "refused" not in events(made)


def test_what_everybody_can_see_is_sent(tmp_path):
    """How far a model moved tells nothing but the sum."""
    made = scene(tmp_path, rounds=2)
    sessions = [made.session(name, max_step=1e-9) for name in [COORDINATOR, *made.parties]]
    with pytest.raises(RefusedError, match="--max-step"):
        made.run(sessions)
    assert "refused" in events(made)


def test_the_clip_norm_is_told_to_the_command(tmp_path):
    made = scene(tmp_path, rounds=1)
    seen = tmp_path / "seen"
    copying = made.copying(made.parties[0])
    train = [*copying[:2], f'echo "$HECLI_CLIP" > {seen}; {copying[2]}']
    sessions = [made.session(COORDINATOR), made.session(made.parties[0], train=train)]
    made.run(sessions)
    made.enroll()
    made.run(sessions)
    assert seen.read_text() == "0.5\n"


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"rule": "replace"}, "noise where the mean replaces the model"),
        ({"rule": "add"}, "records protected by another rule than sgd"),
        ({"max_weight": 2}, "a weight tells of a party's data"),
        ({"plain": ("b",), "key": KEY}, "noise does not protect what is in the clear"),
        ({"privacy": promise(rounds=2)}, "3 rounds come to epsilon"),
        ({"privacy": promise(colluders=3)}, "no noise counts"),
        ({"bits": 5}, "5 bits are too coarse"),
    ],
)
def test_terms_that_would_not_keep_their_promise(tmp_path, terms, says):
    with pytest.raises(HecliError, match=says):
        scene(tmp_path, **terms)


def test_start_run_and_privacy_at_the_command_line(place, ok, run, fails):
    np.savez("model.npz", **MODEL)
    began = ("start", "shared", "--model", "model.npz", "--make-identities", "people", "--parties", 3)
    noise = ("--clip", 0.5, "--epsilon", 2, "--rounds", 2)
    fails(*began, "--clip", 1, says="--clip needs --epsilon", hint="--help", status=2)
    fails(*began, "--epsilon", 1, says="--epsilon is for noise, with --clip", hint="--help", status=2)
    fails(*began, *noise, "--metric", "loss=1", says="metrics beside noise", hint=None)
    said = ok(*began, *noise)
    assert "of all that a party sends, clipped to a norm of 0.5" in said
    assert "epsilon 2 at delta 1e-05 in all rounds together" in said
    assert "2 in 2 rounds" in said
    status, output, _ = run("privacy", "shared", "--json")
    assert (status, json.loads(output)) == (0, [])
    party = ("run", "shared", "--identity", "people/party-1.id", "--train", "true", "--once")
    fails(*party, "--budget", -1, says="--budget is a number above 0", hint="--help", status=2)


def _resumed(base, root, monkeypatch, count):
    """A copy of a training in which a party's run is killed at that operation, and started again."""
    made = base.copy_to(root)
    victim = made.parties[0]
    everybody = {each.name: each for each in made.all()}
    fate = Fate(monkeypatch, count)

    def step_or_die(session):
        if session.name != victim:
            return step(session)
        try:
            return stepped(everybody[victim], fate)
        except Killed:
            check_account(made.session(victim), spent_by(made, victim))
            everybody[victim] = made.session(victim)
            return Did("was killed")

    ended = made.run(list(everybody.values()), step=step_or_die)
    assert all(isinstance(each, Over) and not each.failed for each in ended.values()), count
    # What was encrypted is in the account, also where it is not what was sent in the end.
    assert 1 <= len(spent_by(made, victim)) <= 2, count
    models = [made.model(name)["w"] for name in made.parties]
    assert all(np.array_equal(models[0], each) for each in models)
    return fate.seen


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_killed_at_a_file_operation_keeps_its_account(tmp_path, monkeypatch, every):
    base = scene(tmp_path / "base", rounds=1)
    total = _resumed(base, tmp_path / "whole", monkeypatch, 0)
    assert total > 30
    for count in range(1, total + 1, every):
        _resumed(base, tmp_path / str(count), monkeypatch, count)
