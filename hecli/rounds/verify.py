"""What can be checked of a file without any secret: its digests, signatures, roster and plan."""

from typing import BinaryIO

from hecli.formats.reader import open_reader
from hecli.plan.data import Plan
from hecli.rounds.describe import Description
from hecli.rounds.headers import plan_of
from hecli.rounds.inspect import inspect


def verify(source: BinaryIO, plan: Plan | None = None) -> Description:
    """Check a file as `inspect` does, and that it follows a plan.

    Args:
        source: The file.
        plan: The plan that it must follow, where it follows any.

    Returns:
        What it is, as a map that JSON can hold.

    Raises:
        FormatError: The file is not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster of its plan forbids it.
    """
    found = inspect(source)
    if plan is not None and "plan" in found:
        plan_of(open_reader(source), plan)
    return found
