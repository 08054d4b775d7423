"""The headers of a round that survives dropouts: enrollments before it, answers after the aggregate.

Each carries the whole plan as a map; what the plan means is hecli.plan's.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, Types, fields
from hecli.formats.contributors import Enrolled, pack_enrolled, parse_enrolled
from hecli.formats.envelope import DIGEST_SIZE, KEY_SIZE
from hecli.formats.reader import Reader
from hecli.identity.sealing import SEAL_SIZE

SEED_SIZE = 32
ROUND_SIZE = KEY_SIZE + SEED_SIZE
"""Bytes of what a party's masks with others follow from: its round key, and the seed of its values."""

SHARE_SIZE = 66
VALUE_SHARE_SIZE = 33
ITEM_OVERHEAD = 32
"""At most what msgpack adds to what a party is given."""


class ForParty(NamedTuple):
    """What an enrollment holds for one party.

    Args:
        box: What is sealed to its card; empty where that is nothing.
        value: The digest of the value that it is sent; empty where it is sent none.
        shares: The digests of its shares: of the seed, of the round's secrets, and of
            all shares of values together. None where nobody may drop out.
    """

    box: bytes
    value: bytes
    shares: tuple[bytes, ...]


@dataclass(frozen=True)
class Enrollment:
    """A party's part in a round's masks.

    Args:
        plan: The plan.
        party: Whose it is.
        mask_key: The public half of its round key.
        own: Its secrets, sealed to the party alone.
        parties: What it holds for each party, in the order of the roster's.
        self_digest: The digest of its self mask's seed; empty where nobody may drop out.
    """

    plan: Map
    party: str
    mask_key: bytes
    own: bytes
    parties: tuple[ForParty, ...]
    self_digest: bytes = b""

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        found = vars(self) | {"parties": [[box, value, *shares] for box, value, shares in self.parties]}
        if not self.self_digest:
            # What a round does without does not stand in its files.
            del found["self_digest"]
        return found

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
        types: Types = {"plan": dict, "party": str, "mask_key": bytes, "own": bytes, "parties": list}
        fields(header, name, "its header", types, {"self_digest": bytes})
        dropouts = "self_digest" in header
        sizes = len(header["mask_key"]), len(header.get("self_digest", bytes(DIGEST_SIZE)))
        if sizes != (KEY_SIZE, DIGEST_SIZE):
            raise FormatError(f"{name}: a key or digest in it has the wrong length")
        if len(header["own"]) != SEAL_SIZE + ROUND_SIZE + SEED_SIZE * dropouts:
            raise FormatError(f"{name}: what it seals has the wrong length")
        parties = tuple(_for_party(item, name, dropouts=dropouts) for item in header["parties"])
        return cls(**{**header, "parties": parties})

    def check_form(self, names: tuple[str, ...], file: str, *, dropouts: bool) -> None:
        """Refuse an enrollment that holds less for a party than it should, or more.

        Args:
            names: The parties.
            file: The file, for errors.
            dropouts: Whether some may drop out.

        Raises:
            FormatError: It does.
        """
        if len(self.parties) != len(names) or bool(self.self_digest) != dropouts:
            raise FormatError(f"{file}: is not for as many parties, or dropouts, as its plan has")
        later = len(names) - names.index(self.party) - 1
        for at, each in enumerate(self.parties):
            sent = at >= len(names) - later
            inside = SEED_SIZE * sent + (2 * SHARE_SIZE + VALUE_SHARE_SIZE * later) * dropouts
            if len(each.box) != (SEAL_SIZE + inside if inside else 0) or bool(each.value) != sent:
                raise FormatError(f"{file}: what it holds for {names[at]} has the wrong length")


class ValueShares(NamedTuple):
    """What an answer reveals of the shares of values that one party dealt.

    Args:
        owner: Who dealt them.
        revealed: Those of the values sent to parties that are absent, in their order.
        others: The digests of all others, in theirs.
    """

    owner: str
    revealed: tuple[int, ...]
    others: tuple[bytes, ...]


