"""Coordinators, aggregators, keyholders, folders and other parties, against the members of a training."""

import io
import json
import os
import shutil
import signal
import stat
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.cli.console import Console
from hecli.errors import HecliError
from hecli.formats import envelope
from hecli.formats.reader import open_reader
from hecli.formats.tensors.specs import TensorSpec
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.ledger.entry import Entry
from hecli.storage.confined import Confined
from hecli.storage.local import LocalStore
from hecli.storage.use_record_file import parse_record
from hecli.training import aggregating, applying, opening
from hecli.training.metrics import read_measured
from hecli.training.stepping import Awaits, Did, Over, step
from hecli.training.terms import Metric, write_training
from tests.attacks.training import (
    ALONE,
    another,
    changed_file,
    copied,
    events,
    files_of,
    handed_in,
    has_sent,
    history_of,
    honest_plan,
    ledger_of,
    listed,
    move_away,
    opened,
    plan_in,
    planned,
    put_plan,
    refused,
    says,
    steps,
)
from tests.support import (
    KEY,
    KEYS,
    PUBLIC,
    body,
    joined,
    load_key,
    numbers,
    quantised_with,
    reader,
    rewritten,
    steps_of,
)
from tests.trainings import COORDINATOR, MODEL, Fate, Killed, Scene


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
    assert steps(scene.session(second)) == Awaits("the closing", (COORDINATOR,), 1)
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


def test_a_folder_takes_a_signature_off_that_the_party_has_looked_at(tmp_path):
    """The party has compared the whole file before; what is missing now it puts back all the same."""
    scene = handed_in(tmp_path)
    party, file = scene.session("party-2"), scene.file("party-2", ".enc")
    assert isinstance(step(party), Awaits)
    whole = file.read_bytes()
    file.write_bytes(changed_file(file))
    assert isinstance(step(party), Did)
    assert file.read_bytes() == whole


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


@pytest.mark.parametrize("operation", ["create", "claim"])
def test_a_folder_is_exchanged_for_a_link_in_the_moment_of_writing(tmp_path, monkeypatch, operation):
    """After all was looked at: what was opened is what is written to."""
    shared, outside = Confined(str(tmp_path / "shared")), tmp_path / "outside"
    (tmp_path / "shared" / "round-0001").mkdir(parents=True)
    outside.mkdir()
    original = getattr(LocalStore, operation)

    def exchanged(*arguments, **options):
        (tmp_path / "shared" / "round-0001").rename(tmp_path / "moved")
        (tmp_path / "shared" / "round-0001").symlink_to(outside)
        return original(*arguments, **options)

    monkeypatch.setattr(LocalStore, operation, exchanged)
    if operation == "claim":
        assert shared.claim("round-0001/x", b"x")
    else:
        with shared.create("round-0001/x") as out:
            out.write(b"x")
    assert not list(outside.iterdir())
    assert (tmp_path / "moved" / "x").read_bytes() == b"x"


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("what", ["fifo", "link", "device"])
def test_a_folder_has_no_file_there_in_the_moment_of_writing(tmp_path, monkeypatch, what, replace):
    """Nothing waits for a pipe, or writes to where a link leads, whenever it was put there."""
    shared, outside = Confined(str(tmp_path / "shared")), tmp_path / "outside"
    (tmp_path / "shared").mkdir()
    os.mkfifo(outside)
    original = LocalStore.create

    def planted(*arguments, **options):
        plant(tmp_path / "shared" / "x", what, outside)
        return original(*arguments, **options)

    monkeypatch.setattr(LocalStore, "create", planted)
    with alarm(), suppress(HecliError), shared.create("x", replace=replace) as out:
        out.write(b"x")
    assert stat.S_ISFIFO(outside.stat().st_mode)
    assert (tmp_path / "shared" / "x").is_file() == replace


