"""The ledger: chains, forks, cut tails, and many who write at once."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.reader import Reader
from hecli.identity.signatures import Identity, signer
from hecli.ledger import chain as ledger
from hecli.ledger.chain import Found
from hecli.ledger.checkpoint import keep, parse_checkpoints, read_checked
from hecli.ledger.recorder import recorder
from hecli.storage import local as files
from hecli.storage.local import LOCAL, LocalStore
from tests.support import changed, command, leaves, with_change

ANNA, ALICE, BOB, MALLORY = (Identity.generate(name) for name in ("anna", "alice", "bob", "mallory"))


class Memory:
    """A store of one folder, for tests that need none of the machine's."""

    def __init__(self):
        self.files = {}

    def list(self, folder):
        return [] if folder != "ledger" else list(self.files)

    def open(self, path):
        name = path.removeprefix("ledger/")
        if name not in self.files:
            raise HecliError(f"no {name}")
        return io.BytesIO(self.files[name])

    def exists(self, path):
        return path.removeprefix("ledger/") in self.files

    def claim(self, path, data):
        name = path.removeprefix("ledger/")
        if name in self.files:
            return False
        self.files[name] = data
        return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 0)


@pytest.fixture
def store():
    return filled()


def filled(notes=4):
    store = Memory()
    ledger.begin(store, "ledger", ANNA, [ALICE.card, BOB.card])
    for number in range(notes):
        who = (ALICE, BOB)[number % 2]
        add(store, who, "note", text=f"note {number}", files=[(f"f{number}", bytes([number] * 32))])
    return store


def add(store, who, event, before=None, folder="ledger", **about):
    return ledger.append(store, folder, before or read(store, folder), who, event, **about).last


def smuggle(store, who, event, **about):
    """What an intruder does, whom hecli itself would refuse."""
    last = read(store).last
    link, data = ledger._signed(ledger._entry(last.entry.number + 1, last.digest, event, who, **about), who)
    store.files[link.file] = data


def read(store, folder="ledger"):
    return ledger.read_ledger(store, folder)


def test_a_chain_holds(store):
    found = read(store)
    assert not found.problems
    assert [link.entry.number for link in found.links] == [1, 2, 3, 4, 5]
    assert [link.signer for link in found.links[1:]] == [ALICE.card, BOB.card] * 2
    assert found.check_head(found.last.head) == []
    assert found.check_head(found.links[2].head + "\n") == []


def opened(store, number):
    return Reader(io.BytesIO(store.files[f"{number:08}.entry"]), "entry")


ENTRY_FIELDS = list(leaves(opened(filled(1), 2).header))


@pytest.mark.parametrize("path", ENTRY_FIELDS, ids=lambda each: ".".join(map(str, each)))
@pytest.mark.parametrize("resign", [False, True])
def test_any_field_of_an_entry_changed_is_found(store, path, resign):
    """Also where whoever made the entry signs it again, for then the next one does not follow."""
    reader = opened(store, 2)
    header = with_change(reader.header, path)
    out = io.BytesIO()
    envelope.write(
        out,
        "entry",
        header,
        sign=signer(ALICE, "entry", header["plan"]) if resign else lambda _: reader.signature,
    )
    store.files["00000002.entry"] = out.getvalue()
    assert read(store).problems


