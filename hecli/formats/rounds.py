"""The headers of a round's files: encoded, update, aggregate and sum.

Each carries the whole plan as a map; what the plan means is hecli.plan's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.cards import SIGNATURE_SIZE
from hecli.formats.envelope import DIGEST_SIZE, Reader
from hecli.formats.names import check_name


class Contributor(NamedTuple):
    """A party inside an aggregate: its name, if it gave one, and the digest of its file.

    Where the plan has a roster, also its signature under that file.
    """

    party: str | None
    digest: bytes
    signature: bytes | None = None

    def __str__(self) -> str:
        return self.party if self.party is not None else f"unnamed {self.digest.hex()[:12]}"


class Enrolled(NamedTuple):
    """Who enrolled in a round's masks, and with which file."""

    party: str
    digest: bytes


@dataclass(frozen=True)
class Encoded:
    """One party's update as integer lanes, in the clear."""

    plan: Map
    weight: int
    clipped: int

    def header(self) -> Map:
        """The header map of the file."""
        return {"plan": self.plan, "weight": self.weight, "clipped": self.clipped}

    @classmethod
    def parse(cls, reader: Reader) -> "Encoded":
        """Read the header; raises FormatError."""
        reader.require("encoded")
        fields(reader.header, reader.name, "its header", {"plan": dict, "weight": int, "clipped": int})
        _not_negative(reader, "weight", "clipped")
        return cls(**reader.header)


@dataclass(frozen=True)
class Ciphertexts:
    """The header of an update (one contributor, itself) or of an aggregate.

    `enrolled` are those with whom the updates are masked, where the plan
    allows for dropouts; empty elsewhere.
    """

    plan: Map
    contributors: tuple[Contributor, ...]
    enrolled: tuple[Enrolled, ...] = ()

    @staticmethod
    def update_header(plan: Map, party: str | None, enrolled: tuple[Enrolled, ...] = ()) -> Map:
        """The header map of an update; its one contributor's digest is the file's own."""
        return {"plan": plan, "party": party, **_pack_enrolled(enrolled)}

    def aggregate_header(self) -> Map:
        """The header map of an aggregate."""
        contributors = pack_contributors(self.contributors)
        return {"plan": self.plan, "contributors": contributors, **_pack_enrolled(self.enrolled)}

    @classmethod
    def parse(cls, reader: Reader) -> "Ciphertexts":
        """Read the header of an update or an aggregate; raises FormatError."""
        reader.require("update", "aggregate", hint=_instead(reader.kind))
        header = reader.header
        if reader.kind == "update":
            update: dict[str, type | tuple[type, ...]] = {"plan": dict, "party": (str, type(None))}
            fields(header, reader.name, "its header", update, {"enrolled": list})
            signed = reader.signature if "roster" in header["plan"] else None
            signature = signed.value if signed else None
            own = _contributor(reader, header["party"], reader.digest, signature)
            contributors: tuple[Contributor, ...] = (own,)
        else:
            fields(
                header, reader.name, "its header", {"plan": dict, "contributors": list}, {"enrolled": list}
            )
            contributors = parse_contributors(reader, header["contributors"])
        return cls(header["plan"], contributors, _parse_enrolled(reader))


@dataclass(frozen=True)
class Partial:
    """What one share contributes to opening an aggregate."""

    plan: Map
    contributors: tuple[Contributor, ...]
    aggregate: bytes
    index: int

    def header(self) -> Map:
        """The header map of the file."""
        return {
            "plan": self.plan,
            "contributors": pack_contributors(self.contributors),
            "aggregate": self.aggregate,
            "index": self.index,
        }

    @classmethod
    def parse(cls, reader: Reader) -> "Partial":
        """Read the header; raises FormatError."""
        reader.require("partial", hint="make one with hecli decrypt --share")
        header = reader.header
        types = {"plan": dict, "contributors": list, "aggregate": bytes, "index": int}
        fields(header, reader.name, "its header", types)
        if len(header["aggregate"]) != DIGEST_SIZE:
            raise FormatError(f"{reader.name}: the digest of its aggregate has the wrong length")
        contributors = parse_contributors(reader, header["contributors"])
        return cls(**{**header, "contributors": contributors})


