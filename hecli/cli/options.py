"""Options that several commands share, and how keys, plans, identities and passphrases are found."""

import functools
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hecli.cli.console import Console
from hecli.errors import HecliError, RefusedError
from hecli.identity.people import read_card, read_identity
from hecli.ledger.chain import append, read_ledger
from hecli.plan.files import read_plan
from hecli.rounds.keys import read_private_key, read_public_key
from hecli.rounds.streams import open_reader
from hecli.storage.local import STANDARD, Folder, allow_open_files, open_input, warn_if_readable

if TYPE_CHECKING:
    from contextlib import ExitStack
    from typing import BinaryIO

    from hecli.formats.cards import Card
    from hecli.identity.signatures import Identity
    from hecli.plan.data import Plan
    from hecli.schemes.paillier.keys import PrivateKey, PublicKey
    from hecli.schemes.paillier.share_files import Opens

Command = Callable[..., Any]


class FilesOption(click.Option):
    """An option that takes all the files that follow it, up to the next option, and patterns in quotes."""

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(names, multiple=True, **kwargs)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The files, with patterns replaced by what matches them."""
        return tuple(path for each in super().type_cast_value(ctx, value) or () for path in _matching(each))


class FilesCommand(click.Command):
    """A command with such options: `--from a b c` as shells make it of `--from *`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its files, which click understands."""
        names = {name for each in self.params if isinstance(each, FilesOption) for name in each.opts}
        spread: list[str] = []
        option = None
        for at, arg in enumerate(args):
            if arg == "--":
                spread += args[at:]
                break
            if arg in names:
                option = arg
                if at + 1 == len(args) or (args[at + 1].startswith("-") and args[at + 1] != "-"):
                    raise click.UsageError(f"option {arg!r} needs files", ctx)
                continue
            if arg.startswith("-") and arg != "-":
                option = None
            spread += [arg] if option is None else [option, arg]
        return super().parse_args(ctx, spread)


PASSPHRASE = "HECLI_PASSPHRASE"  # noqa: S105 - the name of a variable
IDENTITY_PASSPHRASE = "HECLI_IDENTITY_PASSPHRASE"  # noqa: S105 - likewise


def talkative(command: Command) -> Command:
    """Add -q and --json, and pass the command a Console."""

    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
    @click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
    @functools.wraps(command)
    def wrapped(*args: Any, quiet: bool, as_json: bool, **kwargs: Any) -> Any:
        return command(*args, console=Console(quiet, as_json), **kwargs)

    return wrapped


def output(default: str) -> Callable[[Command], Command]:
    """Add -o and --force; `default` says in --help what happens without -o."""

    def decorate(command: Command) -> Command:
        command = click.option("--force", is_flag=True, help="Replace the output if it exists.")(command)
        text = f"Where to write. [default: {default}; standard output where the input is -]"
        return click.option("-o", "--output", metavar="FILE", help=text)(command)

    return decorate


jobs = click.option(
    "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Worker processes. [default: all cores]"
)
identity = click.option(
    "--identity", metavar="FILE", envvar="HECLI_IDENTITY", help="Sign with this .id file (or HECLI_IDENTITY)."
)
ledger = click.option(
    "--ledger", metavar="DIR", envvar="HECLI_LEDGER", help="Record it in this ledger (or HECLI_LEDGER)."
)
from_updates = click.option(
    "--from",
    "updates",
    cls=FilesOption,
    metavar="FILES...",
    help="The parties' updates: recompute the aggregate from them, and compare.",
)
weight = click.option(
    "--weight",
    type=int,
    metavar="W",
    help="Weight in the mean, such as samples; for plans with --max-weight.",
)
strict = click.option("--strict", is_flag=True, help="Refuse values out of range instead of clipping them.")


def key(suffix: str) -> Callable[[Command], Command]:
    """Add --key, for the public (.pub) or the private (.key) key."""
    text = f"The key file. [default: HECLI_KEY, then hecli{suffix}]"
    return click.option("--key", metavar="FILE", envvar="HECLI_KEY", help=text)


enrollments = click.option(
    "--enroll",
    "enrollments",
    cls=FilesOption,
    metavar="FILES...",
    help="Everybody's enrollments, for plans with --dropouts.",
)


def plan(command: Command) -> Command:
    """Add --plan and --coordinator, and pass the command the plan they mean, or None."""

    @click.option("--plan", metavar="PLAN", envvar="HECLI_PLAN", help="The round's plan (or HECLI_PLAN).")
    @click.option(
        "--coordinator",
        metavar="CARD",
        envvar="HECLI_COORDINATOR",
        help="Take only a plan signed with this card (or HECLI_COORDINATOR).",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, plan: str | None, coordinator: str | None, **kwargs: Any) -> Any:
        return command(*args, plan=_load_plan(plan, coordinator), **kwargs)

    return wrapped


def check_standard(*paths: str) -> None:
    """Raise UsageError where standard input is named more than once."""
    if paths.count(STANDARD) > 1:
        raise click.UsageError("standard input can be read only once")


def load_cards(paths: tuple[str, ...]) -> "list[Card]":
    """The cards in these files."""
    cards = []
    for path in paths:
        with open_input(path) as stream:
            cards.append(read_card(stream))
    return cards


def load_identity(path: str | None, console: Console) -> "Identity | None":
    """The identity at `path`, if one is given, with a warning where others may read it."""
    if path is None:
        return None
    with open_input(path) as stream:
        found = read_identity(stream, lambda: ask_passphrase(path, IDENTITY_PASSPHRASE))
    warn_of_readers(path, console)
    return found


def require_identity(path: str | None, console: Console) -> "Identity":
    """The identity at `path`; raises RefusedError where none is given."""
    found = load_identity(path, console)
    if found is None:
        raise RefusedError("this is signed", "pass --identity, or set HECLI_IDENTITY")
    return found


def recorder(path: str | None, identity: "Identity | None") -> Callable[..., None]:
    """What adds an entry to the ledger at `path`, as hecli.ledger.append, or nothing where none is given.

    Raises at once for a ledger that is broken, and for whoever may not add to it.
    """
    if path is None:
        return lambda _event, **_about: None
    if identity is None:
        raise RefusedError("entries in a ledger are signed", "pass --identity, or set HECLI_IDENTITY")
    store = Folder(path)
    book = read_ledger(store, path)
    book.require_sound(path)
    book.check_member(identity.card, path)

    def record(event: str, **about: Any) -> None:
        files = [(Path(file).name, digest) for file, digest in about.pop("files", ())]
        append(store, book, identity, event, name=path, files=files, **about)

    return record


def open_updates(stack: "ExitStack", paths: tuple[str, ...]) -> "list[BinaryIO]":
    """All the files that --from names, for as long as `stack` lasts."""
    allow_open_files(len(paths))
    return [stack.enter_context(open_input(path)) for path in paths]


def load_public_key(path: str | None) -> "PublicKey":
    """The public key at `path`, or hecli.pub."""
    with open_input(key_path(path, ".pub")) as stream:
        return read_public_key(stream)


def load_plan_key(path: str | None) -> "tuple[PublicKey, Opens | None]":
    """The public key at `path`, or hecli.pub, and what a plan says of it where it is in shares."""
    # Imported here: most commands have nothing to do with shares.
    from hecli.schemes.paillier.shares import opens, threshold_key  # noqa: PLC0415

    with open_input(key_path(path, ".pub")) as stream:
        public = read_public_key(stream)
        stream.seek(0)
        shares = threshold_key(open_reader(stream))
    return public, None if shares is None else opens(shares)


def load_private_key(path: str | None, console: Console) -> "PrivateKey":
    """The private key at `path`, or hecli.key, with a warning where others may read it."""
    found = key_path(path, ".key")
    with open_input(found) as stream:
        private = read_private_key(stream, lambda: ask_passphrase(found))
    warn_of_readers(found, console)
    return private


def warn_of_readers(path: str, console: Console) -> None:
    """Warn where others may read a private key."""
    if warning := warn_if_readable(path):
        console.warn(warning)


def ask_passphrase(path: str, variable: str = PASSPHRASE, *, confirm: bool = False) -> str:
    """The passphrase from the environment's `variable`, else HECLI_PASSPHRASE, or typed on the terminal."""
    passphrase = os.environ.get(variable, os.environ.get(PASSPHRASE))
    if passphrase is None:
        if not _has_terminal():
            raise HecliError(f"{path} needs a passphrase, and there is no terminal", f"set {variable}")
        passphrase = click.prompt(
            f"Passphrase for {path}", hide_input=True, confirmation_prompt=confirm, err=True
        )
    if not passphrase:
        raise HecliError("the passphrase is empty", f"type one, or set {variable}")
    return passphrase


def _load_plan(path: str | None, coordinator: str | None) -> "Plan | None":
    if path is None:
        if coordinator is not None:
            raise HecliError("there is a coordinator to trust, and no plan of theirs", "pass --plan too")
        return None
    card = load_cards((coordinator,))[0] if coordinator is not None else None
    with open_input(path) as stream:
        return read_plan(stream, card)


def _matching(pattern: str) -> list[str]:
    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern))  # noqa: PTH207 - of any folder, as shells do
    if not found:
        raise HecliError(f"no file matches {pattern}", "check the pattern and the folder")
    return found


def key_path(path: str | None, suffix: str) -> str:
    """Where the key is: at `path`, or at hecli with this suffix."""
    if path is not None:
        return path
    found = f"hecli{suffix}"
    if not Path(found).exists():
        which = "public" if suffix == ".pub" else "private"
        raise HecliError(
            f"there is no {which} key: {found} is not here", "pass --key, or make one with hecli keygen"
        )
    return found


def _has_terminal() -> bool:
    """Whether a passphrase can be typed, even where standard input is a pipe."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return os.isatty(0)
    return True
