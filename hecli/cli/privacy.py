"""hecli privacy."""

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import click

from hecli.cli import options
from hecli.cli.console import say, show_error, show_list, shown
from hecli.cli.files import open_input, paths_in
from hecli.cli.noise import account_of
from hecli.errors import HecliError
from hecli.formats.reader import START_SIZE, Reader, is_own, open_reader
from hecli.identity.files import parse_identity
from hecli.ledger.chain import Ledger, Link, read_ledger
from hecli.plan.files import carried_plan, parse_plan
from hecli.privacy import describe
from hecli.privacy.account import KIND, Balance, Spending, balances, read_account
from hecli.storage.local import LOCAL
from hecli.training.session import LEDGER, TERMS_FILE
from hecli.training.terms import read_training

PROTECTS = {"party": "all a party sent", "record": "one record"}


class Row(NamedTuple):
    """A line of what was spent.

    Args:
        name: Of which rounds, or whose.
        balance: What they cost.
    """

    name: str
    balance: Balance


ROUNDS, PARTY = "rounds", "party"
"""What names in lines are: of rounds in an account, of parties in a ledger."""


@click.command()
@click.argument("where", type=options.FILE, metavar="IDENTITY|LEDGER")
@click.option(
    "--delta", type=float, metavar="D", help="Show epsilon at this delta. [default: the plans' own]"
)
@click.option(
    "--files",
    type=options.FILE,
    metavar="FOLDER",
    help="Where the plans are that a ledger names. [default: the folder that the ledger is in]",
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each line.")
def privacy(where: str, delta: float | None, files: str | None, as_json: bool) -> int:
    """Show what privacy was spent on rounds with noise.

    Of an identity (or its .spent file), your own account: what you encrypted,
    for what is sent can be opened. Of a ledger, or the folder of a training:
    everybody's, as far as it is in there. Epsilon is that of the sums; beside
    it, the larger one of whoever opens a single update, or two sums that differ
    by one party.

    \b
      hecli privacy hospital-1.id
      hecli privacy shared/ --delta 1e-6
    """
    if delta is not None and not 0 < delta < 1:
        raise click.UsageError(f"a delta of {delta:g} promises nothing: give one such as 1e-5")
    if Path(where).is_dir():
        title, (rows, problems) = PARTY, _of_ledger(where, files, delta)
    else:
        options.refuse("files", "is for ledgers")
        title, (rows, problems) = ROUNDS, (_of_account(where, delta), [])
    if as_json:
        click.echo(json.dumps([_described(each) for each in rows], indent=2))
    elif rows:
        show_list(
            [title, "protects", "updates", "rho", "epsilon", "alone"],
            [_cells(each) for each in rows],
            dropped="rho",
            cut=(title,),
        )
        say(f"epsilon      of the sums, at delta {rows[0].balance.delta:g}")
        say("alone        of whoever opens single updates, or two sums that differ by one")
    else:
        say(f"{shown(where)}: no update with noise")
    for each in problems:
        show_error(each)
    return 1 if problems else 0


def _of_account(path: str, delta: float | None) -> list[Row]:
    """A party's own account: by rounds that cost the same, and all together."""
    owner = None
    with open_input(path) as stream:
        reader = open_reader(stream)
        if reader.kind != KIND:
            owner, _ = parse_identity(reader)
            path = account_of(path)
    if owner is not None and not LOCAL.exists(path):
        return []
    with open_input(path) as stream:
        spent = read_account(open_reader(stream), owner)
    delta = delta or min((each.delta for each in spent), default=None)
    rows = []
    for _, group in groupby(spent, key=lambda each: each[2:]):
        same = list(group)
        name = same[0].name if len(same) == 1 else f"{same[0].name} to {same[-1].name}"
        rows += [Row(name, each) for each in balances(same, delta) if each.unit == same[0].unit]
    together = [Row("all together", each) for each in balances(spent, delta)]
    return rows + together if len(rows) > 1 else rows


def _of_ledger(folder: str, files: str | None, delta: float | None) -> tuple[list[Row], list[str]]:
    """Everybody's updates, as far as a ledger has them; and what is wrong."""
    names: dict[str, str] = {}
    place, inside = Path(folder), Path(folder, LEDGER)
    if inside.is_dir():
        with open_input(str(place / TERMS_FILE)) as stream:
            names = read_training(open_reader(stream)).names
    else:
        place, inside = place.absolute().parent, place
    files = files or str(place)
    found = read_ledger(LOCAL, str(inside))
    plans = _plans(files, {link.entry.plan for link in found.links if link.entry.plan})
    problems = list(found.problems)
    spent: dict[str, list[Spending]] = defaultdict(list)
    for party, plan, name in sorted(_updates(found, names)):
        if plan not in plans:
            problems.append(f"the plan {plan.hex()[:16]} of {name!r} is not in {files}")
        elif (costs := plans[plan]) is not None:
            spent[party].append(costs)
    delta = delta or min((each.delta for every in spent.values() for each in every), default=None)
    rows = [Row(party, each) for party in sorted(spent) for each in balances(spent[party], delta)]
    return rows, list(dict.fromkeys(problems))


def _updates(found: Ledger, names: dict[str, str]) -> set[tuple[str, bytes, str]]:
    """Whose updates a ledger has, of which plans, and what these are called."""
    called = {link.entry.plan: link.entry.text for link in found.links if link.entry.event == "plan"}
    return {
        (party, link.entry.plan, called.get(link.entry.plan, ""))
        for link in found.links
        for party in _parties(link, names)
    }


def _parties(link: Link, names: dict[str, str]) -> list[str]:
    """Whose updates an entry says are there: its signer's, or in a training those that it lists."""
    entry = link.entry
    if entry.event == "update":
        return [entry.party]
    listed = (name.removesuffix(".enc") for name, _ in entry.files if entry.event == "closed")
    return [names[each] for each in listed if each in names]


def _plans(folder: str, wanted: Iterable[bytes]) -> dict[bytes, Spending | None]:
    """What an update of each of these plans costs, as far as a file in a folder carries them."""
    found: dict[bytes, Spending | None] = {}
    left = set(wanted)
    for path in paths_in(folder):
        if not left:
            break
        try:
            with open_input(str(path)) as stream:
                if is_own(stream.read(START_SIZE)):
                    reader: Reader = open_reader(stream)
                    digest = carried_plan(reader)
                    if digest in left:
                        found[digest] = parse_plan(reader.header["plan"], reader.name).spending
                        left.remove(digest)
        except HecliError:
            # Another file may carry it; one that is missing is said.
            continue
    return found


def _cells(row: Row) -> list[str]:
    found = row.balance
    return [
        row.name,
        PROTECTS[found.unit],
        f"{found.sums.openings:,}",
        f"{float(found.sums.rho):.3g}",
        describe.shown(found.epsilon),
        describe.shown(found.epsilon_alone),
    ]


def _described(row: Row) -> dict[str, Any]:
    found = row.balance
    return {
        "name": row.name,
        "unit": found.unit,
        "updates": found.sums.openings,
        "rho": float(found.sums.rho),
        "rho_alone": float(found.alone.rho),
        "epsilon": describe.finite(found.epsilon),
        "epsilon_alone": describe.finite(found.epsilon_alone),
        "delta": found.delta,
    }
