"""The account of a party's updates with noise, kept beside its identity."""

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.privacy.account import Balance, Spending, balances, read_account, write_account
from hecli.privacy.describe import shown
from hecli.rounds.encrypt import Spend
from hecli.storage.locks import locked
from hecli.storage.store import Store


def spending(store: Store, account: str, identity: Identity, lock: str, budget: float | None = None) -> Spend:
    """Make what writes down, in a party's account, that an update with noise is sent.

    An update counts when it is encrypted, for what is sent can be opened, and is
    never taken back: not one that was stopped, and not one that is made again.

    Args:
        store: Where the account is.
        account: Its path; the file is made where it is not there.
        identity: Whose it is.
        lock: The path of the file that other processes wait for.
        budget: The largest epsilon, for the plan's unit and delta, that updates may cost; None for any.

    Returns:
        It. It raises RefusedError where an update would cost too much.
    """

    def spend(plan: Plan) -> None:
        this = plan.spending
        if this is None:
            return
        with locked(lock):
            spent = spent_in(store, account, identity)
            after = (*spent, this)
            if budget is not None:
                _check(account, after, budget)
            there = store.exists(account)
            with store.create(account, replace=there, secret=True) as out:
                write_account(after, out, identity)

    return spend


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
    """Refuse the last update where it costs more than is left."""
    last = spent[-1]
    wanted, gone = (_epsilon(each, last) for each in (spent, spent[:-1]))
    if wanted > budget:
        raise RefusedError(
            f"epsilon would be {shown(wanted)} at delta {last.delta:g}, above the budget of {budget:g}",
            f"{shown(gone)} was spent before, says {account}, and nothing is ever taken back",
        )


def _epsilon(spent: tuple[Spending, ...], like: Spending) -> float:
    """What updates cost as one of them counts."""
    return next((each.epsilon for each in balances(spent, like.delta) if each.unit == like.unit), 0.0)


def balance_of(store: Store, account: str, identity: Identity, plan: Plan) -> Balance | None:
    """Say what a party's updates have cost, as a plan counts.

    Args:
        store: Where the account is.
        account: Its path.
        identity: Whose it is.
        plan: The plan, whose unit and delta count.

    Returns:
        The balance; None where the plan has no noise.
    """
    like = plan.spending
    if like is None:
        return None
    found = balances(spent_in(store, account, identity), like.delta)
    return next((each for each in found if each.unit == like.unit), None)