@given(st.data())
def test_any_byte_of_any_entry_changed_is_found(data):
    store = filled()
    name = data.draw(st.sampled_from(sorted(store.files)))
    content = bytearray(store.files[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    store.files[name] = bytes(content)
    assert read(store).problems


@given(st.permutations(range(5)))
def test_any_other_order_is_found(order):
    store = filled()
    names = sorted(store.files)
    store.files = {names[at]: store.files[names[old]] for at, old in enumerate(order)}
    assert bool(read(store).problems) == (list(order) != [0, 1, 2, 3, 4])


@given(st.sets(st.integers(1, 5), min_size=1, max_size=4))
def test_removed_entries_are_found_but_for_the_tail(removed):
    store = filled()
    head = read(store).last.head
    for number in removed:
        del store.files[f"{number:08}.entry"]
    found = read(store)
    kept = sorted({1, 2, 3, 4, 5} - removed)
    tail_only = kept == list(range(1, len(kept) + 1))
    assert bool(found.problems) == (not tail_only)
    assert bool(found.check_head(head)) == (5 in removed)


def test_a_tail_that_was_cut_off_shows_against_a_head(store):
    head = read(store).last.head
    del store.files["00000005.entry"]
    assert not read(store).problems
    assert "cut off: entry 5" in read(store).check_head(head)[0]
    add(store, ALICE, "note", text="another")
    assert "history was rewritten" in read(store).check_head(head)[0]


def test_a_fork_shows_both_and_who_signed(store):
    other = Memory()
    other.files = dict(store.files)
    add(store, ALICE, "note", text="one")
    add(other, BOB, "note", text="two")
    store.files["00000006 (copy).entry"] = other.files["00000006.entry"]
    (problem,) = read(store).problems
    assert "a fork" in problem
    assert "signed by alice" in problem
    assert "signed by bob" in problem
    with pytest.raises(FormatError, match="is broken: a fork"):
        read(store).require_sound("ledger")


def test_an_entry_of_nobody_on_the_roster_is_found(store):
    with pytest.raises(RefusedError, match="not on the roster"):
        read(store).check_member(MALLORY.card, "ledger")
    smuggle(store, MALLORY, "note", text="hello")
    assert "mallory, who is on no roster" in read(store).problems[0]
    smuggle(store, Identity.generate("alice"), "note", text="I am another alice")
    assert len(read(store).problems) == 2


def test_only_the_founder_brings_others_in(store):
    add(store, ALICE, "plan", cards=[MALLORY.card])
    assert MALLORY.card not in read(store).members
    add(store, ANNA, "plan", cards=[MALLORY.card])
    assert MALLORY.card in read(store).members
    add(store, MALLORY, "note", text="hello")
    assert not read(store).problems


def test_an_entry_of_another_ledger_does_not_fit(store):
    other = filled()
    store.files["00000003.entry"] = other.files["00000003.entry"]
    assert "does not follow" in read(store).problems[0]
    store.files["00000001.entry"] = other.files["00000001.entry"]
    assert any("does not follow entry 1" in each for each in read(store).problems)


def test_an_entry_far_away_costs_nothing(store):
    link, data = ledger._signed(ledger._entry(99_999_999, bytes(32), "note", ALICE, text="far"), ALICE)
    store.files[link.file] = data
    assert "entries 6 to 99,999,998 are missing" in read(store).problems[0]


def test_whoever_adds_goes_on_behind_what_others_added_meanwhile(store):
    before = read(store)
    add(store, BOB, "note", text="first")
    link = add(store, ALICE, "note", before, text="second")
    assert link.entry.number == 7
    assert not read(store).problems


def test_nobody_goes_on_behind_an_intruder(store):
    before = read(store)
    smuggle(store, MALLORY, "note", text="hello")
    with pytest.raises(FormatError, match="on no roster"):
        add(store, ALICE, "note", before, text="second")


def test_what_others_add_is_followed_without_reading_the_old_again(store, monkeypatch):
    before = read(store)
    assert ledger.follow(store, "ledger", before) == before
    add(store, BOB, "note", text="first")
    add(store, ANNA, "plan", cards=[MALLORY.card])
    add(store, MALLORY, "note", text="third")
    opens = []
    monkeypatch.setattr(store, "open", lambda path: opens.append(path) or Memory.open(store, path))
    after = ledger.follow(store, "ledger", before)
    assert opens == [f"ledger/0000000{number}.entry" for number in (6, 7, 8)]
    assert after == read(store)


def test_what_is_broken_is_not_followed(store):
    before = read(store)
    smuggle(store, MALLORY, "note", text="hello")
    with pytest.raises(FormatError, match="on no roster"):
        ledger.follow(store, "ledger", before)
    store.files["00000006.entry"] = filled(5).files["00000006.entry"]
    with pytest.raises(FormatError, match="does not follow"):
        ledger.follow(store, "ledger", before)
    store.files["00000006.entry"] = store.files["00000005.entry"]
    with pytest.raises(FormatError, match="reordered or renamed"):
        ledger.follow(store, "ledger", before)
    store.files["00000006.entry"] = b"nonsense"
    with pytest.raises(FormatError):
        ledger.follow(store, "ledger", before)


def test_an_entry_that_is_still_being_written_is_waited_for(store, monkeypatch):
    before = read(store)
    add(store, BOB, "note", text="first")
    whole = store.files["00000006.entry"]
    monkeypatch.setattr(ledger, "PATIENCE", 5)
    monkeypatch.setattr(ledger.time, "sleep", lambda _: store.files.update({"00000006.entry": whole}))
    store.files["00000006.entry"] = whole[:50]
    assert not read(store).problems
    store.files["00000006.entry"] = whole[:50]
    assert add(store, ALICE, "note", before, text="second").entry.number == 7
    store.files["00000008.entry"] = whole[:50]
    monkeypatch.setattr(ledger, "PATIENCE", 0)
    with pytest.raises(FormatError, match="ends too early"):
        add(store, ALICE, "note", before, text="third")


def test_files_are_compared_with_their_records(store):
    found = read(store)
    problems, notes = found.check_files(
        [Found("f0", bytes(32)), Found("f1", b"\7" * 32), Found("unknown", b"\7" * 32)]
    )
    assert len(problems) == 1
    assert "f1 differs from its record in entry 3 (note by bob)" in problems[0]
    assert notes == ["2 recorded files are not there: f2, f3"]
    add(store, ALICE, "note", files=[("f0", b"\7" * 32)])
    problems, notes = read(store).check_files([Found("f0", bytes(32))])
    assert not problems
    assert notes[:1] == ["f0 is that of entry 2 (note by alice); entry 6 (note by alice) has a newer one"]


def test_a_file_that_another_recorded_differently_is_noted(store):
    add(store, ALICE, "note", files=[("model", b"\5" * 32)])
    add(store, BOB, "note", files=[("model", b"\6" * 32)])
    problems, notes = read(store).check_files([Found("model", b"\6" * 32)])
    assert not problems
    assert notes[0] == "model is that of entry 7 (note by bob), which entry 6 (note by alice) contradicts"


ONE, TWO = b"\5" * 32, b"\6" * 32


def test_rounds_that_use_the_same_names_do_not_contradict_each_other(store):
    for plan, who in ((ONE, ALICE), (TWO, BOB)):
        add(store, who, "update", plan=plan, files=[("a.enc", plan)])
        add(
            store,
            who,
            "applied",
            plan=plan,
            files=[("model.npz", plan[:31] + b"\3"), ("model.next.npz", plan)],
        )
    found = read(store)
    all_there = [
        Found(f"{place}/{name}", digest, plan)
        for place, plan in (("round-1", ONE), ("round-2", TWO))
        for name, digest, plan in (
            ("a.enc", plan, plan),
            ("model.npz", plan[:31] + b"\3", b""),
            ("model.next.npz", plan, b""),
        )
    ]
    problems, notes = found.check_files(all_there)
    assert not problems
    assert notes == ["4 recorded files are not there: f0, f1, f2, f3"]
    problems, notes = found.check_files(all_there[3:])
    assert not problems
    assert notes == ["5 recorded files are not there: a.enc, f0, f1, f2, f3"]
    # Another file of that plan, one of a plan that nobody recorded, and one that carries none.
    for plan, entry in ((ONE, 6), (TWO, 8), (b"\3" * 32, 8), (b"", 8)):
        (problem,) = found.check_files([Found("x/a.enc", b"\7" * 32, plan)])[0]
        assert problem.startswith(f"x/a.enc differs from its record in entry {entry} ")
    # As recorded under another name; and one of a recorded plan that has no such name.
    assert not found.check_files([Found("b.enc", ONE, ONE), Found("f0", b"\7" * 32, ONE)])[0]


def test_what_happened_twice_in_a_plan_is_noted(store):
    for digest in (b"\1", b"\2"):
        add(store, ANNA, "opened", plan=bytes(32), files=[("a.agg", digest * 32), ("a.sum", digest * 32)])
        add(store, ALICE, "update", plan=bytes(32), files=[("a.enc", digest * 32)])
    add(store, BOB, "update", plan=bytes(32), files=[("b.enc", bytes(32))])
    notes = read(store).notes
    assert len(notes) == 2
    assert (
        "entry 6 (opened by anna) and entry 8 (opened by anna) are about different aggregates of one plan"
        in notes[0]
    )
    assert "entry 7 (update by alice) and entry 9 (update by alice)" in notes[1]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "founded"},
        {"event": "nonsense"},
        {"event": "note", "text": "x" * 1001},
        {"event": "note", "text": "a\nb"},
        {"event": "note", "cards": [MALLORY.card]},
        {"event": "note", "files": [("a\nb", bytes(32))]},
        {"event": "note", "files": [("x" * 300, bytes(32))]},
        {"event": "note", "files": [("\udcff", bytes(32))]},
    ],
)
def test_entries_that_cannot_be(store, event):
    with pytest.raises(FormatError):
        add(store, ALICE, **event)
    assert len(store.files) == 5


