"""What each two parties of a round mask with: agreed in two ways at once, and secret while either holds.

X25519 gives two parties a secret by itself, from the round keys that both
enroll with. Nothing of the kind is known that a quantum computer does not
break: with ML-KEM one sends to the other. So of each two parties the one whose
name sorts first draws a value, and sends it with its enrollment, in a box to the
other's card. What they mask with is derived from both, and from who enrolled.
"""

from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import digest_of, pack
from hecli.identity import curves
from hecli.identity.roster import Roster

VALUE_SIZE = 32
DISHONEST = "whoever enrolled so kept to no rule: make a plan without them"


class Exchange(NamedTuple):
    """What everybody knows of a round who enrolls in it, masks, or answers.

    Args:
        plan: The digest of the plan.
        roster: The parties.
        needed: How many of them have to send, and how many shares give a secret.
        label: What the masks are for.
    """

    plan: bytes
    roster: Roster
    needed: int
    label: str

    @property
    def dropouts(self) -> bool:
        """Whether parties may drop out."""
        return self.needed < len(self.roster.parties)

    def later(self, party: str) -> tuple[str, ...]:
        """Name those to whom a party sends values: who sort behind it.

        Args:
            party: The party.

        Returns:
            Their names, in order.
        """
        return self.roster.parties[self.roster.parties.index(party) + 1 :]


def value_of(exchange: Exchange, seed: bytes, owner: str, other: str) -> bytes:
    """Derive the value that a party sends to another.

    Args:
        exchange: The round.
        seed: What all its values are drawn from, 32 bytes.
        owner: Who sends it.
        other: To whom.

    Returns:
        The value, 32 bytes.
    """
    return curves.derive(seed, "value", [exchange.plan, owner, other])


def value_digest(exchange: Exchange, owner: str, other: str, value: bytes) -> bytes:
    """Commit to a value, so that whoever comes to know it sees that it is the one that was sent.

    Args:
        exchange: The round.
        owner: Who sends it.
        other: To whom.
        value: The value.

    Returns:
        Its digest.
    """
    return digest_of("value", pack([exchange.plan, owner, other, value]))


def pair_key(
    exchange: Exchange, value: bytes, secret: bytes, public: bytes, names: tuple[str, str], enrolled: bytes
) -> bytes:
    """Derive what two parties mask with.

    Args:
        exchange: The round.
        value: What one of them sent the other.
        secret: The round key of one of them, 32 bytes.
        public: The public half of the other's.
        names: The name of that one, and of the other.
        enrolled: The digest of who enrolled, with which files.

    Returns:
        The key, 32 bytes.

    Raises:
        FormatError: Nothing can be agreed with the public half.
    """
    try:
        agreed = curves.agree(secret, public)
    except ValueError as error:
        raise FormatError(f"{names[1]} enrolled with a key that nobody can agree with", DISHONEST) from error
    # In the order of X25519MLKEM768: what was sent, then what was agreed.
    return curves.derive(value + agreed, f"round {exchange.label}", [enrolled, *sorted(names)])
