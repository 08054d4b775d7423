"""Whom a party shares masks with: keys that each two of a roster agree on, for one round."""

from hecli.errors import HecliError
from hecli.formats.canonical import VERSION, pack
from hecli.identity import curves
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.schemes.masks.streams import Pair


def pairs(identity: Identity, roster: Roster, plan: bytes) -> list[Pair]:
    """What a party shares with each other party, bound to the plan's digest and to who the two are.

    The first of the two, by name, adds; the other subtracts. Raises HecliError
    for a card with which nothing can be agreed.
    """
    own = identity.card.name
    found = []
    for name in roster.parties:
        if name == own:
            continue
        try:
            shared = curves.agree(identity.agree_secret, roster.cards[name].agree)
        except ValueError as error:
            raise HecliError(
                f"nothing can be agreed with {name}, whose card is weak", "have them make a new identity"
            ) from error
        info = f"hecli mask v{VERSION}\0".encode() + pack([plan, min(own, name), max(own, name)])
        found.append(Pair(curves.derive(shared, info), subtract=own > name))
    return found