@pytest.mark.parametrize(
    ("time", "sound"),
    [
        ("2024-02-29T23:59:59Z", True),
        ("1970-01-01T00:00:00Z", True),
        ("9999-12-31T23:59:59Z", True),
        ("1969-12-31T23:59:59Z", False),
        ("2023-02-29T00:00:00Z", False),
        ("2024-01-01T24:00:00Z", False),
        ("2024-01-01T00:00:60Z", False),
        ("2024-01-01T00:00:00z", False),
        ("2024-01-01T00:00:00Z\n", False),
        ("2024-1-01T00:00:00Z", False),
        ("\u0662\u0660\u0662\u0664-01-01T00:00:00Z", False),
        ("2024-01-01 00:00:00Z", False),
    ],
)
def test_there_is_one_way_to_write_a_time(store, time, sound):
    entry = replace(read(store).last.entry, time=time)
    if sound:
        entry.check()
        return
    with pytest.raises(FormatError, match="is no time"):
        entry.check()


def test_a_recorder_goes_on_with_what_it_knows(store):
    record = recorder(store, "ledger", ALICE)
    opens = []
    store.open = lambda path: opens.append(path) or Memory.open(store, path)
    record("note", text="first")
    add(store, BOB, "note", before=read(store), text="between")
    opens.clear()
    record("note", files=[("folder/f", bytes(32))], text="second")
    assert opens == ["ledger/00000007.entry"]
    assert read(store).last.entry.files == (("f", bytes(32)),)
    recorder(store, None, None)("note", text="nowhere")
    with pytest.raises(RefusedError, match="are signed"):
        recorder(store, "ledger", None)
    with pytest.raises(RefusedError, match="not on the roster"):
        recorder(store, "ledger", MALLORY)


