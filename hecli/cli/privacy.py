"""hecli privacy."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import click

from hecli.cli import options
from hecli.cli.console import say, show_error, show_list, shown
from hecli.cli.files import STANDARD, open_input
from hecli.cli.noise import DELTA, PROTECTS, account_of
from hecli.errors import HecliError, RefusedError
from hecli.formats.reader import START_SIZE, Reader, is_own, open_reader
from hecli.identity.cards import Card
from hecli.identity.files import parse_identity
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Ledger, read_ledger
from hecli.plan.files import carried_plan, parse_plan
from hecli.privacy import describe
from hecli.privacy.account import KIND, Balance, Spending, balances, read_account
from hecli.rounds.spending import shown_delta
from hecli.storage.paths import folder_of, joined, scheme_of
from hecli.storage.patterns import walk
from hecli.storage.places import ANYWHERE
from hecli.training.history import read_history
from hecli.training.session import LEDGER, TERMS_FILE
from hecli.training.terms import Training, read_training


class Row(NamedTuple):
    """A line of what was spent.

    Args:
        name: Of which rounds, or whose.
        protects: Whose data noise protects.
        updates: How many there are.
        rho: What they cost, by their sums, and
        alone: each by itself; None where nothing bounds it.
        epsilon: What that promises, and
        epsilon_alone: likewise.
    """

    name: str
    protects: str
    updates: int
    rho: float | None = None
    alone: float | None = None
    epsilon: float | None = None
    epsilon_alone: float | None = None

    @classmethod
    def of(cls, name: str, found: Balance) -> "Row":
        """Make the line of a balance.

        Args:
            name: Of which rounds, or whose.
            found: What they cost.

        Returns:
            The line.
        """
        made = cls(name, PROTECTS[found.unit], found.sums.openings)
        if not found.bounded:
            return made
        return made._replace(
            rho=float(found.sums.rho),
            alone=float(found.alone.rho),
            epsilon=describe.finite(found.epsilon),
            epsilon_alone=describe.finite(found.epsilon_alone),
        )


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
    if scheme_of(where) or Path(where).is_dir():
        title, (rows, at, problems) = PARTY, _of_ledger(where, files, delta)
    else:
        options.refuse("files", "is for ledgers")
        title, problems = ROUNDS, []
        rows, at = _of_account(where, delta, as_json=as_json)
    if as_json:
        click.echo(json.dumps([each._asdict() | {"delta": at} for each in rows], indent=2))
    elif rows:
        show_list(
            [title, "protects", "updates", "rho", "epsilon", "alone"],
            [_cells(each) for each in rows],
            dropped="rho",
            cut=(title,),
        )
        say(f"epsilon      of the sums, at delta {at:g}")
        say("alone        of whoever opens single updates, or two sums that differ by one")
    else:
        say(f"{shown(where)}: no update with noise")
    for each in problems:
        show_error(each)
    return 1 if problems else 0


def _of_account(path: str, delta: float | None, *, as_json: bool) -> tuple[list[Row], float]:
    """A party's own account: by rounds that cost the same, and all together."""
    with open_input(path) as stream:
        reader = open_reader(stream)
        if reader.kind == KIND:
            spent, owner = read_account(reader), signer_of(reader)
        else:
            owner, _ = parse_identity(reader)
            spent = _beside(path, owner, as_json=as_json)
    if owner is not None and spent and not as_json:
        say(f"account      {owner.fingerprint} {owner.name}")
    delta = delta or shown_delta(spent)
    rows = []
    for _, group in groupby(spent, key=lambda each: each[2:]):
        same = list(group)
        name = same[0].name if len(same) == 1 else f"{same[0].name} to {same[-1].name}"
        rows += [Row.of(name, each) for each in balances(same, delta)]
    together = [Row.of("all together", each) for each in balances(spent, delta)]
    return (rows + together if len(rows) > 1 else rows), delta


