"""What a training's ledger says: which rounds there were, and what became of them.

It follows from the entries alone, in their order, and comes out the same for
everybody. What files hold is for others to check.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hecli.ledger.chain import Ledger, Link
from hecli.training.terms import Training


@dataclass
class Round:
    """An attempt at a round.

    Args:
        number: The number of the round, from 1.
        attempt: The number of the attempt, from 1.
        plan: The entry of its plan.
        enrolled: Entries that say who enrolled, of those who may; the first that is sound counts.
        closed: Entries that say whose updates are in it, likewise.
        abandoned: The entry that ends it before it was closed.
        aggregated: Entries about its aggregate.
        opened: Entries about its sum; the first counts.
        applied: Each member's first entry about the model after it.
        refused: The refusal of that model by each member who has not applied it since.
    """

    number: int
    attempt: int
    plan: Link
    enrolled: list[Link] = field(default_factory=list)
    closed: list[Link] = field(default_factory=list)
    abandoned: Link | None = None
    aggregated: list[Link] = field(default_factory=list)
    opened: list[Link] = field(default_factory=list)
    applied: dict[str, Link] = field(default_factory=dict)
    refused: dict[str, Link] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its files lie."""
        return round_folder(self.number, self.attempt)

    @property
    def digest(self) -> bytes:
        """The digest of its plan."""
        return self.plan.entry.plan


@dataclass(frozen=True)
class History:
    """All rounds of a training, and its end.

    Args:
        rounds: The rounds' attempts, in their order.
        ended: The entry that ended it before its time, if any.
    """

    rounds: tuple[Round, ...]
    ended: Link | None

    def of(self, number: int) -> Round | None:
        """Give the last attempt at a round.

        Args:
            number: The number of the round.

        Returns:
            The attempt; None where no plan was made yet.
        """
        return next((each for each in reversed(self.rounds) if each.number == number), None)

    def now(self, round_: Round) -> Round:
        """Give a round as it is now.

        Args:
            round_: The round as it was in an earlier history.

        Returns:
            It, with what was added.
        """
        return next(each for each in self.rounds if each.digest == round_.digest)


def round_folder(number: int, attempt: int) -> str:
    """Say where the files of an attempt at a round lie.

    Args:
        number: The number of the round.
        attempt: That of the attempt.

    Returns:
        The folder's name.
    """
    return f"round-{number:04}" + ("" if attempt == 1 else f"-{attempt}")


def read_history(ledger: Ledger, training: Training) -> History:
    """Find the rounds in a ledger.

    An entry of somebody who may not make it, or that comes too late, is
    nothing: a plan while a round is open, an end of what was closed.

    Args:
        ledger: The ledger, whose chain is sound.
        training: The terms.

    Returns:
        The rounds.
    """
    roster = training.roster
    rounds: list[Round] = []
    by_plan: dict[bytes, Round] = {}
    ended = None
    for link in ledger.links:
        name, event = link.signer.name, link.entry.event
        if roster.cards.get(name) != link.signer:
            continue
        if (event == "ended" and name == roster.coordinator) or (
            event == "failed" and name in roster.makers("sum") and link.entry.plan in by_plan
        ):
            ended = ended or link
        elif event == "plan" and name == roster.coordinator:
            following = _following(rounds)
            if following is not None and link.entry.plan not in by_plan:
                rounds.append(Round(*following, link))
                by_plan[link.entry.plan] = rounds[-1]
        elif link.entry.plan in by_plan:
            _add(by_plan[link.entry.plan], link, training)
    return History(tuple(rounds), ended)


def said_in(link: Link) -> dict[str, Any]:
    """Read what an entry's text says beside what happened, such as seconds.

    Whoever signed it could write anything: only numbers are taken, none
    beyond what such numbers are.

    Args:
        link: The entry.

    Returns:
        Numbers by name, and under `metrics` a map of more; empty where the text is no map.
    """
    try:
        found = json.loads(link.entry.text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    said: dict[str, Any] = {name: value for name, value in found.items() if _is_within(value, 0, 2**63)}
    if isinstance(metrics := found.get("metrics"), dict):
        said["metrics"] = {name: value for name, value in metrics.items() if _is_within(value, -1e300, 1e300)}
    return said


def _is_within(value: object, low: float, high: float) -> bool:
    """Whether a value is a number from `low` to `high`, which NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _following(rounds: list[Round]) -> tuple[int, int] | None:
    """Which round a plan is of now; None while one is open."""
    if not rounds:
        return 1, 1
    last = rounds[-1]
    if last.opened:
        return last.number + 1, 1
    return (last.number, last.attempt + 1) if last.abandoned else None


def _add(found: Round, link: Link, training: Training) -> None:
    name, event, roster = link.signer.name, link.entry.event, training.roster
    if event == "abandoned" and name == roster.coordinator and not found.closed:
        found.abandoned = found.abandoned or link
    elif event == "enrolled" and name in roster.makers("aggregate"):
        found.enrolled.append(link)
    elif event == "closed" and name in roster.makers("aggregate") and not found.abandoned:
        found.closed.append(link)
    elif event == "aggregate" and name in roster.makers("aggregate"):
        found.aggregated.append(link)
    elif event == "opened" and name in roster.makers("sum") and found.closed:
        found.opened.append(link)
    elif event == "applied":
        found.applied.setdefault(name, link)
        # Files may have been exchanged for a while; who has the model refuses it no more.
        found.refused.pop(name, None)
    elif event == "refused":
        found.refused.setdefault(name, link)
