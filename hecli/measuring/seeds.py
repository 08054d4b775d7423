"""What trainings of several seeds come to, and what is said while they run."""

import sys
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

Report = Callable[[str], None]


def spread(numbers: Sequence[float]) -> tuple[float, float]:
    """Sum up the figures of several seeds.

    Args:
        numbers: The figures.

    Returns:
        Their mean, and the standard deviation of single ones.
    """
    return fmean(numbers), stdev(numbers) if len(numbers) > 1 else 0.0


def report(text: str) -> None:
    """Say what is going on, beside what is printed in the end.

    Args:
        text: It.
    """
    print(text, file=sys.stderr, flush=True)
