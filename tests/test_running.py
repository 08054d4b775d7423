"""How a run waits, for entries, and where it closes or opens rounds for files; and what it spares."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from hecli.errors import RefusedError
from hecli.rounds.verify_aggregate import check_recomputed
from hecli.training import aggregating, running, stepping
from hecli.training.session import Session, placeless
from hecli.training.stepping import Awaits, Over, step
from tests.trainings import COORDINATOR, Scene

HOUR = 3600


def wait(session, seen):
    running._wait(session, seen, time.monotonic(), time.monotonic() + HOUR)


def test_an_entry_ends_the_wait_of_everybody(tmp_path):
    scene = Scene(tmp_path, key=None, masks=1)
    coordinator, *parties = scene.all()
    for each in parties:
        step(each)
    seen = [each.glance() for each in parties]
    assert [each.glance() for each in parties] == seen
    step(coordinator)
    for each, before in zip(parties, seen, strict=True):
        wait(each, before)


def test_a_file_ends_the_wait_of_whoever_closes(tmp_path):
    scene = Scene(tmp_path, key=None, masks=1)
    coordinator, party = scene.session(COORDINATOR), scene.session("party-1")
    for _ in range(2):
        step(coordinator)
    before, others = coordinator.glance(), scene.session("party-2")
    step(others)
    seen = others.glance()
    step(party)
    assert scene.file("party-1", ".enroll").exists()
    wait(coordinator, before)
    # Another party goes on with an entry alone.
    assert others.glance() == seen


def test_what_comes_during_a_step_ends_the_wait_after_it(tmp_path, monkeypatch):
    scene = Scene(tmp_path, key=None, masks=1)
    coordinator, party = scene.session(COORDINATOR), scene.session("party-1")
    looked = []

    def taken(session):
        outcome = step(session)
        looked.append(outcome)
        if len(looked) == 1:
            step(coordinator)
        if len(looked) == 2:
            raise KeyboardInterrupt
        return outcome

    monkeypatch.setattr(running, "step", taken)
    monkeypatch.setattr(running, "SHORTEST", HOUR)
    with suppress(KeyboardInterrupt):
        running.run(party, once=False, waiting=lambda *_: None)
    assert [type(each).__name__ for each in looked] == ["Awaits", "Did"]


def test_an_aggregate_is_made_again_once_in_a_run(tmp_path, monkeypatch):
    scene = Scene(tmp_path, key=None, masks=1, rounds=1)
    sessions, made_again = scene.all(), []

    def counted(*args, **kwargs):
        made_again.append(args)
        return check_recomputed(*args, **kwargs)

    monkeypatch.setattr(aggregating, "check_recomputed", counted)
    scene.run(sessions, until=lambda _: len(list(scene.folder(1).glob("*.ans"))) == 4)
    # A run that begins now has not seen the check before the answer.
    sessions[1] = scene.session("party-1")
    ended = scene.run(sessions)
    assert all(isinstance(each, Over) for each in ended.values())
    assert len(made_again) == 1


def test_what_changes_all_the_time_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    scene = Scene(tmp_path, key=None, masks=1)
    session, synced = scene.session("party-1"), []
    monkeypatch.setattr(os, "fsync", synced.append)
    session.own.keep_head("1:" + "0" * 64)
    assert not synced
    session.own.write(session.own.path(1, "update.json"), {})
    assert len(synced) == 2


def test_a_head_that_a_power_cut_emptied_is_none(tmp_path):
    scene = Scene(tmp_path, key=None, masks=1)
    session = scene.session("party-1")
    session.look()
    (session.own.root / "head").write_bytes(b"")
    assert session.own.head is None
    assert isinstance(step(scene.session("party-1")), Awaits)


def test_two_who_aggregate_at_once_leave_each_others_aggregate_there(tmp_path, monkeypatch):
    scene = Scene(tmp_path, parties=2, key=None, masks=0, rounds=1, aggregators=[COORDINATOR, "party-1"])
    late = {COORDINATOR, "party-1"}

    def seen_too_late(session, found):
        """Each looks before the other's is there."""
        if session.name in late:
            late.remove(session.name)
            return False
        return aggregating.is_aggregated(session, found)

    monkeypatch.setattr(stepping, "is_aggregated", seen_too_late)
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values())
    made = [line for lines in scene.said.values() for line in lines if "aggregated" in line]
    assert made == ["round 1: aggregated 2 updates"] * 2


@pytest.mark.parametrize("place", ["shared", "/srv/shared", "/srv/by anna/shared"])
def test_what_others_read_has_no_place_in_it(tmp_path, place):
    scene = Scene(tmp_path / "a b", parties=2, key=None, masks=0, rounds=1)
    scene.run(scene.all())
    session = scene.session("party-1")
    own = session.own.root / "round-0001" / "round.sum"
    text = f"{own}: is not what {place}/round-0001/round.agg holds"
    said = placeless(session, session.look().rounds[0], text)
    assert said == "round-0001/round.sum: is not what round-0001/round.agg holds"


def test_a_round_that_is_closed_in_the_moment_of_abandoning_is_not_abandoned(tmp_path, monkeypatch):
    scene = Scene(tmp_path, parties=2, key=None, masks=0, rounds=1)
    coordinator, *parties = scene.all()
    step(coordinator)
    scene.enroll()
    scene.run(parties)
    other, look = scene.session(COORDINATOR), Session.look

    def looked(session):
        history = look(session)
        step(coordinator)
        return history

    with monkeypatch.context() as patch, pytest.raises(RefusedError, match="was closed just before"):
        patch.setattr(other, "look", lambda: looked(other))
        running.abandon(other, "too few")
    ended = scene.run([coordinator, *parties])
    assert all(isinstance(each, Over) for each in ended.values())


def test_a_round_of_more_parties_than_the_usual_limit_of_open_files(tmp_path):
    scene = Scene(tmp_path, parties=70, key=None, masks=0, rounds=1)
    scene.run(scene.all(), until=lambda it: (it.folder(1) / "round.agg").exists())
    (scene.folder(1) / "round.agg").unlink()
    (aggregate,) = (scene.people / f"{COORDINATOR}.run" / "round-0001").glob("*.agg")
    aggregate.unlink()
    run = f'"{sys.executable}" -m hecli run shared --identity people/{COORDINATOR}.id --once'
    ended = subprocess.run(
        ["bash", "-c", f"ulimit -S -n 64; exec {run}"], cwd=tmp_path, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (scene.folder(1) / "round.sum").exists()


def test_partials_that_vanish_while_they_are_looked_at_end_no_run(tmp_path, monkeypatch):
    """They were there when they were counted; whoever made them puts them back."""
    scene = Scene(tmp_path, parties=5, key="dealt", rounds=1)
    made_in, removed = stepping.made_in, []

    def vanishing(session, found):
        made = made_in(session, found)
        if len(made.partials) >= 4 and not removed:
            removed.extend(scene.folder(1).glob("*.part"))
            for each in removed:
                each.unlink()
        return made

    monkeypatch.setattr(stepping, "made_in", vanishing)
    ended = scene.run(scene.all())
    assert removed
    assert all(isinstance(each, Over) and not each.failed for each in ended.values())
