"""The commands as a user types them: defaults, pipelines, formats, JSON, keys."""

import json
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from hecli.bench import commands, masks, noisy, parts, smaller
from tests.support import KEY, KEYS, command, encrypted, npz, small_plan


@pytest.fixture
def grads(place):
    """a.npy and b.npy, and a model."""
    np.save(place / "a.npy", np.array([1.0, 2.0], np.float32))
    np.save(place / "b.npy", np.array([3.0, 4.0], np.float32))
    np.save(place / "model.npy", np.array([10.0, 10.0], np.float32))
    return place


def test_the_path_without_configuration(grads, ok):
    for party in "ab":
        ok("encrypt", f"{party}.npy")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    ok("apply", "round.sum", "model.npy")
    assert np.load(grads / "model.next.npy").tolist() == [8.0, 7.0]
    ok("apply", "round.sum", "model.npy", "--lr", "0.5", "--force")
    assert np.load(grads / "model.next.npy").tolist() == [9.0, 8.5]
    ok("apply", "round.sum")
    assert np.load(grads / "round.mean.npz")["arr_0"].tolist() == [2.0, 3.0]


def test_the_pipelines_of_the_design(grads):
    script = """
    set -euo pipefail
    cat a.npy | hecli encrypt - > a.enc
    hecli encrypt - < b.npy > b.enc
    hecli aggregate *.enc -o - | hecli decrypt - | hecli apply - model.npy -o next.npz
    hecli encode - < a.npy | hecli encrypt - | hecli aggregate - b.enc -o - | hecli inspect -
    hecli decrypt <(hecli aggregate a.enc b.enc -o -) -o - | hecli apply - | hecli encrypt - > again.enc
    """
    shell = f'hecli() {{ "{sys.executable}" -m hecli "$@"; }}\n{script}'
    result = subprocess.run(["bash", "-c", shell], cwd=grads, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    assert np.load(grads / "next.npz")["arr_0"].tolist() == [8.0, 7.0]
    assert b"the input: aggregate" in result.stdout
    assert (grads / "again.enc").exists()


def test_a_broken_pipeline_publishes_nothing(grads):
    script = "hecli decrypt no.agg -o - | hecli apply - model.npy -o next.npy"
    shell = f'hecli() {{ "{sys.executable}" -m hecli "$@"; }}; {script}'
    result = subprocess.run(["bash", "-c", shell], cwd=grads, capture_output=True, check=False)
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        "error: cannot read no.agg: no such file or folder",
        "hint: check the path; folders are not made",
        "note: nothing came through the pipe",
    ]
    assert not (grads / "next.npy").exists()


COMPLETED = [
    ("agg", ["plain,aggregate"]),
    ("encrypt --ra", []),
    ("encrypt --pl", ["plain,--plan"]),
    ("encrypt gra", ["file,gra"]),
    ("encrypt grads.npz --plan ro", ["file,ro"]),
    ("aggregate a.enc b", ["file,b"]),
    ("decrypt round.agg --from ", ["file,"]),
    ("decrypt round.agg --from a.enc b", ["file,b"]),
    ("decrypt round.agg --from a.enc --unv", ["plain,--unverified"]),
    ("plan --rounding s", ["plain,stochastic"]),
    ("ledger ver", ["plain,verify"]),
    ("frobnicate x", []),
]


