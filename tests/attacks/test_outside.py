"""Storage, strangers and people with odd names, against whoever reads files."""

import io
import subprocess
import sys

import numpy as np
import pytest

import hecli
from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import VERSION, bin_prefix, pack
from hecli.formats.envelope import Prelude, Section
from hecli.identity.cards import Card
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.ledger.chain import append, begin, read_ledger
from hecli.storage.local import LOCAL
from tests.attacks.scene import PEOPLE, a_round, aggregate, decrypt
from tests.support import KEY, KEYS, PEAK, command, encrypted, npz, reader, rewritten, small_plan

ANNA = PEOPLE["anna"]


# Cards that show as somebody else.


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        "a\\b",
        "CON",
        "con.txt",
        "Lpt1",
        "aux .x",
        "-rf",
        ".hidden",
        "dot.",
        "C:",
        "a*",
        "what?",
        '"quoted"',
        "<b>",
        "a|b",
        "[red]alice[/red]",
        "R&D",
        "é" * 33,
        "x" * 65,
        "alice\u034f",
        "al\u115fice",
        "alice\u3164",
        "alice\ufe0f",
        "alice\u200b",
        "alice\u2800",
        "alice\U0001bca0",
        "\u202ealice",
        "alice 61ed-8048-744e-db98-00c2-1a69-ad18-768e-1c17-9bcd",
        "0123-4567-89AB",
        "anna (61ed-8048-744e)",
    ],
)
def test_somebody_makes_a_card_with_a_name_that_misleads(name):
    with pytest.raises(FormatError, match="cannot be"):
        Identity.generate(name)
    with pytest.raises(FormatError, match="cannot be"):
        Card.parse([name, *ANNA.card[1:]], "file")


@pytest.mark.parametrize(
    "name", ["alice", "O'Brien", "Klinikum Süd", "医院", "console", "hospital-2", "a.b", "é" * 32]
)
def test_an_honest_name_is_no_trouble(name):
    assert Identity.generate(name).card.name == name


@pytest.mark.parametrize(
    "pair",
    [
        ("alice", "\u0430lice"),  # a Cyrillic letter
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # all of them
        ("alice", "Alice"),
        ("party-1", "party-l"),
        ("O2", "02"),
        ("modern", "modem"),
        ("olga", "olg\u0251"),
    ],
)
def test_somebody_gets_onto_a_roster_under_a_name_that_looks_like_another_s(pair):
    people = [Identity.generate(name).card for name in (*pair, "carol")]
    with pytest.raises(HecliError, match="look alike"):
        Roster.of(people, coordinator=ANNA.card)


def test_names_that_only_resemble_each_other_are_no_trouble():
    names = ("alice", "alicia", "müller", "muller", "party-1", "party-2", "party-10", "Анна", "bob", "rob")
    people = [Identity.generate(name).card for name in names]
    assert len(Roster.of(people, coordinator=ANNA.card).parties) == len(names)


def test_the_fingerprint_stands_before_the_name_wherever_trust_is_shown(place, ok):
    assert place
    said = ok("keygen", "--identity", "alice") and ok("inspect", "alice.card")
    assert said.index("  card         ") < said.index("  name         alice")
    np.savez("a.npz", w=np.ones(3, np.float32))
    ok("encrypt", "a.npz", "--identity", "alice.id", "--key", "hecli.pub")
    card = hecli.read_card("alice.card")
    for shown in (ok("verify", "a.enc"), ok("inspect", "a.enc")):
        assert f"signed by    {card.fingerprint} alice" in shown


# Files that claim much.


