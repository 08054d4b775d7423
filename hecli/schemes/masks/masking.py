"""What masks are in a plan: how many parties may drop out, and all that follows from it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.canonical import Map, fields
from hecli.formats.contributors import Contributor, Enrolled
from hecli.formats.text import count
from hecli.identity.roster import Roster
from hecli.schemes.masks import protocol, revealing
from hecli.schemes.masks.exchange import Exchange
from hecli.schemes.masks.keystream import Masks, Pair
from hecli.schemes.masks.protocol import Enrollments
from hecli.schemes.round import Open, Opener, Round, Sender

SHOWN = 5

MOST, MOST_WITH_DROPOUTS = 2500, 300
"""Parties of a round with masks: an enrollment holds a box for each, and where some may drop out shares of
what its party sends to all others, for each."""


class Masking(NamedTuple):
    """How masks hide updates from whoever opens the sum.

    Args:
        dropouts: How many parties may drop out.
    """

    dropouts: int

    def to_map(self) -> Map:
        """Write what stands in a plan.

        Returns:
            The map.
        """
        return {"dropouts": self.dropouts}

    @classmethod
    def parse(cls, value: object, file: str) -> "Masking":
        """Read what stands in a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            The masking.

        Raises:
            FormatError: It is malformed.
        """
        fields(value, file, "its masks", {"dropouts": int})
        assert isinstance(value, dict)
        return cls(value["dropouts"])

    def needed(self, parties: int) -> int:
        """Count the contributors without whom no sum opens, and the answers where parties may drop out.

        Args:
            parties: All parties.

        Returns:
            How many are needed.
        """
        return parties - self.dropouts

    def fewest_honest(self, parties: int, dishonest: int) -> int:
        """Count the honest parties of whose updates together dishonest ones may open the sum, at least.

        Where parties may drop out, whoever hands out aggregates can show each honest
        party another set of contributors, all of them true ones. Each answers
        once, and reveals shares of the round's secrets of K parties at most; a secret
        takes N - K shares, of which the dishonest have one each. So of h honest
        parties those of h * K / (h - K) may be known, and the others' sum be opened.

        Args:
            parties: All parties.
            dishonest: How many of them are, together with whoever aggregates and stores.

        Returns:
            How many honest ones are in every sum that they open.
        """
        honest = parties - dishonest
        if not self.dropouts:
            return honest
        return -(-honest * (honest - 2 * self.dropouts) // (honest - self.dropouts))

    def check(self, roster: Roster | None, parties: int) -> None:
        """Refuse masks that no round can have.

        Args:
            roster: Who takes part, where the plan says it.
            parties: How many they are.

        Raises:
            HecliError: There is no roster, or too many may drop out.
        """
        if roster is None:
            raise HecliError("masks are agreed between parties of a roster", "give each --party's card")
        most = MOST_WITH_DROPOUTS if self.dropouts else MOST
        if parties > most:
            raise HecliError(
                f"{parties:,} parties are too many to enroll: at most {most:,} may",
                "leave out --dropouts, or have fewer parties" if self.dropouts else "have fewer parties",
            )
        # With N = 2K + 1 one who answers twice, of two sets of contributors, uncovers the one they differ by.
        if self.dropouts < 0 or (self.dropouts and 2 * self.dropouts + 2 > parties):
            raise HecliError(
                f"{self.dropouts} of {parties} parties are too many to drop out",
                f"at most {max(parties - 2, 0) // 2} may: one dishonest party would uncover another",
            )

    def check_enrolled(
        self, contributors: Sequence[Contributor], enrolled: Sequence[Enrolled], round_: Round, file: str
    ) -> None:
        """Refuse an update or aggregate that lists those who enrolled as it cannot.

        Args:
            contributors: Who is in it.
            enrolled: Who enrolled.
            round_: The round.
            file: The file, for errors.

        Raises:
            FormatError: The list does not fit.
        """
        names = {each.party for each in enrolled}
        parties = set(round_.roster.parties) if round_.roster else set()
        enough = len(names) >= self.needed(round_.parties) and names <= parties
        if not enough or not {each.party for each in contributors} <= names:
            raise FormatError(f"{file}: its list of those who enrolled does not fit its plan")

    def check_enough(self, contributors: Sequence[Contributor], roster: Roster | None, file: str) -> None:
        """Refuse an aggregate that lacks so many that its masks do not come off.

        Args:
            contributors: Who is in it.
            roster: Who takes part.
            file: The file, for errors.

        Raises:
            RefusedError: Too few are in it.
        """
        parties = roster.parties if roster else ()
        if len(contributors) >= self.needed(len(parties)):
            return
        missing = sorted(set(parties) - {each.party for each in contributors})
        names = ", ".join(missing[:SHOWN]) + (" and others" if len(missing) > SHOWN else "")
        allowed = f"of all parties but {self.dropouts}" if self.dropouts else "of all parties"
        raise RefusedError(
            f"{file} lacks {names}: masks come off only the sum {allowed}",
            "wait for their updates, or make a plan without them",
        )

    def masks(self, n: int, round_: Round, sender: Sender) -> Masks:
        """Make what masks an update.

        Args:
            n: The modulus of plaintexts.
            round_: The round.
            sender: The party.

        Returns:
            The masks.

        Raises:
            HecliError: The party lacks something, or others kept to no rule.
        """
        identity = sender.identity
        if identity is None or round_.roster is None:
            raise RefusedError("masks are a party's own", "pass --identity, your .id file")
        enrollments = self._enough(sender.enrollments, round_)
        if identity.card.name not in enrollments.by_party:
            raise RefusedError(
                f"{identity.card.name} is not among those who enrolled",
                "pass your own enrollment with --enroll too",
            )
        return Masks(n, protocol.pairs_of(self.exchange(round_), identity, enrollments))

    def unmasked(self, n: int, opened: Open, round_: Round, opener: Opener) -> Open:
        """Take off what masks are left on a sum.

        Args:
            n: The modulus of plaintexts.
            opened: What opens, with masks left on what it gives.
            round_: The round.
            opener: Who opens, and with which answers.

        Returns:
            What opens without them; the same where they have cancelled.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        if not self.dropouts:
            return opened
        masks = Masks(n, self._left(round_, opener))

        def run(batches: Iterable[bytes], first: int) -> Iterator[bytes]:
            return masks(opened(batches, first), first)

        return run

    def remasked(
        self, n: int, plaintexts: Iterable[bytes], first: int, round_: Round, opener: Opener
    ) -> Iterator[bytes]:
        """Put back what `unmasked` took off.

        Args:
            n: The modulus of plaintexts.
            plaintexts: What `unmasked` gave, in batches.
            first: The number of the first.
            round_: The round.
            opener: What whoever opened was given.

        Returns:
            What the blocks hold.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        if not self.dropouts:
            return iter(plaintexts)
        pairs = [Pair(each.key, not each.subtract) for each in self._left(round_, opener)]
        return Masks(n, pairs)(plaintexts, first)

    def _left(self, round_: Round, opener: Opener) -> list[Pair]:
        """What is left on a sum, to be added once more."""
        enrollments = self._enough(opener.enrollments, round_)
        needed, exchange = self.needed(round_.parties), self.exchange(round_)
        present = [each.party or "" for each in opener.contributors]
        sound, wrong = [], []
        for each in opener.answers:
            try:
                sound.append(revealing.shares_in(exchange, enrollments, present, each))
            except FormatError as error:
                wrong.append(error)
        if wrong and len(sound) < needed:
            raise wrong[0]
        if len(sound) < needed:
            raise RefusedError(
                f"{count(len(sound), 'answer')} given, {needed} required",
                "parties answer with hecli answer; pass their answers with --answers",
            )
        opener.refused.update(each.message for each in wrong)
        return revealing.pairs_left(exchange, enrollments, present, sound)

    def exchange(self, round_: Round) -> Exchange:
        """Give what everybody knows of a round who enrolls, masks, or answers.

        Args:
            round_: The round, which has a roster.

        Returns:
            It.
        """
        assert round_.roster is not None
        return Exchange(round_.plan, round_.roster, self.needed(round_.parties), round_.masks)

    def lines(self, parties: int) -> list[tuple[str, str]]:
        """Say what is needed, for people.

        Args:
            parties: All parties.

        Returns:
            Titles and texts.
        """
        if not self.dropouts:
            return [("masks", "every party's update is needed")]
        needed = self.needed(parties)
        who = count(2 * needed - parties - 1, "dishonest party", "dishonest parties")
        return [("masks", f"{needed} updates and {needed} answers are needed; holds against {who}")]

    def _enough(self, enrollments: Enrollments | None, round_: Round) -> Enrollments:
        given = len(enrollments.by_party) if enrollments else 0
        needed = self.needed(round_.parties)
        if enrollments is None or given < needed:
            raise RefusedError(
                f"{count(given, 'enrollment')} given, {needed} required",
                "pass everybody's enrollment with --enroll",
            )
        return enrollments