@dataclass(frozen=True)
class Sum:
    """An opened aggregate: lane sums, and the totals of the control block."""

    plan: Map
    contributors: tuple[Contributor, ...]
    aggregate: bytes
    weight: int
    clipped: int

    def header(self) -> Map:
        """The header map of the file."""
        return {
            "plan": self.plan,
            "contributors": pack_contributors(self.contributors),
            "aggregate": self.aggregate,
            "weight": self.weight,
            "clipped": self.clipped,
        }

    @classmethod
    def parse(cls, reader: Reader) -> "Sum":
        """Read the header; raises FormatError."""
        reader.require("sum", hint="open an aggregate first: hecli decrypt")
        header = reader.header
        types = {"plan": dict, "contributors": list, "aggregate": bytes, "weight": int, "clipped": int}
        fields(header, reader.name, "its header", types)
        _not_negative(reader, "weight", "clipped")
        if len(header["aggregate"]) != DIGEST_SIZE:
            raise FormatError(f"{reader.name}: the digest of its aggregate has the wrong length")
        contributors = parse_contributors(reader, header["contributors"])
        return cls(**{**header, "contributors": contributors})


def sorted_contributors(contributors: Iterable[Contributor]) -> tuple[Contributor, ...]:
    """The one order in which contributors are listed: by name, then by digest, unnamed first."""
    return tuple(sorted(contributors, key=lambda each: (each.party or "", each.digest)))


def pack_contributors(contributors: Iterable[Contributor]) -> list[list[str | bytes | None]]:
    """Contributors as they stand in a header."""
    return [list(each if each.signature is not None else each[:2]) for each in contributors]


def parse_contributors(reader: Reader, value: list[object]) -> tuple[Contributor, ...]:
    """Contributors from a header: sorted, none twice; raises FormatError."""
    found = []
    for item in value:
        match item:
            case [str() | None as party, bytes(digest)] if len(digest) == DIGEST_SIZE:
                found.append(_contributor(reader, party, digest, None))
            case [str(party), bytes(digest), bytes(signature)] if (
                len(digest) == DIGEST_SIZE and len(signature) == SIGNATURE_SIZE
            ):
                found.append(_contributor(reader, party, digest, signature))
            case _:
                raise FormatError(f"{reader.name}: its list of contributors is malformed")
    contributors = tuple(found)
    if not contributors or contributors != sorted_contributors(contributors):
        raise FormatError(f"{reader.name}: its contributors are missing or out of order")
    names = [each.party for each in contributors if each.party is not None]
    digests = {each.digest for each in contributors}
    if len(set(names)) != len(names) or len(digests) != len(contributors):
        raise FormatError(f"{reader.name}: lists a contributor twice")
    return contributors


def _pack_enrolled(enrolled: tuple[Enrolled, ...]) -> Map:
    return {"enrolled": [list(each) for each in enrolled]} if enrolled else {}


def _parse_enrolled(reader: Reader) -> tuple[Enrolled, ...]:
    found = []
    for item in reader.header.get("enrolled", []):
        match item:
            case [str(party), bytes(digest)] if len(digest) == DIGEST_SIZE:
                found.append(Enrolled(party, digest))
            case _:
                raise FormatError(f"{reader.name}: its list of those who enrolled is malformed")
    names = [each.party for each in found]
    if names != sorted(set(names)) or ("enrolled" in reader.header) != bool(found):
        raise FormatError(f"{reader.name}: its list of those who enrolled is out of order")
    return tuple(found)


def _contributor(reader: Reader, party: str | None, digest: bytes, signature: bytes | None) -> Contributor:
    if party is not None:
        try:
            check_name(party)
        except FormatError as error:
            raise FormatError(f"{reader.name}: {error.message}") from error
    return Contributor(party, digest, signature)


def _not_negative(reader: Reader, *keys: str) -> None:
    for key in keys:
        if reader.header[key] < 0:
            raise FormatError(f"{reader.name}: its {key} is negative")


def _instead(kind: str) -> str | None:
    return {
        "encoded": "encrypt it first: hecli encrypt",
        "sum": "a sum is opened already; aggregate the updates it came from",
    }.get(kind)
