"""Write docs/cli.md from the commands' own --help: `make docs`. A test checks that it is up to date."""

from pathlib import Path

from contexts import contexts

HERE = Path(__file__).parent

COMPLETION = """\
## Completion

Shells complete commands, options and files after one of these lines, best kept where the shell starts:

```
eval "$(_HECLI_COMPLETE=bash_source hecli)"         # in ~/.bashrc, of bash 4.4 or later
eval "$(_HECLI_COMPLETE=zsh_source hecli)"          # in ~/.zshrc
_HECLI_COMPLETE=fish_source hecli | source          # in ~/.config/fish/completions/hecli.fish
```

Outside a virtual environment, in `/usr/local` or by a recent `pipx`, bash (with its bash-completion) and
fish need no such line: the package brings the files that they look for. So does zsh, where `fpath` has
`share/zsh/site-functions`.

## Man pages

The package brings one for every command: `man hecli`, `man hecli-encrypt`, `man hecli-ledger-show`. `man`
finds them wherever the shell finds the command, in a virtual environment too.

""".splitlines()


def page() -> str:
    """The whole page."""
    lines = ["# The commands", "", "Generated from `--help` by `make docs`.", "", *COMPLETION]
    for context in contexts():
        lines += [f"## `{context.command_path}`", "", "```", context.get_help(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (HERE / "cli.md").write_text(page())
