"""The headers of a round's files, opened and checked: encoded, update, aggregate, partial and sum.

Each carries the whole plan.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hecli.codec.control import Control
from hecli.errors import FormatError, RefusedError
from hecli.formats.canonical import Map, digest_of, fields, repack
from hecli.formats.contributors import (
    Contributor,
    Enrolled,
    pack_contributors,
    pack_enrolled,
    parse_contributor,
    parse_contributors,
    parse_enrolled,
)
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader
from hecli.identity.signatures import signature_of
from hecli.plan.checks import THE_PLAN, check_same, possible_totals
from hecli.plan.data import Plan
from hecli.plan.files import parse_plan
from hecli.rounds.signing import check_signed

SALT_SIZE = 32
"""Bytes of what sets one update apart from all others."""


class Encoded(NamedTuple):
    """One party's update as lanes, in the clear.

    Args:
        plan: The plan it follows.
        control: What its control block says.
    """

    plan: Plan
    control: Control


class Blocks(NamedTuple):
    """An update (one contributor, itself) or an aggregate.

    Args:
        plan: The plan it follows.
        contributors: Who is in it.
        enrolled: With whom it is masked, where the plan allows for dropouts.
        salt: What sets an update apart from all others, where it has proofs.
    """

    plan: Plan
    contributors: tuple[Contributor, ...]
    enrolled: tuple[Enrolled, ...]
    salt: bytes = b""


@dataclass(frozen=True)
class Partial:
    """What one share contributes to opening an aggregate.

    Args:
        plan: The plan it follows.
        contributors: Who is in the aggregate.
        aggregate: The digest of the aggregate.
        index: The number of the share, from 1.
    """

    plan: Plan
    contributors: tuple[Contributor, ...]
    aggregate: bytes
    index: int

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        return {**about_header(self.plan, self.contributors, self.aggregate), "index": self.index}


@dataclass(frozen=True)
class Sum:
    """An opened aggregate: lane sums, and the totals of the control block.

    Args:
        plan: The plan it follows.
        contributors: Who is in it.
        aggregate: The digest of the aggregate that it was opened from.
        weight: Their weights together.
        clipped: How many of their values were clipped.
    """

    plan: Plan
    contributors: tuple[Contributor, ...]
    aggregate: bytes
    weight: int
    clipped: int

    @property
    def control(self) -> Control:
        """What the aggregate's control block must say."""
        return Control(len(self.contributors), self.weight, self.clipped)

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        totals = {"weight": self.weight, "clipped": self.clipped}
        return {**about_header(self.plan, self.contributors, self.aggregate), **totals}


def plan_of(value: Map, name: str, expected: Plan | None = None, who: str = THE_PLAN) -> Plan:
    """Read the plan that a file carries.

    Args:
        value: The plan as it stands in the header.
        name: The file, for errors.
        expected: The plan that it must follow, where there is one.
        who: What that is called.

    Returns:
        The plan.

    Raises:
        FormatError: It is none.
        MismatchError: It is another than expected.
    """
    # By its digest first: mostly that is enough.
    if expected is not None and digest_of("plan", repack(value)) == expected.digest:
        return expected
    own = parse_plan(value, name)
    if expected is not None:
        check_same(expected, own, who, name)
    return own


def update_header(plan: Plan, party: str | None, enrolled: tuple[Enrolled, ...], salt: bytes) -> Map:
    """Write the header of an update, whose one contributor's digest is the file's own.

    Args:
        plan: The plan it follows.
        party: Whose it is.
        enrolled: With whom it is masked, where the plan allows for dropouts.
        salt: What sets it apart from all others, where it has proofs.

    Returns:
        The map.
    """
    salted = {"salt": salt} if plan.scheme.knowledge else {}
    return {"plan": plan.to_map(), "party": party, **pack_enrolled(enrolled), **salted}


def aggregate_header(blocks: Blocks) -> Map:
    """Write the header of an aggregate.

    Args:
        blocks: What it is.

    Returns:
        The map.
    """
    contributors = pack_contributors(blocks.contributors)
    return {
        "plan": blocks.plan.to_map(),
        "contributors": contributors,
        **pack_enrolled(blocks.enrolled),
    }


def open_encoded(reader: Reader, plan: Plan | None = None) -> Encoded:
    """Read what an encoded file says of itself.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
    """
    reader.require("encoded")
    fields(reader.header, reader.name, "its header", {"plan": dict})
    own = plan_of(reader.header["plan"], reader.name, plan)
    reader.require_sections(*own.geometry.encoded)
    control = Control.unpack(reader.section("control").read(1))
    if control.count != 1:
        raise FormatError(f"{reader.name}: its control block is not that of one party")
    if not 1 <= control.weight <= own.max_weight:
        raise FormatError(f"{reader.name}: its weight is not from 1 to {own.max_weight:,}")
    if control.clipped > own.geometry.values:
        raise FormatError(f"{reader.name}: says more values were clipped than there are")
    return Encoded(own, control)


