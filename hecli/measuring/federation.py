"""A training and its parties in one process, by the functions that `hecli run` calls.

Plans and terms, updates, residuals, sums, bases and models are as in a training,
each as a file in memory.
"""

import io
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hecli.codec.basis import Basis
from hecli.codec.sample import Sample
from hecli.formats.contributors import Contributor
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import TensorFile, of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.making import new_id, rounding_of
from hecli.plan.position import Position
from hecli.plan.settings import Setting
from hecli.rounds.apply import apply
from hecli.rounds.basis import make_basis
from hecli.rounds.headers import Sum
from hecli.rounds.ranges import steps_after
from hecli.rounds.residual import read_residual, settle
from hecli.schemes.interface import Scheme
from hecli.training.deriving import After, coding_of, derive_plan, with_fewest_bits
from hecli.training.models import model_digest, update_of
from hecli.training.terms import Training, write_training

Arrays = Mapping[str, npt.NDArray[Any]]
"""A model, or what a party made of it: the arrays of its tensors, by name."""

FEWEST = 2
"""The fewest parties of a round."""


class Sent(NamedTuple):
    """An update.

    Args:
        file: Its file.
        clipped: How many of its values were clipped.
        residual: What did not get through, where a party keeps that.
        contributor: Whose it is, as sums list it, where the file does not say that itself.
    """

    file: bytes
    clipped: int
    residual: bytes | None = None
    contributor: Contributor | None = None


class Total(NamedTuple):
    """The sum of a round.

    Args:
        header: What its file says of itself.
        file: The file.
        digest: Its digest.
    """

    header: Sum
    file: io.BytesIO
    digest: bytes


@dataclass
class Party:
    """A party of a training.

    Args:
        identity: Who it is.
        residual: What did not get through of its updates, a file.
    """

    identity: Identity
    residual: bytes | None = None


class Hiding(Protocol):
    """What becomes of updates on their way to the sum."""

    def begin(self, plan: Plan, parties: Sequence[Identity]) -> None:
        """Begin a round.

        Args:
            plan: Its plan.
            parties: Who takes part.
        """
        ...

    def send(self, plan: Plan, party: Party, update: TensorFile, basis: Basis | None, *, keeps: bool) -> Sent:
        """Make an update.

        Args:
            plan: The round's plan.
            party: Whose it is.
            update: Its tensors.
            basis: The bases of matrices, where the plan is of low rank.
            keeps: Whether the party keeps what does not get through.

        Returns:
            The update.
        """
        ...

    def add(self, plan: Plan, sent: Sequence[Sent], coordinator: Identity) -> Total:
        """Add up updates.

        Args:
            plan: The round's plan.
            sent: The updates.
            coordinator: Who signs the sum.

        Returns:
            The sum.
        """
        ...


