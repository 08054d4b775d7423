"""A party's account: what its updates with noise cost."""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from hecli.errors import FormatError, MismatchError
from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader
from hecli.formats.text import check_name
from hecli.identity.cards import Card
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.privacy.accounting import Cost
from hecli.privacy.guarantee import PARTY, RECORD, UNITS, Privacy

_CHANGED = 4
"""What a change of twice the norm costs, to one of the norm."""

KIND = "account"
SUFFIX = "spent"


class Spending(NamedTuple):
    """One update with noise.

    Args:
        plan: The digest of its plan.
        name: What its round is called.
        unit: Whose data its noise protects, one of UNITS.
        norm2: The square of what one of them changes.
        variance: That of a party's noise.
        honest: Whose noise counts in a sum, at least.
        delta: The delta for which epsilon is shown.
    """

    plan: bytes
    name: str
    unit: str
    norm2: int
    variance: int
    honest: int
    delta: float

    @classmethod
    def of(cls, plan: bytes, name: str, privacy: Privacy, fewest: int) -> "Spending":
        """Say what an update costs.

        Args:
            plan: The digest of its plan.
            name: What the round is called.
            privacy: Its noise.
            fewest: The fewest contributors of a sum that may be opened.

        Returns:
            It.
        """
        honest = fewest - privacy.colluders
        return cls(plan, name, privacy.unit, privacy.norm2, privacy.variance, honest, privacy.delta)

    @property
    def cost(self) -> Cost:
        """What it costs when the sum is opened."""
        return self._cost(self.honest)

    @property
    def cost_alone(self) -> Cost:
        """What it costs when the update itself is opened, or a second sum without it."""
        return self._cost(1)

    def _cost(self, honest: int) -> Cost:
        """Of so many parties' noise (Bun and Steinke, proposition 1.6)."""
        return Cost(Fraction(self.norm2, 2 * honest * self.variance), 1)


class Balance(NamedTuple):
    """What updates cost together.

    Args:
        unit: Whose data is protected.
        sums: What it costs that their sums are opened.
        alone: What it costs whoever opens the updates themselves, or a second sum without each.
        delta: The delta that epsilon is for.
        bounded: Whether anything is promised: what protects records alone promises a party nothing.
    """

    unit: str
    sums: Cost
    alone: Cost
    delta: float
    bounded: bool = True

    @property
    def epsilon(self) -> float:
        """The epsilon of the sums; infinity where nothing is promised."""
        return self.sums.epsilon(self.delta) if self.bounded else math.inf

    @property
    def epsilon_alone(self) -> float:
        """The epsilon of the updates themselves, likewise."""
        return self.alone.epsilon(self.delta) if self.bounded else math.inf


def balances(spent: Iterable[Spending], delta: float | None = None) -> list[Balance]:
    """Add up what updates cost.

    What protects a party from being told apart from nobody protects each of its
    records as far as it can change the party's update, which is twice the clip
    norm: it counts four times for them. What protects records promises a party
    nothing.

    Args:
        spent: The updates.
        delta: The delta to show epsilon for; by default the least that was asked for.

    Returns:
        A balance for each unit that there is an update of.
    """
    spent = list(spent)
    units = {each.unit for each in spent}
    found = []
    for unit in (each for each in UNITS if each in units):
        sums, alone = Cost(), Cost()
        for each in spent:
            times = _CHANGED if unit == RECORD and each.unit == PARTY else 1
            sums, alone = sums.plus(each.cost.scaled(times)), alone.plus(each.cost_alone.scaled(times))
        least = min(each.delta for each in spent)
        found.append(Balance(unit, sums, alone, delta or least, bounded=unit == RECORD or units == {unit}))
    return found


def write_account(spent: Iterable[Spending], out: BinaryIO, identity: Identity) -> None:
    """Write an account.

    Args:
        spent: The updates, in their order.
        out: Where to.
        identity: Whose it is, who signs it.
    """
    envelope.write(out, KIND, {"spent": [list(each) for each in spent]}, sign=signer(identity, KIND))


def read_account(reader: Reader, owner: Card | None = None) -> tuple[Spending, ...]:
    """Read an account.

    Args:
        reader: The opened file.
        owner: Whose it must be.

    Returns:
        The updates, in their order.

    Raises:
        FormatError: It is none, or was altered.
        MismatchError: It is another's.
    """
    reader.require(KIND)
    reader.require_sections()
    fields(reader.header, reader.name, "its header", {"spent": list})
    signed = signer_of(reader)
    if signed is None:
        raise FormatError(f"{reader.name}: nobody signed it", FORGED)
    if owner is not None and signed != owner:
        raise MismatchError(
            f"{reader.name} is the account of {signed.fingerprint} {signed.name}, not of {owner.name}",
            "an account stands beside its identity: restore the one that belongs there",
        )
    return tuple(_spending(item, reader.name) for item in reader.header["spent"])


def _spending(item: object, file: str) -> Spending:
    match item:
        case [bytes(plan), str(name), str(unit), int(norm2), int(variance), int(honest), float(delta)]:
            check_name(name)
            numbers = (norm2, variance, honest)
            sound = len(plan) == DIGEST_SIZE and unit in UNITS and 0 < delta < 1
            # True is no number.
            if sound and all(type(each) is int and each > 0 for each in numbers):
                return Spending(plan, name, unit, norm2, variance, honest, delta)
    raise FormatError(f"{file}: an update in it is malformed")
