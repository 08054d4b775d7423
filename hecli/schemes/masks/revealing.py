"""What parties reveal after a round of masks, and what it takes off the sum.

For those in the aggregate, enough others reveal shares of the seed of their own
mask; for those who enrolled and are absent, shares of all that their masks
follow from. What two parties mask with follows also from a value that one sent
the other: of those that contributors sent to absent parties they reveal shares as
well. Nobody reveals both secrets of one party, so an update that comes late stays
masked (K. Bonawitz et al., CCS 2017, figure 4, round 4).
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map, digest_of
from hecli.identity import curves
from hecli.identity.signatures import FORGED, Identity
from hecli.schemes.masks import shamir
from hecli.schemes.masks.dealing import sealed_to, share_digest, value_share_digest
from hecli.schemes.masks.exchange import DISHONEST, VALUE_SIZE, Exchange, pair_key, value_of
from hecli.schemes.masks.files import ROUND_SIZE, SEED_SIZE, Answer, ValueShares
from hecli.schemes.masks.keystream import Pair
from hecli.schemes.masks.protocol import Enrollments, self_pair


class Answered(NamedTuple):
    """An answer that was read.

    Args:
        answer: The answer.
        file: The file it came in.
    """

    answer: Answer
    file: str


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
        dealt = sealed_to(exchange, identity, enrollments.by_party[owner])
        of_seed, of_round = dealt.shares
        if owner in absent:
            round_shares.append((owner, of_round))
            continue
        self_shares.append((owner, of_seed))
        values = dict(zip(exchange.later(owner), dealt.values, strict=True))
        if absent & values.keys():
            revealed = tuple(share for name, share in values.items() if name in absent)
            others = [
                value_share_digest(exchange, owner, party, name, share)
                for name, share in values.items()
                if name not in absent
            ]
            value_shares.append(ValueShares(owner, revealed, tuple(others)))
    lists = tuple(self_shares), tuple(round_shares), tuple(value_shares)
    return Answer(plan, party, enrollments.listed, *lists)


class Revealed(NamedTuple):
    """The shares in an answer, each of which is the one that was dealt.

    Args:
        number: Which share of each secret they are, from 1.
        seeds: Of seeds, by the name of whose they are.
        rounds: Of the round's secrets, likewise.
        values: Of values, by the names of who sent them, and to whom.
    """

    number: int
    seeds: dict[str, int]
    rounds: dict[str, int]
    values: dict[tuple[str, str], int]


def shares_in(
    exchange: Exchange, enrollments: Enrollments, present: Sequence[str], answered: Answered
) -> Revealed:
    """Take the shares from an answer.

    Args:
        exchange: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        answered: The answer.

    Returns:
        The shares.

    Raises:
        FormatError: It lies: a share is not the one that was dealt.
    """
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
            _expect(share_digest(exchange, owner, given.party, share) == dealt, given.party, owner, file)
    for owner, revealed, others in given.value_shares:
        names, rest, digests = exchange.later(owner), iter(others), []
        own = dict(zip([name for name in names if name in absent], revealed, strict=True))
        for name in names:
            known = name in own
            digests.append(
                value_share_digest(exchange, owner, given.party, name, own[name]) if known else next(rest)
            )
        dealt = enrollments.by_party[owner].parties[at].shares[2]
        _expect(digest_of("shares", b"".join(digests)) == dealt, given.party, owner, file)
        values |= {(owner, name): share for name, share in own.items()}
    return Revealed(at + 1, seeds, rounds, values)


def pairs_left(
    exchange: Exchange, enrollments: Enrollments, present: Sequence[str], revealed: Sequence[Revealed]
) -> list[Pair]:
    """Find, from answers, what takes off a sum the masks that did not cancel in it.

    Args:
        exchange: The round.
        enrollments: All who enrolled.
        present: The names of those who are in the sum.
        revealed: As many answers' shares as are needed, or more.

    Returns:
        The pairs, to be added once more.

    Raises:
        FormatError: The shares that somebody dealt do not fit together.
    """
    chosen = sorted(revealed, key=lambda each: each.number)[: exchange.needed]
    numbers, pairs = [each.number for each in chosen], []
    seeds = {
        owner: _joined(numbers, [each.seeds[owner] for each in chosen], SEED_SIZE, owner)
        for owner in sorted(present)
    }
    for owner, seed in seeds.items():
        if digest_of("seed", seed) != enrollments.by_party[owner].self_digest:
            raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST)
        pairs.append(self_pair(exchange, seed, enrollments, subtract=True))
    for gone in sorted(enrollments.by_party.keys() - set(present)):
        secret = _joined(numbers, [each.rounds[gone] for each in chosen], ROUND_SIZE, gone)
        round_key, drawn = secret[:-SEED_SIZE], secret[-SEED_SIZE:]
        if curves.agreement_public(round_key) != enrollments.by_party[gone].mask_key:
            raise FormatError(f"{gone} dealt shares that do not fit together", DISHONEST)
        for party in sorted(present):
            maker, other = sorted((gone, party))
            if maker == gone:
                value = value_of(exchange, drawn, gone, party)
            else:
                shares = [each.values[party, gone] for each in chosen]
                value = _joined(numbers, shares, VALUE_SIZE, party, shamir.PRIME_257)
            if not enrollments.is_sent(exchange, maker, other, value):
                raise FormatError(f"{maker} dealt shares that do not fit together", DISHONEST)
            names, public = (gone, party), enrollments.by_party[party].mask_key
            key = pair_key(exchange, value, round_key, public, names, enrollments.digest)
            # The party subtracted where its name is the later one: now the reverse.
            pairs.append(Pair(key, subtract=party < gone))
    return pairs


def _expect(sound: bool, party: str, owner: str, file: str) -> None:
    if not sound:
        raise FormatError(
            f"{file}: the share of {owner}'s secret is not the one that was dealt",
            f"{party} lies: leave its answer out",
        )


def _joined(
    numbers: Sequence[int], shares: Sequence[int], size: int, owner: str, prime: int = shamir.PRIME
) -> bytes:
    try:
        return shamir.join(dict(zip(numbers, shares, strict=True)), prime).to_bytes(size, "big")
    except OverflowError as error:
        raise FormatError(f"{owner} dealt shares that do not fit together", DISHONEST) from error
