"""Options that several commands share, and how keys, plans, identities and passphrases are found."""

import functools
import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from hecli.cli.console import Console
from hecli.cli.files import STANDARD, open_input, warn_if_readable
from hecli.errors import HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.identity.files import read_card, read_identity
from hecli.ledger import checkpoint
from hecli.ledger import recorder as recorders
from hecli.plan.files import read_plan
from hecli.schemes.paillier.key_files import read_public_key
from hecli.schemes.quantum import stays_closed
from hecli.storage.paths import named, scheme_of
from hecli.storage.patterns import match
from hecli.storage.places import ANYWHERE

if TYPE_CHECKING:
    from contextlib import ExitStack
    from typing import BinaryIO

    from hecli.identity.cards import Card
    from hecli.identity.signatures import Identity
    from hecli.ledger.recorder import Recorder
    from hecli.plan.data import Plan
    from hecli.schemes.interface import Scheme
    from hecli.schemes.round import PrivateKey, PublicKey

Command = Callable[..., Any]


class File(click.types.StringParamType):
    """The name of a file or folder, which shells complete."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


FILE = File()


class LocalFile(File):
    """The name of a file that stays on this machine, such as a key."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a URL."""
        if scheme_of(value):
            what = param.get_error_hint(ctx) if param is not None and ctx is not None else "this"
            raise click.UsageError(
                f"{what} takes a file of this machine: keys, identities and records stay here", ctx
            )
        return super().convert(value, param, ctx)


LOCAL_FILE = LocalFile()


class Files(click.Argument):
    """An argument that takes many files, and patterns in quotes or URLs."""

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(names, nargs=-1, type=FILE, **kwargs)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The files, with patterns replaced by what matches them."""
        return tuple(path for each in super().type_cast_value(ctx, value) or () for path in _matching(each))


class FilesOption(click.Option):
    """An option that takes all the files that follow it, up to the next option, and patterns in quotes."""

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(names, multiple=True, type=FILE, **kwargs)

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
                last = at + 1 == len(args) or (args[at + 1].startswith("-") and args[at + 1] != "-")
                if last and not ctx.resilient_parsing:
                    raise click.UsageError(f"option {arg!r} needs files", ctx)
                continue
            if arg.startswith("-") and arg != "-":
                option = None
            spread += [arg] if option is None else [option, arg]
        return super().parse_args(ctx, spread)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, and further files of the last one."""
        found = super().shell_complete(ctx, incomplete)
        if found or incomplete.startswith("-"):
            return found
        return FILE.shell_complete(ctx, self.params[0], incomplete)


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
        return click.option("-o", "--output", type=FILE, metavar="FILE", help=text)(command)

    return decorate


jobs = click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Work on so many cores at most. [default: all]",
)
identity = click.option(
    "--identity",
    type=LOCAL_FILE,
    metavar="FILE",
    envvar="HECLI_IDENTITY",
    help="Sign with this .id file (or HECLI_IDENTITY).",
)
ledger = click.option(
    "--ledger",
    type=FILE,
    metavar="DIR",
    envvar="HECLI_LEDGER",
    help="Record it in this ledger (or HECLI_LEDGER).",
)
answers = click.option(
    "--answers", cls=FilesOption, metavar="FILES...", help="The answers that take the masks off."
)
from_updates = click.option(
    "--from",
    "updates",
    cls=FilesOption,
    metavar="FILES...",
    help="The parties' updates. [default: those beside the aggregate, as .enc files]",
)
made_from = click.option(
    "--from",
    "sources",
    cls=FilesOption,
    metavar="FILES...",
    help="What it was made from: an aggregate's updates; a sum's aggregate, and partials after it.",
)
weight = click.option(
    "--weight",
    type=int,
    metavar="W",
    help="Weight in the mean, such as samples; for plans with --max-weight.",
)
post_quantum = click.option(
    "--post-quantum",
    is_flag=True,
    help="Refuse what a quantum computer could open later: a key without masks.",
)
strict = click.option("--strict", is_flag=True, help="Refuse values out of range instead of clipping them.")


