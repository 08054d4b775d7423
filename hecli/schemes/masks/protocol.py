"""Masks of a round: what each party draws before it, and masks with.

The protocol of K. Bonawitz et al. (CCS 2017, figure 4) in file drops. Each
party masks its update pairwise with all who enrolled (see `exchange`), and, where
parties may drop out, once with a mask of its own. What is left of them on a sum
`revealing` takes off.
"""

import secrets
from dataclasses import dataclass
from functools import cached_property

from hecli.errors import FormatError
from hecli.formats.canonical import Map, digest_of, pack
from hecli.formats.contributors import Enrolled
from hecli.identity import curves
from hecli.identity.sealing import seal, unseal
from hecli.identity.signatures import Identity
from hecli.schemes.masks.dealing import context_of, deal, seal_to, sealed_to
from hecli.schemes.masks.exchange import Exchange, pair_key, value_digest, value_of
from hecli.schemes.masks.files import ROUND_SIZE, SEED_SIZE, Enrollment
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

    @cached_property
    def digest(self) -> bytes:
        """What the masks are bound to: who enrolled, with which files."""
        return digest_of("enrolled", pack([list(each) for each in self.listed]))

    def is_sent(self, exchange: Exchange, owner: str, other: str, value: bytes) -> bool:
        """Tell whether a value is the one whose digest its maker enrolled with.

        Args:
            exchange: The round.
            owner: Who made the value.
            other: To whom it was sent.
            value: The value.

        Returns:
            Whether it is.
        """
        at = exchange.roster.parties.index(other)
        return self.by_party[owner].parties[at].value == value_digest(exchange, owner, other, value)


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
    values = {name: value_of(exchange, drawn, party, name) for name in exchange.later(party)}
    dealt = deal(exchange, seed, round_key + drawn, values)
    return Enrollment(
        plan=plan,
        party=party,
        mask_key=mask_key,
        own=seal(seed + round_key + drawn, roster.cards[party], context_of(exchange, party, "")),
        parties=tuple(seal_to(exchange, party, roster.cards[name], dealt[name]) for name in roster.parties),
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
        owner: sealed_to(exchange, identity, enrollment).value
        for owner, enrollment in enrollments.by_party.items()
    }
    own = enrollments.by_party[party]
    opened = unseal(own.own, identity, context_of(exchange, party, ""), f"{party}'s enrollment")
    seed, round_key, drawn = opened[:-ROUND_SIZE], opened[-ROUND_SIZE:-SEED_SIZE], opened[-SEED_SIZE:]
    values = {name: value_of(exchange, drawn, party, name) for name in exchange.later(party)}
    if not (
        curves.agreement_public(round_key) == own.mask_key
        and (digest_of("seed", seed) if seed else b"") == own.self_digest
        and all(enrollments.is_sent(exchange, party, name, value) for name, value in values.items())
    ):
        raise FormatError(
            f"{party}'s own enrollment says other keys than it seals",
            "it was not made by hecli enroll: enroll again, in a new plan",
        )
    found = [self_pair(exchange, seed, enrollments, subtract=False)] if seed else []
    for other, enrollment in enrollments.by_party.items():
        if other != party:
            value = values[other] if party < other else sent[other]
            names, enrolled = (party, other), enrollments.digest
            key = pair_key(exchange, value, round_key, enrollment.mask_key, names, enrolled)
            found.append(Pair(key, subtract=party > other))
    return found


def self_pair(exchange: Exchange, seed: bytes, enrollments: Enrollments, *, subtract: bool) -> Pair:
    """Give a party's mask of its own.

    Args:
        exchange: The round.
        seed: What it follows from.
        enrollments: All who enrolled.
        subtract: Whether it is taken off.

    Returns:
        The mask, as a pair.
    """
    return Pair(curves.derive(seed, f"self {exchange.label}", [enrollments.digest]), subtract=subtract)
