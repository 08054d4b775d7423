"""Rounds, ledgers and trainings in storage that is far away, as commands and in Python."""

import json
import threading

import numpy as np
import pytest

import hecli
from hecli.errors import RefusedError, UnreachableError
from hecli.identity.signatures import Identity
from hecli.ledger import chain
from hecli.ledger.chain import append, begin, follow, read_ledger
from hecli.storage.paths import joined
from hecli.storage.places import ANYWHERE, store_at
from hecli.training import running
from hecli.training.stepping import Did, step
from tests.trainings import COORDINATOR, Over, Scene

PARTIES = ("anna", "bob", "carol")


@pytest.fixture(params=["s3", "azure", "sftp"])
def far(request):
    return request.getfixturevalue(request.param)


def gradients(place):
    for at, name in enumerate(PARTIES, 1):
        np.savez(place / f"{name}.npz", w=np.full((3, 4), at / 10, np.float32))


def test_a_round_in_a_bucket(far, place, ok):
    gradients(place)
    ok("plan", "--like", "anna.npz", "--parties", 3, "-o", f"{far}/round.plan")
    for name in PARTIES:
        said = ok("encrypt", f"{name}.npz", "--plan", f"{far}/round.plan", "-o", f"{far}/{name}.enc")
        assert f"{far}/{name}.enc: 12 values in 2 ciphertexts" in said
    assert "3 contributors" in ok("aggregate", f"{far}/*.enc", "-o", f"{far}/round.agg")
    assert f"{far}/round.sum: the sum of 3 contributors" in ok("decrypt", f"{far}/round.agg")
    ok("apply", f"{far}/round.sum", "-o", "mean.npz")
    assert np.allclose(np.load("mean.npz")["w"], 0.2, atol=1e-5)
    assert "digests hold" in ok("verify", f"{far}/*.enc")
    assert "product" in ok("verify", f"{far}/round.agg", "--from", f"{far}/*.enc")
    assert "update" in ok("inspect", f"{far}/anna.enc")
    # The very bytes of one made here.
    here = []
    for name in PARTIES:
        with ANYWHERE.open(f"{far}/{name}.enc") as stream:
            (place / f"{name}.enc").write_bytes(stream.read())
        here.append(f"{name}.enc")
    ok("aggregate", *here)
    with ANYWHERE.open(f"{far}/round.agg") as stream:
        assert stream.read() == (place / "round.agg").read_bytes()


def test_what_is_there_is_not_replaced(s3, place, run, ok):
    gradients(place)
    ok("encrypt", "anna.npz", "-o", f"{s3}/anna.enc")
    status, _, errors = run("encrypt", "bob.npz", "-o", f"{s3}/anna.enc")
    assert (status, errors) == (
        1,
        f"error: {s3}/anna.enc exists\nhint: name another file with -o, or pass --force to replace it\n",
    )
    ok("encrypt", "bob.npz", "-o", f"{s3}/anna.enc", "--force")


def test_what_stays_here(s3, place, run):
    gradients(place)
    for words in (
        ("encrypt", "anna.npz", "--key", f"{s3}/hecli.pub"),
        ("encrypt", "anna.npz", "--identity", f"{s3}/anna.id"),
        ("decrypt", f"{s3}/round.agg", "--key", f"{s3}/hecli.key"),
        ("keygen", "-o", f"{s3}/hecli"),
        ("partial", f"{s3}/round.agg", "--share", f"{s3}/1.share"),
        ("encrypt", "anna.npz", "--residual", f"{s3}/residual"),
    ):
        status, _, errors = run(*words)
        assert status == 2, errors
        assert "keys, identities and records stay here" in errors
    status, _, errors = run("encode", "anna.npz", "-o", f"{s3}/anna.int")
    assert status == 1
    assert "a secret is not written to" in errors


def test_wrong_patterns_are_named(s3, place, run):
    status, _, errors = run("aggregate", f"{s3}/*.enc")
    assert (status, errors) == (
        1,
        f"error: no file matches {s3}/*.enc\nhint: check the pattern and the folder\n",
    )


