"""Coordinators, aggregators, keyholders, folders and other parties, against the members of a training."""

import json
import os
import signal
import stat
from contextlib import contextmanager

import pytest

from hecli.cli.console import Console
from hecli.errors import HecliError
from hecli.training.metrics import read_measured
from hecli.training.stepping import Awaits, Did, Over, step
from hecli.training.terms import Metric
from tests.attacks.training import (
    ALONE,
    changed_file,
    copied,
    events,
    handed_in,
    has_sent,
    history_of,
    opened,
    planned,
    says,
    steps,
)
from tests.trainings import COORDINATOR, Scene


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """What is durable is others' to test."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


# The folder: whoever can write to it.


@pytest.mark.parametrize("order", [1, -1])
def test_a_folder_has_one_party_s_update_lie_under_another_s_name(tmp_path, order):
    """It counts once at most, for the party who made it, and makes nobody's own update void."""
    scene = handed_in(tmp_path, without=("party-1", "party-2", "party-3"))
    first, second, third = sorted(scene.parties, key=lambda x: scene.identities[x].card.fingerprint)[::order]
    for name in (first, third):
        steps(scene.session(name))
    copied(scene.file(first, ".enc"), scene.file(second, ".enc"))
    aggregator = scene.session(COORDINATOR)
    assert step(aggregator) == Awaits("updates", (second,), 1)
    assert any(f"the file of {second} is left out" in line for line in scene.said[COORDINATOR])
    step(scene.session(second))
    ended = scene.run([aggregator, *(scene.session(name) for name in scene.parties)])
    assert isinstance(ended[COORDINATOR], Over)
    assert len(events(scene, "closed")) == 2


def test_a_folder_takes_a_signature_off_for_a_while_to_have_an_update_void(tmp_path):
    """A file's digest says nothing of who signed it."""
    scene = handed_in(tmp_path)
    file = scene.file("party-2", ".enc")
    whole = file.read_bytes()
    file.write_bytes(changed_file(file))
    aggregator = scene.session(COORDINATOR)
    assert step(aggregator) == Awaits("updates", ("party-2",), 1)
    file.write_bytes(whole)
    assert isinstance(step(aggregator), Did)
    assert len(history_of(scene).rounds[0].closed) == 1
    assert isinstance(steps(aggregator), Awaits)
    assert len(events(scene, "closed")) == 1
    assert events(scene, "opened")


@pytest.mark.parametrize("what", ["fifo", "link", "dangling", "device"])
def test_a_folder_has_no_file_where_a_member_writes_or_reads_one(tmp_path, what):
    """Nothing is waited for, nothing outside is written; what is there is replaced by the file itself."""
    scene = Scene(tmp_path / "scene", 4, key=None, masks=1, rounds=1)
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    scene.folder(1).mkdir()
    files = names_to_be(scene)
    for file in files:
        plant(file, what, outside)
    with alarm():
        ended = scene.run(scene.all())
    assert {type(each) for each in ended.values()} == {Over}
    assert outside.read_bytes() == b"mine"
    assert all(file.is_file() and not file.is_symlink() for file in files)


@pytest.mark.parametrize("what", ["fifo", "link", "dangling", "device", "folder"])
@pytest.mark.parametrize("name", ["training.hecli", "model.tensors", "ledger/00000002.entry"])
def test_a_folder_has_no_file_where_terms_model_and_ledger_are(tmp_path, what, name):
    scene = Scene(tmp_path / "scene", 3, **ALONE)
    outside = tmp_path / "outside"
    file = scene.shared / name
    file.rename(outside)
    plant(file, what, outside)
    with alarm(), pytest.raises(HecliError):
        steps(scene.session("party-1"))
    assert not has_sent(scene, "party-1")


@pytest.mark.parametrize("what", ["fifo", "link", "device"])
def test_a_folder_has_no_file_where_a_coordinator_begins(tmp_path, what):
    (tmp_path / "scene" / "shared").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    plant(tmp_path / "scene" / "shared" / "model.tensors", what, outside)
    with alarm(), pytest.raises(HecliError, match=r"is no file|exists"):
        Scene(tmp_path / "scene", 3, **ALONE)
    assert outside.read_bytes() == b"mine"


