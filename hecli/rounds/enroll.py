"""A party's part in a round with masks, before it encrypts."""

from dataclasses import dataclass
from typing import BinaryIO

from hecli.formats import envelope
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.headers import no_masks
from hecli.rounds.signing import check_identity
from hecli.schemes.masks import protocol


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
    """Enroll in a round with masks.

    Draws fresh secrets of the round, and seals to every party's card what it is
    to have of them: a value that both mask with, and shares where some may drop out.

    Args:
        out: Where the enrollment goes.
        plan: How the round is done.
        identity: The party.

    Returns:
        What was written.

    Raises:
        RefusedError: The plan has no masks, or the identity is no party of it.
        HecliError: The plan does not come from its own file, which alone has
            the ML-KEM keys.
    """
    masking = plan.masking
    if masking is None:
        raise no_masks(plan)
    check_identity(plan, identity, "enrollment")
    enrollment = protocol.enroll(masking.exchange(plan.round), plan.to_map(), identity)
    sign = signer(identity, "enrollment", plan.digest)
    return Enrolled(plan, envelope.write(out, "enrollment", enrollment.header(), sign=sign))
