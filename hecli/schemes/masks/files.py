"""The files of a round that survives dropouts: enrollments before it, answers after the aggregate."""

from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.cards import KEY_SIZE
from hecli.formats.envelope import DIGEST_SIZE, Reader

SHARE_SIZE = 66


class ForParty(NamedTuple):
    """What an enrollment holds for one party: a sealed box with two shares, and the digests of both."""

    box: bytes
    self_digest: bytes
    mask_digest: bytes


@dataclass(frozen=True)
class Enrollment:
    """A party's part in a round's masks: its round key, and shares of its secrets for every party.

    `parties` are in the order of the roster's; `own` is a box with the secrets
    themselves, for the party alone; `self_digest` is that of its self mask's seed.
    """

    plan: Map
    party: str
    mask_key: bytes
    self_digest: bytes
    own: bytes
    parties: tuple[ForParty, ...]

    def header(self) -> Map:
        """The header map of the file."""
        return vars(self) | {"parties": [list(each) for each in self.parties]}

    @classmethod
    def parse(cls, reader: Reader) -> "Enrollment":
        """Read the header; raises FormatError."""
        reader.require("enrollment", hint="make one with hecli enroll")
        reader.require_body(0, 0)
        types: dict[str, type | tuple[type, ...]] = {
            "plan": dict,
            "party": str,
            "mask_key": bytes,
            "self_digest": bytes,
            "own": bytes,
            "parties": list,
        }
        fields(reader.header, reader.name, "its header", types)
        header = reader.header
        if len(header["mask_key"]) != KEY_SIZE or len(header["self_digest"]) != DIGEST_SIZE:
            raise FormatError(f"{reader.name}: a key or digest in it has the wrong length")
        parties = tuple(_for_party(item, reader.name) for item in header["parties"])
        return cls(**{**header, "parties": parties})


@dataclass(frozen=True)
class Answer:
    """What one party reveals about an aggregate: shares, by the name of whose secret they are of.

    Of a contributor's self mask's seed, or of an absent party's mask key, and
    never of both for one party.
    """

    plan: Map
    party: str
    aggregate: bytes
    self_shares: tuple[tuple[str, int], ...]
    mask_shares: tuple[tuple[str, int], ...]

    def header(self) -> Map:
        """The header map of the file."""
        lists = {
            name: [[owner, share.to_bytes(SHARE_SIZE, "big")] for owner, share in shares]
            for name, shares in (("self_shares", self.self_shares), ("mask_shares", self.mask_shares))
        }
        return {"plan": self.plan, "party": self.party, "aggregate": self.aggregate, **lists}

    @classmethod
    def parse(cls, reader: Reader) -> "Answer":
        """Read the header; raises FormatError."""
        reader.require("answer", hint="make one with hecli answer")
        reader.require_body(0, 0)
        types: dict[str, type | tuple[type, ...]] = {
            "plan": dict,
            "party": str,
            "aggregate": bytes,
            "self_shares": list,
            "mask_shares": list,
        }
        fields(reader.header, reader.name, "its header", types)
        header = reader.header
        if len(header["aggregate"]) != DIGEST_SIZE:
            raise FormatError(f"{reader.name}: the digest of its aggregate has the wrong length")
        shares = {name: _shares(header[name], reader.name) for name in ("self_shares", "mask_shares")}
        if {owner for owner, _ in shares["self_shares"]} & {owner for owner, _ in shares["mask_shares"]}:
            raise FormatError(f"{reader.name}: holds shares of both secrets of one party")
        return cls(**{**header, **shares})


def _for_party(item: object, file: str) -> ForParty:
    match item:
        case [bytes(box), bytes(first), bytes(second)] if len(first) == len(second) == DIGEST_SIZE:
            return ForParty(box, first, second)
    raise FormatError(f"{file}: what it holds for a party is malformed")


def _shares(items: list[object], file: str) -> tuple[tuple[str, int], ...]:
    found = []
    for item in items:
        match item:
            case [str(owner), bytes(share)] if len(share) == SHARE_SIZE:
                found.append((owner, int.from_bytes(share, "big")))
            case _:
                raise FormatError(f"{file}: a share in it is malformed")
    owners = [owner for owner, _ in found]
    if owners != sorted(set(owners)):
        raise FormatError(f"{file}: its shares are out of order")
    return tuple(found)