def test_tensors_are_read_and_written_anywhere(far, place, ok):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    gradients(place)
    ok("encrypt", "anna.npz", "-o", "a.enc")
    ok("encrypt", "bob.npz", "-o", "b.enc")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    for suffix in ("npz", "safetensors"):
        ok("apply", "round.sum", "-o", f"{far}/mean.{suffix}")
        ok("encrypt", f"{far}/mean.{suffix}", "-o", f"{suffix}.enc")
        ok("apply", "round.sum", f"{far}/mean.{suffix}", "--rule", "add")
        with ANYWHERE.open(f"{far}/mean.next.{suffix}") as stream:
            found = stream.read()
        (place / f"next.{suffix}").write_bytes(found)
        assert np.allclose(
            hecli.next_model("round.sum", f"next.{suffix}", rule="replace")["w"], 0.15, atol=1e-5
        )


def test_python_takes_urls(far, place):
    key = hecli.keygen(bits=2048)
    files = [f"{far}/{name}.enc" for name in PARTIES]
    for at, file in enumerate(files):
        hecli.encrypt({"w": np.full(5, at, np.float32)}, file, key.public, jobs=1)
    hecli.aggregate(files, f"{far}/round.agg", jobs=1)
    hecli.decrypt(f"{far}/round.agg", f"{far}/round.sum", key, updates=files, jobs=1)
    assert np.allclose(hecli.mean(f"{far}/round.sum")["w"], 1)


# Ledgers.


def test_a_ledger_in_a_bucket(far, place, ok):
    gradients(place)
    book = f"{far}/ledger"
    for name in PARTIES:
        ok("keygen", "--identity", name)
    cards = [word for name in PARTIES for word in ("--party", f"{name}.card")]
    ok("ledger", "init", book, "--identity", "anna.id", *cards)
    ok("plan", "--like", "anna.npz", *cards, "--aggregator", "bob.card", "--keyholder", "anna.card",
       "--identity", "anna.id", "--ledger", book, "-o", f"{far}/round.plan")  # fmt: skip
    common = ["--plan", f"{far}/round.plan", "--coordinator", "anna.card", "--ledger", book]
    for name in PARTIES:
        ok("encrypt", f"{name}.npz", *common, "--identity", f"{name}.id", "-o", f"{far}/{name}.enc")
    ok("aggregate", f"{far}/*.enc", *common, "--identity", "bob.id", "-o", f"{far}/round.agg")
    ok("decrypt", f"{far}/round.agg", *common, "--identity", "anna.id")
    assert "7 entries, one chain, 6 files as recorded" in ok("ledger", "verify", book, "--files", far)
    shown = ok("ledger", "show", book)
    assert "decrypt" not in shown
    assert "opened" in shown


@pytest.mark.parametrize("which", ["s3", "sftp"])
def test_sixteen_writers_and_twenty_entries(which, request):
    """Each number goes to one of them, and whoever lost it knows."""
    folder = joined(request.getfixturevalue(which), "ledger")
    people = [Identity.generate(f"party-{at}") for at in range(16)]
    begin(ANYWHERE, folder, people[0], [each.card for each in people])
    begun = read_ledger(ANYWHERE, folder)
    barrier, failed = threading.Barrier(16), []

    def write(at):
        book = begun
        try:
            barrier.wait()
            while len(book.links) < 20:
                # A decision of which there is to be one for each number.
                number = len(book.links) + 1
                book = append(
                    ANYWHERE, folder, book, people[at], "note", text=str(number), stale=lambda _: True
                )
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(at,)) for at in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed
    found = read_ledger(ANYWHERE, folder)
    assert found.problems == ()
    texts = [link.entry.text for link in found.links[1:]]
    assert texts == [str(number) for number in range(2, len(found.links) + 1)]
    assert len(found.links) >= 20


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_entry_whose_answer_is_lost_is_there_once(proxy, s3, when):
    folder = joined(s3, "ledger")
    anna = Identity.generate("anna")
    begin(ANYWHERE, folder, anna, [])
    book = read_ledger(ANYWHERE, folder)
    left = set(range(2, 6))

    def cuts(_number, method, path):
        if method == "PUT" and number_of(path) in left:
            left.remove(number_of(path))
            return when
        return None

    proxy.cuts = cuts
    for number in range(2, 6):
        book = append(ANYWHERE, folder, book, anna, "note", text=f"number {number}")
    assert [link.entry.text for link in read_ledger(ANYWHERE, folder).links[1:]] == [
        f"number {number}" for number in range(2, 6)
    ]
    assert len(book.links) == 5


