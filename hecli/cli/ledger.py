"""hecli ledger."""

import json
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from hecli.cli import options
from hecli.cli.console import Console, say, show_error, show_list, shown
from hecli.cli.files import open_input
from hecli.cli.main import SuggestingGroup
from hecli.errors import HecliError
from hecli.formats.digests import file_digest
from hecli.formats.reader import START_SIZE, is_own, open_reader
from hecli.formats.text import count
from hecli.ledger import chain as book
from hecli.ledger.checkpoint import keep, read_checked
from hecli.plan.files import carried_plan
from hecli.rounds.describe import describe_entry
from hecli.storage.paths import file_name, joined
from hecli.storage.patterns import walk
from hecli.storage.places import ANYWHERE


@click.group(cls=SuggestingGroup)
def ledger() -> None:
    """Keep a record of a training that cannot be rewritten unnoticed.

    A folder in the shared storage, with no server and nobody in charge: each
    entry is a file, signed by whoever adds it, and holds the digest of the one
    before. plan, encrypt, aggregate, decrypt and apply add their own with
    --ledger.

    \b
      hecli ledger init ledger --identity anna.id
      hecli encrypt grads.npz --plan round.plan --identity bob.id --ledger ledger
      hecli ledger show ledger
      hecli ledger verify ledger --files .
    """


@ledger.command()
@click.argument("folder", type=options.FILE, metavar="DIR")
@click.option(
    "--party",
    "cards",
    type=options.FILE,
    multiple=True,
    metavar="CARD",
    help="Who else may add to it; repeatable.",
)
@options.identity
@options.talkative
def init(folder: str, cards: tuple[str, ...], identity: str | None, console: Console) -> None:
    """Begin a ledger.

    Whoever begins it brings others in: with --party, and with every plan of
    theirs that they record.

    \b
      hecli ledger init ledger --identity anna.id
      hecli ledger init ledger --identity anna.id --party bob.card
    """
    signer = options.require_identity(identity, console)
    members = options.load_cards(cards)
    link = book.begin(ANYWHERE, folder, signer, members)
    begun = book.Ledger((link,), frozenset([signer.card, *members]), ())
    keep(ANYWHERE, options.checkpoints(identity), begun)
    _say(link, folder, console)


@ledger.command()
@click.argument("folder", type=options.FILE, metavar="DIR")
@click.argument("text")
@click.argument("files", cls=options.Files, metavar="[FILES]...")
@options.identity
@options.talkative
def note(folder: str, text: str, files: tuple[str, ...], identity: str | None, console: Console) -> None:
    """Add a note, about files or about nothing.

    \b
      hecli ledger note ledger "model of round 7 released" model.next.npz
    """
    signer = options.require_identity(identity, console)
    about = [_named(file) for file in files]
    kept = options.checkpoints(identity)
    found = read_checked(ANYWHERE, folder, kept)
    made = book.append(ANYWHERE, folder, found, signer, "note", files=about, text=text)
    keep(ANYWHERE, kept, made)
    _say(made.last, folder, console)


