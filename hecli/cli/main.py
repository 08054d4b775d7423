"""The `hecli` command: finds subcommands, and turns every failure into two lines."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from hecli import __version__
from hecli.cli.console import say, show_error
from hecli.errors import HecliError, PipelineError

GROUPS = {
    "A round": {
        "keygen": "Make a key pair, or convert one.",
        "plan": "Agree on how a round is done.",
        "encode": "Turn tensors into integer lanes, in the clear.",
        "encrypt": "Encrypt an update.",
        "aggregate": "Multiply updates into one aggregate.",
        "decrypt": "Open an aggregate: the sum, and only the sum.",
        "apply": "Move a model by the mean of a sum.",
        "join": "Put slices, of commands with --part, together.",
    },
    "A whole training": {
        "start": "Begin a training of many rounds in a shared folder.",
        "run": "Take part in a training: do whatever your roles call for, round after round.",
        "status": "Show how far a training is, and what happened in it.",
    },
    "Without a single keyholder": {
        "partial": "Make what one share of a key contributes to opening an aggregate.",
        "combine": "Open an aggregate with partials of enough shares.",
        "enroll": "Enroll in a round with masks.",
        "answer": "Answer about an aggregate's parties, so that its masks come off.",
    },
    "To look and to choose": {
        "inspect": "Say what a file is, without any key.",
        "verify": "Check files: digests, signatures, plan, proofs, aggregates and sums.",
        "privacy": "Show what privacy was spent on rounds with noise.",
        "ledger": "Keep a record of a training that cannot be rewritten unnoticed.",
        "compare": "Compare the techniques on your own tensors or data.",
        "bench": "Measure this machine, beside other libraries.",
    },
}
"""The commands as --help groups them, and their first lines."""

COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}
"""The same in one table, known without importing what they need."""


class UnknownCommand(click.UsageError):
    """A command that there is not, with the one that may be meant."""

    def __init__(self, name: str, commands: Sequence[str], ctx: click.Context) -> None:
        super().__init__(f"no such command {name!r}", ctx)
        self.near = get_close_matches(name, commands, 1)


class SuggestingGroup(click.Group):
    """A group that suggests the command that may be meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the line begins with."""
        commands = self.list_commands(ctx)
        # An option is for click to refuse.
        if args[0] not in commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UnknownCommand(args[0], commands, ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(SuggestingGroup):
    """A group whose commands are imported when they are run, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands, in the order of a round."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command from the module of the same name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"hecli.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above."""
        del ctx
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", line) for name, line in commands.items()])


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Show the version, and what computes."""
    if wanted and not ctx.resilient_parsing:
        from hecli.arithmetic.choosing import kernels  # noqa: PLC0415 - only what is used is imported

        click.echo(f"hecli, version {__version__}\narithmetic: {kernels().name}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Train one model together without showing each other your gradients.

    \b
      hecli keygen                     # the keyholder, once
      hecli encrypt grads.npz          # each party: grads.enc
      hecli aggregate *.enc            # anyone: round.agg
      hecli decrypt round.agg          # the keyholder: round.sum
      hecli apply round.sum model.npz  # everyone: model.next.npz

    A file named - is standard input or output.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Its words, without the program's own name.

    Returns:
        The exit status: 0 done, 1 failed, 2 a wrong command line.
    """
    _prepare()
    try:
        return _in_a_pipeline(arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except UnknownCommand as error:
        return _fail(error.message, f"did you mean {error.near[0]}?" if error.near else "hecli --help", 2)
    except click.UsageError as error:
        hint = f"{error.ctx.command_path} --help" if error.ctx else "hecli --help"
        return _fail(_plain(error.format_message()), hint, 2)
    except click.ClickException as error:
        return _fail(_plain(error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted")
    except HecliError as error:
        return _fail(error.message, error.hint)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{(error.strerror or str(error)).lower()}")
    except MemoryError:
        return _fail("out of memory", "try --jobs 1")


def _in_a_pipeline(arguments: Sequence[str]) -> int:
    """Run it, and leave it to the command that breaks a pipeline to say why."""
    try:
        result = cli.main(list(arguments), prog_name="hecli", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except PipelineError as error:
        say(f"note: {error.message}", err=True)
        return 1
    except BrokenPipeError:
        # As in `hecli ledger show | head`. What is left to be written must not fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _prepare() -> None:
    """Make signals end a command as Ctrl-C does, and output never fail for its encoding."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # nohup has them ignored, and means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks must not end a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, hint: str | None = None, status: int = 1) -> int:
    show_error(message, hint)
    return status


def _plain(message: str) -> str:
    """Click's sentence in the manner of ours: lower case, no full stop."""
    return (message[:1].lower() + message[1:]).rstrip(".")


def _interrupt(signum: int, frame: Any) -> None:
    del signum, frame
    raise KeyboardInterrupt