@pytest.mark.parametrize(
    "head", ["", "5", "5:abc", "x:" + "0" * 64, "²:" + "0" * 64, "9" * 5000 + ":" + "0" * 64, "5:" + "A" * 64]
)
def test_heads_that_are_none(store, head):
    with pytest.raises(HecliError, match="no head of a ledger"):
        read(store).check_head(head)


def test_a_ledger_is_begun_once(store):
    with pytest.raises(RefusedError, match="holds a ledger already"):
        ledger.begin(store, "ledger", ANNA, [])


APPEND = """
import sys
from hecli.formats.reader import Reader
from hecli.identity.files import read_identity
from hecli.ledger.chain import append, read_ledger
from hecli.storage.local import LOCAL
with open("alice.id", "rb") as stream:
    alice = read_identity(Reader(stream, "alice.id"), str)
book = read_ledger(LOCAL, "ledger")
sys.stdin.readline()
for each in range(5):
    append(LOCAL, "ledger", book, alice, "note", text=f"{sys.argv[1]} {each}")
"""


@pytest.mark.parametrize("links", [True, False])
def test_twenty_processes_lose_nothing(tmp_path, links):
    """All at once, and all from the same old state; also where the file system has no links."""
    from hecli.identity.files import write_identity

    with (tmp_path / "alice.id").open("wb") as out:
        write_identity(ALICE, out)
    folder = str(tmp_path / "ledger")
    ledger.begin(LOCAL, folder, ALICE, [])
    script = APPEND if links else _NO_LINKS + APPEND
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(at)], cwd=tmp_path, stdin=subprocess.PIPE)
        for at in range(20)
    ]
    for each in writers:
        each.stdin.write(b"\n")
        each.stdin.flush()
    assert [each.wait(120) for each in writers] == [0] * 20
    for each in writers:
        each.stdin.close()
    found = read(LOCAL, folder)
    assert not found.problems
    assert len(found.links) == 101
    texts = {f"{at} {each}" for at in range(20) for each in range(5)}
    assert {link.entry.text for link in found.links[1:]} == texts
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == sorted(LOCAL.list(folder))


