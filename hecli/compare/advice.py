"""What to take: rules that docs/compare.md has in words, on what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from hecli.compare.exposure import AGGREGATOR, KEYHOLDER, NO, NOBODY, PARTY, STORAGE
from hecli.formats.text import count, count_bytes, duration

RATE = 10e6 / 8
"""Bytes a second that a party sends: an uplink of 10 Mbit/s."""

POINTS = 1.0
"""How many points below the best a technique's accuracy may end."""

Row = Mapping[str, Any]


def advise(summary: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Recommend one of the techniques that were measured.

    Args:
        summary: What all rows have in common.
        rows: The techniques.

    Returns:
        The technique's name, or None where none is to be recommended; and two sentences.
    """
    left = [row for row in rows if not row["failure"]]
    left = [row for row in left if _hidden(row, STORAGE) and _hidden(row, AGGREGATOR)]
    if not left:
        return {
            "technique": None,
            "text": "Nothing that was measured hides an update from the storage and the aggregator. "
            "Leave out --techniques to see what does.",
        }
    trained = "averaging" in summary
    if trained:
        best = max(row["accuracy"]["mean"][-1] for row in left if "accuracy" in row)
        left = [
            row for row in left if "accuracy" in row and row["accuracy"]["mean"][-1] >= best - POINTS / 100
        ]
    nobody = [row for row in left if _hidden(row, KEYHOLDER)]
    left = nobody or left
    lasting = [row for row in left if row["dropouts"]]
    left = lasting or left
    taken = min(left, key=seconds)
    return {
        "technique": taken["technique"],
        "text": f"{_why(taken, trained=trained)} {_but(summary, rows, taken)}",
    }


def seconds(row: Row) -> float:
    """Say how long a round takes from the first command to the last, with sending at 10 Mbit/s.

    Args:
        row: A technique.

    Returns:
        The seconds.
    """
    figures = row["figures"]
    working: float = figures["party"] + figures["aggregator"] + figures["opening"]
    return working + float(figures["bytes"]) / RATE


def _hidden(row: Row, who: str) -> bool:
    return row["learns"][who]["level"] in (NO, NOBODY)


def _why(row: Row, *, trained: bool) -> str:
    """The first sentence: what to take, and its reasons."""
    reasons = []
    if not _hidden(row, PARTY):
        reasons.append(
            "there are two parties, so that the mean shows each the other's update, and nobody else"
        )
    elif _hidden(row, KEYHOLDER):
        reasons.append("nobody alone could open one party's update")
    else:
        reasons.append("storage and aggregator learn nothing, and the keyholder is trusted not to look")
    if row["dropouts"]:
        reasons.append(f"a round goes on without {count(row['dropouts'], 'party', 'parties')}")
    cost = f"{duration(seconds(row))} at 10 Mbit/s, {count_bytes(row['figures']['bytes'])} of a party"
    reasons.append(f"a round is the quickest of those for which that holds: {cost}")
    if trained:
        reasons.append(f"its model ends at {100 * row['accuracy']['mean'][-1]:.1f} %")
    return f"Take {row['title']!r}: {'; '.join(reasons)}."


def _but(summary: Mapping[str, Any], rows: Sequence[Row], taken: Row) -> str:
    """The second sentence: what that does not do."""
    noise = summary["noise"]
    if taken["noise"]:
        return f"Its noise promises epsilon {noise['epsilon']:.3g} for each {noise['unit']}."
    noisy = [row for row in rows if row["noise"] and "accuracy" in row]
    if noisy:
        best = max(noisy, key=lambda row: row["accuracy"]["mean"][-1])
        lost = 100 * (taken["accuracy"]["mean"][-1] - best["accuracy"]["mean"][-1])
        how = f"costs {lost:.1f} points" if lost > 0 else "costs no accuracy here"
        return (
            f"What the finished model tells of the data it leaves as it is: {best['title']!r}, at epsilon "
            f"{noise['epsilon']:.3g} for each {noise['unit']}, {how}."
        )
    return (
        "What the mean itself tells of the data it leaves as it is: only noise (--techniques dp) bounds that."
    )
