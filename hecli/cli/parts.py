"""How commands say what of a round travels otherwise than encrypted."""

from collections.abc import Callable
from typing import Any

import click

from hecli.cli.console import Console
from hecli.formats.text import count, count_bytes, percent
from hecli.plan.data import Plan
from hecli.rounds.describe import describe_plan

SHOWN = 6

Command = Callable[..., Any]


def options(command: Command) -> Command:
    """Add --masked and --plain."""
    for each in (
        click.option(
            "--plain",
            multiple=True,
            metavar="PATTERN",
            help="Leave tensors whose names match in the clear, for everybody to read; repeatable.",
        ),
        click.option(
            "--masked",
            multiple=True,
            metavar="PATTERN",
            help="Hide tensors whose names match by masks alone, which are cheap; repeatable.",
        ),
    ):
        command = each(command)
    return command


def part_lines(plan: dict[str, Any], most: int = SHOWN) -> list[tuple[str, str]]:
    """Say which tensors travel under masks alone, and which in the clear.

    Args:
        plan: What `describe_plan` says of the plan.
        most: How many names of each are shown.

    Returns:
        Titles and texts; none where all is encrypted.
    """
    lines = []
    if masked := plan["masked"]:
        lines += _lines("masked", masked, f"under masks alone, in {count_bytes(masked['bytes'])}", most)
    if plain := plan["plain"]:
        lines += _lines("plain", plain, "in the clear: whoever has an update reads them", most)
    return lines


def say_published(plan: Plan, console: Console) -> None:
    """Say, before an update is written, what of it everybody will be able to read.

    Args:
        plan: The plan that it follows.
        console: Where to say it.
    """
    if plan.plain:
        plain = describe_plan(plan)["plan"]["plain"]
        console.warn(f"{_amount(plain)} will be in the clear, your own: {_names(plain, SHOWN)}")


def _lines(title: str, part: dict[str, Any], how: str, most: int) -> list[tuple[str, str]]:
    return [(title, f"{_amount(part)} {how}"), ("", _names(part, most))]


def _amount(part: dict[str, Any]) -> str:
    return f"{count(part['values'], 'value')} ({percent(part['share'])})"


def _names(part: dict[str, Any], most: int) -> str:
    names = [
        each["name"]
        if each["values"] == each["of"]
        else f"{each['name']} ({each['values']:,} of {each['of']:,})"
        for each in part["tensors"]
    ]
    more = f" and {len(names) - most:,} more: hecli inspect --json shows all" if len(names) > most else ""
    return ", ".join(names[:most]) + more