def open_blocks(reader: Reader, plan: Plan | None = None, who: str = THE_PLAN) -> Blocks:
    """Read what an update or aggregate says of itself, and check all signatures.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.
        who: What that is called.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster forbids it.
    """
    reader.require("update", "aggregate")
    header, name = reader.header, reader.name
    if reader.kind == "update":
        types: dict[str, type | tuple[type, ...]] = {"plan": dict, "party": (str, type(None))}
        fields(header, name, "its header", types, {"enrolled": list, "salt": bytes})
    else:
        fields(header, name, "its header", {"plan": dict, "contributors": list}, {"enrolled": list})
    own = plan_of(reader.header["plan"], reader.name, plan, who)
    if reader.kind == "update":
        if len(header.get("salt", b"")) != (SALT_SIZE if own.scheme.knowledge else 0):
            raise FormatError(f"{name}: its salt has the wrong length")
        signature = signature_of(reader) if own.roster is not None else None
        value = None if signature is None else signature.value
        contributors: tuple[Contributor, ...] = (
            parse_contributor(name, header["party"], reader.digest, value),
        )
    else:
        contributors = parse_contributors(header["contributors"], name)
    enrolled = parse_enrolled(header, name)
    sizes = own.geometry
    reader.require_sections(*(sizes.update if reader.kind == "update" else sizes.aggregate))
    if len(contributors) > own.capacity:
        raise FormatError(f"{name}: lists more contributors than its plan has room for")
    check_signed(own, reader, contributors)
    check_enrolled(own, contributors, enrolled, name)
    return Blocks(own, contributors, enrolled, header.get("salt", b""))


def check_enrolled(
    plan: Plan, contributors: tuple[Contributor, ...], enrolled: tuple[Enrolled, ...], file: str
) -> None:
    """Refuse an update or aggregate that lists those who enrolled as it cannot.

    Args:
        plan: Its plan.
        contributors: Who is in it.
        enrolled: Who enrolled.
        file: The file, for errors.

    Raises:
        FormatError: The list does not fit.
    """
    if plan.masking is not None:
        plan.masking.check_enrolled(contributors, enrolled, plan.round, file)
    elif enrolled:
        raise FormatError(f"{file}: its list of those who enrolled does not fit its plan")


def open_partial(reader: Reader, plan: Plan | None = None, who: str = THE_PLAN) -> Partial:
    """Read what a partial says of itself, and check all signatures.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.
        who: What that is called.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster forbids it.
    """
    reader.require("partial")
    own, contributors = open_about(reader, {"index": int}, plan, who)
    sharing = own.scheme.sharing
    if sharing is None:
        raise FormatError(f"{reader.name}: the key of its plan is not in shares")
    index = reader.header["index"]
    if not 1 <= index <= sharing.shares:
        raise FormatError(f"{reader.name}: is of share {index}, there are {sharing.shares}")
    reader.require_sections(*own.geometry.partial(sharing))
    check_signed(own, reader, contributors)
    return Partial(own, contributors, reader.header["aggregate"], index)


def open_sum(reader: Reader, plan: Plan | None = None) -> Sum:
    """Read what a sum says of itself, and check all signatures.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster forbids it.
    """
    reader.require("sum")
    own, contributors = open_about(reader, {"weight": int, "clipped": int}, plan)
    header, name, count = reader.header, reader.name, len(contributors)
    for field in ("weight", "clipped"):
        if header[field] < 0:
            raise FormatError(f"{name}: its {field} is negative")
    reader.require_sections(*own.geometry.sum)
    check_signed(own, reader, contributors)
    if not own.min_parties <= count <= own.capacity:
        raise FormatError(f"{name}: has {count} contributors, which its plan does not allow")
    if not possible_totals(own, count, header["weight"], header["clipped"]):
        raise FormatError(f"{name}: its total weight or clipped count is out of range")
    return Sum(own, contributors, header["aggregate"], header["weight"], header["clipped"])


def no_masks(plan: Plan) -> RefusedError:
    """Say that nobody enrolls in a round.

    Args:
        plan: Its plan.

    Returns:
        The error, to be raised.
    """
    return RefusedError(f"the plan {plan.name!r} has no masks", "nobody has to enroll")


def no_dropouts(plan: Plan) -> RefusedError:
    """Say that nobody answers in a round.

    Args:
        plan: Its plan.

    Returns:
        The error, to be raised.
    """
    return RefusedError(f"the plan {plan.name!r} allows for no dropouts", "nobody has to answer")


def open_about(
    reader: Reader,
    types: dict[str, type],
    plan: Plan | None,
    who: str = THE_PLAN,
    optional: dict[str, type] | None = None,
) -> tuple[Plan, tuple[Contributor, ...]]:
    """Read what a file that is about an aggregate says of it.

    Args:
        reader: The opened file.
        types: The other fields of its header.
        plan: The plan it must follow, where there is one.
        who: What that is called.
        optional: Fields that may be missing.

    Returns:
        Its plan, and the aggregate's contributors.

    Raises:
        FormatError: It is not sound.
        MismatchError: It follows another plan.
    """
    header, name = reader.header, reader.name
    known = {"plan": dict, "contributors": list, "aggregate": bytes, **types}
    fields(header, name, "its header", known, optional)
    if len(header["aggregate"]) != DIGEST_SIZE:
        raise FormatError(f"{name}: the digest of its aggregate has the wrong length")
    return plan_of(reader.header["plan"], reader.name, plan, who), parse_contributors(
        header["contributors"], name
    )


def about_header(plan: Plan, contributors: tuple[Contributor, ...], aggregate: bytes) -> Map:
    """Write the part of a header that is about an aggregate.

    Args:
        plan: The plan.
        contributors: Who is in the aggregate.
        aggregate: Its digest.

    Returns:
        The map.
    """
    return {
        "plan": plan.to_map(),
        "contributors": pack_contributors(contributors),
        "aggregate": aggregate,
    }
