"""Slices: what one of many machines makes of an aggregate, an attestation, a partial or a sum.

A slice holds what belongs to some chunks of the aggregate, and the header of the
file that all slices together become. They are joined in `rounds.join`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from hecli.errors import FormatError
from hecli.formats import envelope
from hecli.formats.canonical import Map, fields
from hecli.formats.contributors import Contributor, parse_contributors, parse_enrolled
from hecli.formats.envelope import DIGEST_SIZE, Section
from hecli.formats.kinds import KINDS
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.plan.checks import THE_PLAN, possible_totals
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.plan.parts import MAIN
from hecli.rounds.headers import check_enrolled, plan_of

KIND = "slice"

SLICED = ("aggregate", "attestation", "partial", "sum")
"""The kinds of file that are made in slices."""


def extent_of(plan: Plan, part: tuple[int, int] | None) -> Extent:
    """Say what of a round is worked on.

    Args:
        plan: The round's plan.
        part: Which part, from 1, and of how many; None for all.

    Returns:
        What is.

    Raises:
        HecliError: There is no such part.
    """
    return Extent.all(plan.geometry) if part is None else Extent.part(plan.geometry, *part)


@dataclass(frozen=True)
class Product:
    """A file that is written whole, or in slices.

    Args:
        kind: Its kind, one of SLICED.
        header: Its header.
        plan: The plan it follows.
    """

    kind: str
    header: Map
    plan: Plan

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of the whole file."""
        return self.within(Extent.all(self.plan.geometry), whole=True)

    def within(self, extent: Extent, *, whole: bool = False) -> tuple[Section, ...]:
        """Lay out a slice of it.

        Args:
            extent: What the slice is about.
            whole: Whether it is to be the whole file instead.

        Returns:
            The sections.
        """
        return _LAYOUTS[self.kind](self.plan, extent, whole)

    def write(self, out: BinaryIO, blocks: Iterable[bytes], identity: Identity | None) -> bytes:
        """Write the whole file.

        Args:
            out: Where to.
            blocks: Its records.
            identity: Who signs it.

        Returns:
            The file's digest.
        """
        sign = signer(identity, self.kind, self.plan.digest)
        return envelope.write(out, self.kind, self.header, self.sections, blocks, sign=sign)

    def write_slice(
        self, out: BinaryIO, extent: Extent, blocks: Iterable[bytes], identity: Identity | None
    ) -> bytes:
        """Write a slice of it.

        Args:
            out: Where to.
            extent: What the slice is about.
            blocks: Its records.
            identity: Who signs it.

        Returns:
            The slice's digest.
        """
        header = {"of": self.kind, "header": self.header, "first": extent.first, "stop": extent.stop}
        sign = signer(identity, KIND, self.plan.digest)
        return envelope.write(out, KIND, header, self.within(extent), blocks, sign=sign)


class Slice(NamedTuple):
    """A slice that was opened.

    Args:
        reader: The file.
        product: The file that it is a part of.
        extent: What it is about.
        contributors: Who is in the aggregate.
        signer: Who made it, if that is signed.
    """

    reader: Reader
    product: Product
    extent: Extent
    contributors: tuple[Contributor, ...]
    signer: Card | None


def open_slice(
    reader: Reader,
    plan: Plan | None = None,
    who: str = THE_PLAN,
    known: frozenset[bytes] | None = None,
) -> Slice:
    """Read what a slice says of itself, and check all signatures.

    Args:
        reader: The opened file.
        plan: The plan it must follow, where there is one.
        who: What that is called.
        known: The digests of those that one's own workers made, and did not
            sign; no other is accepted.

    Returns:
        What it says.

    Raises:
        FormatError: It is none, or not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster forbids it.
    """
    reader.require(KIND)
    name = reader.name
    types = {"of": str, "header": dict, "first": int, "stop": int}
    fields(reader.header, name, "its header", types)
    kind, header = reader.header["of"], reader.header["header"]
    if kind not in SLICED:
        raise FormatError(f"{name}: is a slice of the kind {kind[:64]!r}, which has none")
    required, optional = _FIELDS[kind]
    fields(
        header, name, "the header in its header", {"plan": dict, "contributors": list, **required}, optional
    )
    own = plan_of(header["plan"], name, plan, who)
    contributors = parse_contributors(header["contributors"], name)
    _check_said(kind, header, own, len(contributors), name)
    extent = Extent(own.geometry, reader.header["first"], reader.header["stop"])
    if not 0 <= extent.first <= extent.stop <= extent.chunks:
        raise FormatError(f"{name}: is about chunks that its round does not have")
    product = Product(kind, header, own)
    reader.require_sections(*product.within(extent))
    if "enrolled" in optional:
        check_enrolled(own, contributors, parse_enrolled(header, name), name)
    made_by = signer_of(reader, own.digest)
    if known is not None and reader.digest not in known:
        raise FormatError(f"{name}: is not the slice that a worker made", "it was exchanged: do it again")
    if own.roster is not None:
        if known is None:
            own.roster.check_signer(made_by, kind, name)
        own.roster.check_contributors(contributors, own.digest, name)
    elif any(each.signature is not None for each in contributors):
        raise FormatError(f"{name}: has signed contributors, and its plan no roster")
    if kind == "attestation" and (made_by is None or made_by.name != header["party"]):
        raise FormatError(f"{name}: is not signed by {header['party']}", FORGED)
    return Slice(reader, product, extent, contributors, made_by)