class PartType(click.types.StringParamType):
    """One of many parts, as in 3/16."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number of the part, from 1, and how many there are."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is no part: write 3/16 for the third of sixteen", param, ctx)
        return int(match[1]), int(match[2])


part = click.option(
    "--part",
    type=PartType(),
    metavar="I/K",
    help="Do part I of K alone, and write a slice for hecli join.",
)


def sliced(target: str, part: tuple[int, int] | None) -> str:
    """Name the slice of a file by the part that it is.

    Args:
        target: The whole file.
        part: The number of the part, and how many there are; None for the file itself.
    """
    if part is None or target == STANDARD:
        return target
    number, count = part
    return f"{target}-{number:0{len(str(count))}}.slice"


def refuse_recording(part: tuple[int, int] | None) -> None:
    """Refuse to record a slice, where that was asked for: what comes of all of them is recorded."""
    if part is not None:
        refuse("ledger", "is for whole files: hecli join records them")


def key(suffix: str) -> Callable[[Command], Command]:
    """Add --key, for the public (.pub) or the private (.key) key."""
    text = f"The key file. [default: HECLI_KEY, then hecli{suffix}]"
    return click.option("--key", type=LOCAL_FILE, metavar="FILE", envvar="HECLI_KEY", help=text)


enrollments = click.option(
    "--enroll",
    "enrollments",
    cls=FilesOption,
    metavar="FILES...",
    help="Everybody's enrollments, for plans with masks.",
)


def plan(command: Command) -> Command:
    """Add --plan and --coordinator, and pass the command the plan they mean, or None."""

    @click.option(
        "--plan", type=FILE, metavar="PLAN", envvar="HECLI_PLAN", help="The round's plan (or HECLI_PLAN)."
    )
    @click.option(
        "--coordinator",
        type=FILE,
        metavar="CARD",
        envvar="HECLI_COORDINATOR",
        help="Take only a plan signed with this card (or HECLI_COORDINATOR).",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, plan: str | None, coordinator: str | None, **kwargs: Any) -> Any:
        return command(*args, plan=_load_plan(plan, coordinator), **kwargs)

    return wrapped


def typed(name: str) -> bool:
    """Tell whether an option was typed, not taken from the environment nor left at its default.

    Args:
        name: The parameter's, such as "updates" for --from.
    """
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


def refuse(names: str | Iterable[str], why: str) -> None:
    """Refuse options that do nothing in the case at hand, where they were typed.

    What comes from the environment is meant for many commands, and is let be.

    Args:
        names: Parameters, one or many.
        why: What follows the option in the error, such as "is for plans with masks".

    Raises:
        UsageError: One of them was typed.
    """
    wanted = {names} if isinstance(names, str) else set(names)
    for each in click.get_current_context().command.params:
        if each.name in wanted and typed(each.name):
            raise click.UsageError(f"{max(each.opts, key=len)} {why}")


def check_quantum(scheme: "Scheme", *, asked: bool) -> None:
    """Raise RefusedError where what stays closed is asked for, and the scheme does not see to it."""
    if asked and not stays_closed(scheme):
        raise RefusedError(
            "under Paillier alone values do not stay closed against a quantum computer",
            "add --masks; or masks without a key, which take less time and space",
        )


def believed(plan: "Plan | None", console: Console) -> None:
    """Warn whoever makes a file that others rely on, and says not which plan was agreed on."""
    if plan is None:
        console.warn("whatever plan the aggregate carries is believed: pass --plan, the one you agreed on")


def check_standard(*paths: str) -> None:
    """Raise UsageError where standard input is named more than once."""
    if paths.count(STANDARD) > 1:
        raise click.UsageError("standard input can be read only once")


def load_cards(paths: tuple[str, ...]) -> "list[Card]":
    """The cards in these files."""
    cards = []
    for path in paths:
        with open_input(path) as stream:
            cards.append(read_card(open_reader(stream)))
    return cards


def load_identity(path: str | None, console: Console) -> "Identity | None":
    """The identity at `path`, if one is given, with a warning where others may read it."""
    if path is None:
        return None
    with open_input(path) as stream:
        found = read_identity(open_reader(stream), lambda: ask_passphrase(path, IDENTITY_PASSPHRASE))
    warn_of_readers(path, console)
    return found


def require_identity(path: str | None, console: Console) -> "Identity":
    """The identity at `path`; raises RefusedError where none is given."""
    found = load_identity(path, console)
    if found is None:
        raise RefusedError("this is signed", "pass --identity, or set HECLI_IDENTITY")
    return found


def checkpoints(identity: str | None) -> str | None:
    """Where to keep how far ledgers were checked: beside an identity's file, not beside a link to it.

    Args:
        identity: The path of the file; of what is none, such as a pipe, there is no such place.
    """
    if identity is None or not Path(identity).is_file():
        return None
    return f"{os.path.realpath(identity)}{checkpoint.SUFFIX}"


def recorder(path: str | None, identity: "Identity | None", file: str | None = None) -> "Recorder":
    """Get ready to add entries to a ledger, or to do nothing where none is given.

    Args:
        path: The ledger's folder.
        identity: Who signs the entries.
        file: The path of the identity, beside which checkpoints are kept.

    Raises:
        FormatError: The ledger is broken.
        RefusedError: Nobody signs, or somebody who may not add to it.
    """
    return recorders.recorder(ANYWHERE, path, identity, checkpoints(file))


def open_files(stack: "ExitStack", paths: tuple[str, ...]) -> "list[BinaryIO]":
    """All these files, for as long as `stack` lasts."""
    return [stack.enter_context(open_input(path, many=True)) for path in paths]


def load_public_key(path: str | None, scheme: "Scheme | None" = None) -> "PublicKey":
    """The public key at `path`, or hecli.pub; of the scheme, or where there is none of Paillier's."""
    with open_input(key_path(path, ".pub")) as stream:
        reader = open_reader(stream)
        return read_public_key(reader) if scheme is None else scheme.read_public_key(reader)


def load_private_key(path: str, scheme: "Scheme", console: Console) -> "PrivateKey":
    """The private key of a scheme, with a warning where others may read it."""
    with open_input(path) as stream:
        private = scheme.read_private_key(open_reader(stream), lambda: ask_passphrase(path))
    warn_of_readers(path, console)
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
        refuse("coordinator", "is for checking a plan: pass --plan too")
        if coordinator is not None:
            # Whoever set the variable wants no other plan, which a file brought along would be.
            raise HecliError("there is a coordinator to trust, and no plan of theirs", "pass --plan too")
        return None
    card = load_cards((coordinator,))[0] if coordinator is not None else None
    with open_input(path) as stream:
        return read_plan(open_reader(stream), card)


def _matching(pattern: str) -> list[str]:
    if scheme_of(pattern) == "https":
        # What stands behind a ? there is a query, and web servers have no listing.
        return [pattern]
    there = ANYWHERE.exists if scheme_of(pattern) else os.path.lexists
    if not glob.has_magic(pattern) or there(pattern):
        return [pattern]
    found = match(ANYWHERE, pattern)
    if not found:
        raise HecliError(f"no file matches {named(pattern)}", "check the pattern and the folder")
    return list(found)


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
