"""Write docs/cli.md from the commands' own --help: `make docs`. A test checks that it is up to date."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from hecli.cli.main import COMMANDS, cli

HERE = Path(__file__).parent

COMPLETION = """\
## Completion

Shells complete commands, options and files after one of these lines, best kept where the shell starts:

```
eval "$(_HECLI_COMPLETE=bash_source hecli)"         # in ~/.bashrc, of bash 4.4 or later
eval "$(_HECLI_COMPLETE=zsh_source hecli)"          # in ~/.zshrc
_HECLI_COMPLETE=fish_source hecli | source          # in ~/.config/fish/completions/hecli.fish
```

""".splitlines()


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
    lines = ["# The commands", "", "Generated from `--help` by `make docs`.", "", *COMPLETION]
    for words in _command_lines():
        result = CliRunner().invoke(cli, [*words, "--help"], prog_name="hecli", terminal_width=80)
        title = " ".join(["hecli", *words])
        lines += [f"## `{title}`", "", "```", result.output.rstrip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (HERE / "cli.md").write_text(page())
