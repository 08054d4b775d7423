"""What can be checked without any secret: signatures, rosters, plans, and whole aggregates."""

from typing import BinaryIO

from hecli.plan.data import Plan
from hecli.rounds.facts import Facts
from hecli.rounds.inspect import inspect
from hecli.rounds.streams import open_reader


def verify(source: BinaryIO, plan: Plan | None = None) -> Facts:
    """Check a file in a seekable stream as `inspect` does, and return what it is.

    Where it follows a plan, raises MismatchError unless it is `plan`.
    """
    facts = inspect(source)
    if plan is not None and "plan" in facts:
        reader = open_reader(source)
        Plan.from_map(reader.header["plan"], reader.name).check_same(plan, reader.name, "the plan")
    return facts
