"""Write docs/cli.md from the commands' own --help: `make docs`. A test checks that it is up to date."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from hecli.cli.main import COMMANDS, cli

HERE = Path(__file__).parent


def _command_lines() -> Iterator[list[str]]:
    """The words of every command: hecli's own, its commands', and theirs."""
    context = click.Context(cli)
    yield []
    for name in COMMANDS:
        yield [name]
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ([name, each] for each in command.list_commands(context))


def page() -> str:
    """The whole page."""
    lines = ["# The commands", "", "Generated from `--help` by `make docs`.", ""]
    for words in _command_lines():
        result = CliRunner().invoke(cli, [*words, "--help"], prog_name="hecli", terminal_width=80)
        title = " ".join(["hecli", *words])
        lines += [f"## `{title}`", "", "```", result.output.rstrip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (HERE / "cli.md").write_text(page())
