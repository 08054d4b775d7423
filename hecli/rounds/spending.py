"""The account of a party's updates with noise, kept beside its identity."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.identity.cards import Card
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.privacy.account import Spending, balances, read_account, write_account
from hecli.privacy.describe import shown
from hecli.storage.locks import locked
from hecli.storage.store import Store

BUDGET_DELTA = 1e-5
"""The delta that a budget is for, whatever plans ask for."""


class Account(NamedTuple):
    """What counts a party's updates with noise.

    Args:
        owner: Whose it is.
        check: Raises RefusedError where an update of a plan would cost too much.
        spend: Writes down that an update of a plan is sent; raises RefusedError likewise.
    """

    owner: Card
    check: Callable[[Plan], None]
    spend: Callable[[Plan], None]


def spending(
    store: Store, account: str, identity: Identity, lock: str, budget: float | None = None
) -> Account:
    """Keep a party's account.

    An update counts when it is encrypted, for what is sent can be opened, and is
    never taken back: not one that was stopped, and not one that is made again.

    Args:
        store: Where the account is.
        account: Its path; the file is made where it is not there.
        identity: Whose it is.
        lock: The path of the file that other processes wait for.
        budget: The largest epsilon that updates may cost, at a delta of BUDGET_DELTA; None for any.

    Returns:
        What counts.

    Raises:
        HecliError: There can be no such budget.
    """
    if budget is not None and not 0 < budget < math.inf:
        raise HecliError(f"a budget of {budget:g} allows for nothing", "give a number above 0")

    def after(this: Spending) -> tuple[Spending, ...]:
        spent = (*spent_in(store, account, identity), this)
        if budget is not None:
            _check(account, spent, budget)
        return spent

    def check(plan: Plan) -> None:
        if plan.spending is not None:
            after(plan.spending)

    def spend(plan: Plan) -> None:
        if plan.spending is not None:
            with locked(lock):
                spent, there = after(plan.spending), store.exists(account)
                with store.create(account, replace=there, secret=True) as out:
                    write_account(spent, out, identity)

    return Account(identity.card, check, spend)


def spent_in(store: Store, account: str, identity: Identity) -> tuple[Spending, ...]:
    """Read a party's own account.

    Args:
        store: Where the account is.
        account: Its path.
        identity: Whose it is.

    Returns:
        What is in it; nothing where there is none yet.

    Raises:
        HecliError: It was altered, or is another's.
    """
    if not store.exists(account):
        return ()
    try:
        with store.open(account) as stream:
            return read_account(open_reader(stream), identity.card)
    except FormatError as error:
        raise HecliError(
            error.message, "it says what privacy was spent: restore it from a copy; nobody else can make it"
        ) from error


def _check(account: str, spent: tuple[Spending, ...], budget: float) -> None:
    """Refuse the last update where it costs more than is left, whoever it is that is protected."""
    # Not at a delta of whoever made a plan, who could choose one that promises next to nothing, or too much.
    for wanted in balances(spent, BUDGET_DELTA):
        if not wanted.bounded:
            raise RefusedError(
                f"{account} counts rounds that protect all a party sends, and rounds that protect records",
                "for a party as a whole these together promise nothing, so no budget holds: keep to one kind",
            )
        if not wanted.epsilon <= budget:
            before = {each.unit: each.epsilon for each in balances(spent[:-1], BUDGET_DELTA)}
            gone = before.get(wanted.unit, 0.0)
            raise RefusedError(
                f"epsilon would be {shown(wanted.epsilon)} at delta {BUDGET_DELTA:g}, "
                f"above the budget of {budget:g}",
                f"{shown(gone)} was spent before, says {account}, which leaves "
                f"{max(0.0, budget - gone):.3g}: nothing is ever taken back",
            )


def shown_delta(spent: Sequence[Spending]) -> float:
    """Say at which delta updates are shown together.

    Args:
        spent: The updates.

    Returns:
        The least that was asked for, and BUDGET_DELTA at most.
    """
    return min([BUDGET_DELTA, *(each.delta for each in spent)])
