"""Every command of hecli, as its help and its man page are made from it."""

from collections.abc import Iterator

import click

from hecli.cli.main import cli


def contexts(command: click.Command = cli, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Go through a command and all that are in it.

    Args:
        command: The command.
        parent: The context of the group that it is in.

    Yields:
        A context for each, whose `command_path` is what is typed.
    """
    context = click.Context(
        command, parent, command.name if parent else "hecli", terminal_width=80, **command.context_settings
    )
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from contexts(inner, context)
