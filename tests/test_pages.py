"""What README.md and docs/ show is so: every command is one, and on the pages below it says what is shown.

Those pages are run whole, in one shell each. After a change to what commands
say, PAGES=update rewrites what is shown of them; read the difference before
committing it.
"""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field

import click
import pytest

from hecli.cli import options
from hecli.cli.main import cli
from hecli.errors import HecliError
from tests.support import HERE, SAMPLES, with_hecli
from tests.test_transcripts import normal

ROOT = HERE.parent
PAGES = {path.name: path for path in sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])}
# It shows no commands, but strings that begin like some.
del PAGES["format.md"]


@dataclass
class Shown:
    """A command on a page, and what the page shows that it says; None where it leaves that out."""

    line: str
    output: str | None = ""


BLOCK = re.compile(
    r"^```\w*\n(?P<fenced>(?s:.*?))^```$|(?<=\n\n)(?P<indented>(?: {4}.*\n|\n)+)", re.MULTILINE
)


def blocks(text):
    """The commands of each block of a page, of which a block with prompts shows the output as well."""
    for found in BLOCK.finditer(text):
        body = found["fenced"] or re.sub(r"^    ", "", found["indented"] or "", flags=re.MULTILINE)
        prompted = re.search(r"^\$ ", body, re.MULTILINE)
        shown = []
        # Lines that go on are one; a comment ends what a command said.
        for line in re.findall(r"(?:.*\\\n)*.*\n", body):
            if line.startswith("$ ") or (not prompted and re.search(r"\bhecli [a-z]", line)):
                shown.append(Shown(line.removeprefix("$ ").rstrip("\n")))
            elif line.startswith("# "):
                shown.append(None)
            elif prompted and shown and shown[-1]:
                shown[-1].output += line
        shown = list(filter(None, shown))
        said = any(each.output for each in shown)
        yield [Shown(each.line, each.output.rstrip("\n") if said else None) for each in shown]


def simple_commands(line):
    """The words of each hecli command in a line of a shell, also one that is handed on in quotes."""
    words = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found = [[]]
    for word in words:
        if re.fullmatch(r"[();<>|&]+", word):
            # What follows < and > is a file.
            found.append([">"] if set(word) <= set("<>") else [])
        elif re.match(r"hecli \w", word):
            yield from simple_commands(word)
        else:
            found[-1].append(word)
    for each in found:
        start = next((at for at, word in enumerate(each) if not re.match(r"\w+=|do$|\$$", word)), len(each))
        if each[start : start + 1] == ["hecli"]:
            yield each[start + 1 :]


def parse(words):
    """Have click read a command line as it does before it runs it."""
    context = cli.make_context("hecli", list(words))
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)


def lines_of(page):
    for block in blocks(PAGES[page].read_text()):
        for shown in block:
            # In docs/cli.md, what stands further to the left is text.
            if page != "cli.md" or re.match(r" {4}\S", shown.line):
                yield shown.line


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one(page, monkeypatch):
    """Commands and options exist, and what options take is of the right kind; no file is looked for."""
    monkeypatch.setattr(options, "_matching", lambda pattern: [pattern])
    for line in lines_of(page):
        for words in simple_commands(line):
            try:
                parse(words)
            except click.exceptions.Exit:
                pass
            except (click.ClickException, HecliError) as error:
                pytest.fail(f"{line}: {getattr(error, 'message', error)}")


def test_what_is_no_command_is_noticed():
    assert sum(len(list(lines_of(page))) for page in PAGES) > 150
    for line in ("hecli encrypt x --identty a", "cat x | hecli encrpt -", "hecli plan --like x --bits many"):
        (words,) = simple_commands(line)
        with pytest.raises(click.UsageError):
            parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_option_in_the_text_is_one(page):
    """In sentences, command lines are cut short: their options exist all the same."""
    text = re.sub(r"^```.*?^```$", "", PAGES[page].read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"`(hecli [a-z][^`]*)`", text):
        for words in simple_commands(line):
            command, *rest = cli.get_command(click.Context(cli), words[0]), *words[1:]
            assert command is not None, line
            while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
                command = command.commands[rest.pop(0)]
            known = {each for option in command.params for each in option.opts}
            assert {each for each in rest if re.match(r"--?\w", each)} <= {*known, "-h", "--help"}, line


@dataclass
class Run:
    """How a page is run: what stands in its folder, and what it does not tell."""

    given: str = ""
    hidden: list = field(default_factory=list)
    """Pairs: the beginning of a line, and what is done before it; in the order of the page."""
    left_out: str = "$^"
    """What is not run, as a pattern of lines."""


def round_of(name, plan, parties=(1, 2)):
    """What makes a sum: updates of these parties, beside those that are there."""
    updates = [f"hecli encrypt grads.npz --plan {plan} --party {n} -o {name}-{n}.enc" for n in parties]
    return "; ".join([*updates, f"hecli aggregate '{name}-*.enc' -o {name}.agg", f"hecli decrypt {name}.agg"])


