"""What goes wrong, and what users then see: two lines, exit status not 0, nothing written."""

import json
import os
import shutil

import numpy as np
import pytest

from hecli.formats.kinds import KINDS
from tests.support import HERE, KEYS, SAMPLES, command
from tests.test_hostile import SOME


def listing(folder):
    """The names of a folder's files, and what is in them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def round_(place, ok):
    """A small round up to its sum: a.npz, b.npz, round.plan, a.enc, b.enc, round.agg, round.sum."""
    for party, value in (("a", 0.5), ("b", 0.25)):
        np.savez(
            place / f"{party}.npz", w=np.full((2, 3), value, np.float32), b=np.full(2, value, np.float32)
        )
    ok("plan", "--like", "a.npz", "--parties", 3)
    for party in "ab":
        ok("encrypt", f"{party}.npz", "--plan", "round.plan", "--party", party)
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    return place


@pytest.fixture
def unchanged(round_):
    """Check at the end that a test's failures left no file behind and changed no byte of any."""
    before = listing(round_)
    yield round_
    assert listing(round_) == before


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A folder for files that a test makes for a failure to come."""
    return tmp_path_factory.mktemp("elsewhere")


def save(folder, **arrays):
    path = folder / "other.npz"
    np.savez(path, **arrays)
    return path


W = np.ones((2, 3), np.float32)
B = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"w": W * np.nan, "b": B}, "tensor w[0, 0] is nan, not a finite number"),
        ({"w": W, "b": np.array([1, -np.inf], np.float32)}, "tensor b[1] is -inf"),
        ({"w": W}, "has no tensor b, which the plan calls for"),
        ({"w": W, "b": B, "c": B}, "has a tensor c, which the plan does not know"),
        ({"w": W.T, "b": B}, "tensor w has shape [3, 2], the plan calls for [2, 3]"),
        ({"w": W.astype(np.float64), "b": B}, "tensor w has dtype float64, the plan calls for float32"),
        ({"w": W, "b": np.array([None, None])}, "holds Python objects"),
    ],
)
@pytest.mark.parametrize("verb", ["encode", "encrypt"])
def test_tensors_that_do_not_fit(unchanged, elsewhere, fails, verb, arrays, says):
    fails(verb, save(elsewhere, **arrays), "--plan", "round.plan", says=says)
    assert listing(elsewhere).keys() == {"other.npz"}


def test_integers_that_overflow(unchanged, elsewhere, fails):
    path = save(elsewhere, w=np.array([2**60]))
    fails("encrypt", path, says="tensor w[0] is 1152921504606846976, integer overflow")


def test_the_wrong_key(unchanged, fails):
    for key, verb in ((".pub", "encrypt"), (".key", "decrypt")):
        target = "a.npz" if verb == "encrypt" else "round.agg"
        options = ("--plan", "round.plan") if verb == "encrypt" else ()
        fails(
            verb,
            target,
            *options,
            "--key",
            KEYS / f"full{key}",
            "-o",
            "x",
            says="is under the key ",
            hint="--key",
        )


def test_both_fingerprints_are_shown(round_, run):
    _, _, errors = run("decrypt", "round.agg", "--key", KEYS / "full.key", "-o", "x")
    own, other = (
        run("inspect", path)[1].split("key          ")[1][:49] for path in ("hecli.pub", KEYS / "full.pub")
    )
    assert own in errors
    assert other in errors


def test_the_wrong_half_of_a_key(unchanged, fails):
    fails(
        "encrypt",
        "a.npz",
        "--key",
        "hecli.key",
        "-o",
        "x",
        says="is a private key file, not a public",
        hint=".pub",
    )
    fails(
        "decrypt",
        "round.agg",
        "--key",
        "hecli.pub",
        "-o",
        "x",
        says="is a public key file, not a private",
        hint=".key",
    )


def test_keys_that_are_not_there(unchanged, fails, monkeypatch):
    fails("decrypt", "round.agg", "--key", "no.key", "-o", "x", says="cannot read no.key: no such file")
    monkeypatch.setenv("HECLI_KEY", "gone.pub")
    fails("encrypt", "a.npz", "-o", "x", says="cannot read gone.pub")
    monkeypatch.delenv("HECLI_KEY")
    monkeypatch.chdir("/")
    fails(
        "encrypt",
        unchanged / "a.npz",
        "-o",
        "x",
        says="no public key: hecli.pub is not here",
        hint="hecli keygen",
    )


def test_a_passphrase_that_is_wrong(unchanged, fails, monkeypatch):
    sealed = KEYS / "sealed.key"
    monkeypatch.setenv("HECLI_PASSPHRASE", "battery staple")
    fails("decrypt", "round.agg", "--key", sealed, "-o", "x", says="wrong passphrase")


def test_a_passphrase_that_cannot_be_asked_for(unchanged):
    """In a session of its own a process has no terminal."""
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-m", "hecli", "decrypt", "round.agg", "--key", KEYS / "sealed.key", "-o", "x"],
        cwd=unchanged,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    assert result.returncode == 1
    assert b"needs a passphrase, and there is no terminal" in result.stderr
    assert b"hint: set HECLI_PASSPHRASE" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("encrypt", "round.agg"), "round.agg is an aggregate file, not an encoded file or a tensor file"),
        (("encrypt", "hecli.pub"), "is a public key file"),
        (("encrypt", "a.npz", "--plan", "a.enc"), "a.enc is an update file, not a plan file"),
        (("encrypt", "a.npz", "--plan", "a.npz"), "a.npz is not a hecli file"),
        (
            ("aggregate", "a.enc", "round.sum"),
            "round.sum is a sum file, not an update file or an aggregate file",
        ),
        (("aggregate", "a.npz"), "a.npz is not a hecli file"),
        (("decrypt", "round.sum"), "round.sum is a sum file"),
        (("apply", "round.agg", "a.npz"), "round.agg is an aggregate file, not a sum file"),
        (("apply", "round.sum", "round.agg"), "round.agg is an aggregate file, not a tensor file"),
        (("apply", "a.npz", "round.sum"), "a.npz is not a hecli file"),
        (("keygen", "-y", "hecli.pub"), "is a public key file, not a private"),
        (("keygen", "--from-jwk", "a.npz"), "a.npz: is not JSON"),
        (("keygen", "--export-jwk", "round.plan"), "is a plan file, not a public key"),
        (
            ("plan", "--like", "round.agg", "--parties", 3),
            "is an aggregate file, not a tensor file or a sum file",
        ),
        (("inspect", "a.npz"), "a.npz is not a hecli file"),
    ],
)
def test_a_file_of_another_kind(unchanged, fails, arguments, says):
    options = ("-o", "x") if arguments[0] != "inspect" else ()
    fails(*arguments, *options, says=says)


@pytest.mark.parametrize("name", ["hecli.pub", "hecli.key", "round.plan", "a.enc", "round.agg", "round.sum"])
def test_a_file_cut_short(unchanged, elsewhere, fails, name):
    data = (unchanged / name).read_bytes()
    path = elsewhere / name
    verbs = {
        "hecli.pub": ("encrypt", "a.npz", "-o", "x", "--key", path),
        "hecli.key": ("decrypt", "round.agg", "-o", "x", "--key", path),
        "round.plan": ("encrypt", "a.npz", "-o", "x", "--plan", path),
        "a.enc": ("aggregate", path, "-o", "x"),
        "round.agg": ("decrypt", path, "-o", "x"),
        "round.sum": ("apply", path, "a.npz", "-o", "x.npz"),
    }
    for size in (0, 5, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        path.chmod(0o600)
        fails(*verbs[name], says="ends too early", hint="copy the file again")
        fails("inspect", path, says="ends too early")


def test_two_rounds_mixed_up(unchanged, elsewhere, ok, fails):
    ok("plan", "--like", "a.npz", "--parties", 3, "-o", elsewhere / "other.plan")
    ok("encrypt", "a.npz", "--plan", elsewhere / "other.plan", "-o", elsewhere / "other.enc")
    fails(
        "aggregate",
        "b.enc",
        elsewhere / "other.enc",
        "-o",
        "x",
        says="other.enc follows another 'round'",
        hint="--plan",
    )
    ok("plan", "--like", "a.npz", "--parties", 3, "--name", "round-010", "-o", elsewhere / "ten.plan")
    ok("encode", "a.npz", "--plan", elsewhere / "other.plan", "-o", elsewhere / "a.int")
    fails(
        "encrypt",
        elsewhere / "a.int",
        "--plan",
        elsewhere / "ten.plan",
        "-o",
        "x",
        says="a.int follows 'round', the plan is 'round-010'",
        hint="leave out",
    )
    fails(
        "encrypt", elsewhere / "a.int", "--plan", "round.plan", "-o", "x", says="the plan is 'round' (digest "
    )


def test_two_parties_with_different_shapes(unchanged, elsewhere, ok, fails):
    path = save(elsewhere, w=W.T, b=B)
    ok("encrypt", path, "-o", elsewhere / "other.enc")
    ok("encrypt", "a.npz", "-o", elsewhere / "a.enc")
    says = "tensor w has shape [3, 2]"
    fails("aggregate", elsewhere / "a.enc", elsewhere / "other.enc", "-o", "x", says=says)


def test_the_same_update_twice(unchanged, elsewhere, ok, fails):
    fails(
        "aggregate",
        "a.enc",
        "b.enc",
        "a.enc",
        "-o",
        "x",
        says="a would be counted twice: in a.enc twice",
    )
    fails(
        "aggregate",
        "round.agg",
        "a.enc",
        "-o",
        "x",
        says="a would be counted twice: in round.agg and again in a.enc",
    )
    ok("encrypt", "b.npz", "--plan", "round.plan", "--party", "a", "-o", elsewhere / "a.enc")
    fails("aggregate", "a.enc", elsewhere / "a.enc", "-o", "x", says="a would be counted twice")


def test_one_party_is_not_opened(unchanged, elsewhere, ok, fails):
    ok("aggregate", "a.enc", "-o", elsewhere / "one.agg")
    for path in ("a.enc", elsewhere / "one.agg"):
        fails(
            "decrypt",
            path,
            "-o",
            "x",
            says="holds 1 contributor, the plan opens no fewer than 2",
            hint="more parties",
        )


def test_output_that_exists(unchanged, ok, fails):
    for arguments in (
        ("keygen",),
        ("plan", "--like", "a.npz", "--parties", 3),
        ("encrypt", "a.npz", "--plan", "round.plan"),
        ("aggregate", "a.enc", "b.enc"),
        ("decrypt", "round.agg"),
        ("encode", "a.npz", "-o", "b.npz"),
        ("apply", "round.sum", "a.npz", "-o", "b.npz"),
    ):
        fails(
            *arguments,
            says="exists",
            hint="without the old private key" if arguments == ("keygen",) else "--force",
        )
    ok("aggregate", "a.enc", "b.enc", "--force")


def test_inputs_and_outputs_that_are_no_files(unchanged, elsewhere, fails):
    fails("encrypt", elsewhere, "-o", "x", says=f"cannot read {elsewhere}: it is a folder")
    fails("aggregate", "a.enc", elsewhere, "-o", "x", says="it is a folder")
    fails("decrypt", "round.agg", "-o", elsewhere, says=f"cannot write {elsewhere}: it is a folder")
    fails("decrypt", "round.agg", "-o", elsewhere / "no" / "x", says="no such file or folder")
    fails("decrypt", "no.agg", says="cannot read no.agg: no such file or folder")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(unchanged, elsewhere):
    import subprocess
    import sys

    for path in (unchanged, *unchanged.parents[:-1]):
        path.chmod(path.stat().st_mode | 0o055)
    (unchanged / "a.npz").chmod(0o644)
    (unchanged / "hecli.pub").chmod(0o644)
    elsewhere.chmod(0o555)
    lower = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    probe = subprocess.run(
        [*lower, sys.executable, "-c", "import hecli.cli.main"], check=False, capture_output=True
    )
    if probe.returncode:
        pytest.skip("the interpreter cannot be run by another user")
    result = subprocess.run(
        [*lower, sys.executable, "-m", "hecli", "encrypt", "a.npz", "-o", elsewhere / "x"],
        cwd=unchanged,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"error: cannot write {elsewhere}/x: permission denied".encode() in result.stderr
    assert not list(elsewhere.iterdir())


def test_a_private_key_that_others_can_read(round_, run):
    (round_ / "hecli.key").chmod(0o644)
    status, _, errors = run("decrypt", "round.agg", "-o", "again.sum")
    assert status == 0
    assert "warning: hecli.key can be read by others: chmod 600 hecli.key" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("frobnicate",), "no such command"),
        (("encrypt",), "missing argument"),
        (("encrypt", "a.npz", "--bogus"), "no such option"),
        (("encrypt", "a.npz", "--jobs", "0"), "invalid value for '--jobs'"),
        (("encrypt", "a.npz", "--weight", "many"), "invalid value for '--weight'"),
        (("plan", "--parties", "3"), "missing option '--like'"),
        (("plan", "--like", "a.npz", "--parties", "3", "--range", "wide"), "neither a number nor auto"),
        (("plan", "--like", "a.npz", "--parties", "3", "--bits", "99"), "invalid value for '--bits'"),
        (("aggregate", "-", "-"), "standard input can be read only once"),
        (("apply", "-", "-"), "standard input can be read only once"),
        (("apply", "round.sum", "a.npz", "--rule", "replace", "--lr", "1"), "--lr is for --rule sgd"),
        (("apply", "round.sum", "--rule", "add"), "need a MODEL"),
        (("keygen", "-y", "a", "--from-jwk", "b"), "exclude each other"),
        (("keygen", "-y", "a", "--bits", "3072"), "--bits and --threshold are for a new key"),
        (("keygen", "-y", "a", "--passphrase"), "--passphrase is for writing a secret"),
        (("bench", "--against", "openssl"), "'openssl' is none of"),
    ],
)
def test_a_wrong_command_line(unchanged, fails, arguments, says):
    fails(*arguments, says=says, hint="--help", status=2)


def test_values_no_plan_or_key_can_have(unchanged, fails):
    plan = ("plan", "--like", "a.npz", "-o", "x")
    fails(*plan, "--parties", 1, says="the number of parties must be from 2")
    fails(*plan, "--parties", 3, "--min-parties", 1, says="the fewest parties must be from 2")
    fails(*plan, "--parties", 3, "--range", "-1", says="a range of -1.0")
    fails(*plan, "--parties", 3, "--max-weight", 0, says="the largest weight must be")
    fails("keygen", "--bits", 1024, "-o", "x", says="a key of 1024 bits is too short", hint="2048")
    fails("encrypt", "a.npz", "--party", "\x1b[31m", "-o", "x", says="cannot be a name")
    fails("encrypt", "a.npz", "--party", "", "-o", "x", says="cannot be a name")
    fails("apply", "round.sum", "a.npz", "--lr", "nan", "-o", "x.npz", says="learning rate of nan")


def test_a_model_that_does_not_fit(unchanged, elsewhere, fails):
    path = save(elsewhere, w=W, b=np.ones(3, np.float32))
    fails("apply", "round.sum", path, says="tensor b has shape [3], the sum calls for [2]", hint="the model")
    fails("apply", "round.sum", "a.npz", "-o", "x.npy", says="holds one tensor, here are 2")
    assert listing(elsewhere).keys() == {"other.npz"}


def test_no_arguments_show_the_help(run):
    status, _, errors = run()
    assert status == 2
    assert "Usage: hecli" in errors


def test_inspecting_goes_on_after_a_bad_file(round_, run):
    (round_ / "bad.enc").write_bytes(b"junk")
    status, output, errors = run("inspect", "a.enc", "bad.enc", "b.enc")
    assert status == 1
    assert "a.enc: update" in output
    assert "b.enc: update" in output
    assert "error: bad.enc is not a hecli file" in errors


def test_the_sample_data_is_no_pickle(place):
    for path in SAMPLES.glob("*.npz"):
        assert command(
            "plan", "--like", path, "--parties", 2, "-o", "-", cwd=place, check=path.name != "test.npz"
        )


def test_an_output_that_would_be_the_input(unchanged, fails):
    fails("encrypt", "a.enc", says="a.enc would be written over itself", hint="-o")
    fails("decrypt", "round.sum", says="round.sum would be written over itself", hint="-o")


def test_weights_without_a_plan(unchanged, fails):
    fails(
        "encrypt",
        "a.npz",
        "--weight",
        100,
        "-o",
        "x",
        says="weight 100 is not from 1 to 1",
        hint="--max-weight",
    )


SLOTS = (
    # A command with X for a file, and the kinds of files that belong there.
    ("encode X --key key.pub", {"tensors", "encoded"}),
    ("encrypt X --key key.pub", {"tensors", "encoded"}),
    ("encrypt t.npz --key X", {"public key"}),
    ("encrypt t.npz --key key.pub --plan X", {"plan"}),
    ("encrypt t.npz --key key.pub --plan round.plan --coordinator X", {"card"}),
    ("encrypt t.npz --key key.pub --identity X", {"identity"}),
    ("encrypt t.npz --plan dropouts.plan --weight 1 --identity alice.id --enroll X", {"enrollment"}),
    ("aggregate X --identity alice.id", {"update", "aggregate"}),
    ("decrypt X --key key.key --identity alice.id", {"update", "aggregate"}),
    ("decrypt round.agg --key X", {"private key"}),
    ("decrypt round.agg --key key.key --from X", {"update", "aggregate"}),
    ("decrypt round.agg --key key.key --plan X", {"plan"}),
    ("partial X --share shared-1.share", {"update", "aggregate"}),
    ("partial shared.agg --share X", {"share"}),
    ("combine X shared-1.part --key shared.pub", {"update", "aggregate"}),
    ("combine shared.agg X --key shared.pub", {"partial"}),
    ("answer X --identity alice.id --enroll alice.enroll", {"update", "aggregate"}),
    ("answer dropouts.agg --identity X --enroll alice.enroll", {"identity"}),
    ("enroll --plan dropouts.plan --identity X", {"identity"}),
    ("apply X", {"sum"}),
    ("apply round.sum X", {"tensors"}),
    ("verify round.agg --from X", {"update", "aggregate"}),
    ("verify round.sum --from X", {"aggregate"}),
    ("plan --like X --parties 2 --max-weight 10 --key key.pub", {"tensors", "sum"}),
    ("plan --next X --like round.sum", {"plan"}),
    ("plan --like t.npz --party X --key key.pub --identity alice.id", {"card"}),
    ("keygen --shares 2 --threshold 2 --card X --card X", {"card"}),
    ("ledger note book hello --identity X", {"identity"}),
    ("ledger init new --identity alice.id --party X", {"card"}),
)


@pytest.mark.parametrize("line", [line for line, _ in SLOTS])
def test_every_kind_of_file_where_another_belongs(tmp_path, monkeypatch, run, line):
    """Whatever it is, it says so, and what to do about it; nobody is told that a sound file is damaged."""
    shutil.copytree(HERE / "vectors" / "good", tmp_path / "good")
    monkeypatch.chdir(tmp_path / "good")
    monkeypatch.setenv(
        "HECLI_PASSPHRASE", json.loads((HERE / "vectors" / "index.json").read_text())["passphrase"]
    )
    np.savez("t.npz", bias=np.zeros(2, np.float32), weight=np.zeros((2, 2)))
    np.save("t.npy", np.ones(3, np.float32))
    (tmp_path / "good" / "t.txt").write_text("hello, this is a text")
    (tmp_path / "good" / "empty").write_text("")
    for path in (tmp_path / "good").iterdir():
        path.chmod(0o600)
    belong = dict(SLOTS)[line]
    if not line.startswith(("verify", "ledger")):
        line += " -o out"
    before = listing(tmp_path / "good")
    for kind, name in SOME.items():
        if kind in belong:
            continue
        status, _, errors = run(*(name if word == "X" else word for word in line.split()))
        lines = [each for each in errors.splitlines() if not each.startswith("warning: ")]
        assert status == 1, (name, errors)
        assert lines[0].startswith(f"error: {name} is {KINDS[kind].with_article}, not a"), errors
        assert len(lines) == 2, errors
        assert "altered" not in lines[1], errors
    for name in ("t.npz", "t.npy", "t.txt", "empty"):
        if name.startswith("t.n") and "tensors" in belong:
            continue
        status, _, errors = run(*(name if word == "X" else word for word in line.split()))
        assert status == 1, (name, errors)
        assert any(
            f"{name}{what}" in errors
            for what in (" is not a hecli file", " is not a tensor file", " is empty", ": ends too early")
        ), errors
        assert "altered" not in errors
    assert listing(tmp_path / "good") == before
