"""Whom a party shares masks with: keys that each two of a roster agree on, for one round."""

from hecli.errors import HecliError
from hecli.identity import curves
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.schemes.masks.keystream import Pair


def pairs_of(identity: Identity, roster: Roster, plan: bytes, label: str) -> list[Pair]:
    """Agree on what a party shares with each other party.

    It is bound to the plan and to who the two are. The first of the two, by
    name, adds; the other subtracts.

    Args:
        identity: The party.
        roster: All parties.
        plan: The digest of the plan.
        label: What the masks are for.

    Returns:
        A pair for each other party.

    Raises:
        HecliError: Nothing can be agreed with a card.
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
        key = curves.derive(shared, label, [plan, min(own, name), max(own, name)])
        found.append(Pair(key, subtract=own > name))
    return found
