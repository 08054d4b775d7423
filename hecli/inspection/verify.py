"""What can be checked of a file without any secret: its digests, signatures, roster, plan and proofs."""

from typing import BinaryIO

from hecli.executors.interface import SERIAL, Executor
from hecli.formats.reader import open_reader
from hecli.inspection.inspect import inspect
from hecli.plan.data import Plan
from hecli.rounds.describe import Description
from hecli.rounds.headers import open_blocks, plan_of
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.proofs import check_proofs
from hecli.rounds.slices import extent_of, open_slice


def verify(
    source: BinaryIO,
    plan: Plan | None = None,
    *,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Description:
    """Check a file as `inspect` does, that it follows a plan, and the proofs in an update.

    Args:
        source: The file.
        plan: The plan that it must follow, where it follows any.
        work: Who works.
        progress: Told how many blocks are checked, and of how many.

    Returns:
        What it is, as a map that JSON can hold.

    Raises:
        FormatError: The file is not sound, or a proof does not hold.
        MismatchError: It follows another plan.
        RefusedError: The roster of its plan forbids it.
    """
    found = inspect(source)
    reader = open_reader(source)
    if plan is not None and reader.kind == "slice":
        open_slice(reader, plan)
    elif plan is not None and "plan" in found:
        plan_of(reader.header["plan"], reader.name, plan)
    if reader.kind == "update":
        blocks = open_blocks(reader, plan)
        (contributor,) = blocks.contributors
        updates = [(reader, contributor.party, blocks.salt)]
        check_proofs(updates, blocks.plan, extent_of(blocks.plan, None), blocks.enrolled, work, progress)
        found["proofs"] = "hold" if found["proofs"] else "none"
    return found
