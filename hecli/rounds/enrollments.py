"""The enrollments and answers of a round, opened and checked."""

from collections.abc import Sequence
from typing import BinaryIO

from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.formats.contributors import Enrolled
from hecli.formats.reader import Reader, open_reader
from hecli.plan.data import Plan
from hecli.rounds.headers import Blocks, no_dropouts, no_masks, plan_of
from hecli.rounds.signing import check_party
from hecli.schemes.interface import ANSWERS
from hecli.schemes.masks.files import Answer, Enrollment
from hecli.schemes.masks.protocol import Enrollments
from hecli.schemes.masks.revealing import Answered


def open_enrollment(reader: Reader, plan: Plan | None = None) -> tuple[Plan, Enrollment]:
    """Read an enrollment, and check its signature.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.

    Returns:
        Its plan, and what it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The plan has no masks, or the roster forbids it.
    """
    enrollment = Enrollment.parse(reader)
    own = plan_of(reader.header["plan"], reader.name, plan)
    if own.masking is None or own.roster is None:
        raise no_masks(own)
    check_party(own, reader, enrollment.party)
    enrollment.check_form(own.roster.parties, reader.name, dropouts=bool(own.masking.dropouts))
    return own, enrollment


def open_enrollments(
    sources: Sequence[BinaryIO], plan: Plan, expected: tuple[Enrolled, ...] | None = None
) -> Enrollments:
    """Read all enrollments of a round, each party's once.

    Args:
        sources: The files, seekable.
        plan: The plan they must follow.
        expected: Which ones they must be, where updates are masked already.

    Returns:
        The enrollments.

    Raises:
        FormatError: A file is not sound.
        MismatchError: They follow another plan, or are others than expected.
        RefusedError: A party enrolled twice, or the plan has no masks.
    """
    if plan.masking is None:
        raise no_masks(plan)
    by_party: dict[str, Enrollment] = {}
    files: dict[str, str] = {}
    listed = []
    for source in sources:
        reader = open_reader(source)
        _, enrollment = open_enrollment(reader, plan)
        if enrollment.party in by_party:
            raise RefusedError(
                f"{enrollment.party} enrolled twice, in {files[enrollment.party]} and in {reader.name}",
                "ask the party which one counts: all others must use the same",
            )
        by_party[enrollment.party], files[enrollment.party] = enrollment, reader.name
        listed.append(Enrolled(enrollment.party, reader.digest))
    found = Enrollments(by_party, tuple(sorted(listed)))
    if expected is not None and found.listed != expected:
        raise MismatchError(
            "the updates were masked with other enrollments than these",
            f"pass those of {', '.join(each.party for each in expected)} with --enroll, as they were then",
        )
    return found


def open_answer(reader: Reader, plan: Plan | None = None) -> tuple[Plan, Answer]:
    """Read an answer, and check its signature.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.

    Returns:
        Its plan, and what it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The plan allows for no dropouts, or the roster forbids it.
    """
    found = Answer.parse(reader)
    own = plan_of(reader.header["plan"], reader.name, plan)
    if ANSWERS not in own.to_open or own.roster is None:
        raise no_dropouts(own)
    check_party(own, reader, found.party)
    if strangers := sorted({each.party for each in found.enrolled} - set(own.roster.parties)):
        raise FormatError(f"{reader.name}: answers about {strangers[0][:64]!r}, who is no party of its plan")
    found.check_form(own.roster.parties, reader.name)
    return own, found


def open_answers(sources: Sequence[BinaryIO], name: str, blocks: Blocks) -> list[Answered]:
    """Read all answers about an aggregate's contributors, each party's once.

    Args:
        sources: The files, seekable.
        name: What the aggregate is called.
        blocks: What it says of itself.

    Returns:
        The answers.

    Raises:
        FormatError: A file is not sound.
        MismatchError: They follow another plan, or are about other parties.
        RefusedError: A party answers twice, or the plan allows for no dropouts.
    """
    plan, present = blocks.plan, {each.party for each in blocks.contributors}
    if ANSWERS not in plan.to_open:
        raise no_dropouts(plan)
    found: dict[str, Answered] = {}
    for source in sources:
        reader = open_reader(source)
        _, answer = open_answer(reader, plan)
        if answer.present != present or answer.enrolled != blocks.enrolled:
            raise MismatchError(
                f"{reader.name}: answers about other parties than those in {name}",
                "answers about one set of parties, who enrolled with the same files, are used together",
            )
        if answer.party in found:
            raise RefusedError(f"{answer.party} answers twice, again in {reader.name}", "leave one out")
        found[answer.party] = Answered(answer, reader.name)
    return list(found.values())
