"""The headers of a round that survives dropouts: enrollments before it, answers after the aggregate.

Each carries the whole plan as a map; what the plan means is hecli.plan's.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.contributors import Enrolled, pack_enrolled, parse_enrolled
from hecli.formats.envelope import DIGEST_SIZE, KEY_SIZE
from hecli.formats.reader import Reader
from hecli.identity.sealing import SEAL_SIZE

SEED_SIZE = 32
SHARE_SIZE = 66


class ForParty(NamedTuple):
    """What an enrollment holds for one party.

    Args:
        box: Two shares, sealed to its card.
        self_digest: The digest of the first, of the self mask's seed.
        mask_digest: The digest of the second, of the mask key.
    """

    box: bytes
    self_digest: bytes
    mask_digest: bytes


@dataclass(frozen=True)
class Enrollment:
    """A party's part in a round's masks: its round key, and shares of its secrets for every party.

    Args:
        plan: The plan.
        party: Whose it is.
        mask_key: The public half of its round key.
        self_digest: The digest of its self mask's seed.
        own: The secrets themselves, sealed to the party alone.
        parties: What it holds for each party, in the order of the roster's.
    """

    plan: Map
    party: str
    mask_key: bytes
    self_digest: bytes
    own: bytes
    parties: tuple[ForParty, ...]

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        return vars(self) | {"parties": [list(each) for each in self.parties]}

    @classmethod
    def parse(cls, reader: Reader) -> "Enrollment":
        """Read the header.

        Args:
            reader: The opened file.

        Returns:
            The enrollment.

        Raises:
            FormatError: It is none, or not a sound one.
        """
        reader.require("enrollment")
        reader.require_sections()
        header, name = reader.header, reader.name
        types: dict[str, type | tuple[type, ...]] = {
            "plan": dict,
            "party": str,
            "mask_key": bytes,
            "self_digest": bytes,
            "own": bytes,
            "parties": list,
        }
        fields(header, name, "its header", types)
        if len(header["mask_key"]) != KEY_SIZE or len(header["self_digest"]) != DIGEST_SIZE:
            raise FormatError(f"{name}: a key or digest in it has the wrong length")
        if len(header["own"]) != SEAL_SIZE + SEED_SIZE + KEY_SIZE:
            raise FormatError(f"{name}: what it seals has the wrong length")
        parties = tuple(_for_party(item, name) for item in header["parties"])
        return cls(**{**header, "parties": parties})


@dataclass(frozen=True)
class Answer:
    """What one party reveals about a set of contributors: shares, by the name of whose secret they are of.

    Of a contributor's self mask's seed, or of an absent party's mask key, and
    never of both for one party.

    Args:
        plan: The plan.
        party: Who answers.
        enrolled: Who enrolled, with which enrollments.
        self_shares: Shares of contributors' seeds.
        mask_shares: Shares of absent parties' mask keys.
    """

    plan: Map
    party: str
    enrolled: tuple[Enrolled, ...]
    self_shares: tuple[tuple[str, int], ...]
    mask_shares: tuple[tuple[str, int], ...]

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        lists = {
            name: [[owner, share.to_bytes(SHARE_SIZE, "big")] for owner, share in shares]
            for name, shares in (("self_shares", self.self_shares), ("mask_shares", self.mask_shares))
        }
        return {"plan": self.plan, "party": self.party, **pack_enrolled(self.enrolled), **lists}

    @classmethod
    def parse(cls, reader: Reader) -> "Answer":
        """Read the header.

        Args:
            reader: The opened file.

        Returns:
            The answer.

        Raises:
            FormatError: It is none, or not a sound one.
        """
        reader.require("answer")
        reader.require_sections()
        types: dict[str, type | tuple[type, ...]] = {
            "plan": dict,
            "party": str,
            "enrolled": list,
            "self_shares": list,
            "mask_shares": list,
        }
        fields(reader.header, reader.name, "its header", types)
        header = reader.header
        enrolled = parse_enrolled(header, reader.name)
        shares = {name: _shares(header[name], reader.name) for name in ("self_shares", "mask_shares")}
        if {owner for owner, _ in shares["self_shares"]} & {owner for owner, _ in shares["mask_shares"]}:
            raise FormatError(f"{reader.name}: holds shares of both secrets of one party")
        found = cls(**{**header, **shares, "enrolled": enrolled})
        if found.present | {owner for owner, _ in found.mask_shares} != {each.party for each in enrolled}:
            raise FormatError(f"{reader.name}: does not answer about all who enrolled, and nobody else")
        return found

    @property
    def present(self) -> set[str]:
        """Whom it says to be in the sum."""
        return {owner for owner, _ in self.self_shares}


def _for_party(item: object, file: str) -> ForParty:
    match item:
        case [bytes(box), bytes(first), bytes(second)] if (
            len(first) == len(second) == DIGEST_SIZE and len(box) == SEAL_SIZE + 2 * SHARE_SIZE
        ):
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
