"""What a party deals to each other of its secrets of a round, sealed to their cards."""

from typing import NamedTuple

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import digest_of, pack
from hecli.identity.cards import Card
from hecli.identity.sealing import seal, unseal
from hecli.identity.signatures import Identity
from hecli.schemes.masks import shamir
from hecli.schemes.masks.exchange import DISHONEST, VALUE_SIZE, Exchange, value_digest
from hecli.schemes.masks.files import SHARE_SIZE, VALUE_SHARE_SIZE, Enrollment, ForParty


class Dealt(NamedTuple):
    """What one party is dealt.

    Args:
        shares: Of the seed, and of the round's secrets; none where nobody may drop out.
        value: The value it is sent; empty where it is sent none.
        values: Shares of the values sent to everybody, in their order.
    """

    shares: tuple[int, ...]
    value: bytes
    values: tuple[int, ...]

    def pack(self) -> bytes:
        """Write it."""
        return b"".join([*map(_share, self.shares), self.value, *map(_value_share, self.values)])

    @classmethod
    def parse(cls, data: bytes, *, dropouts: bool, sent: bool) -> "Dealt":
        """Read it.

        Args:
            data: What was sealed, of the right length.
            dropouts: Whether parties may drop out.
            sent: Whether it holds a value.

        Returns:
            It.
        """
        start = 2 * SHARE_SIZE * dropouts
        end = start + VALUE_SIZE * sent
        shares, values = _numbers(data[:start], SHARE_SIZE), _numbers(data[end:], VALUE_SHARE_SIZE)
        return cls(shares, data[start:end], values)


def deal(exchange: Exchange, seed: bytes, secrets: bytes, values: dict[str, bytes]) -> dict[str, Dealt]:
    """Split a party's secrets of a round.

    Args:
        exchange: The round.
        seed: The seed of its own mask.
        secrets: What its masks with others follow from.
        values: What it sends to whom.

    Returns:
        What each party is dealt, by name.
    """
    parties = exchange.roster.parties
    if not exchange.dropouts:
        return {name: Dealt((), values.get(name, b""), ()) for name in parties}

    def split(secret: bytes, prime: int) -> list[int]:
        return shamir.split(int.from_bytes(secret, "big"), exchange.needed, len(parties), prime)

    whole = [split(secret, shamir.PRIME) for secret in (seed, secrets)]
    of_values = [split(value, shamir.PRIME_257) for value in values.values()]
    return {
        name: Dealt(
            tuple(shares[at] for shares in whole),
            values.get(name, b""),
            tuple(shares[at] for shares in of_values),
        )
        for at, name in enumerate(parties)
    }


def seal_to(exchange: Exchange, owner: str, card: Card, dealt: Dealt) -> ForParty:
    """Seal what a party is dealt.

    Args:
        exchange: The round.
        owner: Who deals it.
        card: The party's card.
        dealt: What it is dealt.

    Returns:
        What the enrollment holds for it.

    Raises:
        HecliError: The card's ML-KEM key is not known.
    """
    data = dealt.pack()
    box = seal(data, card, context_of(exchange, owner, card.name)) if data else b""
    return ForParty(box, *_digests(exchange, owner, card.name, dealt))


def sealed_to(exchange: Exchange, identity: Identity, enrollment: Enrollment) -> Dealt:
    """Open what an enrollment holds for an identity.

    Args:
        exchange: The round.
        identity: A party.
        enrollment: What another one dealt.

    Returns:
        What the party was dealt.

    Raises:
        FormatError: It does not open, or is not what it should be; says who dealt it.
    """
    name, owner = identity.card.name, enrollment.party
    mine = enrollment.parties[exchange.roster.parties.index(name)]
    if not mine.box:
        return Dealt((), b"", ())
    try:
        opened = unseal(mine.box, identity, context_of(exchange, owner, name), f"{owner}'s enrollment")
    except HecliError as error:
        raise FormatError(f"what {owner} sealed to {name} does not open", DISHONEST) from error
    dealt = Dealt.parse(opened, dropouts=exchange.dropouts, sent=bool(mine.value))
    if _digests(exchange, owner, name, dealt) != mine[1:]:
        raise FormatError(f"what {owner} sealed to {name} is not what it says", DISHONEST)
    return dealt


def context_of(exchange: Exchange, owner: str, recipient: str) -> bytes:
    """Say what a box belongs to.

    Args:
        exchange: The round.
        owner: Who seals it.
        recipient: To whom; empty where that is to itself.

    Returns:
        The context, without which it does not open.
    """
    return pack(["enrollment", exchange.plan, owner, recipient])


def share_digest(exchange: Exchange, owner: str, recipient: str, share: int) -> bytes:
    """Commit to a share of one of the two secrets.

    Args:
        exchange: The round.
        owner: Whose secret it is.
        recipient: Whose share.
        share: The share.

    Returns:
        Its digest.
    """
    return digest_of("share", pack([exchange.plan, owner, recipient, _share(share)]))


def value_share_digest(exchange: Exchange, owner: str, recipient: str, other: str, share: int) -> bytes:
    """Commit to a share of a value.

    Args:
        exchange: The round.
        owner: Who sends the value.
        recipient: Whose share it is.
        other: To whom the value is sent.
        share: The share.

    Returns:
        Its digest.
    """
    return digest_of("value share", pack([exchange.plan, owner, recipient, other, _value_share(share)]))


def _digests(exchange: Exchange, owner: str, recipient: str, dealt: Dealt) -> tuple[bytes, tuple[bytes, ...]]:
    """The digest of a party's value, and those of its shares."""
    value = value_digest(exchange, owner, recipient, dealt.value) if dealt.value else b""
    if not dealt.shares:
        return value, ()
    of_values = [
        value_share_digest(exchange, owner, recipient, name, share)
        for name, share in zip(exchange.later(owner), dealt.values, strict=True)
    ]
    shares = [share_digest(exchange, owner, recipient, share) for share in dealt.shares]
    return value, (*shares, digest_of("shares", b"".join(of_values)))


def _share(share: int) -> bytes:
    return share.to_bytes(SHARE_SIZE, "big")


def _value_share(share: int) -> bytes:
    return share.to_bytes(VALUE_SHARE_SIZE, "big")


def _numbers(data: bytes, size: int) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size))
