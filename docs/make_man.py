"""Write share/man/man1/ from the commands' own help: `make docs`. A test checks that it is up to date.

click-man was tried: it knows only commands that are imported beforehand, cuts
the first line short, puts the day of writing into the page, and leaves -h out.
"""

import inspect
import re
import textwrap
from pathlib import Path

import click
from contexts import contexts

from hecli import __version__
from hecli.cli.main import GROUPS

FOLDER = Path(__file__).parent.parent / "share" / "man" / "man1"

ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})


def pages() -> dict[str, str]:
    """All pages, by the names of their files."""
    return {f"{_name(context)}.1": _page(context) for context in contexts()}


def _page(context: click.Context) -> str:
    """The page of one command, in the language of man(7)."""
    command, name = context.command, _name(context)
    summary, *rest = inspect.cleandoc(command.help or "").split("\n\n")
    lines = [
        f'.TH {_plain(name.upper())} 1 "" "hecli {__version__}" "hecli"',
        # Words stay whole, for many of them are typed.
        ".nh",
        ".ad l",
        ".SH NAME",
        rf"{_plain(name)} \- {_plain(summary[0].lower() + summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        rf"\fB{_plain(context.command_path)}\fR {_words(' '.join(command.collect_usage_pieces(context)))}",
    ]
    texts = [each for each in rest if not each.startswith("\b")]
    examples = [each.removeprefix("\b\n") for each in rest if each.startswith("\b")]
    if texts:
        lines += [".SH DESCRIPTION", *"\n.PP\n".join(map(_text, texts)).splitlines()]
    if isinstance(command, click.Group):
        lines += _commands(context, command)
    lines.append(".SH OPTIONS")
    for option in command.get_params(context):
        if isinstance(option, click.Option) and (record := option.get_help_record(context)):
            lines += [".TP", _words(record[0]), *_text(record[1]).splitlines()]
    lines.append(".SH EXAMPLES")
    for example in examples:
        lines += [".EX", *map(_line, textwrap.dedent(example).splitlines()), ".EE"]
    if context.parent is not None:
        lines += [".SH SEE ALSO", _reference(_name(context.parent))]
    return "\n".join(lines) + "\n"


def _commands(context: click.Context, group: click.Group) -> list[str]:
    """What is in a group, and where to read on."""
    inner = group.list_commands(context)
    sections = GROUPS if context.parent is None else {"Commands": inner}
    lines = []
    for title, names in sections.items():
        lines.append(f".SH {title.upper()}")
        for name in names:
            command = group.get_command(context, name)
            assert command is not None
            first = inspect.cleandoc(command.help or "").split("\n\n")[0]
            lines += [".TP", _reference(f"{_name(context)}-{name}"), *_text(first).splitlines()]
    return lines


def _name(context: click.Context) -> str:
    """What the page of a command is called."""
    return context.command_path.replace(" ", "-")


def _reference(name: str) -> str:
    """A line that names another page."""
    return f".BR {_plain(name)} (1)"


def _plain(text: str) -> str:
    """Text of which every character is shown as it is, and can be copied."""
    return text.translate(ESCAPES)


def _line(text: str) -> str:
    """A line that is no request to the formatter, whatever it begins with."""
    return (r"\&" if text.startswith(".") else "") + _plain(text)


def _text(text: str) -> str:
    """A paragraph, each sentence on a line of its own."""
    sentences = re.split(r"(?<=[.:;]) (?=[A-Z])", " ".join(text.split()))
    lines = [line for each in sentences for line in textwrap.wrap(each, 70, break_on_hyphens=False)]
    return "\n".join(map(_line, lines))


def _words(text: str) -> str:
    """Options in bold, and what they take in italics."""
    text = re.sub(r"\b[A-Z]\w*", r"\\fI\g<0>\\fR", _plain(text))
    return re.sub(r"(?<!\w)(\\-)+\w[\w\\-]*", r"\\fB\g<0>\\fR", text)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.1"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