def test_a_sparse_file_whose_trailer_claims_much_is_read_in_little_memory(tmp_path):
    """4,000,000 chunks of one byte, all zero: 128 MB of digests that nobody holds."""
    chunks = 4_000_000
    plan = small_plan(npz(w=np.ones(3, np.float32)))
    header = pack({"plan": plan.to_map(), "party": None})
    sections = (Section("lanes", 1, chunks - 1, 1), Section("control", 1, 1, 1))
    front = pack(Prelude("hecli", VERSION, "update", len(header), sections)) + header
    path = tmp_path / "sparse.enc"
    with path.open("wb") as out:
        out.write(front)
        out.seek(len(front) + 3 * chunks)
        out.write(b"\x83" + pack("chunks") + bin_prefix(32 * chunks))
        out.seek(32 * chunks, 1)
        out.write(pack("digest") + bin_prefix(32) + bytes(32) + pack("signatures") + b"\x90")
    script = (
        "import sys; from hecli.__main__ import main\n"
        f"sys.argv = ['hecli', 'inspect', {str(path)!r}]\n"
        f"try: main()\nexcept SystemExit as done: assert done.code == 1\n{PEAK}"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert "its digest does not match" in result.stderr
    # That of Python and NumPy, and no more.
    assert int(result.stdout.split()[-1]) < 80_000


def test_a_file_may_not_claim_more_chunks_than_can_be_read_in_a_second():
    front = pack(Prelude("hecli", VERSION, "update", 9, (Section("lanes", 1, (1 << 22) + 1, 1),)))
    with pytest.raises(FormatError, match="declares"):
        reader(io.BytesIO(front + bytes(100)))


# Storage, and whoever else writes there.


def test_storage_has_other_updates_lie_beside_an_aggregate(place, ok, fails):
    """They are found by digest, not by name; what is no update, or is damaged, hinders nobody."""
    for name in ("a", "b"):
        np.savez(place / f"{name}.npz", w=np.full(3, ord(name) / 200, np.float32))
        ok("encrypt", f"{name}.npz", "--party", name)
    ok("aggregate", "a.enc", "b.enc")
    (place / "a.enc").rename("0.enc")
    ok("encrypt", "b.npz", "--party", "a", "-o", "a.enc")
    (place / "junk.enc").write_bytes(b"junk")
    (place / "cut.enc").write_bytes((place / "b.enc").read_bytes()[:500])
    (place / "folder.enc").mkdir()
    ok("decrypt", "round.agg", "-o", "one.sum")
    ok("verify", "one.sum", "--from", "round.agg")
    (place / "0.enc").unlink()
    says = "counts a, whose update is not among the files"
    fails("decrypt", "round.agg", "-o", "two.sum", says=says)


def test_storage_has_decoys_with_the_digests_of_updates_lie_beside_an_aggregate(place, ok, fails, run):
    """Without a signature, or with a byte changed, which a digest in a trailer does not show."""
    ok("keygen", "--identity", "anna")
    cards = []
    for name in ("alice", "bob"):
        ok("keygen", "--identity", name)
        np.savez(f"{name}.npz", w=np.ones(3, np.float32))
        cards += ["--party", f"{name}.card"]
    ok("plan", "--like", "bob.npz", *cards, "--identity", "anna.id")
    for name in ("alice", "bob"):
        ok("encrypt", f"{name}.npz", "--plan", "round.plan", "--identity", f"{name}.id")
    ok("aggregate", "alice.enc", "bob.enc", "--identity", "bob.id")
    with (place / "alice.enc").open("rb") as stream:
        (place / "0.enc").write_bytes(rewritten(stream).getvalue())
    content = bytearray((place / "bob.enc").read_bytes())
    content[len(content) // 2] ^= 1
    (place / "1.enc").write_bytes(content)
    ok("decrypt", "round.agg", "--identity", "anna.id", "--plan", "round.plan")
    (place / "bob.enc").unlink()
    again = ("decrypt", "round.agg", "--identity", "anna.id", "--plan", "round.plan", "-o", "x.sum")
    said = run(*again)[2]
    assert "warning: 1.enc: " in said
    assert "counts bob, whose update is not among the files" in said
    assert fails


def test_an_output_never_replaces_a_secret_or_its_record(place, ok, fails):
    for name in ("a", "b"):
        np.savez(place / f"{name}.npz", w=np.ones(3, np.float32))
        ok("encrypt", f"{name}.npz", "--party", name)
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    before = (place / "hecli.key").read_bytes(), (place / "hecli.key.opened").read_bytes()
    (place / "link").symlink_to("hecli.key")
    for target in ("hecli.key", "hecli.key.opened", "./hecli.key", "link"):
        fails("decrypt", "round.agg", "-o", target, "--force", says="is a secret, or the record of its use")
    ok("keygen", "--identity", "alice")
    fails("encrypt", "a.npz", "--identity", "alice.id", "-o", "alice.id", "--force", says="is a secret")
    assert ((place / "hecli.key").read_bytes(), (place / "hecli.key.opened").read_bytes()) == before


def test_a_key_that_may_only_be_read_opens_all_the_same(place, ok):
    for name in ("a", "b"):
        np.savez(place / f"{name}.npz", w=np.ones(3, np.float32))
        ok("encrypt", f"{name}.npz", "--party", name)
    ok("aggregate", "a.enc", "b.enc")
    (place / "hecli.key").chmod(0o400)
    ok("decrypt", "round.agg")
    assert (place / "hecli.key.opened").exists()


def test_whoever_has_a_key_for_trials_is_told_what_it_gives_away(place, ok, fails):
    for name in ("a", "b"):
        np.savez(place / f"{name}.npz", w=np.full(3, ord(name) / 200, np.float32))
        ok("encrypt", f"{name}.npz", "--party", name)
    ok("aggregate", "a.enc", "b.enc")
    for name in ("a", "b"):
        (place / f"{name}.enc").unlink()
    fails("decrypt", "round.agg", says="nothing shows what round.agg was made of", hint="--from")
    assert "one party's update" in ok("decrypt", "round.agg", "--unverified")
    for name in ("full.key", "full.pub"):
        (place / name).write_bytes((KEYS / name).read_bytes())
    ok("encrypt", "a.npz", "--key", "full.pub", "-o", "one.enc")
    ok("encrypt", "b.npz", "--key", "full.pub", "-o", "two.enc")
    ok("aggregate", "one.enc", "two.enc", "-o", "full.agg")
    strict = ("decrypt", "full.agg", "--key", "full.key")
    fails(*strict, "--unverified", says="the key opens only what was verified", hint="--allow-unverified")
    ok(*strict)
    fails(*strict, "--unverified", "--from", "one.enc", "two.enc", says="exclude each other", status=2)
    both = ("--attested", 2, "--attestations", "x.att")
    fails(*strict, *both, "-o", "y.sum", says="--attested needs --plan and --coordinator", status=2)
    fails(*strict, "--attested", 2, says="go together", status=2)
    fails(*strict, "--attested", 1, "--attestations", "x.att", says="--attested", status=2)


def test_both_pipelines_find_the_updates_in_the_working_directory(place, ok):
    for name in ("a", "b"):
        np.save(place / f"{name}.npy", np.full(3, ord(name) / 200, np.float32))
        ok("encrypt", f"{name}.npy")
    made = command("aggregate", "a.enc", "b.enc", "-o", "-", cwd=place)
    total = command("decrypt", "-", "-o", "-", cwd=place, stdin=made.stdout)
    assert reader(io.BytesIO(total.stdout)).kind == "sum"
    (place / "b.enc").unlink()
    failed = command("decrypt", "-", "-o", "-", cwd=place, stdin=made.stdout, check=False)
    assert failed.returncode == 1
    assert b"whose update is not among the files" in failed.stderr
    assert not failed.stdout


def test_two_openings_of_one_plan_by_shares_or_answers_are_in_the_ledger(tmp_path):
    """What each share holder or party recorded names the aggregate."""
    anna, bob = Identity.generate("anna"), Identity.generate("bob")
    book = str(tmp_path / "book")
    begin(LOCAL, book, anna, [bob.card])
    known = read_ledger(LOCAL, book)
    plan = bytes(32)
    for at, (event, who, aggregate_) in enumerate(
        (
            ("partial", anna, b"\1"),
            ("partial", bob, b"\1"),
            ("opened", anna, b"\1"),
            ("partial", bob, b"\2"),
            ("answered", bob, b"\3"),
        )
    ):
        files = [("round.agg", aggregate_ * 32), (f"{at}.part", bytes([at]) * 32)]
        known = append(LOCAL, book, known, who, event, plan=plan, files=files)
    notes = read_ledger(LOCAL, book).notes
    assert len(notes) == 2
    assert "entry 2 (partial by anna) and entry 5 (partial by bob) are about different aggregates" in notes[0]
    assert "entry 6 (answered by bob)" in notes[1]


def test_a_round_under_rules_leaves_nothing_to_note():
    scene = a_round()
    files = list(scene.updates.values())
    assert hecli.inspect(decrypt(aggregate(files), files, key=KEY))["proof"]
    assert hecli.inspect(encrypted(npz(w=np.ones(3, np.float32))))["proofs"] == 2
