"""Write docs/cli.md from the commands' own --help: `make docs`. A test checks that it is up to date."""

from pathlib import Path

from click.testing import CliRunner

from hecli.cli.main import COMMANDS, cli

HERE = Path(__file__).parent


def page() -> str:
    """The whole page."""
    lines = ["# The commands", "", "Generated from `--help` by `make docs`.", ""]
    for name in ("", *COMMANDS):
        words = [name] if name else []
        result = CliRunner().invoke(cli, [*words, "--help"], prog_name="hecli", terminal_width=80)
        title = " ".join(["hecli", *words])
        lines += [f"## `{title}`", "", "```", result.output.rstrip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (HERE / "cli.md").write_text(page())