def test_a_folder_is_full_of_giant_files(tmp_path):
    """Sparse files of a terabyte, under the names of files to be: no more of one is read than is needed."""
    scene = Scene(tmp_path, 4, key=None, masks=1, rounds=1)
    scene.folder(1).mkdir()
    answer = scene.file("party-3", ".ans")
    for file in names_to_be(scene):
        giant(file)
    with alarm():
        scene.run(scene.all(), until=lambda _: answer.stat().st_size < 1 << 20)
        giant(answer)
        ended = scene.run(scene.all())
    assert {type(each) for each in ended.values()} == {Over}
    assert answer.stat().st_size < 1 << 20


def names_to_be(scene):
    """Files of several members, before they are made."""
    own = [scene.file(f"party-{at}", suffix) for at, suffix in enumerate((".enc", ".enroll", ".ans"), 1)]
    return own + [scene.folder(1) / name for name in ("round.plan", "round.agg", "round.sum")]


def giant(file):
    file.unlink(missing_ok=True)
    with file.open("wb") as out:
        out.truncate(1 << 40)


def plant(file, what, outside):
    match what:
        case "fifo":
            os.mkfifo(file)
        case "link":
            file.symlink_to(outside)
        case "dangling":
            file.symlink_to(outside.with_name("nothing"))
        case "device":
            os.mknod(file, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        case "folder":
            file.mkdir()


@contextmanager
def alarm(seconds=20):
    """Ends whatever waits for ever."""

    def ring(*_):
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Words of members, shown to everybody.


TEXTS = {
    "deep": "[" * 999,
    "deep maps": '{"metrics":' * 90,
    "no number": '{"metrics":{"loss":NaN},"seconds":NaN}',
    "infinity": '{"metrics":{"loss":-Infinity},"clipped":Infinity}',
    "huge": f'{{"metrics":{{"loss":1{"0" * 400}}},"clipped":1{"0" * 400}}}',
    "huge sizes": f'{{"seconds":1{"0" * 400},"bytes":1{"0" * 400}}}',
    "other types": '{"seconds":"now","bytes":[],"clipped":true,"weight":{},"metrics":[["loss",1]]}',
    "below zero": '{"seconds":-1,"bytes":-1,"clipped":-1,"weight":-1}',
    "escapes": '{"metrics":{"\\u001b[2J\\u001b]0;x":1,"loss\\nhead 1:00":1,"loss":"\\u001b[31m"}}',
    "markup": "[red]all is well[/red] [link=file:///etc/passwd]here[/link] \\[bold]",
    "long": "x" * 1000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_member_s_words_steer_no_terminal_and_stop_nobody_who_reads_them(tmp_path, text, run):
    scene = planned(tmp_path, metrics=[Metric("loss", 10.0)])
    about = {"plan": history_of(scene).rounds[0].digest, "text": text}
    for event in ("closed", "aggregate", "opened", "note"):
        says(scene, COORDINATOR, event, files=[("[red]\u2192 x", bytes(32))], **about)
    says(scene, "party-1", "applied", **about)
    says(scene, "party-2", "refused", **about)
    says(scene, COORDINATOR, "ended", text=text)
    for options in ((), ("--json",), ("--csv",)):
        _, output, errors = run("status", scene.shared, *options)
        assert "\x1b" not in output + errors
        if options == ("--json",):
            json.loads(output, parse_constant=pytest.fail)
        elif not options:
            assert output.count("\nhead ") == 1
    _, output, errors = run("ledger", "show", scene.shared / "ledger")
    assert "\x1b" not in output + errors
    assert isinstance(steps(scene.session("party-1")), Awaits)


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, '{"loss":NaN}', '{"loss":1e999}', f'{{"loss":1{"0" * 400}}}', '{"\x1b[2J":1}', "\x00"],
)
def test_a_training_command_measures_what_is_no_number(text):
    found, notes = read_measured(text, [Metric("loss", 10.0)])
    assert not found
    assert notes
    assert "\x1b" not in "".join(notes)


def test_a_file_s_name_in_the_folder_steers_a_terminal(tmp_path, capfd):
    scene = handed_in(tmp_path)
    (scene.folder(1) / "\x1b[2Jx\n.enc").write_bytes(b"")
    aggregator = scene.session(COORDINATOR)
    aggregator.say = Console(quiet=False, json=False).note
    steps(aggregator)
    errors = capfd.readouterr().err
    assert "is of nobody on the roster" in errors
    assert "\x1b" not in errors


def test_a_coordinator_who_is_late_makes_nobody_s_model_another(tmp_path, run):
    """Until it has applied the sum itself, nobody differs from it."""
    scene = opened(tmp_path)
    for name in scene.parties:
        step(scene.session(name))
    assert len(events(scene, "applied")) == 3
    assert run("status", scene.shared)[0] == 0
