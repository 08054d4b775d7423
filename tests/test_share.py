"""What is installed beside the package: man pages, and completion for shells."""

import shutil
import subprocess

import pytest

from tests.support import HERE, with_hecli

SHARE = HERE.parent / "share"
MAN = sorted((SHARE / "man" / "man1").iterdir())


def need(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def output(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=True, **options).stdout


@pytest.mark.parametrize("page", MAN, ids=lambda path: path.stem)
def test_man_pages_are_sound(page):
    need("groff")
    warned = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-K", "utf8", str(page)], capture_output=True, text=True, check=True
    ).stderr
    assert not warned


def test_man_pages_pass_mandoc():
    need("mandoc")
    said = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *map(str, MAN)], capture_output=True, text=True, check=False
    ).stdout
    # A day would change whenever the pages are made.
    assert [line for line in said.splitlines() if "missing date" not in line] == []


def test_a_man_page_shows_examples_and_options_as_help_does():
    need("groff")
    page = SHARE / "man" / "man1" / "hecli-plan.1"
    shown = output("groff", "-man", "-Tascii", "-P-cbou", "-rLL=200n", str(page))
    assert "hecli-plan - agree on how a round is done" in shown
    assert "    hecli plan --like grads.npz --parties 5 --range 'conv*=0.5' --range 0.1\n" in shown
    assert "--masks --dropouts 2\n" in shown
    assert "    --range [PATTERN=]R\n" in shown
    assert "    --unit [party|record]\n" in shown
    assert "    -q, --quiet\n" in shown


def test_bash_completes(tmp_path):
    need("bash")
    script = f"""
    . {SHARE}/bash-completion/completions/hecli
    COMP_WORDS=(hecli ledger ver) COMP_CWORD=2
    _hecli_completion hecli
    echo "${{COMPREPLY[@]}}"
    complete -p hecli
    """
    said = output("bash", "-c", script, env=with_hecli(tmp_path))
    assert said.splitlines()[0] == "verify"
    assert "-F _hecli_completion hecli" in said


def test_fish_completes(tmp_path):
    need("fish")
    environment = {**with_hecli(tmp_path), "HOME": str(tmp_path), "XDG_DATA_DIRS": str(SHARE)}
    said = output("fish", "-c", "complete -C 'hecli ledger ver'", env=environment)
    assert said.split("\t")[0] == "verify"


def test_zsh_completes(tmp_path):
    need("zsh")
    import pexpect

    environment = {**with_hecli(tmp_path), "HOME": str(tmp_path), "TERM": "dumb"}
    session = pexpect.spawn("zsh", ["-f", "-i"], env=environment, encoding="utf-8", timeout=30)
    session.sendline(
        f"fpath=({SHARE}/zsh/site-functions $fpath); autoload -U compinit; compinit -D -u; echo rea''dy"
    )
    session.expect_exact("ready")
    session.send("hecli ledger ver\t")
    session.expect_exact("ver")
    session.expect_exact("ify")
    session.close(force=True)