_NO_LINKS = """
import errno, os
def no(*args, **kwargs):
    raise OSError(errno.EPERM, "no links here")
os.link = no
open_ = os.open
def opened(path, flags, *args, **kwargs):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "nor files without a name")
    return open_(path, flags, *args, **kwargs)
os.open = opened
"""


def test_a_full_disk_leaves_no_entry(tmp_path, monkeypatch):
    folder = str(tmp_path)
    ledger.begin(LOCAL, folder, ANNA, [])
    monkeypatch.setattr(files.Sink, "write", _full)
    with pytest.raises(HecliError, match="disk is full"):
        add(LOCAL, ANNA, "note", folder=folder, text="x")
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.entry"]


def _full(self, data):
    raise HecliError("the disk is full")


def test_what_lies_in_the_folder_besides_is_left_alone(tmp_path):
    folder = str(tmp_path)
    ledger.begin(LOCAL, folder, ANNA, [])
    (tmp_path / "README").write_text("hello")
    (tmp_path / ".00000002.entry.abc.tmp").write_text("hello")
    assert not read(LOCAL, folder).problems
    (tmp_path / "00000002.entry").mkdir()
    os.mkfifo(tmp_path / "00000003.entry")
    assert not read(LOCAL, folder).problems
    with pytest.raises(HecliError, match="is a folder"):
        add(LOCAL, ANNA, "note", folder=folder)


def test_a_copy_under_another_name_is_nothing_new(store):
    store.files["00000003 (copy).entry"] = store.files["00000003.entry"]
    assert not read(store).problems
    del store.files["00000003.entry"]
    assert "reordered or renamed" in read(store).problems[0]


def test_an_output_that_cannot_be_recorded_does_not_appear(place, ok, fails, monkeypatch):
    np.save("a.npy", np.ones(3, np.float32))
    ok("keygen", "--identity", "anna")
    ok("ledger", "init", "ledger", "--identity", "anna.id")
    claim = LocalStore.claim

    def broken_meanwhile(store, path, data):
        (place / path).write_bytes(b"")
        return claim(store, path, data)

    monkeypatch.setattr(ledger, "PATIENCE", 0)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "claim", broken_meanwhile)
        fails("encrypt", "a.npy", "--identity", "anna.id", "--ledger", "ledger", says="ends too early")
    fails("encrypt", "a.npy", "--identity", "anna.id", "--ledger", "ledger", says="is broken")
    assert not (place / "a.enc").exists()


def test_a_round_in_the_ledger(place, ok):
    np.save("a.npy", np.ones(3, np.float32))
    np.save("b.npy", np.ones(3, np.float32))
    for name in ("anna", "bob"):
        ok("keygen", "--identity", name)
    ok("ledger", "init", "ledger", "--identity", "anna.id", "--party", "bob.card")
    signed = ("--identity", "anna.id", "--ledger", "ledger")
    ok("encrypt", "a.npy", *signed)
    ok("encrypt", "b.npy", "--identity", "bob.id", "--ledger", "ledger")
    ok("aggregate", "a.enc", "b.enc", *signed)
    command("decrypt", "round.agg", "-o", "-", *signed, cwd=place)
    ok("decrypt", "round.agg", *signed)
    ok("apply", "round.sum", "a.npy", *signed)
    said = ok("ledger", "verify", "ledger", "--files", ".", "--json")
    assert '"problems": []' in said
    assert '"files": 6' in said
    shown = ok("ledger", "show", "ledger", "--json")
    for name in ("a.enc", "round.agg", "round.sum", "a.next.npy", "founded", "opened"):
        assert name in shown


