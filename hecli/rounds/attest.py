"""A member's word that an aggregate is the product of its parties' updates, which all have their proofs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.canonical import Map
from hecli.formats.contributors import Contributor, Enrolled, pack_enrolled, parse_enrolled
from hecli.formats.reader import Reader, open_reader
from hecli.formats.text import count
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.headers import Blocks, about_header, check_enrolled, open_about, open_blocks
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.signing import check_party
from hecli.rounds.slices import Product, extent_of
from hecli.rounds.verify_aggregate import check_recomputed

KIND = "attestation"


@dataclass(frozen=True)
class Attestation:
    """What a member attests.

    Args:
        plan: The plan.
        party: The member.
        aggregate: The digest of the aggregate.
        contributors: Who is in it.
        enrolled: With whom it is masked, where the plan allows for dropouts.
    """

    plan: Plan
    party: str
    aggregate: bytes
    contributors: tuple[Contributor, ...]
    enrolled: tuple[Enrolled, ...]

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        about = about_header(self.plan, self.contributors, self.aggregate)
        return {**about, "party": self.party, **pack_enrolled(self.enrolled)}


@dataclass(frozen=True)
class Attested:
    """An attestation that was written.

    Args:
        attestation: What it says.
        digest: The file's digest.
    """

    attestation: Attestation
    digest: bytes


def attest(
    aggregate: BinaryIO,
    updates: Sequence[BinaryIO],
    out: BinaryIO,
    identity: Identity,
    *,
    plan: Plan | None = None,
    part: tuple[int, int] | None = None,
    checked: bool = False,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Attested:
    """Check that an aggregate is the product of its parties' updates, and all proofs, and sign that it is.

    Args:
        aggregate: The aggregate.
        updates: The parties' updates.
        out: Where the attestation goes.
        identity: The member.
        plan: The plan that all must follow; without it the aggregate's own.
        part: Of many machines of the member's, which this is, from 1, and how
            many there are: then a slice is written, for `join`.
        checked: Whether you had all parts of it checked with `verify_aggregate`.
        work: Who works.
        progress: Told how many blocks are checked, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A file is not sound, or a proof does not hold.
        MismatchError: The aggregate is something else.
        RefusedError: The identity is no member, or an update is missing.
    """
    reader = open_reader(aggregate)
    blocks = open_blocks(reader, plan)
    if blocks.plan.roster is None:
        raise RefusedError(f"the plan {blocks.plan.name!r} has no roster, and nobody's word counts in it")
    blocks.plan.roster.check_identity(identity, KIND)
    extent = extent_of(blocks.plan, part)
    reader = reader.within(extent.records)
    if not checked:
        reader.verify()
        check_recomputed(reader, blocks, updates, [extent], work, progress)
    made = Attestation(blocks.plan, identity.card.name, reader.digest, blocks.contributors, blocks.enrolled)
    product = Product(KIND, made.header(), blocks.plan)
    if part is None:
        return Attested(made, product.write(out, (), identity))
    return Attested(made, product.write_slice(out, extent, (), identity))


def open_attestation(reader: Reader, plan: Plan | None = None, who: str = "the plan") -> Attestation:
    """Read an attestation, and check its signature.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.
        who: What that is called.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: Its member is not on the roster.
    """
    reader.require(KIND)
    reader.require_sections()
    own, contributors = open_about(reader, {"party": str}, plan, who, {"enrolled": list})
    header, name = reader.header, reader.name
    if own.roster is None:
        raise FormatError(f"{name}: its plan has no roster")
    enrolled = parse_enrolled(header, name)
    check_party(own, reader, header["party"])
    own.roster.check_contributors(contributors, own.digest, name)
    check_enrolled(own, contributors, enrolled, name)
    return Attestation(own, header["party"], header["aggregate"], contributors, enrolled)


def check_attested(reader: Reader, blocks: Blocks, attestations: Sequence[BinaryIO], needed: int) -> None:
    """Refuse an aggregate that too few members attest.

    Args:
        reader: The opened aggregate.
        blocks: What it says of itself.
        attestations: Their attestations.
        needed: How many members it takes.

    Raises:
        FormatError: An attestation is not sound.
        MismatchError: One is about another aggregate.
        RefusedError: There are too few, of different members.
    """
    said = reader.digest, blocks.contributors, blocks.enrolled
    members = set()
    for source in attestations:
        file = open_reader(source)
        found = open_attestation(file, blocks.plan, reader.name)
        if (found.aggregate, found.contributors, found.enrolled) != said:
            raise MismatchError(
                f"{file.name}: attests another aggregate than {reader.name} "
                f"({found.aggregate.hex()[:16]}, not {reader.digest.hex()[:16]})",
                "attestations of one aggregate are used together",
            )
        members.add(found.party)
    if len(members) < needed:
        raise RefusedError(
            f"{count(len(members), 'member')} of the roster attested, {needed} required",
            "members attest with hecli verify --attest",
        )
