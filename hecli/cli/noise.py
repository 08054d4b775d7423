"""Options for noise, and what commands say of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from hecli.cli import options as shared
from hecli.cli.console import Console
from hecli.formats.text import count
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.privacy.account import SUFFIX, balances
from hecli.privacy.accounting import rho_within
from hecli.privacy.choosing import Asked, Promise
from hecli.privacy.describe import finite, shown
from hecli.privacy.guarantee import PARTY, UNITS, check_asked
from hecli.rounds.spending import Account, shown_delta, spending, spent_in
from hecli.rounds.update import Update
from hecli.storage.local import LOCAL, beside_the_end

Command = Callable[..., Any]

DELTA = 1e-5

MOST_EPSILON = 30
"""With more, next to nothing is promised, and hecli does not pretend it."""

PROTECTS = {"party": "all a party sent", "record": "one record"}
"""Whose data is protected, by the unit."""

NOISY = ("noise_ratio", "epsilon", "delta", "unit", "colluders")
"""Options that say what noise there is to be."""


def options(command: Command) -> Command:
    """Add --clip, --epsilon, --delta, --unit and --colluders."""
    for each in (
        click.option(
            "--colluders",
            type=click.IntRange(1),
            default=1,
            metavar="H",
            help="How many contributors' noise does not count, their own or none. [default: 1]",
        ),
        click.option(
            "--unit",
            type=click.Choice(UNITS),
            default=PARTY,
            help="Protect all that a party sends, or one record of its data. [default: party]",
        ),
        click.option(
            "--delta",
            type=float,
            default=DELTA,
            metavar="D",
            help=f"The delta of what is promised. [default: {DELTA:g}]",
        ),
        click.option(
            "--epsilon", type=float, metavar="E", help="As much noise as this takes in all rounds together."
        ),
        click.option(
            "--clip",
            type=float,
            metavar="C",
            help="Parties add noise; the largest norm of an update, or of what a record adds to it.",
        ),
    ):
        command = each(command)
    return command


def asked(
    clip: float | None,
    noise: float | None,
    epsilon: float | None,
    delta: float,
    unit: str,
    colluders: int,
    rounds: int,
) -> Asked | None:
    """Say what noise the options ask for.

    Args:
        clip: The clip norm.
        noise: The noise of all honest contributors, in clip norms.
        epsilon: What all rounds together may promise.
        delta: The delta of it.
        unit: Whose data is protected.
        colluders: Whose noise does not count.
        rounds: How many rounds there are.

    Returns:
        It; None where they ask for none.

    Raises:
        UsageError: They do not go together.
    """
    if clip is None:
        shared.refuse(NOISY, "is for noise, with --clip")
        return None
    if (noise is None) == (epsilon is None):
        raise click.UsageError("--clip needs either --noise or --epsilon")
    if epsilon is None:
        return Asked(unit, clip, noise, None, colluders, delta)
    check_asked(unit, clip, colluders, delta)
    if not 0 < epsilon <= MOST_EPSILON:
        raise click.UsageError(
            f"an epsilon of {epsilon:g} promises nothing: give one from 0 to {MOST_EPSILON}"
        )
    return Asked(unit, clip, None, rho_within(epsilon, delta, rounds), colluders, delta)


def promise(
    clip: float | None, epsilon: float | None, delta: float, unit: str, colluders: int, rounds: int
) -> Promise | None:
    """Say what a training is to promise.

    Args:
        clip: The clip norm.
        epsilon: What all rounds together may promise.
        delta: The delta of it.
        unit: Whose data is protected.
        colluders: Whose noise does not count.
        rounds: How many rounds there are at most.

    Returns:
        It; None where there is no noise.

    Raises:
        UsageError: The options do not go together.
    """
    if clip is not None and epsilon is None:
        raise click.UsageError("--clip needs --epsilon, for all rounds together")
    found = asked(clip, None, epsilon, delta, unit, colluders, rounds)
    if found is None or found.rho is None or epsilon is None:
        return None
    return Promise(unit, found.clip, float(found.rho), epsilon, delta, colluders)


def account_of(identity: str) -> str:
    """Say where the account of an identity is: beside the file itself, or where a link there leads.

    Args:
        identity: The path of the .id file.

    Returns:
        The path of its account, which may not be there.
    """
    return beside_the_end(identity, SUFFIX)


@contextmanager
def telling(account: Account | None, console: Console) -> Iterator[Account | None]:
    """Say, where an update comes to nothing, that it counts all the same.

    Args:
        account: What counts updates.
        console: Where to say it.

    Yields:
        The same account.
    """
    if account is None:
        yield None
        return
    counted: list[Plan] = []

    def spend(plan: Plan) -> None:
        account.spend(plan)
        counted.append(plan)

    try:
        yield account._replace(spend=spend)
    except BaseException:
        if any(plan.privacy is not None for plan in counted):
            console.warn("this update was not written, and counts in your account all the same")
        raise


def counting(identity: str | None, signer: Identity | None, budget: float | None) -> Account | None:
    """Keep the account beside an identity of updates with noise.

    Args:
        identity: The path of the .id file.
        signer: The identity.
        budget: The largest epsilon.

    Returns:
        It; None where nobody is named.

    Raises:
        UsageError: There can be no such budget.
    """
    if budget is not None and not 0 < budget < float("inf"):
        raise click.UsageError(f"--budget is a number above 0, not {budget:g}")
    if identity is None or signer is None:
        return None
    return spending(LOCAL, account_of(identity), signer, identity, budget)


def say_spent(
    identity: str | None, signer: Identity | None, plan: Plan, console: Console
) -> list[dict[str, Any]]:
    """Say what updates have cost, behind one that did.

    Args:
        identity: The path of the .id file.
        signer: The identity.
        plan: The plan of the update.
        console: Where to say it.

    Returns:
        The same for scripts; nothing where the plan has no noise.
    """
    if identity is None or signer is None or plan.privacy is None:
        return []
    spent = spent_in(LOCAL, account_of(identity), signer)
    found = balances(spent, shown_delta(spent))
    for each in found:
        console.note(
            f"privacy      epsilon {shown(each.epsilon)} of {PROTECTS[each.unit]} at delta {each.delta:g} is "
            f"spent, in {count(each.sums.openings, 'update')}, says {account_of(identity)}"
        )
    return [
        {
            "protects": PROTECTS[each.unit],
            "epsilon": finite(each.epsilon),
            "delta": each.delta,
            "updates": each.sums.openings,
        }
        for each in found
    ]


def say_shrunk(update: Update, console: Console) -> None:
    """Say what an update was multiplied with, to bring it to the clip norm.

    Args:
        update: The update, read to its end.
        console: Where to say it.
    """
    if update.shrunk < 1:
        console.note(f"clipped      the update was multiplied by {update.shrunk:.3g}, to the clip norm")
