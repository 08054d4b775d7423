"""A party's part in a round whose masks survive dropouts, before it encrypts."""

from dataclasses import dataclass
from typing import BinaryIO

from hecli.formats import envelope
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.headers import no_dropouts
from hecli.rounds.signing import check_identity
from hecli.schemes.interface import ANSWERS
from hecli.schemes.masks import dropouts


@dataclass(frozen=True)
class Enrolled:
    """An enrollment that was written.

    Args:
        plan: The plan it follows.
        digest: The file's digest.
    """

    plan: Plan
    digest: bytes


def enroll(out: BinaryIO, plan: Plan, identity: Identity) -> Enrolled:
    """Enroll in a round whose masks survive dropouts.

    Draws fresh secrets of the round, and seals shares of them to every
    party's card.

    Args:
        out: Where the enrollment goes.
        plan: How the round is done.
        identity: The party.

    Returns:
        What was written.

    Raises:
        RefusedError: The plan allows for no dropouts, or the identity is no
            party of it.
    """
    masking = plan.masking
    if masking is None or ANSWERS not in plan.to_open:
        raise no_dropouts(plan)
    check_identity(plan, identity, "enrollment")
    enrollment = dropouts.enroll(masking.dealing(plan.round), plan.to_map(), identity)
    sign = signer(identity, "enrollment", plan.digest)
    return Enrolled(plan, envelope.write(out, "enrollment", enrollment.header(), sign=sign))
