"""What a comparison looks like on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hecli.cli.console import say, show_list
from hecli.compare.cells import UNKNOWN, cost_cells, noise_text, training_cells
from hecli.compare.exposure import NOBODY, WHO
from hecli.formats.text import count

Row = Mapping[str, Any]

SHORT = {
    "storage": "storage",
    "aggregator": "aggregator",
    "keyholder": "keyholder",
    "T-1 holders": "T-1",
    "another party": "party",
}
"""Titles of columns that are narrow."""


def show(found: Mapping[str, Any]) -> None:
    """Print a comparison.

    Args:
        found: It.
    """
    rows = [row for row in found["rows"] if not row["failure"]]
    for line in _head(found):
        say(line)
    say("")
    costs = [cost_cells(row) for row in rows]
    columns = ["technique", *costs[0]]
    _table(columns, [[row["title"], *cells.values()] for row, cells in zip(rows, costs, strict=True)])
    say("")
    say("who could learn one party's update, and what else there is to know")
    who = ["technique", *(SHORT[each] for each in WHO), "may go", "quantum"]
    _table(who, [[row["title"], *_knowing(row)] for row in rows])
    if "averaging" in found:
        say("")
        say(f"accuracy at the end, in percent of {found['held_out']:,} records held out; points more than")
        say("plain averaging; bytes (rounds) until an accuracy is reached; epsilon of all rounds")
        lines = [(row["title"], training_cells(row, found)) for row in rows if "accuracy" in row]
        lines += [
            (each["title"], training_cells(each, found)) for each in found["beside"] if "accuracy" in each
        ]
        _table(["technique", *lines[0][1]], [[title, *cells.values()] for title, cells in lines])
    say("")
    for line in _notes(found, rows):
        say(line)
    say("")
    say(found["recommendation"]["text"])


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    parties = count(found["parties"], "party", "parties")
    yield f"{parties}, {count(found['values'], 'value')}, keys of {found['key_bits']:,} bits"
    if "averaging" in found:
        yield (
            f"trained on {count(found['records'], 'record')} of {found['classes']} classes, split "
            f"{found['split']}, {count(found['rounds'], 'round')}, {count(found['seeds'], 'seed')}"
        )
    yield f"whole commands on {count(found['cores'], 'core')} of {found['machine']}, {found['arithmetic']}"
    if any(row["noise"] for row in found["rows"]):
        yield noise_text(found)
    if found["perturbed"]:
        made_up = count(found["perturbed"], "party", "parties")
        yield f"the updates of {made_up} are made up, like those at hand"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    show_list(columns, rows, dropped=columns[-2], cut=("technique",))


def _knowing(row: Row) -> list[str]:
    levels = [UNKNOWN if (level := row["learns"][who]["level"]) == NOBODY else level for who in WHO]
    return [*levels, str(row["dropouts"]), "closed" if row["post_quantum"] else "open"]


def _notes(found: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for who in WHO:
            if why := row["learns"][who]["why"]:
                reasons.setdefault(f"{row['learns'][who]['level']}: {why}", []).append(row["title"])
    for why, titles in reasons.items():
        yield f"{why} ({', '.join(dict.fromkeys(titles))})"
    steps = {row["title"]: row["extra_steps"] for row in rows if row["extra_steps"]}
    for title, each in steps.items():
        yield f"more steps: {title}: {', '.join(each)}"
    if any(row["figures"]["extrapolated"] for row in rows):
        yield "~: extrapolated from a part of the values, of which error and memory are shown"
    for row in (*found["rows"], *found.get("beside", ())):
        if row.get("failure"):
            yield f"not measured: {row['title']}: {row['failure']}"
