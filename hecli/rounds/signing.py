"""Who may make which file of a round, and who made it."""

from hecli.errors import FormatError
from hecli.formats.contributors import Contributor
from hecli.formats.reader import Reader
from hecli.identity.signatures import FORGED, Identity, signer_of
from hecli.plan.data import Plan


def check_signed(plan: Plan, reader: Reader, contributors: tuple[Contributor, ...]) -> None:
    """Refuse an update, aggregate, partial or sum that is not signed as its roster asks, or holds such.

    Without a roster a file need not be signed, but a signature there must hold.

    Args:
        plan: The plan that the file follows.
        reader: The opened file.
        contributors: Who is in it.

    Raises:
        FormatError: A signature does not hold, or is somebody else's.
        RefusedError: The roster forbids it.
    """
    signer = signer_of(reader, plan.digest)
    if plan.roster is not None:
        plan.roster.check_signer(signer, reader.kind, reader.name)
    if reader.kind == "update":
        if signer is not None and signer.name != contributors[0].party:
            raise FormatError(f"{reader.name}: is {contributors[0]}'s, and signed by {signer.name}", FORGED)
    elif plan.roster is not None:
        plan.roster.check_contributors(contributors, plan.digest, reader.name)
    elif any(each.signature is not None for each in contributors):
        raise FormatError(f"{reader.name}: has signed contributors, and its plan no roster")


def check_party(plan: Plan, reader: Reader, party: str) -> None:
    """Refuse an enrollment or answer that the party it names did not sign.

    Args:
        plan: The plan that the file follows, which has a roster.
        reader: The opened file.
        party: Whom it names.

    Raises:
        FormatError: It is not signed by the party.
        RefusedError: The roster forbids it.
    """
    card = signer_of(reader, plan.digest)
    if plan.roster is not None:
        plan.roster.check_signer(card, reader.kind, reader.name)
    if card is None or card.name != party:
        raise FormatError(f"{reader.name}: is not signed by {party}", FORGED)


def check_identity(plan: Plan, identity: Identity | None, kind: str) -> None:
    """Refuse, before any work, whoever may not make a file of this kind.

    Args:
        plan: The plan that it is to follow.
        identity: Who makes it, or nobody.
        kind: The kind of file.

    Raises:
        RefusedError: The roster forbids it.
    """
    if plan.roster is not None:
        plan.roster.check_identity(identity, kind)
