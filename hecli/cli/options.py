"""Options that several commands share, and how keys, plans and passphrases are found."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hecli.cli.console import Console
from hecli.cli.files import open_input, warn_if_readable
from hecli.errors import HecliError
from hecli.pipeline.keys import read_private_key, read_public_key

if TYPE_CHECKING:
    from hecli.crypto.paillier import PrivateKey, PublicKey
    from hecli.plan import Plan

Command = Callable[..., Any]
PASSPHRASE = "HECLI_PASSPHRASE"  # noqa: S105 - the name of a variable


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
plan = click.option("--plan", metavar="PLAN", envvar="HECLI_PLAN", help="The round's plan (or HECLI_PLAN).")
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


def load_plan(path: str | None) -> "Plan | None":
    """The plan at `path`, if one is given."""
    # Imported here: plans of --like need numpy, aggregating does not.
    from hecli.pipeline.planning import read_plan  # noqa: PLC0415

    if path is None:
        return None
    with open_input(path) as stream:
        return read_plan(stream)


def load_public_key(path: str | None) -> "PublicKey":
    """The public key at `path`, or hecli.pub."""
    with open_input(_key_path(path, ".pub")) as stream:
        return read_public_key(stream)


def load_private_key(path: str | None, console: Console) -> "PrivateKey":
    """The private key at `path`, or hecli.key, with a warning where others may read it."""
    found = _key_path(path, ".key")
    with open_input(found) as stream:
        private = read_private_key(stream, lambda: ask_passphrase(found))
    warn_of_readers(found, console)
    return private


def warn_of_readers(path: str, console: Console) -> None:
    """Warn where others may read a private key."""
    if warning := warn_if_readable(path):
        console.warn(warning)


def ask_passphrase(path: str, *, confirm: bool = False) -> str:
    """The passphrase from HECLI_PASSPHRASE, or typed on the terminal."""
    passphrase = os.environ.get(PASSPHRASE)
    if passphrase is None:
        if not _has_terminal():
            raise HecliError(f"{path} needs a passphrase, and there is no terminal", f"set {PASSPHRASE}")
        passphrase = click.prompt(
            f"Passphrase for {path}", hide_input=True, confirmation_prompt=confirm, err=True
        )
    if not passphrase:
        raise HecliError("the passphrase is empty", f"type one, or set {PASSPHRASE}")
    return passphrase


def _key_path(path: str | None, suffix: str) -> str:
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
