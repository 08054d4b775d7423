"""hecli status."""

import csv
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

from hecli.cli import options
from hecli.cli.console import say, show_error, show_list
from hecli.cli.files import check_output, open_output, shared_folder
from hecli.errors import UnreachableError
from hecli.formats.text import count, count_bytes, duration, percent
from hecli.ledger.chain import Ledger, follow
from hecli.pages.charts import Series, check_charts, lines
from hecli.pages.page import Cell, figures, heading, page, paragraph, table
from hecli.privacy.describe import shown
from hecli.training.joining import read_terms, read_training_ledger
from hecli.training.session import LEDGER
from hecli.training.status import curves, read_status

BARS = "▁▂▃▄▅▆▇█"
SHOWN_ROUNDS = 10
SHOWN_METRICS = 3
FLAT = 0.001
"""Values that differ by less than this share are shown as one height: rounding is no curve."""
WIDEST = 40
PAUSE = 1.0


@click.command()
@click.argument("folder", type=options.FILE)
@click.option("--follow", "following", is_flag=True, help="Show it again whenever something happens.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole history as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a line for each round.")
@click.option("--html", type=options.FILE, metavar="FILE", help="Write a page with a chart of the metrics.")
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
def status(folder: str, following: bool, as_json: bool, as_csv: bool, html: str | None, force: bool) -> int:
    """Show how far a training is, and what happened in it.

    Takes no key and no identity: it reads the terms and the ledger. Times are
    what their makers' clocks said. Status 1 where the training failed, or
    somebody refuses the model or has another.

    \b
      hecli status shared/
      hecli status shared/ --follow
      hecli status shared/ --csv > rounds.csv
      hecli status shared/ --html rounds.html
    """
    if [following, as_json, as_csv].count(True) > 1:
        raise click.UsageError("--follow, --json and --csv exclude each other")
    if html is not None:
        check_charts()
        check_output(html, force=force, hint="name another file, or pass --force to replace it")
    shared = shared_folder(folder)
    terms = read_terms(shared)
    ledger = read_training_ledger(shared)
    found = read_status(shared, terms, ledger, datetime.now(UTC))
    if html is not None:
        _write_page(found, html, force=force)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif as_csv:
        _print_csv(found)
    else:
        _show(found, folder, ledger)
    while following and found["over"] is None and found["awaited"] is not None:
        time.sleep(PAUSE)
        entries = len(ledger.links)
        # Storage that does not answer may do so later.
        with suppress(UnreachableError):
            ledger = follow(shared, LEDGER, ledger)
        if len(ledger.links) != entries:
            found = read_status(shared, terms, ledger, datetime.now(UTC))
            say("")
            _show(found, folder, ledger)
    return _problems(found, ledger)


def _show(found: dict[str, Any], folder: str, ledger: Ledger) -> None:
    rounds = found["rounds"]
    say(
        f"{folder}: {found['training']!r}, round {found['rounds_done']} of {found['rounds_planned']} done, "
        f"{count(len(found['parties']), 'party', 'parties')}, coordinated by {found['coordinator']}"
    )
    say(
        f"roles        aggregates: {', '.join(found['aggregators'])}; opens: {', '.join(found['keyholders'])}"
    )
    if rounds:
        columns, cells = _table(found, rounds[-SHOWN_ROUNDS:])
        metrics = columns[len(_COLUMNS) :]
        show_list(columns, cells, dropped="applied", cut=metrics or ["update"])
    width = max([12, *(len(name) for name in curves(found))])
    for name, points in curves(found).items():
        say(f"{name:<{width}} {_line([value for _, value in points])}")
    last = rounds[-1] if rounds else None
    if last and last["missing"] and last["closed"]:
        say(f"without      {', '.join(last['missing'])} in round {last['round']}")
    if privacy := found["privacy"]:
        spent, promised = shown(privacy["epsilon"]), shown(privacy["promised"])
        say(f"privacy      epsilon {spent} of {promised} is spent, at delta {privacy['delta']:g}")
    if found["over"]:
        say(f"over         {found['over']}")
    elif found["awaited"] is None:
        say(f"over         {count(found['rounds_done'], 'round')} done, and applied by all")
    else:
        say(f"awaited      {_awaited(found['awaited'])}")
    say(f"checks       {_checks(found, ledger)}")
    say(f"head {found['head']}")


_COLUMNS = ["round", "parties", "update", "collect", "open", "clipped", "applied"]


