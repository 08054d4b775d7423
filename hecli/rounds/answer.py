"""What a party reveals once the contributors of a round are fixed."""

from collections.abc import Sequence
from typing import BinaryIO

from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.decrypt import open_aggregate
from hecli.rounds.dropouts import Written, open_enrollments, write_answer
from hecli.rounds.streams import Progress, Record, no_progress


def answer(
    aggregate: BinaryIO,
    out: BinaryIO,
    identity: Identity,
    enrollments: Sequence[BinaryIO],
    *,
    plan: Plan | None = None,
    sources: Sequence[BinaryIO] | None = None,
    record: Record | None = None,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Written:
    """Write to `out` this party's answer about an aggregate, both streams, the first one seekable.

    For each contributor a share of its self mask's seed, for each other who
    enrolled a share of its round key, never both for one. `record` is told
    first: where it forbids no second answer about another aggregate, the two
    together may uncover a party. Refuses what `hecli.decrypt` refuses before it
    opens anything, and takes the same arguments.
    """
    opening = open_aggregate(aggregate, "answer", plan, sources, identity, jobs=jobs, progress=progress)
    opened = open_enrollments(enrollments, opening.plan, opening.enrolled)
    return write_answer(opening.plan, opening.reader, opening.contributors, out, identity, opened, record)