def _beside(path: str, owner: Card, *, as_json: bool) -> tuple[Spending, ...]:
    """The account beside an identity."""
    if path == STANDARD:
        raise RefusedError("no account stands beside an identity from a pipe", "name its file")
    account = account_of(path)
    if not os.path.lexists(account):
        if not as_json:
            say(f"no account stands beside it: there is no {shown(account)}")
        return ()
    with open_input(account) as stream:
        return read_account(open_reader(stream), owner)


def _has_terms(folder: str) -> bool:
    return ANYWHERE.exists(joined(folder, TERMS_FILE))


def _of_ledger(folder: str, files: str | None, delta: float | None) -> tuple[list[Row], float, list[str]]:
    """Everybody's updates, as far as a ledger has them; the delta; and what is wrong."""
    training = None
    place = folder.rstrip("/") if scheme_of(folder) else str(Path(folder).absolute())
    above = folder_of(place)
    if not _has_terms(place) and _has_terms(above):
        # The ledger of a training was named: what it means stands in the terms beside it.
        place = above
    inside = place
    if _has_terms(place):
        inside = joined(place, LEDGER)
        with open_input(joined(place, TERMS_FILE)) as stream:
            training = read_training(open_reader(stream))
    files = files or above
    found = read_ledger(ANYWHERE, inside)
    if training is not None:
        rows, delta = _of_training(found, training, delta)
        return rows, delta, list(found.problems)
    plans = _plans(files, {link.entry.plan for link in found.links if link.entry.plan})
    called = {link.entry.plan: link.entry.text for link in found.links if link.entry.event == "plan"}
    problems = list(found.problems)
    if any(link.entry.event == "training" for link in found.links):
        problems.append(f"{folder} is the ledger of a training: name the folder that it is in")
    spent: dict[str, list[Spending]] = defaultdict(list)
    bare: Counter[str] = Counter()
    for party, plan, _ in sorted(_updates(found)):
        if plan not in plans:
            problems.append(f"the plan {plan.hex()[:16]} of {called.get(plan, '')!r} is not in {files}")
        elif (costs := plans[plan]) is None:
            bare[party] += 1
        else:
            spent[party].append(costs)
    delta = delta or shown_delta([each for every in spent.values() for each in every])
    rows = []
    for party in sorted({*spent, *bare}):
        rows += [Row.of(party, each) for each in balances(spent[party], delta)]
        rows += [Row(party, "nothing, no noise", bare[party])] if bare[party] else []
    return rows, delta, list(dict.fromkeys(problems))


def _of_training(found: Ledger, training: Training, delta: float | None) -> tuple[list[Row], float]:
    """What each party of a training can have spent: all attempts at rounds count, whoever was in them."""
    promise = training.privacy
    attempts = len(read_history(found, training).rounds)
    if promise is None or not attempts:
        return [], delta or DELTA
    delta = delta or promise.delta
    sums = promise.cost(attempts)
    alone = sums.scaled(training.min_parties - promise.colluders)
    balance = Balance(promise.unit, sums, alone, delta)
    return [Row.of(name, balance) for name in training.roster.parties], delta


def _updates(found: Ledger) -> set[tuple[str, bytes, bytes]]:
    """Whose updates a ledger has: the party, the plan, and the digest of each."""
    return {
        (link.entry.party, link.entry.plan, digest)
        for link in found.links
        if link.entry.event == "update"
        for _, digest in link.entry.files or (("", b""),)
    }


def _plans(folder: str, wanted: Iterable[bytes]) -> dict[bytes, Spending | None]:
    """What an update of each of these plans costs, as far as a file in a folder carries them."""
    found: dict[bytes, Spending | None] = {}
    left = set(wanted)
    for path in walk(ANYWHERE, folder):
        if not left:
            break
        try:
            with open_input(joined(folder, path)) as stream:
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
    rho = "" if row.rho is None else f"{row.rho:.3g}"
    epsilons = describe.shown(row.epsilon), describe.shown(row.epsilon_alone)
    return [row.name, row.protects, f"{row.updates:,}", rho, *epsilons]
