"""Masks that survive dropouts: enrolling before a round, answering after it, and taking the masks off.

The protocol of K. Bonawitz et al. (CCS 2017, figure 4) in file drops. Each
party masks its update pairwise with all who enrolled, and once with a mask of
its own. For those in the aggregate, enough others reveal shares of that own
mask's seed; for those who enrolled and are absent, shares of their round key.
Nobody reveals both for one party, so an update that comes late stays masked.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import VERSION, digest_of, pack
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Contributor, Enrolled
from hecli.identity import boxes, curves
from hecli.identity.roster import Roster
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.plan.data import Plan
from hecli.rounds.streams import Record, open_reader
from hecli.schemes.masks import shamir
from hecli.schemes.masks.files import SHARE_SIZE, Answer, Enrollment, ForParty
from hecli.schemes.masks.streams import Masks, Pair

SEED_SIZE = 32
DISHONEST = "whoever enrolled so kept to no rule: make a plan without them"


@dataclass(frozen=True)
class Enrollments:
    """The enrollments of a round, by party, checked; and what stands for all of them."""

    by_party: dict[str, Enrollment]
    listed: tuple[Enrolled, ...]

    @property
    def digest(self) -> bytes:
        """What the masks are bound to: who enrolled, with which files."""
        return digest_of("enrolled", pack([list(each) for each in self.listed]))


@dataclass(frozen=True)
class Written:
    """A file that was written: the plan it follows, and its digest."""

    plan: Plan
    digest: bytes


def enroll(out: BinaryIO, plan: Plan, identity: Identity) -> Written:
    """Write a party's enrollment to `out`: fresh round secrets, in shares sealed to every party's card.

    Raises RefusedError where the plan allows for no dropouts or the identity is
    no party of it.
    """
    roster = _roster(plan)
    plan.check_identity(identity, "update")
    party = identity.card.name
    seed, (mask_secret, mask_key) = secrets.token_bytes(SEED_SIZE), curves.fresh_agreement()
    of_seed, of_mask = (
        shamir.split(int.from_bytes(secret, "big"), plan.answers, plan.capacity)
        for secret in (seed, mask_secret)
    )
    sealed = []
    for name, own, mask in zip(roster.parties, of_seed, of_mask, strict=True):
        pair = [share.to_bytes(SHARE_SIZE, "big") for share in (own, mask)]
        box = boxes.seal(b"".join(pair), roster.cards[name], _context(plan, party, name))
        sealed.append(ForParty(box, *(_share_digest(plan, party, name, share) for share in pair)))
    enrollment = Enrollment(
        plan=plan.to_map(),
        party=party,
        mask_key=mask_key,
        self_digest=digest_of("seed", seed),
        own=boxes.seal(seed + mask_secret, identity.card, _context(plan, party, "")),
        parties=tuple(sealed),
    )
    sign = signer(identity, "enrollment", plan.digest)
    return Written(plan, envelope.write(out, "enrollment", enrollment.header(), sign=sign))


def open_enrollment(reader: Reader) -> tuple[Plan, Enrollment]:
    """The plan and the content of an enrollment, with its signature checked.

    Raises FormatError, and RefusedError for one of nobody on the roster.
    """
    enrollment = Enrollment.parse(reader)
    plan = Plan.from_map(enrollment.plan, reader.name)
    roster = _roster(plan)
    _check_party(reader, plan, enrollment.party)
    if len(enrollment.parties) != len(roster.parties):
        raise FormatError(f"{reader.name}: is not for as many parties as its plan has")
    return plan, enrollment


def open_enrollments(
    sources: Sequence[BinaryIO], plan: Plan, expected: tuple[Enrolled, ...] | None = None
) -> Enrollments:
    """All enrollments of a round, from seekable streams, each party's once.

    Raises MismatchError for those of another plan and for others than
    `expected`, those that updates were masked with; RefusedError for too few.
    """
    by_party: dict[str, Enrollment] = {}
    listed = []
    for source in sources:
        reader = open_reader(source)
        own, enrollment = open_enrollment(reader)
        own.check_same(plan, reader.name, "the plan")
        if enrollment.party in by_party:
            raise RefusedError(
                f"{enrollment.party} enrolled twice, again in {reader.name}", "leave one of them out"
            )
        by_party[enrollment.party] = enrollment
        listed.append(Enrolled(enrollment.party, reader.digest))
    if len(by_party) < plan.answers:
        raise RefusedError(
            f"{len(by_party)} of the {plan.answers} parties enrolled without whom the round cannot end",
            "pass everybody's enrollment with --enroll",
        )
    found = Enrollments(by_party, tuple(sorted(listed)))
    if expected is not None and found.listed != expected:
        raise MismatchError(
            "the updates were masked with other enrollments than these",
            f"pass those of {', '.join(each.party for each in expected)} with --enroll, as they were then",
        )
    return found


def round_masks(plan: Plan, identity: Identity, enrollments: Enrollments) -> Masks:
    """What masks a party's update: with each other who enrolled, and once by itself.

    Checks the shares that others sealed to this party; raises HecliError,
    naming them, where they are not what they should be.
    """
    party = identity.card.name
    if party not in enrollments.by_party:
        raise RefusedError(
            f"{party} is not among those who enrolled", "pass your own enrollment with --enroll too"
        )
    for owner, enrollment in enrollments.by_party.items():
        _shares_of(enrollment, plan, identity, owner)
    own = enrollments.by_party[party]
    seed, secret = _own_secrets(own, plan, identity)
    found = [_self_pair(seed, enrollments, subtract=False)]
    for other, enrollment in enrollments.by_party.items():
        if other != party:
            key = _pair_key(secret, enrollment.mask_key, party, other, enrollments)
            found.append(Pair(key, subtract=party > other))
    return Masks(plan.n, found)


def write_answer(
    plan: Plan,
    reader: Reader,
    contributors: tuple[Contributor, ...],
    out: BinaryIO,
    identity: Identity,
    enrollments: Enrollments,
    record: Record | None,
) -> Written:
    """Write what a party reveals about an opened aggregate: a share of one secret of everybody who enrolled.

    `record` is told first, and forbids an answer about another aggregate.
    """
    party = identity.card.name
    present = {each.party for each in contributors}
    if record is not None:
        record(plan.digest, reader.digest)
    self_shares, mask_shares = [], []
    for owner in sorted(enrollments.by_party):
        of_seed, of_mask = _shares_of(enrollments.by_party[owner], plan, identity, owner)
        if owner in present:
            self_shares.append((owner, of_seed))
        else:
            mask_shares.append((owner, of_mask))
    made = Answer(plan.to_map(), party, reader.digest, tuple(self_shares), tuple(mask_shares))
    sign = signer(identity, "answer", plan.digest)
    return Written(plan, envelope.write(out, "answer", made.header(), sign=sign))


def open_answer(reader: Reader) -> tuple[Plan, Answer]:
    """The plan and the content of an answer, with its signature checked; raises FormatError, RefusedError."""
    found = Answer.parse(reader)
    plan = Plan.from_map(found.plan, reader.name)
    _roster(plan)
    _check_party(reader, plan, found.party)
    return plan, found


def unmasking(
    plan: Plan,
    aggregate: Reader,
    contributors: tuple[Contributor, ...],
    enrollments: Enrollments,
    sources: Sequence[BinaryIO],
) -> Masks:
    """What takes the masks off an aggregate's plaintexts, from the answers in seekable streams.

    Raises RefusedError for too few answers, MismatchError for those about
    another aggregate, FormatError for shares that are not those that were dealt.
    """
    present = sorted(each.party or "" for each in contributors)
    absent = sorted(enrollments.by_party.keys() - set(present))
    of_seeds, of_masks = _Shares(present, 1), _Shares(absent, 2)
    answered: set[str] = set()
    for source in sources:
        reader = open_reader(source)
        own, found = open_answer(reader)
        own.check_same(plan, reader.name, aggregate.name)
        if found.aggregate != aggregate.digest:
            raise MismatchError(
                f"{reader.name}: answers about another aggregate than {aggregate.name}",
                "answers about one aggregate are used together",
            )
        if found.party in answered:
            raise RefusedError(f"{found.party} answers twice, again in {reader.name}", "leave one out")
        answered.add(found.party)
        of_seeds.take(found.self_shares, found.party, plan, enrollments, reader.name)
        of_masks.take(found.mask_shares, found.party, plan, enrollments, reader.name)
    if len(answered) < plan.answers:
        raise RefusedError(
            f"{len(answered)} of the {plan.answers} answers it takes: {plan.answers - len(answered)} more",
            "parties answer with hecli answer",
        )
    pairs = []
    for owner in present:
        seed = _joined(of_seeds.by_owner[owner], plan, owner)
        if digest_of("seed", seed) != enrollments.by_party[owner].self_digest:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        pairs.append(_self_pair(seed, enrollments, subtract=True))
    for owner in absent:
        secret = _joined(of_masks.by_owner[owner], plan, owner)
        if curves.agreement_public(secret) != enrollments.by_party[owner].mask_key:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        for party in present:
            key = _pair_key(secret, enrollments.by_party[party].mask_key, owner, party, enrollments)
            # The party subtracted where its name is the later one: now the reverse.
            pairs.append(Pair(key, subtract=party < owner))
    return Masks(plan.n, pairs)


class _Shares:
    """Shares of one kind of secret, as answers bring them: by owner, then by number."""

    def __init__(self, owners: list[str], field: int) -> None:
        self.by_owner: dict[str, dict[int, int]] = {owner: {} for owner in owners}
        self._field = field

    def take(
        self,
        shares: tuple[tuple[str, int], ...],
        party: str,
        plan: Plan,
        enrollments: Enrollments,
        file: str,
    ) -> None:
        """Take what one party answers; raises FormatError unless it is what was dealt to it."""
        if [owner for owner, _ in shares] != list(self.by_owner):
            raise FormatError(f"{file}: does not answer about those it should", FORGED)
        at = _roster(plan).parties.index(party)
        for owner, share in shares:
            digest = _share_digest(plan, owner, party, share.to_bytes(SHARE_SIZE, "big"))
            if digest != enrollments.by_party[owner].parties[at][self._field]:
                raise FormatError(
                    f"{file}: the share of {owner}'s secret is not the one that was dealt",
                    f"{party} lies: leave its answer out",
                )
            self.by_owner[owner][at + 1] = share


def _roster(plan: Plan) -> Roster:
    if plan.roster is None or not plan.dropouts:
        raise RefusedError("the plan allows for no dropouts", "nobody has to enroll or answer")
    return plan.roster


def _check_party(reader: Reader, plan: Plan, party: str) -> None:
    roster = _roster(plan)
    card = signer_of(reader, plan.digest)
    roster.check_signer(card, reader.kind, reader.name)
    if card is None or card.name != party:
        raise FormatError(f"{reader.name}: is not signed by {party}", FORGED)


def _shares_of(enrollment: Enrollment, plan: Plan, identity: Identity, owner: str) -> tuple[int, int]:
    """The two shares that an enrollment holds for this identity; raises HecliError, naming its owner."""
    name = identity.card.name
    mine = enrollment.parties[_roster(plan).parties.index(name)]
    try:
        opened = boxes.unseal(mine.box, identity, _context(plan, owner, name), f"{owner}'s enrollment")
    except HecliError as error:
        raise FormatError(f"what {owner} sealed to {name} does not open", DISHONEST) from error
    shares = opened[:SHARE_SIZE], opened[SHARE_SIZE:]
    digests = tuple(_share_digest(plan, owner, name, share) for share in shares)
    if digests != mine[1:] or len(opened) != 2 * SHARE_SIZE:
        raise FormatError(f"what {owner} sealed to {name} is not what it says", DISHONEST)
    return int.from_bytes(shares[0], "big"), int.from_bytes(shares[1], "big")


def _own_secrets(enrollment: Enrollment, plan: Plan, identity: Identity) -> tuple[bytes, bytes]:
    context = _context(plan, enrollment.party, "")
    opened = boxes.unseal(enrollment.own, identity, context, f"{enrollment.party}'s enrollment")
    return opened[:SEED_SIZE], opened[SEED_SIZE:]


def _joined(shares: dict[int, int], plan: Plan, owner: str) -> bytes:
    chosen = dict(sorted(shares.items())[: plan.answers])
    try:
        return shamir.join(chosen).to_bytes(SEED_SIZE, "big")
    except OverflowError as error:
        raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST) from error


def _self_pair(seed: bytes, enrollments: Enrollments, *, subtract: bool) -> Pair:
    info = f"hecli self mask v{VERSION}\0".encode() + enrollments.digest
    return Pair(curves.derive(seed, info), subtract=subtract)


def _pair_key(secret: bytes, public: bytes, one: str, other: str, enrollments: Enrollments) -> bytes:
    try:
        shared = curves.agree(secret, public)
    except ValueError as error:
        raise FormatError(f"{other} enrolled with a key that nobody can agree with", DISHONEST) from error
    info = pack([enrollments.digest, min(one, other), max(one, other)])
    return curves.derive(shared, f"hecli round mask v{VERSION}\0".encode() + info)


def _context(plan: Plan, owner: str, recipient: str) -> bytes:
    return pack(["enrollment", plan.digest, owner, recipient])


def _share_digest(plan: Plan, owner: str, recipient: str, share: bytes) -> bytes:
    return digest_of("share", pack([plan.digest, owner, recipient, share]))
