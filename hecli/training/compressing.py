"""What compression keeps between the rounds of a training: bases, and what did not get through."""

from contextlib import ExitStack
from typing import BinaryIO

from hecli.codec.basis import Basis
from hecli.codec.low_rank import LowRank
from hecli.formats.reader import open_reader
from hecli.plan.data import Plan
from hecli.rounds.basis import make_basis, read_basis
from hecli.rounds.headers import open_sum
from hecli.rounds.residual import read_residual, settle
from hecli.training.own import BASIS, RESIDUAL
from hecli.training.session import Session


def basis_of(session: Session, plan: Plan) -> Basis | None:
    """Give the bases of a round.

    Args:
        session: The run.
        plan: The round's plan.

    Returns:
        The bases, which this member made from the sum of the round before; None
        where the round is not of low rank.
    """
    if plan.codec.step(LowRank) is None or plan.position is None:
        return None
    with session.own.path(plan.position.round - 1, BASIS).open("rb") as stream:
        return read_basis(open_reader(stream))


def next_basis(session: Session, number: int, total: BinaryIO, plan: Plan) -> LowRank | None:
    """Make the bases of the next round, where it is of low rank.

    Args:
        session: The run.
        number: The number of the round that was opened.
        total: Its sum.
        plan: Its plan.

    Returns:
        The step of the next round's codec.
    """
    rank = session.training.rank
    if rank is None:
        return None
    own = session.own
    with own.store.create(str(own.path(number, BASIS)), replace=True, secret=True) as out:
        return make_basis(total, out, rank, plan=plan).step


def settle_residual(session: Session, total: BinaryIO, plan: Plan) -> None:
    """Let go of what got through in a round that was opened, where this party sent something.

    Args:
        session: The run.
        total: The round's sum.
        plan: Its plan.
    """
    path = session.own.root / RESIDUAL
    if not path.exists():
        return
    with ExitStack() as stack:
        residual = read_residual(open_reader(stack.enter_context(path.open("rb"))))
        # Settled before by a run that was stopped, or about another round.
        if residual.subject != plan.subject:
            return
        header = open_sum(open_reader(total), plan)
        out = stack.enter_context(session.own.store.create(str(path), replace=True, secret=True))
        settle(residual, header, out)