@dataclass(frozen=True)
class Answer:
    """What one party reveals about a set of contributors: shares, by the name of whose secret they are of.

    Of a contributor's self mask's seed, or of an absent party's secrets of the
    round, and never of both for one party; and of the values that contributors
    sent to absent parties, of no others.

    Args:
        plan: The plan.
        party: Who answers.
        enrolled: Who enrolled, with which enrollments.
        self_shares: Shares of contributors' seeds.
        round_shares: Shares of absent parties' secrets.
        value_shares: Shares of values, of each contributor that sent any to one who is absent.
    """

    plan: Map
    party: str
    enrolled: tuple[Enrolled, ...]
    self_shares: tuple[tuple[str, int], ...]
    round_shares: tuple[tuple[str, int], ...]
    value_shares: tuple[ValueShares, ...]

    def header(self) -> Map:
        """Write the header.

        Returns:
            The map.
        """
        lists = {
            name: [[owner, share.to_bytes(SHARE_SIZE, "big")] for owner, share in shares]
            for name, shares in (("self_shares", self.self_shares), ("round_shares", self.round_shares))
        }
        values = [
            [
                owner,
                b"".join([share.to_bytes(VALUE_SHARE_SIZE, "big") for share in revealed]),
                b"".join(others),
            ]
            for owner, revealed, others in self.value_shares
        ]
        head = {"plan": self.plan, "party": self.party, **pack_enrolled(self.enrolled)}
        return {**head, **lists, "value_shares": values}

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
        types: Types = {
            "plan": dict,
            "party": str,
            "enrolled": list,
            "self_shares": list,
            "round_shares": list,
            "value_shares": list,
        }
        fields(reader.header, reader.name, "its header", types)
        header, name = reader.header, reader.name
        enrolled = parse_enrolled(header, name)
        shares = {field: _shares(header[field], name) for field in ("self_shares", "round_shares")}
        if {owner for owner, _ in shares["self_shares"]} & {owner for owner, _ in shares["round_shares"]}:
            raise FormatError(f"{name}: holds shares of both secrets of one party")
        values = tuple(_value_shares(item, name) for item in header["value_shares"])
        found = cls(**{**header, **shares, "enrolled": enrolled, "value_shares": values})
        if found.present | found.absent != {each.party for each in enrolled}:
            raise FormatError(f"{name}: does not answer about all who enrolled, and nobody else")
        return found

    def check_form(self, names: tuple[str, ...], file: str) -> None:
        """Refuse an answer that reveals shares of other values than it should.

        Args:
            names: The parties.
            file: The file, for errors.

        Raises:
            FormatError: It does.
        """
        expected = []
        for owner, _ in self.self_shares:
            later = names[names.index(owner) + 1 :]
            gone = len(self.absent.intersection(later))
            if gone:
                expected.append((owner, gone, len(later) - gone))
        if [(each.owner, len(each.revealed), len(each.others)) for each in self.value_shares] != expected:
            raise FormatError(f"{file}: does not reveal shares of the values it should, and of no others")

    @property
    def present(self) -> set[str]:
        """Whom it says to be in the sum."""
        return {owner for owner, _ in self.self_shares}

    @property
    def absent(self) -> set[str]:
        """Whom it says to have enrolled, and not to be in the sum."""
        return {owner for owner, _ in self.round_shares}


def largest_enrollment(parties: int, *, dropouts: bool) -> int:
    """Bound what an enrollment holds besides its plan.

    Args:
        parties: How many parties there are.
        dropouts: Whether some may drop out.

    Returns:
        Bytes.
    """
    inside = SEED_SIZE + (2 * SHARE_SIZE + VALUE_SHARE_SIZE * parties) * dropouts
    return (parties + 1) * (SEAL_SIZE + inside + 4 * DIGEST_SIZE + ITEM_OVERHEAD)


def _for_party(item: object, file: str, *, dropouts: bool) -> ForParty:
    match item:
        case [bytes(box), bytes(value), *rest] if len(value) in (0, DIGEST_SIZE):
            digests = tuple(each for each in rest if isinstance(each, bytes) and len(each) == DIGEST_SIZE)
            if len(digests) == len(rest) == 3 * dropouts:
                return ForParty(box, value, digests)
    raise FormatError(f"{file}: what it holds for a party is malformed")


def _value_shares(item: object, file: str) -> ValueShares:
    match item:
        case [str(owner), bytes(revealed), bytes(others)] if not (
            len(revealed) % VALUE_SHARE_SIZE or len(others) % DIGEST_SIZE
        ):
            shares = [
                int.from_bytes(revealed[at : at + VALUE_SHARE_SIZE], "big")
                for at in range(0, len(revealed), VALUE_SHARE_SIZE)
            ]
            digests = [others[at : at + DIGEST_SIZE] for at in range(0, len(others), DIGEST_SIZE)]
            return ValueShares(owner, tuple(shares), tuple(digests))
    raise FormatError(f"{file}: shares of values in it are malformed")


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