def test_an_error_names_the_folder_that_somebody_knows(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(HecliError) as error, Confined(str(tmp_path)).create("x", replace=True):
        pass
    assert str(error.value) == error.value.message == f"cannot write {tmp_path}/x: it is a folder"


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


@pytest.mark.parametrize("name", ["round-0001/round.plan", "model.tensors", "training.hecli", "key.pub"])
def test_a_folder_has_a_giant_in_the_place_of_a_small_file(tmp_path, name):
    scene = planned(tmp_path, **UNDER_A_KEY)
    giant(scene.shared / name)
    with alarm(), suppress(HecliError):
        steps(scene.session("party-1"))
    assert not scene.file("party-1", ".enc").exists()


def test_a_folder_gives_the_first_model_in_a_container_of_its_own(begun, tmp_path):
    """Such as an archive that unpacks to a terabyte, or one that PyTorch is to read."""
    scene = begun.copy_to(tmp_path)
    with (scene.shared / "model.tensors").open("wb") as out:
        np.savez(out, **MODEL)
    with pytest.raises(HecliError):
        scene.session("party-1")


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


def test_a_member_s_words_make_no_markup_of_a_page(tmp_path, run):
    scene = planned(tmp_path, metrics=[Metric("<script>1</script>", 10.0)], name="<b>x</b>")
    about = {"plan": history_of(scene).rounds[0].digest}
    says(scene, COORDINATOR, "closed", **about)
    says(scene, COORDINATOR, "opened", text='{"metrics":{"<script>1</script>":1}}', **about)
    run("status", scene.shared, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>1" not in page
    assert page.count("<script>") == 1
    assert "<b>" not in page


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


# A coordinator, who makes plans.


def moved(**fields):
    return lambda plan: replace(plan, position=plan.position._replace(**fields))


def quantised(**fields):
    return lambda plan: quantised_with(plan, **fields)


STRANGER = Identity.generate("stranger")
PLANS = {
    "another model": moved(model=bytes([1]) * 32),
    "another training": moved(training=bytes([1]) * 32),
    "another round": moved(round=2, previous=bytes([1]) * 32),
    "another attempt": moved(attempt=2),
    "no training": lambda plan: replace(plan, position=None),
    "name": lambda plan: replace(plan, name="trial-0002"),
    "other tensors": lambda plan: quantised_with(
        replace(plan, tensors=plan.tensors[1:]), steps=steps_of(plan)[1:]
    ),
    "another shape": lambda plan: replace(
        plan, tensors=(plan.tensors[0], TensorSpec("w", "float32", (4, 3)))
    ),
    "finer steps": lambda plan: quantised_with(plan, steps=tuple(x / 2 for x in steps_of(plan))),
    "fewer bits": quantised(bits=8),
    "another rounding": quantised(rounding="stochastic"),
    "another scheme": lambda plan: replace(plan, scheme=hecli.Paillier.of(load_key("full").public)),
    "a key": lambda plan: replace(plan, scheme=hecli.Paillier.of(PUBLIC)),
    "room for more": lambda plan: replace(plan, capacity=plan.capacity + 1),
    "fewer parties": lambda plan: replace(plan, min_parties=1),
    "more parties": lambda plan: replace(plan, min_parties=3),
    "larger weights": lambda plan: replace(plan, max_weight=1000),
    "one party less": lambda plan: replace(
        plan, roster=of_roster(plan.roster, parties=plan.roster.parties[1:]), capacity=2
    ),
    "a stranger": lambda plan: replace(
        plan, roster=of_roster(plan.roster, stranger=STRANGER.card), capacity=4
    ),
    "no roster": lambda plan: replace(plan, roster=None),
    "skipped": lambda plan: replace(plan, skipped=("x",)),
    "metrics": lambda plan: replace(plan, metrics=("b",)),
}


def of_roster(roster, parties=None, stranger=None):
    cards = [roster.cards[name] for name in parties or roster.parties]
    others = [roster.cards[COORDINATOR]]
    return Roster.of(cards + [stranger] * bool(stranger), others, others, coordinator=others[0])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("begun"), 3, **ALONE)


@pytest.mark.parametrize("change", PLANS.values(), ids=PLANS)
def test_a_coordinator_makes_another_plan_than_the_one_that_follows(begun, tmp_path, change):
    """Whatever is different in it, nothing is sent: another model would show one party's update."""
    scene = begun.copy_to(tmp_path)
    put_plan(scene, change(honest_plan(scene)))
    refused(scene.session("party-2"), "is not the plan that follows|in its plan|not signed|signed by nobody")
    assert not has_sent(scene, "party-2")
    assert not files_of(scene, "party-2")


def test_a_coordinator_s_plan_is_followed_where_it_is_the_one(begun, tmp_path):
    """Else the test above would prove nothing; the id is the coordinator's to choose."""
    scene = begun.copy_to(tmp_path)
    put_plan(scene, another(honest_plan(scene)))
    scene.enroll()
    steps(scene.session("party-2"))
    assert has_sent(scene, "party-2")


@pytest.mark.parametrize("event", ["closed", "opened"])
def test_a_coordinator_plans_one_model_twice(tmp_path, event):
    """Two sums about one model differ by whoever is in one of them alone."""
    scene = handed_in(tmp_path)
    sent = {name: scene.file(name, ".enc").read_bytes() for name in scene.parties}
    scene.run([scene.session(COORDINATOR)], until=lambda _: bool(events(scene, event)))
    first = plan_in(scene)
    says(scene, COORDINATOR, "abandoned", plan=first.digest, text="again")
    second = put_plan(scene, another(moved(attempt=2)(first)), "round-0001-2")
    put_plan(scene, another(first))
    for name in scene.parties:
        with suppress(HecliError):
            steps(scene.session(name))
        assert not (scene.folder(1, 2) / scene.file(name, ".enc").name).exists()
        assert scene.file(name, ".enc").read_bytes() == sent[name]
    assert second.digest not in {each.digest for each in history_of(scene).rounds if each.number == 1}


@pytest.mark.parametrize("kept", [True, False], ids=["own folder", "none"])
def test_a_coordinator_shows_one_party_another_ledger(begun, tmp_path, kept):
    """With the first one's head a fork is refused; without it, the record beside the identity remains."""
    scene, other = begun.copy_to(tmp_path / "one"), begun.copy_to(tmp_path / "other")
    put_plan(scene, honest_plan(scene))
    put_plan(other, another(honest_plan(other)))
    scene.enroll()
    other.enroll()
    steps(scene.session("party-1"))
    shutil.rmtree(scene.shared)
    shutil.copytree(other.shared, scene.shared)
    if kept:
        with pytest.raises(HecliError, match="is not the one that was here before"):
            scene.session("party-1")
    else:
        move_away(scene, "party-1")
        steps(scene.session("party-1"))
        assert "left alone" in scene.said["party-1"][-1]
    assert not scene.file("party-1", ".enc").exists()


def test_a_coordinator_changes_the_ledger_under_a_run(begun, tmp_path):
    scene, other = begun.copy_to(tmp_path / "one"), begun.copy_to(tmp_path / "other")
    put_plan(scene, honest_plan(scene))
    put_plan(other, another(honest_plan(other)))
    says(other, COORDINATOR, "note", text="x")
    session = scene.session("party-1")
    assert isinstance(step(session), Did)
    shutil.rmtree(scene.shared / "ledger")
    shutil.copytree(other.shared / "ledger", scene.shared / "ledger")
    refused(session, "does not follow")


def test_a_coordinator_begins_a_second_training_with_one_model(tmp_path):
    """The same model is one fact, in whatever training; only --again sends a second update about it."""
    scene = handed_in(tmp_path)
    shutil.move(scene.shared, tmp_path / "first")
    scene.shared.mkdir()
    scene.begin(MODEL, 0, {})
    move_away(scene, COORDINATOR)
    steps(scene.session(COORDINATOR))
    with pytest.raises(HecliError, match="belongs to another training"):
        scene.session("party-1")
    for name in scene.parties:
        move_away(scene, name)
    scene.enroll()
    steps(scene.session("party-1"))
    assert "was sent before, in this training or in another" in scene.said["party-1"][-1]
    assert not scene.file("party-1", ".enc").exists()
    steps(scene.session("party-1", again=True))
    assert scene.file("party-1", ".enc").exists()


def test_a_coordinator_gives_one_party_other_terms(begun, tmp_path):
    """Who accepted one file takes no other, and two files give plans of which no updates fit together."""
    scene = begun.copy_to(tmp_path)
    scene.session("party-1")
    (scene.shared / "training.hecli").unlink()
    terms = replace(scene.begun.training, lr=2.0)
    with (scene.shared / "training.hecli").open("wb") as out:
        write_training(terms, out, scene.identities[COORDINATOR])
    with pytest.raises(HecliError, match="belongs to another training"):
        scene.session("party-1")
    with pytest.raises(HecliError, match="is of another training than the one in the folder"):
        scene.session("party-2")


def test_somebody_else_than_the_coordinator_signs_terms_plans_and_ends(begun, tmp_path):
    scene = begun.copy_to(tmp_path)
    plan = honest_plan(scene)
    says(scene, "party-3", "plan", plan=plan.digest)
    says(scene, "party-3", "ended", text="enough")
    says(scene, "party-3", "failed", plan=plan.digest, text="broken")
    assert steps(scene.session("party-1")) == Awaits("the plan", (COORDINATOR,), 1)
    steps(scene.session(COORDINATOR))
    plan = plan_in(scene)
    for event in ("abandoned", "closed", "enrolled", "opened", "failed", "ended"):
        says(scene, "party-3", event, plan=plan.digest, text="x", files=[("round.sum", bytes(32))])
    history = history_of(scene)
    assert history.ended is None
    assert not history.rounds[0].closed
    assert not history.rounds[0].opened
    assert not history.rounds[0].abandoned
    file = scene.shared / "training.hecli"
    file.write_bytes(changed_file(file, sign=signer(scene.identities["party-3"], "training")))
    with pytest.raises(HecliError, match="is not signed by its coordinator"):
        scene.session("party-2")


@pytest.mark.parametrize("name", ["model.tensors", "key.pub", "round.plan", "ledger/00000002.entry"])
def test_a_folder_has_other_files_of_the_training(tmp_path, name):
    scene = planned(tmp_path / "one", key=KEY, masks=None)
    other = planned(tmp_path / "two", key=KEY, masks=None, model={"b": np.ones(4), "w": np.ones((3, 4))})
    path = f"round-0001/{name}" if name == "round.plan" else name
    source = KEYS / "full.pub" if name == "key.pub" else other.shared / path
    copied(source, scene.shared / path)
    with pytest.raises(HecliError):
        steps(scene.session("party-1"))
    assert not scene.file("party-1", ".enc").exists()


# A keyholder, who opens sums.


UNDER_A_KEY = {"key": KEY, "masks": None}


@pytest.fixture(scope="module", params=[UNDER_A_KEY, ALONE], ids=["key", "masks"])
def aggregated(request, tmp_path_factory):
    """A round that the aggregator has made the aggregate of; and the honest sum of it, in another place."""
    scene = handed_in(tmp_path_factory.mktemp("aggregated"), **request.param)
    scene.run([scene.session(COORDINATOR)], until=lambda _: bool(events(scene, "aggregate")))
    other = scene.copy_to(tmp_path_factory.mktemp("other"))
    steps(other.session(COORDINATOR))
    return scene, (other.folder(1) / "round.sum").read_bytes()


def published(scene, content):
    """A sum that the keyholder puts there, and records."""
    (scene.folder(1) / "round.sum").write_bytes(content)
    pairs = []
    for name in ("round.agg", "round.sum"):
        with (scene.folder(1) / name).open("rb") as stream:
            pairs.append((name, open_reader(stream).digest))
    says(scene, COORDINATOR, "opened", plan=plan_in(scene).digest, files=pairs)


def nobody_goes_on(scene, run, match):
    """Every member refuses, says so where all see it, and has no new model."""
    for name in scene.parties:
        refused(scene.session(name), match)
        assert not (scene.people / f"{name}.run" / "model-0001.npz").exists()
        # Started again, it says so again, and signs it once.
        refused(scene.session(name), match)
    assert sorted(link.signer.name for link in events(scene, "refused")) == scene.parties
    # What the others read says nothing of where things lie on this machine.
    assert not any(str(scene.root.parent) in link.entry.text for link in events(scene, "refused"))
    status, _, errors = run("status", scene.shared)
    assert status == 1
    assert all(f"{name} refuses the model" in errors for name in scene.parties)


def test_a_keyholder_publishes_another_sum_in_a_training(aggregated, tmp_path, run):
    """With one lane changed, in every other way as it should be."""
    scene, total = aggregated[0].copy_to(tmp_path), io.BytesIO(aggregated[1])
    lanes = bytearray(body(total)["lanes"])
    lanes[-1] ^= 1
    by = signer(scene.identities[COORDINATOR], "sum", plan_in(scene).digest)
    published(scene, rewritten(total, body={"lanes": bytes(lanes)}, sign=by).getvalue())
    nobody_goes_on(scene, run, "is not what|does not hold|opens to")


@pytest.mark.parametrize("aggregated", [UNDER_A_KEY], ids=["key"], indirect=True)
def test_a_keyholder_publishes_the_sum_of_others_than_the_round_was_closed_with(aggregated, tmp_path, run):
    scene = aggregated[0].copy_to(tmp_path)
    files = [scene.file(name, ".enc").read_bytes() for name in scene.parties[:2]]
    who = scene.identities[COORDINATOR]
    made, total = (io.BytesIO() for _ in range(2))
    hecli.aggregate([io.BytesIO(each) for each in files], made, identity=who, jobs=1)
    made.seek(0)
    hecli.decrypt(made, total, KEY, updates=[io.BytesIO(each) for each in files], identity=who, jobs=1)
    (scene.folder(1) / "round.agg").write_bytes(made.getvalue())
    published(scene, total.getvalue())
    nobody_goes_on(scene, run, "is of others than the round was closed with")


@pytest.mark.parametrize("aggregated", [UNDER_A_KEY], ids=["key"], indirect=True)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
def test_a_keyholder_and_an_aggregator_publish_the_sum_of_something_else(aggregated, tmp_path, run, recorded):
    """An aggregate of the right names, and in it one party's update three times, opened as it is."""
    scene = aggregated[0].copy_to(tmp_path)
    made, total = one_party_s(scene)
    (scene.folder(1) / "round.agg").write_bytes(made)
    if recorded:
        records_aggregate(scene, made)
    published(scene, total)
    says = "is not the product of the updates" if recorded else "is of an aggregate that nobody recorded"
    nobody_goes_on(scene, run, says)


@pytest.mark.parametrize("aggregated", [UNDER_A_KEY], ids=["key"], indirect=True)
def test_a_keyholder_and_an_aggregator_exchange_an_aggregate_between_two_checks(
    aggregated, tmp_path, monkeypatch
):
    """The true one is there to be made again, and then in the same file the one that was opened."""
    scene = aggregated[0].copy_to(tmp_path)
    file = scene.folder(1) / "round.agg"
    true = file.read_bytes()
    made, total = one_party_s(scene)
    file.write_bytes(made)
    records_aggregate(scene, made)
    published(scene, total)
    file.write_bytes(true)
    checked = aggregating.check_recomputed

    def exchange(*arguments, **options):
        checked(*arguments, **options)
        file.write_bytes(made)

    monkeypatch.setattr(aggregating, "check_recomputed", exchange)
    refused(scene.session("party-1"), "is not the aggregate that was opened")
    assert not (scene.people / "party-1.run" / "model-0001.npz").exists()


def records_aggregate(scene, made):
    files = [("round.agg", reader(io.BytesIO(made)).digest)]
    says(scene, COORDINATOR, "aggregate", plan=plan_in(scene).digest, files=files)


def one_party_s(scene):
    """An aggregate that lists all, in which one party's update is three times; and its sum."""
    file, who = scene.folder(1) / "round.agg", scene.identities[COORDINATOR]
    plan, size = plan_in(scene), plan_in(scene).scheme.block_size
    found = body(io.BytesIO(scene.file("party-1", ".enc").read_bytes()))
    tripled = {
        part: joined((pow(each, 3, PUBLIC.n**2) for each in numbers(found[part], size)), size)
        for part in ("lanes", "control")
    }
    made = changed_file(file, body=tripled, sign=signer(who, "aggregate", plan.digest))
    total = io.BytesIO()
    hecli.decrypt(io.BytesIO(made), total, KEY, identity=who, jobs=1, unverified=True)
    return made, total.getvalue()


def test_a_keyholder_opens_two_sums_about_one_model(tmp_path):
    """Two closings, in two copies of the folder: the record beside the key is about the model."""
    scene = handed_in(tmp_path / "one", key=KEY, masks=None)
    other = scene.copy_to(tmp_path / "other")
    for each, names in ((scene, scene.parties[:2]), (other, scene.parties[1:])):
        says(each, COORDINATOR, "closed", plan=plan_in(each).digest, files=listed(each, names))
    steps(scene.session(COORDINATOR))
    assert events(scene, "opened")
    copied(scene.root / "hecli.key.opened", other.root / "hecli.key.opened")
    error = refused(other.session(COORDINATOR), "another aggregate of this plan or model was opened before")
    assert "--again" in error.hint
    assert not events(other, "opened")


def test_an_aggregator_has_share_holders_open_two_sums_about_one_model(tmp_path):
    """Two closings, in two copies of the folder: the record beside each share is about the model."""
    scene = handed_in(tmp_path / "one", 5, key="dealt", masks=None)
    other = scene.copy_to(tmp_path / "other")
    for each, names in ((scene, scene.parties[:4]), (other, scene.parties[1:])):
        says(each, COORDINATOR, "closed", plan=plan_in(each).digest, files=listed(each, names))
        step(each.session(COORDINATOR))
    assert isinstance(step(scene.session("party-2")), Did)
    record = scene.people / "party-2.share.opened"
    copied(record, other.people / record.name)
    refused(other.session("party-2"), "another aggregate of this plan or model was opened before")
    assert not other.file("party-2", ".part").exists()


def test_a_keyholder_exchanges_a_sum_between_the_check_and_its_use(aggregated, tmp_path, monkeypatch):
    """Two sums, both signed: the true one is there to be checked, and then in the same file the other."""
    scene, total = aggregated[0].copy_to(tmp_path), io.BytesIO(aggregated[1])
    published(scene, aggregated[1])
    by = signer(scene.identities[COORDINATOR], "sum", plan_in(scene).digest)
    lanes = body(total)["lanes"]
    false = rewritten(total, body={"lanes": bytes(len(lanes))}, sign=by).getvalue()
    checked = applying.verify_sum

    def exchange(*arguments, **options):
        checked(*arguments, **options)
        with (scene.folder(1) / "round.sum").open("r+b") as stream:
            stream.write(false)

    monkeypatch.setattr(applying, "verify_sum", exchange)
    session = scene.session("party-1")
    step(session)
    assert session.own.applied()[0]["sum"] == open_reader(total).digest.hex()


def test_a_member_s_refusal_is_over_once_it_applies_the_sum(aggregated, tmp_path, run):
    """Whoever looked into it, and then takes the model after all, refuses it no more."""
    scene = aggregated[0].copy_to(tmp_path)
    published(scene, aggregated[1])
    refused(scene.session("party-1", max_step=0.01), "moved by")
    assert run("status", scene.shared)[0] == 1
    steps(scene.session("party-1"))
    assert events(scene, "applied")
    assert run("status", scene.shared)[0] == 0


def test_a_keyholder_writes_false_metrics_into_the_ledger(tmp_path, monkeypatch):
    """What it opened is checked, and what it says of it is compared: everybody's run names it."""
    scene = Scene(tmp_path, parties=2, key=None, masks=0, rounds=1, metrics=(Metric("loss", 10.0),))
    scene.give("party-1", MODEL, metrics={"loss": 4})
    true = opening.summary_of
    monkeypatch.setattr(opening, "summary_of", lambda *about: true(*about) | {"metrics": {"loss": 0.1}})
    scene.run(scene.all())
    for name in scene.parties:
        assert any("registry wrote other metrics into the ledger" in line for line in scene.said[name])
        applied = json.loads((scene.people / f"{name}.run" / "round-0001" / "applied.json").read_text())
        assert abs(applied["metrics"]["loss"] - 4) < 0.01


def test_a_member_s_check_is_its_own(tmp_path):
    """What it printed about the member's data is in the member's log, and in no entry."""
    scene = opened(tmp_path)
    check = ["sh", "-c", "echo patient 4711 is wrong; exit 1"]
    error = refused(scene.session("party-1", check=check), "was refused: the check ended with status 1")
    assert "log" in error.hint
    assert "4711" not in events(scene, "refused")[0].entry.text


# An aggregator, who says who is in a round.


def closings(scene):
    """False lists of a closing, by what is wrong."""
    whole = listed(scene, scene.parties)
    (file, digest), *_ = whole
    return {
        "nobody's": [*whole[1:], (f"{STRANGER.card.fingerprint}.enc", digest)],
        "twice": [*whole, (file, digest)],
        "twice, another": [*whole, (file, bytes(32))],
        "too few": whole[:1],
        "nobody": [],
        "the coordinator's": [*whole, (f"{scene.identities[COORDINATOR].card.fingerprint}.enc", digest)],
        "a path": [(f"../{name}", each) for name, each in whole],
        "another's name": [*whole[1:], (whole[1][0], digest)],
        "another kind": [(name.replace(".enc", ".sum"), each) for name, each in whole],
    }


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    return handed_in(tmp_path_factory.mktemp("handed"))


@pytest.mark.parametrize(
    "wrong",
    [
        "nobody's",
        "twice",
        "twice, another",
        "too few",
        "nobody",
        "the coordinator's",
        "a path",
        "another's name",
        "another kind",
    ],
)
def test_an_aggregator_closes_a_round_with_a_false_list(handed, tmp_path, wrong):
    """It is nothing, and the first sound one counts."""
    scene = handed.copy_to(tmp_path)
    says(scene, COORDINATOR, "closed", plan=plan_in(scene).digest, files=closings(scene)[wrong])
    assert steps(scene.session("party-1")).what == "the closing"
    steps(scene.session(COORDINATOR))
    steps(scene.session("party-1"))
    assert len(events(scene, "closed")) == 2
    assert "party-1" in {link.signer.name for link in events(scene, "applied")}


def test_an_aggregator_closes_with_files_that_nobody_has(handed, tmp_path):
    """Nothing is opened, and nobody is in it who did not send that file."""
    scene = handed.copy_to(tmp_path)
    files = [(name, bytes(32)) for name, _ in listed(scene, scene.parties)]
    says(scene, COORDINATOR, "closed", plan=plan_in(scene).digest, files=files)
    for name in (*scene.parties, COORDINATOR):
        with suppress(HecliError):
            steps(scene.session(name))
    assert not events(scene, "opened")
    assert any("was closed without this party's update" in line for line in scene.said["party-1"])


def test_an_aggregator_closes_with_an_update_whose_proof_does_not_hold(tmp_path):
    """A party and the aggregator together: the entry is void, and a later one without it counts."""
    scene = handed_in(tmp_path, 4, key=KEY, masks=None)
    file, plan = scene.file("party-4", ".enc"), plan_in(scene)
    nothing = {"proofs": bytes(len(body(io.BytesIO(file.read_bytes()))["proofs"]))}
    by = signer(scene.identities["party-4"], "update", plan.digest)
    file.write_bytes(changed_file(file, body=nothing, sign=by))
    says(scene, COORDINATOR, "closed", plan=plan.digest, files=listed(scene, scene.parties))
    session = scene.session(COORDINATOR)
    session.training = replace(session.training, deadline=0)
    steps(session)
    sessions = [scene.session(name) for name in scene.parties[:3]]
    for each in sessions:
        steps(each)
        assert each.own.applied()[0]["contributors"] == ["party-1", "party-2", "party-3"]
    assert not events(scene, "refused")


def test_an_aggregator_closes_twice_with_different_parties(tmp_path):
    """The first counts, for everybody; about the other nobody answers, not in a copy of the folder either."""
    scene = handed_in(tmp_path / "one", 4, key=None, masks=1)
    other = scene.copy_to(tmp_path / "other")
    one, two = scene.parties[:3], scene.parties[1:]
    digest = plan_in(scene).digest
    says(scene, COORDINATOR, "closed", plan=digest, files=listed(scene, one))
    says(scene, COORDINATOR, "closed", plan=digest, files=listed(scene, two))
    says(other, COORDINATOR, "closed", plan=digest, files=listed(other, two))
    scene.run(scene.all(), until=lambda _: bool(events(scene, "opened")))
    with scene.file("party-2", ".ans").open("rb") as stream:
        assert [owner for owner, _ in reader(stream).header["self_shares"]] == one
    steps(other.session(COORDINATOR))
    for name in scene.parties:
        record = scene.people / f"{name}.id.answered"
        if not record.exists():
            continue
        copied(record, other.people / record.name)
        refused(other.session(name), "other parties of this plan or model were answered about before")
        assert not other.file(name, ".ans").exists()
    assert len(list(scene.people.glob("*.answered"))) >= 3


# Files of other times and places.


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """A training of two rounds that is over."""
    scene = Scene(tmp_path_factory.mktemp("twice"), 2, **ALONE)
    scene.run(scene.all())
    return scene


def test_a_folder_replays_an_earlier_round_s_update(tmp_path):
    """Before the party's own of this round is there, and in its place."""
    scene = handed_in(tmp_path, rounds=2)
    old = scene.file("party-2", ".enc").read_bytes()
    scene.run(scene.all(), until=lambda _: len(events(scene, "plan")) == 2)
    scene.enroll()
    file = scene.file("party-2", ".enc", 2)
    file.write_bytes(old)
    for name in ("party-1", "party-3"):
        steps(scene.session(name))
    aggregator = scene.session(COORDINATOR)
    assert steps(aggregator) == Awaits("updates", ("party-2",), 2)
    assert any("the file of party-2 is left out" in line for line in scene.said[COORDINATOR])
    ended = scene.run([aggregator, *(scene.session(name) for name in scene.parties)])
    assert {type(each) for each in ended.values()} == {Over}
    assert file.read_bytes() != old


@pytest.mark.parametrize("name", ["round.agg", "round.sum"])
def test_a_folder_replays_an_earlier_round_s_aggregate_or_sum(tmp_path, name):
    scene = Scene(tmp_path, 2, **ALONE)
    scene.run(scene.all(), until=lambda _: (scene.folder(2) / "round.sum").exists())
    true = (scene.folder(2) / name).read_bytes()
    copied(scene.folder(1) / name, scene.folder(2) / name)
    awaited = steps(scene.session("party-1"))
    assert awaited.what == ("the sum" if name == "round.sum" else "a whole file")
    assert not events(scene, "refused")
    (scene.folder(2) / name).write_bytes(true)
    assert isinstance(steps(scene.session("party-1")), Over)


@pytest.mark.parametrize("suffix", [".ans", ".enroll"])
def test_a_folder_exchanges_what_parties_answer_and_enroll(tmp_path, suffix):
    """Another's under one's own name, and one of another round; the party puts its own back."""
    scene = Scene(tmp_path, 4, key=None, masks=1)
    file = scene.file("party-2", suffix, 2)
    scene.run(scene.all(), until=lambda _: file.exists())
    for source in (scene.file("party-3", suffix), scene.file("party-2", suffix)):
        copied(source, file)
        with suppress(HecliError):
            steps(scene.session(COORDINATOR))
    ended = scene.run(scene.all())
    assert {type(each) for each in ended.values()} == {Over}
    assert not events(scene, "refused")


def test_a_folder_has_another_s_enrollment_lie_under_a_party_s_name(tmp_path):
    """Before the party has enrolled itself, which it then does all the same."""
    scene = planned(tmp_path, 4, masks=1)
    step(scene.session("party-3"))
    copied(scene.file("party-3", ".enroll"), scene.file("party-2", ".enroll"))
    assert isinstance(step(scene.session("party-2")), Did)
    assert listed(scene, ["party-2"], ".enroll")[0][1] != listed(scene, ["party-3"], ".enroll")[0][1]


@pytest.mark.parametrize("back", [1, 3])
def test_a_folder_is_rolled_back(twice, tmp_path, back):
    """All of it, ledger and rounds: whoever has seen more refuses, and does nothing."""
    scene = twice.copy_to(tmp_path)
    for file in sorted((scene.shared / "ledger").iterdir())[-back:]:
        file.unlink()
    shutil.rmtree(scene.folder(2))
    for name in (*scene.parties, COORDINATOR):
        with pytest.raises(HecliError, match="the tail was cut off"):
            scene.session(name)


def test_a_folder_has_the_ledger_s_entries_in_another_order(twice, tmp_path):
    scene = twice.copy_to(tmp_path)
    one, two = (scene.shared / "ledger" / f"{number:08}.entry" for number in (4, 5))
    first = one.read_bytes()
    copied(two, one)
    two.write_bytes(first)
    with pytest.raises(HecliError, match="the ledger of this training is broken"):
        scene.session("party-1")


def test_a_folder_has_an_entry_taken_out_or_changed(twice, tmp_path):
    scene = twice.copy_to(tmp_path)
    file = scene.shared / "ledger" / "00000005.entry"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(HecliError, match="the ledger of this training is broken"):
        scene.session("party-1")
    file.unlink()
    with pytest.raises(HecliError, match="the ledger of this training is broken"):
        scene.session("party-1")


def test_a_folder_withholds_files_and_puts_them_back(tmp_path):
    """Nothing is lost but time, and nobody is blamed for it in the ledger."""
    scene = opened(tmp_path, **UNDER_A_KEY, rounds=1)
    for name in ("round.sum", "round.agg", scene.file("party-2", ".enc").name):
        file = scene.folder(1) / name
        file.rename(tmp_path / "withheld")
        with suppress(HecliError):
            steps(scene.session("party-1"))
        (tmp_path / "withheld").rename(file)
    assert not events(scene, "refused")
    assert isinstance(steps(scene.session("party-1")), Over)


def test_a_stranger_writes_into_the_ledger(begun, tmp_path):
    """Whoever is on no roster breaks the ledger at most, and begins no round."""
    scene = begun.copy_to(tmp_path)
    last = ledger_of(scene).last
    out = io.BytesIO()
    entry = Entry(
        number=last.entry.number + 1,
        previous=last.digest,
        event="ended",
        party=STRANGER.card.name,
        time=last.entry.time,
        plan=b"",
        files=(),
        cards=(),
        text="enough",
    )
    envelope.write(out, "entry", entry.header(), sign=signer(STRANGER, "entry"))
    (scene.shared / "ledger" / f"{entry.number:08}.entry").write_bytes(out.getvalue())
    with pytest.raises(HecliError, match="is on no roster of this ledger"):
        scene.session("party-1")


# Another party.


def test_a_party_says_that_it_has_another_model(tmp_path, run):
    """It is named, by everybody's run and by status, and nobody's model changes for it."""
    scene = opened(tmp_path, rounds=1)
    total = dict(events(scene, "opened")[0].entry.files)["round.sum"]
    files = [("round.sum", total), ("model.tensors", bytes(32))]
    says(scene, "party-3", "applied", plan=plan_in(scene).digest, files=files)
    for name in ("party-1", COORDINATOR):
        assert isinstance(steps(scene.session(name)), Over)
        line = "round 1: party-3 says that it has another model; that is ignored"
        assert line in scene.said[name]
    status, _, errors = run("status", scene.shared)
    assert status == 1
    assert "party-3 has another model" in errors


def test_a_party_says_that_it_refuses_a_good_model(tmp_path):
    scene = opened(tmp_path)
    says(scene, "party-3", "refused", plan=plan_in(scene).digest, text="[red]false")
    scene.run([scene.session(name) for name in (COORDINATOR, "party-1", "party-2")])
    assert "round 1: party-3 refuses the model: [red]false" in scene.said["party-1"]
    scene.enroll()
    scene.run([scene.session("party-1")])
    assert scene.file("party-1", ".enc", 2).exists()


def test_a_party_sends_another_kind_of_file_as_its_update(tmp_path):
    scene = handed_in(tmp_path)
    for content in (b"", b"x" * 5000, (scene.shared / "training.hecli").read_bytes()):
        scene.file("party-3", ".enc").write_bytes(content)
        assert steps(scene.session(COORDINATOR)) == Awaits("updates", ("party-3",), 1)
        assert "the file of party-3 is left out" in scene.said[COORDINATOR][-1] or not content


# A party's own runs.


def sent_digests(scene, name):
    """What stands for the updates that a party's identity has on record."""
    path = scene.people / f"{name}.id.sent"
    return {digest for _, digest in parse_record(reader(io.BytesIO(path.read_bytes())))}


@pytest.mark.parametrize("scheme", [UNDER_A_KEY, {"key": None, "masks": 1}], ids=["key", "masks"])
def test_a_party_s_run_is_killed_anywhere_and_sends_one_update(tmp_path, scheme, monkeypatch):
    """Whatever leaves the machine about one model is the same, though the command gives another each time."""
    scene = planned(tmp_path / "scene", 4, **scheme)
    if scheme["key"] is None:
        for name in scene.parties:
            step(scene.session(name))
        step(scene.session(COORDINATOR))
    for count in range(1, 60):
        scene.give("party-1", {name: np.full_like(each, count) for name, each in MODEL.items()})
        fate = Fate(monkeypatch, count)
        with suppress(Killed), fate():
            steps(scene.session("party-1"))
        if fate.seen < count:
            break
    else:
        raise AssertionError("it does not end")
    assert count > 5
    assert scene.file("party-1", ".enc").exists()
    assert len(sent_digests(scene, "party-1")) == 1
    masked = scene.people / "party-1.id.masked"
    if masked.exists():
        found = {digest for _, digest in parse_record(reader(io.BytesIO(masked.read_bytes())))}
        assert found == sent_digests(scene, "party-1")


def test_a_party_runs_twice_at_once(tmp_path):
    """Each takes a step after the other: the second finds what the first one fixed."""
    scene = planned(tmp_path)
    trained = tmp_path / "trained"
    train = ["sh", "-c", f"echo x >> {trained}; sleep 0.3; {scene.copying('party-1')[2]}"]
    sessions = [scene.session("party-1", train=train) for _ in range(2)]

    def one(session):
        for _ in range(3):
            with session.own.locked():
                step(session)

    threads = [threading.Thread(target=one, args=(each,)) for each in sessions]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert trained.read_text() == "x\n"
    assert scene.file("party-1", ".enc").exists()
    assert len(sent_digests(scene, "party-1")) == 1


@pytest.mark.parametrize("record", [True, False], ids=["with records", "identity alone"])
def test_a_party_s_other_machine_leaves_the_round_alone(tmp_path, record):
    """Without the update that was fixed: by the record beside the identity, or by what is in the folder."""
    scene = handed_in(tmp_path)
    before = scene.file("party-1", ".enc").read_bytes()
    move_away(scene, "party-1")
    if not record:
        (scene.people / "party-1.id.sent").unlink()
    assert isinstance(steps(scene.session("party-1")), Awaits)
    assert "left alone" in scene.said["party-1"][-1]
    assert scene.file("party-1", ".enc").read_bytes() == before
    ended = scene.run(scene.all())
    assert {type(each) for each in ended.values()} == {Over}


def test_a_party_s_second_machine_is_asked_for_another_update_in_a_new_attempt(tmp_path):
    """The file of the first attempt is withheld; the record goes by the model, whatever the plan."""
    scene = handed_in(tmp_path)
    scene.file("party-1", ".enc").unlink()
    says(scene, COORDINATOR, "abandoned", plan=plan_in(scene).digest, text="late")
    steps(scene.session(COORDINATOR))
    scene.enroll()
    move_away(scene, "party-1")
    steps(scene.session("party-1"))
    assert "left alone" in scene.said["party-1"][-1]
    assert not (scene.folder(1, 2) / scene.file("party-1", ".enc").name).exists()


def test_a_party_s_new_attempt_is_with_the_same_update(tmp_path):
    """Trained once: a new plan for a model shows nothing that the first did not."""
    scene = handed_in(tmp_path)
    before = sent_digests(scene, "party-1")
    says(scene, COORDINATOR, "abandoned", plan=plan_in(scene).digest, text="late")
    steps(scene.session(COORDINATOR))
    scene.enroll()
    steps(scene.session("party-1", train=["false"]))
    assert (scene.folder(1, 2) / scene.file("party-1", ".enc").name).exists()
    assert sent_digests(scene, "party-1") == before


def test_a_party_s_passphrase_reaches_its_command(tmp_path, monkeypatch):
    monkeypatch.setenv("HECLI_PASSPHRASE", "secret")
    scene = planned(tmp_path)
    steps(scene.session("party-1", train=["sh", "-c", "env; exit 1"]))
    log = next((scene.people / "party-1.run" / "log").iterdir()).read_text()
    assert "HECLI_MODEL" in log
    assert "secret" not in log


def test_a_party_s_false_answer_ends_nobody_s_run(tmp_path):
    """Whoever opens waits for another one, where without the false one too few hold."""
    scene = handed_in(tmp_path, 4, key=None, masks=1, rounds=1)
    coordinator, *parties = scene.all()
    scene.run([coordinator], until=lambda _: bool(events(scene, "aggregate")))
    liar, *honest, last = parties
    step(liar)
    file = scene.file(liar.name, ".ans")
    answer = io.BytesIO(file.read_bytes())
    header = open_reader(answer).header
    lies = {"self_shares": [[owner, bytes(66)] for owner, _ in header["self_shares"]]}
    answer.seek(0)
    sign = signer(scene.identities[liar.name], "answer", plan_in(scene).digest)
    file.write_bytes(rewritten(answer, header=header | lies, sign=sign).getvalue())
    for each in honest:
        step(each)
    for _ in range(2):
        assert steps(coordinator) == Awaits("answers", (last.name,), 1)
    said = scene.said[COORDINATOR]
    assert len([line for line in said if "is not the one that was dealt" in line]) == 1
    step(last)
    assert isinstance(steps(coordinator), Over)
