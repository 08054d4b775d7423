"""Options that make updates smaller, and the files that go with them."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from hecli.cli import options as shared
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, open_input
from hecli.codec.low_rank import MAX_RANK, LowRank
from hecli.errors import HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.plan.data import Plan
from hecli.rounds.basis import read_basis
from hecli.rounds.headers import Sum
from hecli.rounds.residual import Feedback, kept_in, read_residual, settle
from hecli.storage.local import LOCAL, at_the_end
from hecli.storage.paths import folder_of, joined
from hecli.storage.places import ANYWHERE

if TYPE_CHECKING:
    from hecli.codec.basis import Basis

Command = Callable[..., Any]

BASIS = ".basis"


def options(command: Command) -> Command:
    """Add --rotate, --rank and --sample."""
    for each in (
        click.option(
            "--sample",
            type=float,
            metavar="SHARE",
            help="Send a random share of the values, drawn anew each round.",
        ),
        click.option(
            "--rank",
            type=click.IntRange(1, MAX_RANK),
            metavar="R",
            help="Send matrices as one of two factors of rank R a round.",
        ),
        click.option(
            "--rotate", is_flag=True, help="Spread tensors evenly over their values, for 2 to 8 bits."
        ),
    ):
        command = each(command)
    return command


basis = click.option(
    "--basis",
    type=shared.FILE,
    metavar="FILE",
    help="The bases, for plans with --rank. [default: those of the plan, beside it or beside the sum]",
)


def load_basis(path: str | None, plan: Plan | None, beside: str | None) -> "Basis | None":
    """Read the bases of a plan.

    Args:
        path: Where they are said to be.
        plan: The plan, if there is one.
        beside: The file beside which they are else.

    Returns:
        The bases; None where the plan is not of low rank.

    Raises:
        RefusedError: They are not there.
    """
    step = None if plan is None else plan.codec.step(LowRank)
    if plan is None or step is None:
        shared.refuse("basis", "is for plans with --rank")
        return None
    found = path or (None if beside in (None, STANDARD) else _basis_beside(str(beside), step.basis))
    if found is None:
        raise RefusedError(
            f"the basis of the plan {plan.name!r} (digest {step.basis.hex()[:16]}) is not here",
            "pass --basis, the .basis file that was made with the plan",
        )
    with open_input(found) as stream:
        return read_basis(open_reader(stream))


def _basis_beside(file: str, digest: bytes) -> str | None:
    """The bases with this digest in a file's folder, whatever they are called."""
    folder = folder_of(file)
    for name in sorted(ANYWHERE.list(folder)):
        if not name.endswith(BASIS):
            continue
        path = joined(folder, name)
        try:
            with open_input(path) as stream:
                if open_reader(stream).digest == digest:
                    return path
        except HecliError:
            # Another file's fault is not this command's.
            continue
    return None


def plan_path() -> str | None:
    """Say where the plan of the command at hand is."""
    path: str | None = click.get_current_context().params.get("plan")
    return path


def feedback(path: str | None, stack: ExitStack) -> Feedback | None:
    """Keep what does not get through in a file.

    Args:
        path: The file, if one is named.
        stack: When it ends well, the file has what did not get through.

    Returns:
        Where to keep it.

    Raises:
        RefusedError: There can be no such file.
    """
    if path == STANDARD:
        raise RefusedError("a residual is kept from round to round", "name a file with --residual")
    # Where a link leads: to an encrypted disk, say, where it is to stay.
    return None if path is None else stack.enter_context(kept_in(LOCAL, at_the_end(path)))


def settled(path: str | None, total: Sum, console: Console, stack: ExitStack) -> None:
    """Let go of what got through, before the model is moved: a sum can be applied again.

    Args:
        path: The residual, if one is named.
        total: The opened sum.
        console: Says what came of it.
        stack: As long as it lasts, the residual is not replaced.

    Raises:
        FormatError: The residual is not sound.
        MismatchError: It is of another round.
    """
    if path is None:
        return
    residual = read_residual(open_reader(stack.enter_context(LOCAL.open(path))))
    out = stack.enter_context(LOCAL.create(at_the_end(path), replace=True, secret=True))
    if settle(residual, total, out):
        console.note(f"{path}: your update is in the sum; what did not get through goes with the next one")
    else:
        console.note(f"{path}: your update is not in the sum; all of it goes with the next one")