MAPS = """python -c 'import numpy as np
for n in "12":
    np.savez(f"map-{n}.npz", **{k: v**2 for k, v in np.load(f"party-{n}.update.npz").items()})'
for n in 1 2; do hecli encrypt map-$n.npz --party $n; done
hecli aggregate 'map-*.enc' -o map.agg; hecli decrypt map.agg"""
PEOPLE = """hecli keygen --bits 2048
for name in registry hospital-1 hospital-2 hospital-3; do hecli keygen --identity $name; done
"""
GRADIENTS = """python -c 'import numpy as np; np.savez("grads.npz", w=np.ones((300, 200)) / 64)'
cp grads.npz model.npz"""
COPY = f"cp {shlex.quote(str(SAMPLES))}/*.npz ."
RUNS = {
    "start.md": Run(left_out="pip"),
    "round.md": Run(
        given=COPY,
        hidden=[
            (
                "hecli aggregate",
                "cp party-3.enc kept; printf x | dd of=party-3.enc bs=1 seek=9000 conv=notrunc status=none",
            ),
            ("hecli aggregate", "mv kept party-3.enc"),
            # Below, each is a round of its own; the first from its beginning.
            ("hecli plan", "rm round.plan; unset HECLI_LEDGER HECLI_COORDINATOR HECLI_PLAN"),
            (
                "hecli encrypt",
                "for n in 2 3 4; do hecli enroll --plan round.plan --identity party-$n.id; done",
            ),
            ("hecli plan", f"rm round.plan; {MAPS}"),
        ],
    ),
    # It makes its own key and registry; what keeps running is in tests/test_docs.py.
    "training.md": Run(
        given=f"mkdir cards; {PEOPLE} mv hospital-* cards; rm hecli.* registry.*; {GRADIENTS}",
        left_out="hecli (run|status)",
    ),
    "smaller.md": Run(
        given=f"{PEOPLE} mkdir cards; cp hospital-*.card cards; {GRADIENTS}",
        hidden=[
            # Each is another training.
            ("hecli start", "rm -rf shared"),
            ("hecli start", "rm -rf shared"),
            ("hecli start", "rm -rf shared"),
            ("hecli plan --like round.sum", round_of("round", "bits.plan")),
            ("hecli plan --next", round_of("low", "low.plan")),
            ("hecli encrypt", "rm round*; cp sample.plan round.plan"),
            ("hecli apply", "mv grads.enc round-1.enc; " + round_of("round", "round.plan", [2])),
        ],
    ),
    # What it compares stands in tests/test_compare.py; here is the distillation by hand.
    "compare.md": Run(left_out="hecli compare"),
    "privacy.md": Run(given=f"{PEOPLE} {GRADIENTS}", left_out="hecli run"),
}


def shell(lines, folder):
    """Run lines in one shell; return what each showed, and its status."""
    script = "".join(f"{line}\nprintf '\\001%d\\002' $?\n" for line in lines)
    said = subprocess.run(
        ["bash", "-c", script],
        cwd=folder / "work",
        env=with_hecli(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    ).stdout.decode()
    return [(text, int(status)) for text, status in re.findall("([^\1\2]*)\1(\\d+)\2", said)]


def same(text):
    """Output without what differs from run to run, and without what columns are filled up with."""
    return re.sub(r" {2,}|\b[\d.]+ s\b", " ", re.sub(r"[ -]*(<\w+>) *", r" \1 ", normal(text))).split("\n")


def rewritten(text, changes):
    """A text after changes that follow each other in it."""
    at = 0
    for before, after in changes:
        at = text.index(before, at)
        text = text[:at] + after + text[at + len(before) :]
        at += len(after)
    return text


@pytest.mark.parametrize("page", RUNS)
def test_a_page_runs(page, tmp_path):
    run, path, updating = RUNS[page], PAGES[page], os.environ.get("PAGES") == "update"
    text = path.read_text()
    (tmp_path / "work").mkdir()
    for name, program in re.findall(
        r"^`(\w+\.py)`[^\n]*(?:\n[^\n]+)*\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        (tmp_path / "work" / name).write_text(program)
    hidden = list(run.hidden)
    lines, shown = [run.given or "true"], [None]
    for each in [each for block in blocks(text) for each in block]:
        if not re.search(run.left_out, each.line):
            if hidden and each.line.startswith(hidden[0][0]):
                lines.append(hidden.pop(0)[1])
                shown.append(None)
            lines.append(each.line)
            shown.append(each)
    assert not hidden
    done = shell(lines, tmp_path)
    assert len(done) == len(lines)
    changes = []
    for line, each, (output, status) in zip(lines, shown, done, strict=True):
        assert "Traceback" not in output
        if each is None or each.output is None:
            assert status == 0, f"{line}\n{output}"
            continue
        said = "\n".join(filter(None, [output.rstrip("\n"), f"[exit status {status}]" if status else ""]))
        if not updating:
            assert same(said) == same(each.output), line
        before, after = ("\n".join(filter(None, [f"$ {line}", shows])) for shows in (each.output, said))
        changes.append((before, after))
    if updating:
        # A translation shows the same, which is why it need not be run itself.
        for each in [path, *path.parent.glob(f"{path.stem}.*.md")]:
            each.write_text(rewritten(each.read_text(), changes))
