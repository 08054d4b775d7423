"""What the commands that open an aggregate have in common: what is checked first, and what is said last."""

from typing import Any

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, label
from hecli.formats.text import count
from hecli.rounds.describe import describe_contributors
from hecli.rounds.headers import Sum
from hecli.schemes.interface import ANSWERS, ENROLLMENTS, Scheme

DANGER = (
    "the difference of two sums of one round shows what single parties sent: make a plan for each round, "
    "or pass --again if every party agrees"
)


def check_answers(scheme: Scheme) -> None:
    """Refuse enrollments and answers where the plan needs none.

    Args:
        scheme: The scheme that the aggregate is under.

    Raises:
        UsageError: They were typed, and do nothing.
    """
    if ENROLLMENTS not in scheme.to_open:
        options.refuse("enrollments", "is for plans that allow for dropouts")
    if ANSWERS not in scheme.to_open:
        options.refuse("answers", "is for plans that allow for dropouts")


def say_opened(total: Sum, target: str, seconds: float, console: Console) -> None:
    """Say what was opened.

    Args:
        total: The sum.
        target: Where it went.
        seconds: What it took.
        console: Where to say it.
    """
    if total.clipped:
        console.warn(f"{count(total.clipped, 'value')} clipped by the parties together")
    summary: dict[str, Any] = {
        "file": target,
        "contributors": describe_contributors(total.contributors),
        "weight": total.weight,
        "clipped": total.clipped,
        "seconds": round(seconds, 3),
    }
    text = (
        f"{label(target)}: the sum of {count(len(total.contributors), 'contributor')}, "
        f"total weight {total.weight:,}, {seconds:.1f} s"
    )
    console.summary(summary, text, to_stdout=target != STANDARD)
