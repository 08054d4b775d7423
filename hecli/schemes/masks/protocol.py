"""Masks of a round: what each party draws before it, masks with, and reveals where others drop out.

The protocol of K. Bonawitz et al. (CCS 2017, figure 4) in file drops. Each
party masks its update pairwise with all who enrolled (see `exchange`), and, where
parties may drop out, once with a mask of its own. For those in the aggregate,
enough others reveal shares of that own mask's seed; for those who enrolled and
are absent, shares of all that their masks follow from. What two parties mask
with follows also from a value that one sent the other: of those that contributors
sent to absent parties they reveal shares as well. Nobody reveals both secrets
of one party, so an update that comes late stays masked.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, digest_of, pack
from hecli.formats.contributors import Enrolled
from hecli.identity import curves
from hecli.identity.cards import Card
from hecli.identity.sealing import seal, unseal
from hecli.identity.signatures import FORGED, Identity
from hecli.schemes.masks import shamir
from hecli.schemes.masks.exchange import (
    DISHONEST,
    VALUE_SIZE,
    Exchange,
    pair_key,
    value_digest,
    value_of,
)
from hecli.schemes.masks.files import (
    ROUND_SIZE,
    SEED_SIZE,
    SHARE_SIZE,
    VALUE_SHARE_SIZE,
    Answer,
    Enrollment,
    ForParty,
    ValueShares,
)
from hecli.schemes.masks.keystream import Pair


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


class Inside(NamedTuple):
    """What an enrollment seals to one party.

    Args:
        seed: A share of the seed; None where nobody may drop out.
        round: A share of the round's secrets, likewise.
        value: The value it is sent; empty where it is sent none.
        values: Shares of the values sent to everybody, in their order.
    """

    seed: int | None
    round: int | None
    value: bytes
    values: tuple[int, ...]

    def pack(self) -> bytes:
        """Write it."""
        whole = b"" if self.seed is None or self.round is None else _share(self.seed) + _share(self.round)
        return whole + self.value + b"".join(map(_value_share, self.values))

    @classmethod
    def parse(cls, data: bytes, *, dropouts: bool, sent: bool) -> "Inside":
        """Read it.

        Args:
            data: What was sealed, of the right length.
            dropouts: Whether parties may drop out.
            sent: Whether it holds a value.

        Returns:
            It.
        """
        at = 2 * SHARE_SIZE * dropouts
        end = at + VALUE_SIZE * sent
        values = [
            int.from_bytes(data[start : start + VALUE_SHARE_SIZE], "big")
            for start in range(end, len(data), VALUE_SHARE_SIZE)
        ]
        if not dropouts:
            return cls(None, None, data[at:end], ())
        seed, whole = (int.from_bytes(data[s : s + SHARE_SIZE], "big") for s in (0, SHARE_SIZE))
        return cls(seed, whole, data[at:end], tuple(values))


def enroll(exchange: Exchange, plan: Map, identity: Identity) -> Enrollment:
    """Draw a party's secrets of a round, and seal to every party's card what it is to have of them.

    Args:
        exchange: The round.
        plan: The plan, as a file carries it.
        identity: The party.

    Returns:
        Its enrollment.

    Raises:
        HecliError: The ML-KEM key of a card is not known.
    """
    party, roster = identity.card.name, exchange.roster
    seed = secrets.token_bytes(SEED_SIZE) if exchange.dropouts else b""
    (round_key, mask_key), drawn = curves.fresh_agreement(), secrets.token_bytes(SEED_SIZE)
    later = exchange.later(party)
    values = {name: value_of(exchange, drawn, party, name) for name in later}
    inside = _inside(exchange, seed, round_key + drawn, values)
    return Enrollment(
        plan=plan,
        party=party,
        mask_key=mask_key,
        own=seal(seed + round_key + drawn, roster.cards[party], _context(exchange, party, "")),
        parties=tuple(
            _for_party(exchange, party, roster.cards[name], inside[name]) for name in roster.parties
        ),
        self_digest=digest_of("seed", seed) if seed else b"",
    )


def pairs_of(exchange: Exchange, identity: Identity, enrollments: Enrollments) -> list[Pair]:
    """Say what masks a party's update: what it shares with each other who enrolled, and its own.

    Args:
        exchange: The round.
        identity: The party, which enrolled too.
        enrollments: All who did.

    Returns:
        The pairs.

    Raises:
        FormatError: What somebody sealed to the party is not what it should be.
    """
    party = identity.card.name
    sent = {
        owner: _sealed_to(exchange, identity, enrollment, owner).value
        for owner, enrollment in enrollments.by_party.items()
    }
    own = enrollments.by_party[party]
    opened = unseal(own.own, identity, _context(exchange, party, ""), f"{party}'s enrollment")
    seed, round_key, drawn = opened[:-ROUND_SIZE], opened[-ROUND_SIZE:-SEED_SIZE], opened[-SEED_SIZE:]
    values = {name: value_of(exchange, drawn, party, name) for name in exchange.later(party)}
    if not (
        curves.agreement_public(round_key) == own.mask_key
        and (digest_of("seed", seed) if seed else b"") == own.self_digest
        and all(_is_sent(exchange, enrollments, party, name, value) for name, value in values.items())
    ):
        raise FormatError(
            f"{party}'s own enrollment says other keys than it seals",
            "it was not made by hecli enroll: enroll again, in a new plan",
        )
    found = [_self_pair(exchange, seed, enrollments, subtract=False)] if seed else []
    for other, enrollment in enrollments.by_party.items():
        if other != party:
            value = values[other] if party < other else sent[other]
            names, enrolled = (party, other), enrollments.digest
            key = pair_key(exchange, value, round_key, enrollment.mask_key, names, enrolled)
            found.append(Pair(key, subtract=party > other))
    return found


def answer(
    exchange: Exchange,
    plan: Map,
    identity: Identity,
    enrollments: Enrollments,
    present: Collection[str],
) -> Answer:
    """Reveal a share of one secret of everybody who enrolled, and of values sent to those who are absent.

    Args:
        exchange: The round.
        plan: The plan, as a file carries it.
        identity: Who answers.
        enrollments: All who enrolled.
        present: The names of those who are in the aggregate.

    Returns:
        The answer.

    Raises:
        FormatError: What somebody sealed to this party is not what it should be.
    """
    party, absent = identity.card.name, enrollments.by_party.keys() - set(present)
    self_shares, round_shares, value_shares = [], [], []
    for owner in sorted(enrollments.by_party):
        inside = _sealed_to(exchange, identity, enrollments.by_party[owner], owner)
        assert inside.seed is not None
        assert inside.round is not None
        if owner in absent:
            round_shares.append((owner, inside.round))
            continue
        self_shares.append((owner, inside.seed))
        dealt = dict(zip(exchange.later(owner), inside.values, strict=True))
        if absent & dealt.keys():
            revealed = tuple(share for name, share in dealt.items() if name in absent)
            others = [
                _value_share_digest(exchange, owner, party, name, share)
                for name, share in dealt.items()
                if name not in absent
            ]
            value_shares.append(ValueShares(owner, revealed, tuple(others)))
    lists = tuple(self_shares), tuple(round_shares), tuple(value_shares)
    return Answer(plan, party, enrollments.listed, *lists)


def check_answer(
    exchange: Exchange, enrollments: Enrollments, present: Sequence[str], answered: Answered
) -> None:
    """Refuse an answer of which a share is not the one that was dealt.

    Args:
        exchange: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        answered: The answer.

    Raises:
        FormatError: It lies.
    """
    _revealed(exchange, enrollments, present, answered)


def pairs_left(
    exchange: Exchange, enrollments: Enrollments, present: Sequence[str], answers: Sequence[Answered]
) -> list[Pair]:
    """Find, from answers, what takes off a sum the masks that did not cancel in it.

    Args:
        exchange: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        answers: As many as are needed, or more.

    Returns:
        The pairs, to be added once more.

    Raises:
        FormatError: A share is not the one that was dealt, or those dealt do not fit together.
    """
    chosen = sorted(answers, key=lambda each: each.answer.party)[: exchange.needed]
    numbers = [exchange.roster.parties.index(each.answer.party) + 1 for each in chosen]
    revealed = [_revealed(exchange, enrollments, present, each) for each in chosen]
    pairs = []
    seeds = {
        owner: _joined(numbers, [each.seeds[owner] for each in revealed], SEED_SIZE, owner)
        for owner in sorted(present)
    }
    for owner, seed in seeds.items():
        if digest_of("seed", seed) != enrollments.by_party[owner].self_digest:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        pairs.append(_self_pair(exchange, seed, enrollments, subtract=True))
    for gone in sorted(enrollments.by_party.keys() - set(present)):
        secret = _joined(numbers, [each.rounds[gone] for each in revealed], ROUND_SIZE, gone)
        round_key, drawn = secret[:-SEED_SIZE], secret[-SEED_SIZE:]
        if curves.agreement_public(round_key) != enrollments.by_party[gone].mask_key:
            raise FormatError(f"{gone} dealt shares that do not fit together", DISHONEST)
        for party in sorted(present):
            maker, other = sorted((gone, party))
            if maker == gone:
                value = value_of(exchange, drawn, gone, party)
            else:
                shares = [each.values[party, gone] for each in revealed]
                value = _joined(numbers, shares, VALUE_SIZE, party, shamir.PRIME_257)
            if not _is_sent(exchange, enrollments, maker, other, value):
                raise FormatError(f"{maker} dealt shares that do not fit together", DISHONEST)
            names, public = (gone, party), enrollments.by_party[party].mask_key
            key = pair_key(exchange, value, round_key, public, names, enrollments.digest)
            # The party subtracted where its name is the later one: now the reverse.
            pairs.append(Pair(key, subtract=party < gone))
    return pairs


class _Revealed(NamedTuple):
    """The shares in an answer, of whose secret they are, and to whom a value was sent."""

    seeds: dict[str, int]
    rounds: dict[str, int]
    values: dict[tuple[str, str], int]


def _inside(exchange: Exchange, seed: bytes, whole: bytes, values: dict[str, bytes]) -> dict[str, Inside]:
    """What each party is to have of a party's secrets."""
    parties = exchange.roster.parties
    if not exchange.dropouts:
        return {name: Inside(None, None, values.get(name, b""), ()) for name in parties}

    def split(secret: bytes, prime: int = shamir.PRIME) -> list[int]:
        return shamir.split(int.from_bytes(secret, "big"), exchange.needed, len(parties), prime)

    of_values = [split(value, shamir.PRIME_257) for value in values.values()]
    dealt = zip(
        split(seed),
        split(whole),
        zip(*of_values, strict=True) if of_values else [()] * len(parties),
        strict=True,
    )
    return {
        name: Inside(of_seed, of_whole, values.get(name, b""), tuple(of_value))
        for name, (of_seed, of_whole, of_value) in zip(parties, dealt, strict=True)
    }