def _check_said(kind: str, header: Map, plan: Plan, count: int, name: str) -> None:
    """Refuse a header that no whole file may have; FormatError."""
    if len(header.get("aggregate", bytes(DIGEST_SIZE))) != DIGEST_SIZE:
        raise FormatError(f"{name}: the digest of its aggregate has the wrong length")
    fewest = plan.min_parties if kind == "sum" else 1
    if not fewest <= count <= plan.capacity:
        raise FormatError(f"{name}: has {count} contributors, which its plan does not allow")
    if kind == "partial":
        sharing = plan.scheme.sharing
        if sharing is None:
            raise FormatError(f"{name}: the key of its plan is not in shares")
        if not 1 <= header["index"] <= sharing.shares:
            raise FormatError(f"{name}: is of share {header['index']}, there are {sharing.shares}")
    if kind == "attestation" and plan.roster is None:
        raise FormatError(f"{name}: its plan has no roster")
    if kind == "sum" and not (
        min(header["weight"], header["clipped"]) >= 0
        and possible_totals(plan, count, header["weight"], header["clipped"])
    ):
        raise FormatError(f"{name}: its total weight or clipped count is out of range")


def describe_range(extent: Extent) -> str:
    """Say for people what a slice is about.

    Args:
        extent: What it is about.

    Returns:
        Which chunks, counted from 1, and of how many.
    """
    if extent.first == extent.stop:
        return f"no chunks of {extent.chunks:,}"
    if extent.first + 1 == extent.stop:
        return f"chunk {extent.stop:,} of {extent.chunks:,}"
    return f"chunks {extent.first + 1:,} to {extent.stop:,} of {extent.chunks:,}"


def with_article(kind: str) -> str:
    """Name a kind of file in an error.

    Args:
        kind: The kind.

    Returns:
        The name.
    """
    return KINDS[kind].with_article


def _aggregate(plan: Plan, extent: Extent, whole: bool) -> tuple[Section, ...]:
    return plan.geometry.aggregate if whole else extent.sections


def _attestation(plan: Plan, extent: Extent, whole: bool) -> tuple[Section, ...]:
    del plan, extent, whole
    return ()


def _partial(plan: Plan, extent: Extent, whole: bool) -> tuple[Section, ...]:
    sharing = plan.scheme.sharing
    if sharing is None:
        return ()
    if whole:
        return plan.geometry.partial(sharing)
    size, proofs = plan.scheme.block_size, sharing.proof_records
    start, stop = extent.records[MAIN]
    lanes = stop - start + proofs * -(-(stop - start) // sharing.group)
    control = (1 + proofs) * extent.control
    found = Section.of("lanes", size, lanes), Section.of("control", size, control)
    return tuple(section for section in found if section.records)


def _sum(plan: Plan, extent: Extent, whole: bool) -> tuple[Section, ...]:
    if whole:
        return plan.geometry.sum
    parts = ((part.name, part.values) for part in extent.parts)
    return tuple(Section.of(name, plan.geometry.sum_size, values) for name, values in parts if values)


_LAYOUTS = {"aggregate": _aggregate, "attestation": _attestation, "partial": _partial, "sum": _sum}

_FIELDS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "aggregate": ({}, {"enrolled": list}),
    "attestation": ({"aggregate": bytes, "party": str}, {"enrolled": list}),
    "partial": ({"aggregate": bytes, "index": int}, {}),
    "sum": ({"aggregate": bytes, "weight": int, "clipped": int}, {}),
}
"""What stands in the header of each kind, besides its plan and contributors, and what may."""
