"""How commands say that values were clipped: as a warning where they are many."""

from hecli.cli.console import Console
from hecli.formats.text import count, percent
from hecli.rounds.headers import Sum
from hecli.rounds.update import Update

WARN_FROM = 0.01
"""The share of values, of all or of one tensor, from which on it is a warning."""

SHOWN = 3


def say_clipped(update: Update, console: Console) -> None:
    """Say how many values of an update were clipped, and in which tensors as far as that is known.

    Args:
        update: The update, read to its end.
        console: Where to say it.
    """
    sizes = update.plan.geometry
    lanes = {spec.name: size for spec, size in zip(update.plan.tensors, sizes.sizes, strict=True)}
    shares = {name: number / lanes[name] for name, number in update.clipped_in.items()}
    worst = sorted(shares, key=lambda name: -shares[name])
    first = [f"{name} {update.clipped_in[name]:,} ({percent(shares[name])})" for name in worst[:SHOWN]]
    more = f" and {count(len(worst) - SHOWN, 'more tensor')}" if len(worst) > SHOWN else ""
    share = update.clipped / sizes.values
    text = _clipped(update.clipped, share) + (f": {', '.join(first)}{more}" if first else "")
    _say(update.clipped, max([share, *shares.values()]), text, console)


def say_clipped_in_sum(total: Sum, console: Console) -> None:
    """Say how many values all parties of a sum clipped together.

    Args:
        total: The sum.
        console: Where to say it.
    """
    share = total.clipped / (len(total.contributors) * total.plan.geometry.values)
    text = f"{_clipped(total.clipped, share)} by the parties together"
    _say(total.clipped, share, text, console)


def _say(clipped: int, share: float, text: str, console: Console) -> None:
    if clipped:
        (console.warn if share >= WARN_FROM else console.note)(text)


def _clipped(clipped: int, share: float) -> str:
    return f"{count(clipped, 'value')} ({percent(share)}) clipped"