@pytest.fixture
def book(tmp_path):
    """A ledger of five entries, and where alice keeps how far she checked it."""
    folder, kept = str(tmp_path / "ledger"), str(tmp_path / "alice.id.ledgers")
    ledger.begin(LOCAL, folder, ANNA, [ALICE.card, BOB.card])
    for number in range(4):
        recorder(LOCAL, folder, ALICE, kept)("note", text=f"note {number}")
    return folder, kept


def opened_entries(monkeypatch):
    opens = []
    open_ = LocalStore.open
    monkeypatch.setattr(
        LocalStore, "open", lambda store, path: opens.append(Path(path).name) or open_(store, path)
    )
    return opens


def test_with_a_checkpoint_only_what_is_new_is_read(book, monkeypatch):
    folder, kept = book
    assert os.stat(kept).st_mode & 0o777 == 0o600
    add(LOCAL, ANNA, "plan", folder=folder, cards=[MALLORY.card])
    add(LOCAL, MALLORY, "note", folder=folder)
    opens = opened_entries(monkeypatch)
    record = recorder(LOCAL, folder, ALICE, kept)
    entries = [f"0000000{number}.entry" for number in (1, 5, 6, 7)]
    assert opens == ["alice.id.ledgers", *entries]
    record("note", text="new")
    found = read(LOCAL, folder)
    assert not found.problems
    known = read_checked(LOCAL, folder, kept)
    assert known.members == found.members
    assert known.last == found.last
    # Who never saw it reads all of it; and so does whoever keeps nothing.
    assert read_checked(LOCAL, folder, kept + "2") == found == read_checked(LOCAL, folder, None)


def test_a_ledger_that_was_rolled_back_is_refused(book):
    folder, kept = book
    other = add(LOCAL, BOB, "note", read(LOCAL, folder), folder, text="x")
    recorder(LOCAL, folder, ALICE, kept)("note", text="seen")
    for number in (6, 7):
        os.unlink(f"{folder}/0000000{number}.entry")
    with pytest.raises(
        RefusedError, match="rolled back: entry 7 was seen here before, and now it is gone"
    ) as e:
        recorder(LOCAL, folder, ALICE, kept)
    assert "verify --head 7:" in e.value.hint
    assert other.entry.number == 6
    for text in ("fork", "longer"):
        add(LOCAL, BOB, "note", folder=folder, text=text)
    with pytest.raises(RefusedError, match="entry 7 was seen here before, and now another one is there"):
        recorder(LOCAL, folder, ALICE, kept)


def test_what_follows_a_checkpoint_is_checked(book):
    folder, kept = book
    before = read(LOCAL, folder).last
    entry = ledger._entry(6, before.digest, "note", MALLORY, text="hello")
    LOCAL.claim(f"{folder}/00000006.entry", ledger._signed(entry, MALLORY)[1])
    with pytest.raises(FormatError, match=r"is broken: entry 6 .* who is on no roster"):
        recorder(LOCAL, folder, ALICE, kept)
    with open(f"{folder}/00000005.entry", "wb") as out:
        out.write(b"nonsense")
    with pytest.raises(FormatError, match=r"is broken: 00000005\.entry is not a hecli file"):
        recorder(LOCAL, folder, ALICE, kept)
    os.unlink(f"{folder}/00000001.entry")
    with pytest.raises(FormatError, match="is broken"):
        recorder(LOCAL, folder, ALICE, kept)


def test_checkpoints_of_two_ledgers_and_one_that_is_damaged(book, tmp_path):
    folder, kept = book
    other = str(tmp_path / "other")
    ledger.begin(LOCAL, other, ALICE, [])
    old = read_checked(LOCAL, folder, kept)
    for each in (folder, other):
        recorder(LOCAL, each, ALICE, kept)("note", text="x")
    with open(kept, "rb") as stream:
        known = parse_checkpoints(Reader(stream, kept))
    assert sorted(seen.number for seen in known.values()) == [2, 6]
    # One that was overtaken does not turn it back.
    keep(LOCAL, kept, old)
    with open(kept, "rb") as stream:
        assert parse_checkpoints(Reader(stream, kept)) == known
    with open(kept, "wb") as out:
        out.write(b"nonsense")
    with pytest.raises(FormatError, match="not a hecli file") as e:
        recorder(LOCAL, folder, ALICE, kept)
    assert "move it away" in e.value.hint
    # Where none can be written, all goes on without.
    recorder(LOCAL, folder, ALICE, str(tmp_path / "nowhere" / "x"))("note", text="y")
    assert read(LOCAL, folder).last.entry.text == "y"


