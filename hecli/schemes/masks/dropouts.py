"""Masks that survive dropouts: the secrets of a round, dealt before it, and revealed after it.

The protocol of K. Bonawitz et al. (CCS 2017, figure 4) in file drops. Each
party masks its update pairwise with all who enrolled, and once with a mask of
its own. For those in the aggregate, enough others reveal shares of that own
mask's seed; for those who enrolled and are absent, shares of their round key.
Nobody reveals both for one party, so an update that comes late stays masked.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, digest_of, pack
from hecli.formats.contributors import Enrolled
from hecli.identity import curves
from hecli.identity.roster import Roster
from hecli.identity.sealing import seal, unseal
from hecli.identity.signatures import FORGED, Identity
from hecli.schemes.masks import shamir
from hecli.schemes.masks.files import SEED_SIZE, SHARE_SIZE, Answer, Enrollment, ForParty
from hecli.schemes.masks.keystream import Pair

DISHONEST = "whoever enrolled so kept to no rule: make a plan without them"


@dataclass(frozen=True)
class Enrollments:
    """The enrollments of a round, checked.

    Args:
        by_party: Them, by the name of the party.
        listed: What stands for all of them in updates and aggregates.
    """

    by_party: dict[str, Enrollment]
    listed: tuple[Enrolled, ...]

    @property
    def digest(self) -> bytes:
        """What the masks are bound to: who enrolled, with which files."""
        return digest_of("enrolled", pack([list(each) for each in self.listed]))


class Answered(NamedTuple):
    """An answer that was read.

    Args:
        answer: The answer.
        file: The file it came in.
    """

    answer: Answer
    file: str


class Dealing(NamedTuple):
    """What everybody knows who deals shares of secrets, or reveals them.

    Args:
        plan: The digest of the plan.
        roster: The parties.
        needed: How many shares give a secret.
        label: What the masks are for that the secrets give.
    """

    plan: bytes
    roster: Roster
    needed: int
    label: str


def enroll(dealing: Dealing, plan: Map, identity: Identity) -> Enrollment:
    """Draw a party's secrets of a round, and seal shares of them to every party's card.

    Args:
        dealing: The round.
        plan: The plan, as a file carries it.
        identity: The party.

    Returns:
        Its enrollment.
    """
    party, roster = identity.card.name, dealing.roster
    seed, (mask_secret, mask_key) = secrets.token_bytes(SEED_SIZE), curves.fresh_agreement()
    of_seed, of_mask = (
        shamir.split(int.from_bytes(secret, "big"), dealing.needed, len(roster.parties))
        for secret in (seed, mask_secret)
    )
    sealed = []
    for name, own, mask in zip(roster.parties, of_seed, of_mask, strict=True):
        pair = [share.to_bytes(SHARE_SIZE, "big") for share in (own, mask)]
        box = seal(b"".join(pair), roster.cards[name], _context(dealing, party, name))
        sealed.append(ForParty(box, *(_share_digest(dealing, party, name, share) for share in pair)))
    return Enrollment(
        plan=plan,
        party=party,
        mask_key=mask_key,
        self_digest=digest_of("seed", seed),
        own=seal(seed + mask_secret, identity.card, _context(dealing, party, "")),
        parties=tuple(sealed),
    )


def pairs_of(dealing: Dealing, identity: Identity, enrollments: Enrollments) -> list[Pair]:
    """Say what masks a party's update: what it shares with each other who enrolled, and its own.

    Args:
        dealing: The round.
        identity: The party, which enrolled too.
        enrollments: All who did.

    Returns:
        The pairs.

    Raises:
        FormatError: What somebody sealed to the party is not what it should be.
    """
    party = identity.card.name
    for owner, enrollment in enrollments.by_party.items():
        _shares_for(dealing, identity, enrollment, owner)
    own = enrollments.by_party[party]
    opened = unseal(own.own, identity, _context(dealing, party, ""), f"{party}'s enrollment")
    seed, secret = opened[:SEED_SIZE], opened[SEED_SIZE:]
    if curves.agreement_public(secret) != own.mask_key or digest_of("seed", seed) != own.self_digest:
        raise FormatError(
            f"{party}'s own enrollment says other keys than it seals",
            "it was not made by hecli enroll: enroll again, in a new plan",
        )
    found = [_self_pair(dealing, seed, enrollments, subtract=False)]
    for other, enrollment in enrollments.by_party.items():
        if other != party:
            key = _pair_key(dealing, secret, enrollment.mask_key, party, other, enrollments)
            found.append(Pair(key, subtract=party > other))
    return found


def answer(
    dealing: Dealing,
    plan: Map,
    identity: Identity,
    enrollments: Enrollments,
    present: Collection[str],
) -> Answer:
    """Reveal a share of one secret of everybody who enrolled.

    Args:
        dealing: The round.
        plan: The plan, as a file carries it.
        identity: Who answers.
        enrollments: All who enrolled.
        present: The names of those who are in the aggregate.

    Returns:
        The answer.

    Raises:
        FormatError: What somebody sealed to this party is not what it should be.
    """
    self_shares, mask_shares = [], []
    for owner in sorted(enrollments.by_party):
        of_seed, of_mask = _shares_for(dealing, identity, enrollments.by_party[owner], owner)
        if owner in present:
            self_shares.append((owner, of_seed))
        else:
            mask_shares.append((owner, of_mask))
    return Answer(plan, identity.card.name, enrollments.listed, tuple(self_shares), tuple(mask_shares))


def check_answer(
    dealing: Dealing, enrollments: Enrollments, present: Sequence[str], answered: Answered
) -> None:
    """Refuse an answer of which a share is not the one that was dealt.

    Args:
        dealing: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        answered: The answer.

    Raises:
        FormatError: It lies.
    """
    absent = enrollments.by_party.keys() - set(present)
    for owners, which in ((present, "self"), (absent, "mask")):
        _collected(dealing, enrollments, sorted(owners), [answered], which)


def pairs_left(
    dealing: Dealing, enrollments: Enrollments, present: Sequence[str], answers: Sequence[Answered]
) -> list[Pair]:
    """Find, from answers, what takes off a sum the masks that did not cancel in it.

    Args:
        dealing: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        answers: As many as are needed, or more.

    Returns:
        The pairs, to be added once more.

    Raises:
        FormatError: A share is not the one that was dealt, or those dealt do not fit together.
    """
    present = sorted(present)
    absent = sorted(enrollments.by_party.keys() - set(present))
    seeds = _collected(dealing, enrollments, present, answers, "self")
    secrets_ = _collected(dealing, enrollments, absent, answers, "mask")
    pairs = []
    for owner in present:
        seed = _joined(dealing, seeds[owner], owner)
        if digest_of("seed", seed) != enrollments.by_party[owner].self_digest:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        pairs.append(_self_pair(dealing, seed, enrollments, subtract=True))
    for owner in absent:
        secret = _joined(dealing, secrets_[owner], owner)
        if curves.agreement_public(secret) != enrollments.by_party[owner].mask_key:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        for party in present:
            key = _pair_key(dealing, secret, enrollments.by_party[party].mask_key, owner, party, enrollments)
            # The party subtracted where its name is the later one: now the reverse.
            pairs.append(Pair(key, subtract=party < owner))
    return pairs


def _collected(
    dealing: Dealing,
    enrollments: Enrollments,
    owners: Sequence[str],
    answers: Sequence[Answered],
    which: str,
) -> dict[str, dict[int, int]]:
    """The shares of one kind of secret, by owner, then by number; each is the one that was dealt."""
    found: dict[str, dict[int, int]] = {owner: {} for owner in owners}
    for answer, file in answers:
        shares = answer.self_shares if which == "self" else answer.mask_shares
        if [owner for owner, _ in shares] != list(owners):
            raise FormatError(f"{file}: does not answer about those it should", FORGED)
        at = dealing.roster.parties.index(answer.party)
        for owner, share in shares:
            dealt = enrollments.by_party[owner].parties[at]
            expected = dealt.self_digest if which == "self" else dealt.mask_digest
            data = share.to_bytes(SHARE_SIZE, "big")
            if _share_digest(dealing, owner, answer.party, data) != expected:
                raise FormatError(
                    f"{file}: the share of {owner}'s secret is not the one that was dealt",
                    f"{answer.party} lies: leave its answer out",
                )
            found[owner][at + 1] = share
    return found


def _shares_for(dealing: Dealing, identity: Identity, enrollment: Enrollment, owner: str) -> tuple[int, int]:
    """The two shares that an enrollment holds for this identity; raises HecliError, naming its owner."""
    name = identity.card.name
    mine = enrollment.parties[dealing.roster.parties.index(name)]
    try:
        opened = unseal(mine.box, identity, _context(dealing, owner, name), f"{owner}'s enrollment")
    except HecliError as error:
        raise FormatError(f"what {owner} sealed to {name} does not open", DISHONEST) from error
    shares = opened[:SHARE_SIZE], opened[SHARE_SIZE:]
    digests = tuple(_share_digest(dealing, owner, name, share) for share in shares)
    if digests != mine[1:]:
        raise FormatError(f"what {owner} sealed to {name} is not what it says", DISHONEST)
    return int.from_bytes(shares[0], "big"), int.from_bytes(shares[1], "big")


def _joined(dealing: Dealing, shares: dict[int, int], owner: str) -> bytes:
    chosen = dict(sorted(shares.items())[: dealing.needed])
    try:
        return shamir.join(chosen).to_bytes(SEED_SIZE, "big")
    except OverflowError as error:
        raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST) from error


def _self_pair(dealing: Dealing, seed: bytes, enrollments: Enrollments, *, subtract: bool) -> Pair:
    return Pair(curves.derive(seed, f"self {dealing.label}", [enrollments.digest]), subtract=subtract)


def _pair_key(
    dealing: Dealing, secret: bytes, public: bytes, one: str, other: str, enrollments: Enrollments
) -> bytes:
    try:
        shared = curves.agree(secret, public)
    except ValueError as error:
        raise FormatError(f"{other} enrolled with a key that nobody can agree with", DISHONEST) from error
    return curves.derive(
        shared, f"round {dealing.label}", [enrollments.digest, min(one, other), max(one, other)]
    )


def _context(dealing: Dealing, owner: str, recipient: str) -> bytes:
    return pack(["enrollment", dealing.plan, owner, recipient])


def _share_digest(dealing: Dealing, owner: str, recipient: str, share: bytes) -> bytes:
    return digest_of("share", pack([dealing.plan, owner, recipient, share]))