def _table(found: dict[str, Any], rounds: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of rounds; of many metrics only the first ones, the others are in --csv."""
    metrics = sorted(curves(found))[:SHOWN_METRICS]
    columns = [*_COLUMNS, *(f"({name})" if name in _COLUMNS else name for name in metrics)]
    return columns, [_row(each, metrics) for each in rounds]


def _row(each: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    seconds = each["seconds"]
    share = each["clipped_share"]
    again = f" ({each['attempt']})" if each["attempt"] > 1 else ""
    return [
        f"{each['round']}{again}",
        str(len(each["contributors"])) if each["closed"] else "abandoned" if each["abandoned"] else "",
        count_bytes(each["bytes"]["update"]) if "update" in each["bytes"] else "",
        "" if seconds["collect"] is None else duration(seconds["collect"]),
        "" if seconds["open"] is None else duration(seconds["open"]),
        "" if share is None else percent(share),
        str(len(each["applied"])) if each["applied"] else "",
        *(f"{each['metrics'][name]:.4g}" if name in each["metrics"] else "" for name in metrics),
    ]


def _line(values: list[float]) -> str:
    """A curve of small bars, with the first and the last value beside it."""
    some = values if len(values) <= WIDEST else [values[at * len(values) // WIDEST] for at in range(WIDEST)]
    low, high = min(values), max(values)
    if high - low <= FLAT * max(abs(low), abs(high)):
        return f"{values[0]:.4g} {BARS[3] * len(some)} {values[-1]:.4g}"
    span = high - low
    bars = "".join(BARS[min(7, int(8 * (value - low) / span))] for value in some)
    return f"{values[0]:.4g} {bars} {values[-1]:.4g}"


def _awaited(awaited: dict[str, Any]) -> str:
    names = ", ".join(awaited["names"])
    since = "" if awaited["seconds"] is None else f", for {duration(awaited['seconds'])}"
    return f"round {awaited['round']}: {awaited['what']} of {names}{since}"


def _checks(found: dict[str, Any], ledger: Ledger) -> str:
    if ledger.problems:
        return f"the ledger is broken: {ledger.problems[0]}"
    refused = sum(len(each["refused"]) for each in found["rounds"])
    differing = sum(len(each["differing"]) for each in found["rounds"])
    if refused or differing:
        return f"{count(refused, 'refusal')}, {count(differing, 'other model')}; see below"
    chain = f"{count(found['entries'], 'entry', 'entries')} in one chain"
    return f"{chain}; every model the same for all who applied it"


def _problems(found: dict[str, Any], ledger: Ledger) -> int:
    problems = list(ledger.problems)
    for each in found["rounds"]:
        problems += [
            f"round {each['round']}: {name} refuses the model: {why}" for name, why in each["refused"].items()
        ]
        problems += [f"round {each['round']}: {name} has another model" for name in each["differing"]]
    if found["failed"]:
        problems.append(f"the training failed: {found['over']}")
    for each in problems:
        show_error(each)
    return 1 if problems else 0


def _print_csv(found: dict[str, Any]) -> None:
    metrics = sorted(curves(found))
    out = csv.writer(sys.stdout, lineterminator="\n")
    fields = ["round", "attempt", "planned", "closed", "opened", "parties", "weight", "clipped"]
    steps = ["collect", "aggregate", "open", "apply"]
    out.writerow([*fields, *(f"{each}_seconds" for each in steps), "update_bytes", "applied", *metrics])
    for each in found["rounds"]:
        row = {**each, "parties": len(each["contributors"])}
        out.writerow(
            [
                *(row[name] for name in fields),
                *(each["seconds"][step] for step in steps),
                each["bytes"].get("update"),
                len(each["applied"]),
                *(each["metrics"].get(name) for name in metrics),
            ]
        )


def _write_page(found: dict[str, Any], path: str, *, force: bool) -> None:
    """Write a page with a chart for each metric, whose scales have nothing in common."""
    title = f"{found['training']}: round {found['rounds_done']} of {found['rounds_planned']}"
    charts = []
    for name, points in curves(found).items():
        rounds, values = zip(*points, strict=True)
        says = f"{name} of each round: {values[0]:.4g} at first, {values[-1]:.4g} at the end."
        charts.append((name, lines([Series(name, rounds, values)], "round", name, says), ""))
    columns, rows = _table(found, found["rounds"])
    cells = [[Cell(text) for text in row] for row in rows]
    parts = [
        heading(title, 1),
        figures(charts),
        table(columns, cells, "Each round"),
        paragraph(f"head {found['head']}", "quiet"),
    ]
    with open_output(path, force=force) as out:
        out.write(page(title, parts).encode())
