"""Pieces of a comparison: each is measured once, and kept."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hecli.compare.kept import Kept
from hecli.errors import HecliError

Told = Callable[[str], None]
"""Told what is going on."""

Rounds = Callable[[int], None]
"""Told the number of each round that is done."""


class Piece(NamedTuple):
    """Something to be measured.

    Args:
        name: What it is kept as.
        text: What people are told.
        cost: About how many seconds it takes on a common machine, for few values.
        kind: What comes of it.
        measure: Measures it; told of each round.
    """

    name: str
    text: str
    cost: float
    kind: type[NamedTuple]
    measure: Callable[[Rounds], NamedTuple]


def measured(pieces: Sequence[Piece], rounds: int, kept: Kept, told: Told) -> Iterator[tuple[str, Any]]:
    """Measure what is not kept.

    Args:
        pieces: All pieces.
        rounds: How many rounds trainings have.
        kept: Where they are kept.
        told: Told what is going on, and how long the rest may take.

    Yields:
        Each with its name, as JSON has it; of what failed, which is tried again another time, why.

    Raises:
        HecliError: What was measured cannot be kept.
    """
    found = {each.name: kept.get(each.name, each.kind, rounds) for each in pieces}
    left = [each for each in pieces if found[each.name] is None]
    start, done, whole = time.monotonic(), 0.0, sum(each.cost for each in left)
    for at, piece in enumerate(left, len(pieces) - len(left) + 1):
        spent = time.monotonic() - start
        guess = f", {_left(spent * (whole - done) / done)} left" if done else ""
        title = f"{at} of {len(pieces)}{guess}: {piece.text}"
        told(title)
        try:
            made = piece.measure(lambda number, title=title: told(f"{title} (round {number})"))  # type: ignore[misc]
        except HecliError as error:
            found[piece.name] = {"failure": f"{error.message}{f' ({error.hint})' if error.hint else ''}"}
        else:
            # As it comes back from a file, whether it does or not.
            found[piece.name] = json.loads(json.dumps(made._asdict()))
            kept.put(piece.name, found[piece.name])
        done += piece.cost
    yield from found.items()


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