@pytest.mark.parametrize(("typed", "offered"), COMPLETED)
def test_shells_complete_commands_options_and_files(typed, offered):
    """As click's script asks it, which bash gives the words up to the cursor."""
    words = f"hecli {typed}".split(" ")
    asked = {"_HECLI_COMPLETE": "bash_complete", "COMP_WORDS": "\n".join(words)}
    asked["COMP_CWORD"] = str(len(words) - 1)
    result = subprocess.run(
        [sys.executable, "-m", "hecli"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert (result.stdout.split(), result.stderr) == (offered, "")


def test_bash_takes_the_script_that_completes(grads):
    """What docs/cli.md says to put into ~/.bashrc, in a bash that then completes a word."""
    script = """
    mkdir bin && printf '#!/bin/sh\nexec "$python" -m hecli "$@"\n' > bin/hecli && chmod +x bin/hecli
    PATH=$PWD/bin:$PATH
    eval "$(_HECLI_COMPLETE=bash_source hecli)"
    COMP_WORDS=(hecli enc) COMP_CWORD=1
    _hecli_completion hecli
    echo "${COMPREPLY[@]}"
    complete -p hecli
    """
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=grads,
        env=os.environ | {"python": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.splitlines() == ["encode encrypt", "complete -o nosort -F _hecli_completion hecli"]
    assert result.stderr == ""


def test_whoever_reads_less_than_all_is_no_error(grads, ok):
    ok("keygen", "--identity", "anna")
    ok("ledger", "init", "ledger", "--identity", "anna.id")
    shell = f'"{sys.executable}" -m hecli ledger show ledger | true; exit ${{PIPESTATUS[0]}}'
    result = subprocess.run(["bash", "-c", shell], cwd=grads, capture_output=True, check=False)
    assert result.stderr == b""


def test_a_tree_of_sites(grads, ok):
    for at in range(4):
        ok("encrypt", "a.npy" if at % 2 else "b.npy", "--party", f"p{at}", "-o", f"{at}.enc")
    ok("aggregate", "0.enc", "1.enc", "-o", "north.agg")
    ok("aggregate", "3.enc", "2.enc", "-o", "south.agg")
    ok("aggregate", "north.agg", "south.agg", "-o", "tree.agg")
    ok("aggregate", "2.enc", "1.enc", "0.enc", "3.enc", "-o", "flat.agg")
    assert (grads / "tree.agg").read_bytes() == (grads / "flat.agg").read_bytes()


def test_environment_variables(grads, ok, monkeypatch):
    (grads / "hecli.pub").rename(grads / "elsewhere.pub")
    monkeypatch.setenv("HECLI_KEY", "elsewhere.pub")
    ok("plan", "--like", "a.npy", "--parties", 2, "--name", "mine")
    monkeypatch.setenv("HECLI_PLAN", "round.plan")
    ok("encrypt", "a.npy")
    assert "'mine'" in ok("inspect", "a.enc")


def test_summaries_for_scripts(grads, run):
    def facts(*arguments):
        status, output, errors = run(*arguments, "--json")
        assert (status, errors) == (0, "")
        return json.loads(output)

    plan = facts("plan", "--like", "a.npy", "--parties", 2, "--max-weight", 5)
    assert plan["plan"]["lane_bits"] == 17
    assert plan["plan"]["tensors"][0]["range"] == 8.0
    assert plan["costs"]["file_bytes"] == 2 * 512
    options = ("--plan", "round.plan", "--weight", 5)
    assert facts("encode", "a.npy", *options)["clipped"] == 0
    assert facts("encrypt", "a.int", "--party", "x")["party"] == "x"
    assert facts("encrypt", "b.npy", *options)["weight"] == 5
    assert len(facts("aggregate", "a.enc", "b.enc")["contributors"]) == 2
    assert facts("decrypt", "round.agg")["weight"] == 10
    assert facts("apply", "round.sum", "model.npy")["largest_step"] == pytest.approx(3, abs=1e-3)
    assert facts("keygen", "-o", "new", "--bits", 2048)["bits"] == 2048
    inspected = facts("inspect", "round.agg", "new.key")
    assert inspected[0]["contributors"][1]["party"] == "x"
    assert inspected[1]["kind"] == "private key"


def test_json_does_not_get_between_the_data(grads):
    result = command("encrypt", "a.npy", "-o", "-", "--json", cwd=grads)
    assert json.loads(result.stderr)["values"] == 2
    assert result.stdout[1:7] == b"\xa5hecli"


def test_quiet_says_nothing(grads, run):
    np.save(grads / "far.npy", np.array([1e9, 0], np.float32))
    assert run("encrypt", "far.npy", "-q") == (0, "", "")


def test_clipping_is_reported_by_whom_it_concerns(grads, run):
    np.save(grads / "far.npy", np.array([1e9, 0], np.float32))
    assert "warning: 1 value (50 %) clipped: arr_0 1 (50 %)" in run("encrypt", "far.npy")[2]
    assert run("encrypt", "far.npy", "--strict", "-o", "x")[0] == 1
    run("encrypt", "a.npy")
    run("aggregate", "far.enc", "a.enc")
    says = "warning: 1 value (25 %) clipped by the parties together"
    assert says in run("decrypt", "round.agg")[2]
    assert says in run("apply", "round.sum")[2]
    status, output, errors = run("apply", "round.sum", "-o", "x.npy", "--json")
    assert (status, json.loads(output)["clipped"]) == (0, 1)
    assert says in errors


@pytest.mark.parametrize(
    ("size", "in_large", "in_small", "says"),
    [
        (10, 0, 10, "warning: 10 values (0.99 %) clipped: small 10 (100 %)"),
        (1000, 5, 0, "5 values (0.25 %) clipped: large 5 (0.5 %)"),
        (1000, 10, 0, "warning: 10 values (0.5 %) clipped: large 10 (1 %)"),
        (1000, 9, 9, "18 values (0.9 %) clipped: large 9 (0.9 %), small 9 (0.9 %)"),
    ],
)
def test_clipping_is_a_warning_from_one_percent_of_a_tensor(place, run, size, in_large, in_small, says):
    values = {"large": np.zeros(1000), "small": np.zeros(size)}
    values["large"][:in_large] = 1000
    values["small"][:in_small] = -1000
    np.savez(place / "a.npz", **values)
    run("plan", "--like", "a.npz", "--parties", 2, "--range", 1)
    for command_ in ("encode", "encrypt"):
        status, _, errors = run(command_, "a.npz", "--plan", "round.plan")
        assert (status, errors.splitlines()[0]) == (0, says)
    # Of an encoded file the total alone is known.
    total = in_large + in_small
    warns = "warning: " if total / (1000 + size) >= 0.01 else ""
    assert run("encrypt", "a.int", "--force")[2].startswith(f"{warns}{total} values (")


def test_a_share_of_next_to_nothing_is_no_number_with_an_exponent(place, run):
    values = np.zeros(1 << 18)
    values[7] = 1e6
    np.save(place / "a.npy", values)
    assert "1 value (less than 0.001 %) clipped" in run("encode", "a.npy")[2]


def test_an_encoded_file_is_private(grads, ok):
    ok("encode", "a.npy")
    assert (grads / "a.int").stat().st_mode & 0o777 == 0o600
    assert "holds one party's update in the clear" in ok("inspect", "a.int")


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors", "tensors"])
def test_the_suffix_says_the_format(grads, ok, suffix):
    for party in "ab":
        ok("encrypt", f"{party}.npy")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    path = grads / f"next.{suffix}"
    ok("apply", "round.sum", "model.npy", "-o", path)
    if suffix == "npy":
        assert np.load(path).tolist() == [8.0, 7.0]
    elif suffix == "npz":
        assert np.load(path)["arr_0"].tolist() == [8.0, 7.0]
    elif suffix == "safetensors":
        assert load_file(path)["arr_0"].tolist() == [8.0, 7.0]
    ok("encrypt", path, "-o", "again.enc")


def test_models_in_bfloat16(grads, ok, fails):
    for party, value in (("a", 0.5), ("b", 1.5)):
        save_file(
            {"w": np.full(3, value, np.float32).astype(ml_dtypes.bfloat16)}, grads / f"{party}.safetensors"
        )
        ok("encrypt", f"{party}.safetensors")
    save_file(
        {"w": np.full(3, 2, np.float32).astype(ml_dtypes.bfloat16)}, grads / "m.safetensors", {"format": "pt"}
    )
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    ok("apply", "round.sum", "m.safetensors")
    with safe_open(grads / "m.next.safetensors", framework="np") as opened:
        assert opened.metadata() == {"format": "pt"}
        assert opened.get_tensor("w").dtype == ml_dtypes.bfloat16
        assert opened.get_tensor("w").astype(np.float32).tolist() == [1.0, 1.0, 1.0]
    fails("apply", "round.sum", says="bfloat16", hint=".safetensors")


def test_keys_with_a_passphrase(grads, ok, monkeypatch):
    monkeypatch.setenv("HECLI_PASSPHRASE", "correct horse")
    ok("keygen", "-o", "sealed", "--bits", 2048, "--passphrase")
    for party in "ab":
        ok("encrypt", f"{party}.npy", "--key", "sealed.pub")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg", "--key", "sealed.key")
    monkeypatch.delenv("HECLI_PASSPHRASE")
    ok("keygen", "-y", "sealed.key", "-o", "again")
    assert (grads / "again.pub").read_bytes() == (grads / "sealed.pub").read_bytes()
    assert "passphrase   yes" in ok("inspect", "sealed.key")


def test_a_passphrase_is_typed_on_the_terminal(grads):
    import pexpect

    def session(*arguments):
        return pexpect.spawn(
            sys.executable, ["-m", "hecli", *arguments], cwd=str(grads), encoding="utf8", timeout=60
        )

    typed = session("keygen", "-o", "typed", "--bits", "2048", "--passphrase")
    typed.expect("Passphrase for typed.key: ")
    typed.sendline("correct horse")
    typed.expect("Repeat for confirmation: ")
    typed.sendline("correct horse")
    typed.expect("fingerprint")
    typed.expect(pexpect.EOF)
    assert "correct horse" not in typed.before
    opened = session("keygen", "--export-jwk", "typed.key", "-o", "typed.jwk")
    opened.expect("Passphrase for typed.key: ")
    opened.sendline("correct horse")
    opened.expect("fingerprint")
    opened.expect(pexpect.EOF)
    opened.close()
    assert opened.exitstatus == 0
    assert (grads / "typed.jwk").stat().st_mode & 0o777 == 0o600


def test_progress_is_shown_on_a_terminal_only(grads):
    import pexpect

    np.save(grads / "large.npy", np.ones(60_000, np.float32))
    session = pexpect.spawn(
        sys.executable, ["-m", "hecli", "encrypt", "large.npy"], cwd=str(grads), encoding="utf8", timeout=60
    )
    session.expect("encrypting")
    session.expect("large.enc: 60,000 values")
    session.expect(pexpect.EOF)
    assert b"encrypting" not in command("encrypt", "large.npy", "--force", cwd=grads).stderr


def test_pheutil_reads_what_hecli_writes_and_the_reverse(grads, ok):
    def pheutil(*arguments):
        # Its own script does not accept being run as a module.
        code = "from phe.command_line import cli; cli()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], cwd=grads, capture_output=True, check=True
        ).stdout

    ok("keygen", "--export-jwk", "hecli.key", "-o", "hecli.jwk")
    ok("keygen", "--export-jwk", "hecli.pub", "-o", "hecli.pub.jwk")
    assert (grads / "hecli.jwk").stat().st_mode & 0o777 == 0o600
    pheutil("encrypt", "--output", "five.json", "hecli.pub.jwk", "5")
    assert float(pheutil("decrypt", "hecli.jwk", "five.json").split()[-1]) == 5
    pheutil("extract", "hecli.jwk", "extracted.jwk")

    pheutil("genpkey", "--keysize", "2048", "theirs.jwk")
    pheutil("extract", "theirs.jwk", "theirs.pub.jwk")
    ok("keygen", "--from-jwk", "theirs.jwk", "-o", "theirs")
    ok("keygen", "--from-jwk", "theirs.pub.jwk", "-o", "public")
    assert (grads / "theirs.pub").read_bytes() == (grads / "public.pub").read_bytes()
    assert not (grads / "public.key").exists()
    for party in "ab":
        ok("encrypt", f"{party}.npy", "--key", "theirs.pub")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg", "--key", "theirs.key")


def test_jwk_files_that_are_none(place, fails):
    import json as text

    from tests.support import PUBLIC

    good = {"kty": "DAJ", "alg": "PAI-GN1", "n": "AQAB"}
    for content, says in (
        ("[]", "is not a Paillier key"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"kty": "RSA"}', "is not a Paillier key"),
        (text.dumps(good), "too short"),
        (text.dumps(good | {"n": "A" * 4000}), "too long"),
        (text.dumps(good | {"n": ""}), "missing"),
        (text.dumps(good | {"n": "é"}), "not base64url"),
        (text.dumps({"kty": "DAJ", "p": "Aw", "q": "BQ", "pub": {"n": "AQAB"}}), "do not make its modulus"),
    ):
        (place / "bad.jwk").write_text(content)
        fails("keygen", "--from-jwk", "bad.jwk", "-o", "x", says=says)
    assert PUBLIC.n == KEY.p * KEY.q


def test_keygen_writes_both_files_or_none(place, fails):
    (place / "new.pub").write_bytes(b"in the way")
    fails("keygen", "-o", "new", "--bits", 2048, says="new.pub exists")
    assert not (place / "new.key").exists()


def test_help_is_quick_because_it_imports_little():
    code = """
import sys
from hecli.cli.main import run
run(["--help"])
heavy = {"numpy", "gmpy2", "phe", "rich", "cryptography", "msgpack", "safetensors", "multiprocessing"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_aggregating_imports_no_numpy(grads):
    for party in "ab":
        command("encrypt", f"{party}.npy", cwd=grads)
    code = """
import sys
from hecli.cli.main import run
status = run(["aggregate", "a.enc", "b.enc"])
sys.exit(status or ", ".join({"numpy", "phe", "rich", "cryptography"} & set(sys.modules)) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=grads, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_recomputing_imports_no_numpy(grads):
    """It costs no more than aggregating does."""
    for party in ("a", "b"):
        command("encrypt", f"{party}.npy", "--party", party, cwd=grads)
    command("aggregate", "a.enc", "b.enc", cwd=grads)
    arguments = ["verify", "round.agg", "--from", "a.enc", "b.enc"]
    code = (
        "import sys; from hecli.cli.main import run; "
        f"assert run({arguments}) == 0; "
        "assert not {'numpy', 'phe', 'rich', 'cryptography'} & set(sys.modules), sorted(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=grads, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_bench_measures(place, run, monkeypatch):
    monkeypatch.setattr(commands, "REPEATS", 1)
    monkeypatch.setattr(commands, "UPDATES", 3)
    monkeypatch.setattr(smaller, "REPEATS", 1)
    monkeypatch.setattr(parts, "PARTIES", 2)
    monkeypatch.setattr(parts, "WAYS", parts.WAYS[:2])
    monkeypatch.setattr(noisy, "PARTIES", 2)
    monkeypatch.setattr(noisy, "UNITS", ("party",))
    monkeypatch.setattr(noisy, "REPEATS", 1)
    monkeypatch.setattr(noisy, "DRAWN", 1000)
    monkeypatch.setattr(masks, "ROUNDS", ((4, 1),))
    status, output, errors = run("bench", "--bits", 2048, "--values", 2000, "--json")
    assert status == 0, errors
    facts = json.loads(output)
    assert facts["peers"]["phe"]["encrypt"] > facts["hecli"]["encrypt"] > 0
    assert facts["hecli"]["size"] < facts["peers"]["phe"]["size"] / 50
    whole, half = facts["parts"].values()
    assert half["size"] < whole["size"]
    found = facts["noise"]["updates"]["party"]
    # It is longer by the promise that stands in its plan.
    assert found["plain size"] < found["noisy size"] < 1.1 * found["plain size"]
    assert found["sigma"] >= 4
    assert found["ratio"] > 0
    (among,) = facts["masks"].values()
    assert among["gone"] == 1
    assert all(value > 0 for value in among.values())
    assert all(taken > 0 for taken in facts["noise"]["drawing"].values())
    assert place


def test_the_version(run):
    import hecli

    assert run("--version")[1].startswith(f"hecli, version {hecli.__version__}\narithmetic: ")
    assert KEYS.exists()


def test_more_files_than_can_be_open_are_aggregated(place):
    """None of many files is kept open."""
    plan = small_plan(npz(w=np.ones(3, np.float32)), 200)
    for at in range(120):
        update = encrypted(npz(w=np.ones(3, np.float32)), plan, party=str(at))
        (place / f"{at}.enc").write_bytes(update.getvalue())

    line = f'ulimit -n 64; exec "{sys.executable}" -m hecli aggregate *.enc -o out.agg'
    result = subprocess.run(["bash", "-c", line], cwd=place, capture_output=True, check=False)
    assert b"out.agg: 120 contributors" in result.stderr


def test_a_key_that_contradicts_the_plan_is_refused(grads, ok, fails):
    ok("plan", "--like", "a.npy", "--parties", 2)
    fails(
        "encode",
        "a.npy",
        "--plan",
        "round.plan",
        "--key",
        KEYS / "full.pub",
        says="the key given is",
        hint="--key",
    )
    assert not (grads / "a.int").exists()


def test_what_comes_from_a_pipe_goes_to_a_pipe(grads, ok):
    for party in "ab":
        ok("encrypt", f"{party}.npy")
    one = (grads / "a.enc").read_bytes()
    aggregate = command("aggregate", "-", "b.enc", cwd=grads, stdin=one).stdout
    assert aggregate[1:7] == b"\xa5hecli"
    total = command("decrypt", "-", cwd=grads, stdin=aggregate).stdout
    assert command("apply", "-", "model.npy", cwd=grads, stdin=total).stdout.startswith(b"\x93NUMPY")
    plan = command("plan", "--like", "-", "--parties", "2", cwd=grads, stdin=(grads / "a.npy").read_bytes())
    assert plan.stdout[1:7] == b"\xa5hecli"


def test_a_suffix_that_is_no_format_is_refused(grads, ok, fails):
    for party in "ab":
        ok("encrypt", f"{party}.npy")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    fails(
        "apply", "round.sum", "-o", "mean.csv", says="mean.csv: .csv is no tensor format", hint=".npy, .npz"
    )
    ok("apply", "round.sum", "-o", "mean")


def test_damage_is_not_called_forgery(grads, ok, fails):
    for party in "ab":
        ok("encrypt", f"{party}.npy")
    ok("aggregate", "a.enc", "b.enc")
    data = bytearray((grads / "round.agg").read_bytes())
    data[-700] ^= 1
    (grads / "round.agg").write_bytes(bytes(data))
    fails("decrypt", "round.agg", says="chunk 0 does not match its digest", hint="get it again")


def test_safetensors_come_through_pipes_too(grads):
    save_file({"w": np.ones(3, np.float32)}, grads / "w.safetensors")
    data = (grads / "w.safetensors").read_bytes()
    result = command("encrypt", "-", cwd=grads, stdin=data)
    assert result.stdout[1:7] == b"\xa5hecli"


def test_keys_that_others_can_read_are_warned_of_everywhere(place, run):
    (place / "hecli.key").chmod(0o644)
    for arguments in (("-y", "hecli.key", "-o", "again"), ("--export-jwk", "hecli.key")):
        assert "warning: hecli.key can be read by others" in run("keygen", *arguments)[2]
