"""The roster of a plan: who takes part, and who may make which file."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.canonical import Map, fields
from hecli.formats.contributors import Contributor
from hecli.formats.kinds import KINDS
from hecli.identity.cards import Card, Signature
from hecli.identity.names import check_distinct
from hecli.identity.signatures import FORGED, Identity, check_signature


@dataclass(frozen=True)
class Roster:
    """Who takes part in a round.

    Args:
        members: All cards, sorted by name.
        parties: The names of those who send updates, sorted.
        aggregators: Those of whoever may aggregate; any member, where none is named.
        keyholders: Those of whoever may open sums; likewise.
        coordinator: The name of whoever signs the plan.
    """

    members: tuple[Card, ...]
    parties: tuple[str, ...]
    aggregators: tuple[str, ...]
    keyholders: tuple[str, ...]
    coordinator: str

    @classmethod
    def of(
        cls,
        parties: Iterable[Card],
        aggregators: Iterable[Card] = (),
        keyholders: Iterable[Card] = (),
        *,
        coordinator: Card,
    ) -> "Roster":
        """Make the roster of these cards.

        Args:
            parties: The cards of those who send updates.
            aggregators: Those of whoever may aggregate.
            keyholders: Those of whoever may open sums.
            coordinator: That of whoever signs the plan.

        Returns:
            The roster.

        Raises:
            HecliError: Two people share a name or a key, or their names look alike.
        """
        groups = [list(each) for each in (parties, aggregators, keyholders)]
        if len(set(groups[0])) != len(groups[0]):
            raise HecliError("a party is given twice", "give each card once")
        members = {coordinator, *(card for group in groups for card in group)}
        names = [tuple(sorted({card.name for card in group})) for group in groups]
        roster = cls(
            members=tuple(sorted(members)),
            parties=names[0],
            aggregators=names[1],
            keyholders=names[2],
            coordinator=coordinator.name,
        )
        roster.check()
        check_distinct([card.name for card in roster.members])
        return roster

    def check(self) -> None:
        """Raise HecliError unless every member is one person, and every name a member's."""
        for what, values in (
            ("name", [card.name for card in self.members]),
            ("key", [card.sign for card in self.members]),
            ("key", [card.agree for card in self.members]),
            ("key", [card.kem for card in self.members]),
        ):
            if len(set(values)) != len(values):
                raise HecliError(f"two members of the roster have the same {what}", "one card a person")
        named = {*self.parties, *self.aggregators, *self.keyholders, self.coordinator}
        if named != {card.name for card in self.members}:
            raise HecliError("the roster's names are not those of its cards")
        for names in (self.parties, self.aggregators, self.keyholders):
            if list(names) != sorted(set(names)):
                raise HecliError("the roster's names are out of order")
        if list(self.members) != sorted(self.members):
            raise HecliError("the roster's cards are out of order")

    def to_map(self) -> Map:
        """The roster as it stands in a plan."""
        return {
            "members": [list(card) for card in self.members],
            "parties": list(self.parties),
            "aggregators": list(self.aggregators),
            "keyholders": list(self.keyholders),
            "coordinator": self.coordinator,
        }

    @classmethod
    def from_map(cls, value: Map, file: str) -> "Roster":
        """Read the roster of a plan.

        Args:
            value: What stands in a plan.
            file: The file, for errors.

        Returns:
            The roster.

        Raises:
            FormatError: It is none.
        """
        types: dict[str, type | tuple[type, ...]] = {
            "members": list,
            "parties": list,
            "aggregators": list,
            "keyholders": list,
            "coordinator": str,
        }
        fields(value, file, "its roster", types)
        lists = {key: tuple(value[key]) for key in ("parties", "aggregators", "keyholders")}
        if not all(isinstance(name, str) for names in lists.values() for name in names):
            raise FormatError(f"{file}: its roster is malformed")
        members = tuple(Card.parse(item, file) for item in value["members"])
        roster = cls(members=members, coordinator=value["coordinator"], **lists)
        try:
            roster.check()
        except HecliError as error:
            raise FormatError(f"{file}: {error.message}") from error
        return roster

    @property
    def kem_keys(self) -> list[bytes]:
        """The ML-KEM keys of the parties, in their order; raises HecliError where one is not known."""
        return [self.cards[name].known_key for name in self.parties]

    def knowing(self, kem_keys: object, file: str) -> "Roster":
        """Give the same roster, whose parties' cards know their ML-KEM keys.

        Args:
            kem_keys: What stands for the keys, in the order of the parties.
            file: The file, for errors.

        Returns:
            The roster.

        Raises:
            FormatError: They are not the keys of the cards.
        """
        if not isinstance(kem_keys, list) or len(kem_keys) != len(self.parties):
            raise FormatError(f"{file}: has not one ML-KEM key for each party")
        known = {
            name: self.cards[name].knowing(key, file)
            for name, key in zip(self.parties, kem_keys, strict=True)
        }
        return replace(self, members=tuple(known.get(card.name, card) for card in self.members))

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The members by name."""
        return {card.name: card for card in self.members}

    def makers(self, kind: str) -> frozenset[str]:
        """Name those who may make files of this kind: any member where no list says who.

        Args:
            kind: The kind of file.

        Returns:
            Their names.
        """
        return self._makers[KINDS[kind].makers or ""]

    @cached_property
    def _makers(self) -> dict[str, frozenset[str]]:
        lists = {"parties": self.parties, "aggregators": self.aggregators, "keyholders": self.keyholders}
        return {name: frozenset(names or self.cards) for name, names in (lists | {"": ()}).items()}

    def check_identity(self, identity: Identity | None, kind: str) -> None:
        """Refuse whoever may not make a file of this kind.

        Args:
            identity: Who wants to make a file, or nobody.
            kind: The kind of file.

        Raises:
            RefusedError: They may not.
        """
        if identity is None:
            raise RefusedError(
                f"the plan has a roster: whoever wants to {KINDS[kind].duty} has to sign",
                "pass --identity, your .id file (or set HECLI_IDENTITY)",
            )
        self._check_card(identity.card, kind, f"the identity {identity.card.name}")

    def check_signer(self, card: Card | None, kind: str, file: str) -> None:
        """Refuse a file whose signer may not make one.

        Args:
            card: Who signed a file, or nobody.
            kind: Its kind.
            file: The file, for errors.

        Raises:
            RefusedError: They may not.
        """
        if card is None:
            raise RefusedError(
                f"{file} is not signed, and its plan has a roster",
                "whoever made it has to make it again with --identity",
            )
        self._check_card(card, kind, f"{file} is signed by {card.name}, who")

    def check_contributors(self, contributors: Iterable[Contributor], plan: bytes, file: str) -> None:
        """Refuse contributors that did not sign.

        Args:
            contributors: Who is listed.
            plan: The digest of the plan.
            file: The file, for errors.

        Raises:
            FormatError: One is no party, or did not sign the update it is listed with.
        """
        for each in contributors:
            if each.party not in self.makers("update") or each.signature is None:
                raise FormatError(f"{file}: lists {each}, which is no signed update of a party", FORGED)
            signature = Signature(self.cards[each.party], each.signature)
            check_signature(signature, "update", plan, each.digest, f"{file}: the signature under the update")

    def _check_card(self, card: Card, kind: str, who: str) -> None:
        known = self.cards.get(card.name)
        if known is None:
            raise RefusedError(f"{who} is not on the plan's roster", "only those on it take part")
        if known != card:
            raise RefusedError(
                f"{who} has the card {card.fingerprint}, the plan's roster has {known.fingerprint}",
                "somebody goes by another's name, or has made a new identity since: ask them",
            )
        if card.name not in self.makers(kind):
            names = sorted(self.makers(kind))
            raise RefusedError(
                f"{who} may not {KINDS[kind].duty} by the plan's roster",
                f"that is for {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}",
            )