def _for_party(exchange: Exchange, owner: str, card: Card, inside: Inside) -> ForParty:
    data = inside.pack()
    return ForParty(
        seal(data, card, _context(exchange, owner, card.name)) if data else b"",
        value_digest(exchange, owner, card.name, inside.value) if inside.value else b"",
        _digests(exchange, owner, card.name, inside),
    )


def _digests(exchange: Exchange, owner: str, recipient: str, inside: Inside) -> tuple[bytes, ...]:
    """The digests of a party's shares."""
    if inside.seed is None or inside.round is None:
        return ()
    of_values = [
        _value_share_digest(exchange, owner, recipient, name, share)
        for name, share in zip(exchange.later(owner), inside.values, strict=True)
    ]
    return (
        _share_digest(exchange, owner, recipient, inside.seed),
        _share_digest(exchange, owner, recipient, inside.round),
        digest_of("shares", b"".join(of_values)),
    )


def _sealed_to(exchange: Exchange, identity: Identity, enrollment: Enrollment, owner: str) -> Inside:
    """What an enrollment holds for this identity; raises HecliError, naming its owner."""
    name = identity.card.name
    mine = enrollment.parties[exchange.roster.parties.index(name)]
    if not mine.box:
        return Inside(None, None, b"", ())
    try:
        opened = unseal(mine.box, identity, _context(exchange, owner, name), f"{owner}'s enrollment")
    except HecliError as error:
        raise FormatError(f"what {owner} sealed to {name} does not open", DISHONEST) from error
    inside = Inside.parse(opened, dropouts=exchange.dropouts, sent=bool(mine.value))
    value = value_digest(exchange, owner, name, inside.value) if inside.value else b""
    if (value, _digests(exchange, owner, name, inside)) != mine[1:]:
        raise FormatError(f"what {owner} sealed to {name} is not what it says", DISHONEST)
    return inside