def number_of(path):
    name = path.rpartition("/")[2].partition(".")[0]
    return int(name) if name.isdecimal() else None


def test_an_entry_that_comes_late_is_waited_for(tmp_path, monkeypatch):
    """Tools that copy folders bring files in any order."""
    monkeypatch.setattr(chain, "PATIENCE", 5)
    anna, folder = Identity.generate("anna"), str(tmp_path / "ledger")
    begin(ANYWHERE, folder, anna, [])
    book = read_ledger(ANYWHERE, folder)
    for number in range(3):
        book = append(ANYWHERE, folder, book, anna, "note", text=str(number))
    late = tmp_path / "ledger" / "00000002.entry"
    late.rename(tmp_path / "late")
    timer = threading.Timer(0.5, (tmp_path / "late").rename, (late,))
    timer.start()
    found = read_ledger(ANYWHERE, folder)
    timer.join()
    assert found.problems == ()
    assert len(found.links) == 4


def test_a_decision_is_made_once(tmp_path):
    """Whoever is overtaken by an entry looks again, and does not add its own behind it."""
    anna, folder = Identity.generate("anna"), str(tmp_path / "ledger")
    begin(ANYWHERE, folder, anna, [])
    old = read_ledger(ANYWHERE, folder)
    append(ANYWHERE, folder, old, anna, "note", text="first")
    seen = []
    book = append(
        ANYWHERE, folder, old, anna, "note", text="second", stale=lambda book: bool(seen.append(book)) or True
    )
    assert [link.entry.text for link in book.links[1:]] == ["first"]
    assert len(seen) == 1
    book = append(ANYWHERE, folder, old, anna, "note", text="third", stale=lambda _: False)
    assert [link.entry.text for link in book.links[1:]] == ["first", "third"]


# Trainings.


def test_a_training_in_a_bucket(far, tmp_path):
    scene = Scene(tmp_path / "scene", parties=3, far=joined(far, "shared"))
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values())
    assert np.allclose(scene.model("party-1")["w"], 2.0, atol=1e-3)
    models = {name: scene.model(name)["w"].tobytes() for name in [COORDINATOR, *scene.parties]}
    assert len(set(models.values())) == 1


def test_a_training_as_people_type_it(s3, place, ok, run):
    np.savez("model.npz", w=np.zeros(6, np.float32))
    folder = f"{s3}/shared"
    (place / "train.sh").write_text('cp "$1" "$HECLI_UPDATE"\n')
    for at in (1, 2):
        np.savez(f"update-{at}.npz", w=np.full(6, at, np.float32))
    ok("start", folder, "--model", "model.npz", "--key", "hecli.pub", "--rounds", 1,
       "--make-identities", "ids", "--parties", 2)  # fmt: skip
    digest = json.loads(ok("inspect", f"{folder}/training.hecli", "--json"))[0]["digest"]
    for _ in range(3):
        status, _, errors = run(
            "run", folder, "--identity", "ids/coordinator.id", "--key", "hecli.key", "--once"
        )
        assert status in (0, 3), errors
        for at in (1, 2):
            status, _, errors = run(
                "run", folder, "--identity", f"ids/party-{at}.id", "--train", f"sh train.sh update-{at}.npz",
                "--accept", digest, "--once",
            )  # fmt: skip
            assert status in (0, 3), errors
    said = ok("status", folder)
    assert "round 1 of 1 done" in said
    assert f"{folder}:" in said
    status, _, errors = run("status", f"{s3}/nowhere")
    assert status == 1
    assert "there is no training in this folder" in errors


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_a_training_survives_cut_requests(proxy, s3, tmp_path, when):
    """Every seventh request is cut; nothing is lost and nothing happens twice."""
    scene = Scene(tmp_path / "scene", parties=3, far=joined(s3, "shared"), rounds=1)
    proxy.cuts = lambda number, _method, _path: when if number % 7 == 3 else None
    ended = scene.run(scene.all())
    assert all(isinstance(each, Over) for each in ended.values())
    proxy.cuts = lambda *_: None
    events = [link.entry.event for link in read_ledger(ANYWHERE, joined(s3, "shared/ledger")).links]
    assert sorted(events) == sorted(
        ["founded", "training", "plan", "closed", "aggregate", "opened", *["applied"] * 4]
    )
    assert np.allclose(scene.model("party-1")["w"], 2.0, atol=1e-3)