def test_commands_keep_a_checkpoint_beside_the_identity(place, ok, fails):
    for name in ("anna", "bob"):
        ok("keygen", "--identity", name)
    ok("ledger", "init", "ledger", "--identity", "anna.id", "--party", "bob.card")
    (place / "link.id").symlink_to("anna.id")
    ok("ledger", "note", "ledger", "hello", "--identity", "link.id")
    assert not (place / "link.id.ledgers").exists()
    np.save("a.npy", np.ones(3, np.float32))
    ok("encrypt", "a.npy", "--identity", "bob.id", "--ledger", "ledger")
    assert "seen up to 2:" in ok("inspect", "anna.id.ledgers")
    assert "seen up to 3:" in ok("inspect", "bob.id.ledgers")
    (place / "ledger" / "00000003.entry").unlink()
    ok("ledger", "note", "ledger", "hello", "--identity", "anna.id")
    for arguments in (
        ["ledger", "note", "ledger", "hello"],
        ["encrypt", "a.npy", "--ledger", "ledger", "-o", "b.enc"],
    ):
        fails(*arguments, "--identity", "bob.id", says="forked: entry 3 was seen here before")


def test_two_rounds_in_folders_of_their_own(place, ok, fails):
    for name in ("anna", "bob"):
        ok("keygen", "--identity", name)
    ok("ledger", "init", "ledger", "--identity", "anna.id", "--party", "bob.card")
    anna, bob = (("--identity", f"{name}.id", "--ledger", "ledger") for name in ("anna", "bob"))
    for number in (1, 2):
        here = f"round-{number}"
        (place / here).mkdir()
        np.save(f"{here}/a.npy", np.full(3, number, np.float32))
        plan = f"{here}/round.plan"
        ok("plan", "--like", f"{here}/a.npy", "--parties", "2", "--name", here, "-o", plan, *anna)
        ok("encrypt", f"{here}/a.npy", "--plan", plan, "-o", f"{here}/a.enc", *anna)
        ok("encrypt", f"{here}/a.npy", "--plan", plan, "-o", f"{here}/b.enc", *bob)
        ok("aggregate", f"{here}/a.enc", f"{here}/b.enc", "-o", f"{here}/round.agg", *anna)
        ok("decrypt", f"{here}/round.agg", "-o", f"{here}/round.sum", *anna)
        ok("apply", f"{here}/round.sum", f"{here}/a.npy", "-o", f"{here}/next.npy", *bob)
    (place / ".hidden").mkdir()
    (place / ".hidden" / "a.enc").write_bytes(b"hidden")
    (place / "round-3").symlink_to(place / ".hidden")
    (place / "b.enc").symlink_to(place / ".hidden" / "a.enc")
    (place / "ledger" / "a.enc").write_bytes(b"in the ledger's own folder")
    said = ok("ledger", "verify", "ledger", "--files", ".", "--json")
    assert '"problems": [], "notes": []' in said
    assert '"files": 14' in said
    shown = ok("ledger", "show", "ledger")
    assert "round-1" in shown
    assert "round-2" in shown
    ok("encrypt", "round-1/a.npy", "--plan", "round-1/round.plan", "-o", "round-1/a.enc", "--force")
    fails(
        "ledger",
        "verify",
        "ledger",
        "--files",
        ".",
        hint=None,
        says="round-1/a.enc differs from its record in entry 3",
    )
    (place / "round-1" / "a.enc").write_bytes((place / "round-2" / "a.enc").read_bytes()[:-1])
    fails("ledger", "verify", "ledger", "--files", ".", "-q", hint=None, says="round-1/a.enc")


def test_changes_change():
    """What the property tests above rest on."""
    for value in (True, 1, 1.0, "a", b"a", None, []):
        assert changed(value) != value