def _revealed(
    exchange: Exchange, enrollments: Enrollments, present: Sequence[str], answered: Answered
) -> _Revealed:
    """The shares that an answer reveals, each of which is the one that was dealt."""
    given, file = answered
    absent = enrollments.by_party.keys() - set(present)
    if (given.present, given.absent) != (set(present), absent):
        raise FormatError(f"{file}: does not answer about those it should", FORGED)
    given.check_form(exchange.roster.parties, file)
    seeds, rounds = dict(given.self_shares), dict(given.round_shares)
    at = exchange.roster.parties.index(given.party)
    values: dict[tuple[str, str], int] = {}
    for which, shares in enumerate((seeds, rounds)):
        for owner, share in shares.items():
            dealt = enrollments.by_party[owner].parties[at].shares[which]
            _expect(_share_digest(exchange, owner, given.party, share) == dealt, given.party, owner, file)
    for owner, revealed, others in given.value_shares:
        names, rest, digests = exchange.later(owner), iter(others), []
        own = dict(zip([name for name in names if name in absent], revealed, strict=True))
        for name in names:
            known = name in own
            digests.append(
                _value_share_digest(exchange, owner, given.party, name, own[name]) if known else next(rest)
            )
        dealt = enrollments.by_party[owner].parties[at].shares[2]
        _expect(digest_of("shares", b"".join(digests)) == dealt, given.party, owner, file)
        values |= {(owner, name): share for name, share in own.items()}
    return _Revealed(seeds, rounds, values)