@dataclass
class Federation:
    """A training and its parties.

    Args:
        training: The terms.
        digest: The digest of their file.
        coordinator: Who signs them, and the sums.
        parties: The parties.
        hiding: What becomes of updates.
        model: The model as it is.
        previous: The digest of the last sum's file; nothing before the first.
        after: What the next plan takes from the last sum.
        basis: The bases of the next round.
    """

    training: Training
    digest: bytes
    coordinator: Identity
    parties: Sequence[Party]
    hiding: Hiding
    model: dict[str, npt.NDArray[Any]]
    previous: bytes = b""
    after: After | None = None
    basis: Basis | None = None

    def plan(self, number: int) -> Plan:
        """Derive the plan of the next round, and begin it.

        Args:
            number: Its number, from 1.

        Returns:
            The plan.
        """
        model = model_digest(of_arrays(self.model))
        position = Position(self.digest, number, 1, model, self.previous)
        plan = derive_plan(self.training, position, self.after, new_id())
        self.hiding.begin(plan, [party.identity for party in self.parties])
        return plan

    def send(self, plan: Plan, party: Party, made: Arrays) -> Sent:
        """Make an update, and keep what does not get through as a run does.

        Args:
            plan: The round's plan.
            party: Whose update it is.
            made: What its training made of the model: new weights, or where the rule is `sgd` gradients.

        Returns:
            The update.
        """
        difference = self.training.rule == "add"
        update = update_of(of_arrays(made), of_arrays(self.model), plan.tensors, {}, difference=difference)
        # As a run does: nothing is kept of what noise has to hide, nor beside what is in the clear.
        keeps = bool(plan.codec.steps) and plan.codec.feeds_back
        keeps = keeps and not plan.plain and not self.training.protects_records
        sent = self.hiding.send(plan, party, update, self.basis, keeps=keeps)
        if sent.residual is not None:
            party.residual = sent.residual
        return sent

    def add(self, plan: Plan, sent: Sequence[Sent]) -> Total:
        """Add up updates.

        Args:
            plan: The round's plan.
            sent: The updates.

        Returns:
            The sum.
        """
        total = self.hiding.add(plan, sent, self.coordinator)
        self.previous = total.digest
        return total

    def move(self, plan: Plan, total: Total) -> None:
        """Move the model, and get ready for the next round.

        Args:
            plan: The round's plan.
            total: Its sum.
        """
        training, file, out = self.training, total.file, io.BytesIO()
        apply(
            file,
            out,
            of_arrays(self.model),
            plan=plan,
            basis=self.basis,
            rule=training.rule,
            lr=training.lr,
            format="tensors",
        )
        moved = to_arrays(open_tensors(out, "the model"))
        self.model = {name: each.astype(self.model[name].dtype) for name, each in moved.items()}
        low_rank = None
        if training.rank is not None:
            low_rank, self.basis = make_basis(file, io.BytesIO(), training.rank, plan=plan)
        self.after = After(steps_after(file, coding_of(training, low_rank), plan=plan), low_rank)
        for party in self.parties:
            if party.residual is None:
                continue
            residual = read_residual(open_reader(io.BytesIO(party.residual)))
            # That of a party that is absent is about an earlier round, and settled.
            if residual.subject == plan.subject:
                left = io.BytesIO()
                settle(residual, total.header, left)
                party.residual = left.getvalue()


def terms(model: Arrays, roster: Roster, scheme: Scheme, setting: Setting, rounds: int) -> Training:
    """Make the terms of a training.

    Args:
        model: The first model.
        roster: Who takes part.
        scheme: How updates would be hidden.
        setting: How values are coded.
        rounds: How many rounds there are.

    Returns:
        The terms; all that is not asked for is as `hecli start` has it.
    """
    opened = of_arrays(model)
    return Training(
        name="trial",
        id=secrets.token_bytes(ID_SIZE),
        roster=roster,
        scheme=scheme,
        tensors=opened.specs,
        skipped=(),
        model=model_digest(opened),
        rule="add",
        lr=1.0,
        rounds=rounds,
        bits=setting.bits,
        rounding=rounding_of(setting.bits),
        range=None,
        max_weight=1,
        min_parties=FEWEST,
        deadline=3600,
        metrics=(),
        goal=None,
        keep=0,
        rotate=setting.rotate,
        rank=setting.rank,
        sample=None if setting.sample is None else Sample.of_share(setting.sample).count,
    )


def roster_of(parties: int, *, opens: bool = False) -> tuple[Identity, list[Identity], Roster]:
    """Make people that nobody knows.

    Args:
        parties: How many parties there are.
        opens: Whether parties may open sums too, such as by shares of a key.

    Returns:
        A coordinator, who aggregates and opens too; the parties; and the roster.
    """
    coordinator = Identity.generate("coordinator")
    people = [Identity.generate(f"party-{at}") for at in range(1, parties + 1)]
    cards = [each.card for each in people]
    openers = [coordinator.card, *(cards if opens else ())]
    roster = Roster.of(cards, [coordinator.card], openers, coordinator=coordinator.card)
    return coordinator, people, roster


def begin(
    training: Training,
    coordinator: Identity,
    people: Sequence[Identity],
    hiding: Hiding,
    model: Arrays,
) -> Federation:
    """Begin a training.

    Args:
        training: The terms.
        coordinator: Who signs them.
        people: The parties.
        hiding: What becomes of updates.
        model: The first model.

    Returns:
        The training.

    Raises:
        HecliError: No training has such terms.
    """
    training = with_fewest_bits(training)
    training.check()
    digest = write_training(training, io.BytesIO(), coordinator)
    arrays = {name: np.asarray(each) for name, each in model.items()}
    return Federation(training, digest, coordinator, [Party(each) for each in people], hiding, arrays)
