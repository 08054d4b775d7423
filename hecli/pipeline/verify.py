"""What can be checked without any secret: signatures, rosters, plans, and whole aggregates."""

from collections.abc import Sequence
from typing import BinaryIO

from hecli.formats.rounds import Contributor
from hecli.pipeline.aggregate import open_ciphertexts
from hecli.pipeline.facts import Facts
from hecli.pipeline.inspect import inspect
from hecli.pipeline.recompute import check_recomputed
from hecli.pipeline.streams import Progress, no_progress, open_reader
from hecli.plan import Plan


def verify(source: BinaryIO, plan: Plan | None = None) -> Facts:
    """Check a file in a seekable stream as `inspect` does, and return what it is.

    Where it follows a plan, raises MismatchError unless it is `plan`.
    """
    facts = inspect(source)
    if plan is not None and "plan" in facts:
        reader = open_reader(source)
        Plan.from_map(reader.header["plan"], reader.name).check_same(plan, reader.name, "the plan")
    return facts


def verify_aggregate(
    aggregate: BinaryIO,
    sources: Sequence[BinaryIO],
    plan: Plan | None = None,
    *,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> tuple[Contributor, ...]:
    """Recompute an aggregate from its parties' updates, all seekable streams; return who is in it.

    Raises MismatchError, naming the first difference, where it is not their
    product, and as `hecli.aggregate` does for updates that are not sound.
    """
    reader = open_reader(aggregate)
    own, header = open_ciphertexts(reader, plan)
    check_recomputed(reader, own, header.contributors, sources, jobs=jobs, progress=progress)
    return header.contributors