def _expect(sound: bool, party: str, owner: str, file: str) -> None:
    if not sound:
        raise FormatError(
            f"{file}: the share of {owner}'s secret is not the one that was dealt",
            f"{party} lies: leave its answer out",
        )


def _is_sent(exchange: Exchange, enrollments: Enrollments, owner: str, other: str, value: bytes) -> bool:
    """Whether a value is the one whose digest its maker enrolled with."""
    at = exchange.roster.parties.index(other)
    return enrollments.by_party[owner].parties[at].value == value_digest(exchange, owner, other, value)


def _joined(
    numbers: Sequence[int], shares: Sequence[int], size: int, owner: str, prime: int = shamir.PRIME
) -> bytes:
    try:
        return shamir.join(dict(zip(numbers, shares, strict=True)), prime).to_bytes(size, "big")
    except OverflowError as error:
        raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST) from error


def _self_pair(exchange: Exchange, seed: bytes, enrollments: Enrollments, *, subtract: bool) -> Pair:
    return Pair(curves.derive(seed, f"self {exchange.label}", [enrollments.digest]), subtract=subtract)


def _context(exchange: Exchange, owner: str, recipient: str) -> bytes:
    return pack(["enrollment", exchange.plan, owner, recipient])


def _share(share: int) -> bytes:
    return share.to_bytes(SHARE_SIZE, "big")


def _value_share(share: int) -> bytes:
    return share.to_bytes(VALUE_SHARE_SIZE, "big")


def _share_digest(exchange: Exchange, owner: str, recipient: str, share: int) -> bytes:
    return digest_of("share", pack([exchange.plan, owner, recipient, _share(share)]))


def _value_share_digest(exchange: Exchange, owner: str, recipient: str, other: str, share: int) -> bytes:
    return digest_of("value share", pack([exchange.plan, owner, recipient, other, _value_share(share)]))