@ledger.command()
@click.argument("folder", type=options.FILE, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each entry.")
def show(folder: str, as_json: bool) -> int:
    """Show who did what, and when.

    Times are what the signer's clock said. What is wrong with a ledger is said
    too; hecli ledger verify checks more.

    \b
      hecli ledger show ledger
    """
    found = book.read_ledger(ANYWHERE, folder)
    if as_json:
        click.echo(json.dumps([_describe(link) for link in found.links], indent=2))
    else:
        names: dict[bytes, str] = {}
        for link in found.links:
            if link.entry.event == "plan" and (link.entry.text or link.entry.files):
                names.setdefault(link.entry.plan, link.entry.text or Path(link.entry.files[0][0]).stem)
        show_list(
            ["no", "when", "who", "what", "plan", "file", "digest"],
            [row for link in found.links for row in _rows(link, names)],
            dropped="digest",
            cut=("who", "plan", "file"),
        )
    return _problems(found.problems)


@ledger.command()
@click.argument("folder", type=options.FILE, metavar="DIR")
@click.option(
    "--files",
    type=options.FILE,
    metavar="FOLDER",
    help="Compare the files in this folder, and in those in it, with their records.",
)
@click.option("--head", metavar="LINE", help="Compare with what hecli ledger head printed before.")
@options.talkative
def verify(folder: str, files: str | None, head: str | None, console: Console) -> int:
    """Check the chain, the signatures, the roster, and the files.

    Files are compared with the entries of the plan that they carry. Hidden
    files and links are left out.

    Without a head that was published elsewhere, nobody can tell whether the
    last entries were cut off.

    \b
      hecli ledger verify ledger
      hecli ledger verify ledger --files . --head 12:6b0f...
    """
    found = book.read_ledger(ANYWHERE, folder)
    problems = list(found.problems)
    notes = found.notes
    if head is not None:
        problems += found.check_head(head)
    checked = 0
    if files is not None:
        there, damaged = _found(files, folder, found.links)
        checked = len(there)
        differing, noted = found.check_files(there)
        notes += noted
        problems += damaged + differing
    summary = {
        "ledger": folder,
        "entries": len(found.links),
        "head": found.last.head,
        "files": checked,
        "problems": problems,
        "notes": notes,
    }
    if console.json:
        click.echo(json.dumps(summary))
        return 1 if problems else 0
    for each in notes:
        console.note(f"note: {each}")
    if not problems and not console.quiet:
        about = f", {count(checked, 'file')} as recorded" if files is not None else ""
        founder = found.links[0].signer
        say(f"{shown(folder)}: {count(len(found.links), 'entry', 'entries')}, one chain{about}")
        say(f"founded by   {founder.fingerprint} {founder.name}")
        say(f"head {found.last.head}")
    return _problems(problems)


@ledger.command()
@click.argument("folder", type=options.FILE, metavar="DIR")
def head(folder: str) -> None:
    """Print the line that stands for all entries, to publish elsewhere.

    \b
      hecli ledger head ledger
    """
    found = book.read_ledger(ANYWHERE, folder)
    found.require_sound(folder)
    click.echo(found.last.head)


def _named(file: str) -> tuple[str, bytes]:
    with open_input(file) as stream:
        return file_name(file), file_digest(stream)


def _found(folder: str, ledger: str, links: Iterable[book.Link]) -> tuple[list[book.Found], list[str]]:
    """The files in a folder that have a recorded name or digest; and what is damaged of them."""
    recorded = [file for link in links for file in link.entry.files]
    names, digests = {name for name, _ in recorded}, {digest for _, digest in recorded}
    found, damaged = [], []
    for path in walk(ANYWHERE, folder, ledger):
        named = posixpath.basename(path) in names
        try:
            with open_input(joined(folder, path)) as stream:
                plan = b""
                if is_own(stream.read(START_SIZE)):
                    reader = open_reader(stream)
                    named |= reader.digest in digests
                    plan = carried_plan(reader)
                if named:
                    found.append(book.Found(path, file_digest(stream), plan))
        except HecliError as error:
            damaged += [error.message] if named else []
    return found, damaged


def _say(link: book.Link, folder: str, console: Console) -> None:
    summary = {"ledger": folder, "entry": link.entry.number, "head": link.head}
    console.summary(summary, f"{shown(folder)}: {link}\nhead {link.head}")


def _describe(link: book.Link) -> dict[str, Any]:
    signer = {"name": link.signer.name, "fingerprint": link.signer.fingerprint}
    return {"file": link.file, "digest": link.digest.hex(), "signed_by": signer} | describe_entry(link.entry)


def _rows(link: book.Link, names: dict[bytes, str]) -> Iterator[list[str]]:
    """A line for the entry, one more for each further file, and one for its text."""
    entry = link.entry
    round_ = names.get(entry.plan, entry.plan.hex()[:8])
    when = entry.time[:16].replace("T", " ")
    start = [str(entry.number), when, entry.party, entry.event, round_]
    about = [[name, digest.hex()[:10]] for name, digest in entry.files]
    for at, pair in enumerate(about or [["", ""]]):
        yield [*(start if at == 0 else [""] * 5), *pair]
    if entry.text and entry.text != round_:
        yield [entry.text]


def _problems(problems: tuple[str, ...] | list[str]) -> int:
    for each in problems:
        show_error(each)
    return 1 if problems else 0