def test_a_file_that_was_put_over_another_is_put_back(s3, tmp_path):
    """In a bucket as in a folder: only a party's own file counts."""
    scene = Scene(tmp_path / "scene", parties=3, far=joined(s3, "shared"), rounds=1)
    sessions = {each.name: each for each in scene.all()}
    scene.run([sessions[COORDINATOR], sessions["party-1"]])
    names = [name for name in ANYWHERE.list(joined(s3, "shared/round-0001")) if name.endswith(".enc")]
    with ANYWHERE.create(joined(s3, f"shared/round-0001/{names[0]}"), replace=True) as out:
        out.write(b"something else")
    ended = scene.run(list(sessions.values()))
    assert all(isinstance(each, Over) for each in ended.values())


def test_a_ledger_is_not_put_where_it_could_be_written_over(proxy, s3, place, run, ok):
    def alters(_number, _method, _path, headers):
        for name in list(headers):
            if name.lower() == "if-none-match":
                del headers[name]

    ok("keygen", "--identity", "anna")
    proxy.alters = alters
    store_at.cache_clear()
    status, _, errors = run("ledger", "init", f"{s3}/ledger", "--identity", "anna.id")
    assert status == 1
    assert "lets new files replace old ones" in errors
    assert "docs/storage.md" in errors


def test_only_a_sound_decision_is_overtaken(tmp_path):
    with pytest.raises(RefusedError):
        begin(ANYWHERE, str(tmp_path / "ledger"), Identity.generate("a"), [])
        begin(ANYWHERE, str(tmp_path / "ledger"), Identity.generate("a"), [])
    book = read_ledger(ANYWHERE, str(tmp_path / "ledger"))
    assert follow(ANYWHERE, str(tmp_path / "ledger"), book) == book


def test_a_run_waits_for_storage_that_does_not_answer(s3, tmp_path, monkeypatch):
    """Of storage that is gone for a while it says so, once, and goes on when it is there again."""
    scene = Scene(tmp_path / "scene", parties=3, far=joined(s3, "shared"), rounds=1)
    coordinator = scene.session(COORDINATOR)
    calls = []

    def sometimes(session):
        calls.append(len(calls))
        if calls[-1] in (1, 2, 3):
            raise UnreachableError("the storage does not answer")
        outcome = step(session)
        return outcome if isinstance(outcome, Did) and calls[-1] < 5 else Over("enough", failed=False)

    monkeypatch.setattr(running, "step", sometimes)
    monkeypatch.setattr(running, "LONGEST", 0.01)
    assert isinstance(running.run(coordinator, once=False, waiting=lambda *_: None), Over)
    said = scene.said[COORDINATOR]
    assert said.count("the storage does not answer; it is tried again until it does") == 1
    assert "the storage answers again" in said


def test_nobody_is_left_out_for_storage_that_does_not_answer(s3, tmp_path, monkeypatch):
    scene = Scene(tmp_path / "scene", parties=3, far=joined(s3, "shared"), rounds=1, deadline=1)
    sessions = {each.name: each for each in scene.all()}
    scene.run([sessions[COORDINATOR], *[sessions[name] for name in scene.parties]], until=lambda scene: len(
        [name for name in ANYWHERE.list(joined(s3, "shared/round-0001")) if name.endswith(".enc")]
    ) == 3)  # fmt: skip

    def lost(*_):
        raise UnreachableError("the storage does not answer")

    monkeypatch.setattr("hecli.training.closing.open_sources", lost)
    with pytest.raises(UnreachableError):
        for _ in range(5):
            step(sessions[COORDINATOR])
    events = [link.entry.event for link in read_ledger(ANYWHERE, joined(s3, "shared/ledger")).links]
    assert "closed" not in events
