"""Whole trainings in one process, by the functions that `hecli run` calls, but for encryption.

Encryption is exact: what comes out of it is what went in. So the lanes of an
encoded file take its place, and are added up. All else is as in a training: its
plans and terms, updates, residuals, sums, bases and models, each as a file in
memory.
"""

import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hecli.bench.images import Images, Model, accuracy, trained
from hecli.codec.arrays import Lanes
from hecli.codec.basis import Basis
from hecli.codec.sample import Sample
from hecli.formats import envelope
from hecli.formats.contributors import Contributor, sorted_contributors
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.making import new_id, rounding_of
from hecli.plan.position import Position
from hecli.plan.settings import Setting, update_bytes
from hecli.rounds.apply import apply
from hecli.rounds.basis import make_basis
from hecli.rounds.encode import encode
from hecli.rounds.headers import Sum, open_encoded
from hecli.rounds.lanes import read_lanes
from hecli.rounds.ranges import steps_after
from hecli.rounds.residual import Compensated, read_residual, settle
from hecli.rounds.spool import spooled
from hecli.schemes.interface import Scheme
from hecli.training.deriving import After, coding_of, derive_plan
from hecli.training.models import model_digest, update_of
from hecli.training.terms import Training, write_training

ALL, ABSENT, LATE = "all", "absent", "late"
PRESENCES = (ALL, ABSENT, LATE)
"""Whether in each round all are there, or some are absent, or have trained and come too late."""

MISSING = 0.2
"""How likely it is in each round that a party is absent, or too late."""

FEWEST = 2
"""So many are always there."""


class Way(NamedTuple):
    """A way to train.

    Args:
        setting: How values are coded.
        presence: One of PRESENCES.
    """

    setting: Setting
    presence: str


class Outcome(NamedTuple):
    """What came of a training.

    Args:
        accuracies: The accuracy of the model after each round.
        clipped: The share of values that was clipped in each.
        sizes: The bytes of the ciphertexts of an update in each, and of its whole file.
    """

    accuracies: tuple[float, ...]
    clipped: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]


@dataclass
class Party:
    """A party of a training.

    Args:
        identity: Who it is.
        images: What it has to learn from.
        residual: What did not get through of its updates, a file.
    """

    identity: Identity
    images: Images
    residual: bytes | None = None


class Sent(NamedTuple):
    """An update.

    Args:
        contributor: Whose it is, as sums list it.
        lanes: Its lanes.
        clipped: How many of its values were clipped.
    """

    contributor: Contributor
    lanes: Lanes
    clipped: int


class Total(NamedTuple):
    """The sum of a round.

    Args:
        header: What its file says of itself.
        file: The file.
    """

    header: Sum
    file: io.BytesIO


@dataclass
class Federation:
    """A training and its parties.

    Args:
        training: The terms.
        digest: The digest of their file.
        coordinator: Who signs them, and the sums.
        parties: The parties.
        model: The model as it is.
        previous: The digest of the last sum's file; nothing before the first.
        after: What the next plan takes from the last sum.
        basis: The bases of the next round.
    """

    training: Training
    digest: bytes
    coordinator: Identity
    parties: Sequence[Party]
    model: Model
    previous: bytes = b""
    after: After | None = None
    basis: Basis | None = None

    def plan(self, number: int) -> Plan:
        """Derive the plan of the next round.

        Args:
            number: Its number, from 1.

        Returns:
            The plan.
        """
        model = model_digest(of_arrays(self.model))
        position = Position(self.digest, number, 1, model, self.previous)
        return derive_plan(self.training, position, self.after, new_id())

    def send(self, plan: Plan, party: Party, made: Model) -> Sent:
        """Make an update, and keep what does not get through as a run does.

        Args:
            plan: The round's plan.
            party: Whose update it is.
            made: What its training made of the model.

        Returns:
            The update.
        """
        specs = plan.tensors
        update = update_of(of_arrays(made), of_arrays(self.model), specs, {}, difference=True)
        fed = None
        if plan.codec.steps and plan.codec.feeds_back:
            fed = Compensated.of(update, None if party.residual is None else io.BytesIO(party.residual), plan)
        file = io.BytesIO()
        coded = encode(fed.both if fed else update, file, plan=plan, basis=self.basis)
        reader, sizes = open_reader(file), plan.geometry
        control = open_encoded(reader, plan).control
        lanes = np.concatenate([*read_lanes(reader, sizes.values, plan.codec.largest)])
        if fed is not None:
            out = io.BytesIO()
            with spooled([lanes], sizes.lane_size) as spool:
                fed.write(out, reader.digest, spool, coded, self.basis)
            party.residual = out.getvalue()
        sign = signer(party.identity, "update", plan.digest)
        assert sign is not None
        *_, signature = sign(reader.digest)
        assert isinstance(signature, bytes)
        return Sent(Contributor(party.identity.card.name, reader.digest, signature), lanes, control.clipped)

    def add(self, plan: Plan, sent: Sequence[Sent]) -> Total:
        """Add up updates.

        Args:
            plan: The round's plan.
            sent: The updates.

        Returns:
            The sum, with zeros for a proof: there was no key, and nobody looks at it.
        """
        contributors = sorted_contributors(each.contributor for each in sent)
        clipped = sum(each.clipped for each in sent)
        header = Sum(plan, contributors, bytes(DIGEST_SIZE), len(sent), clipped)
        lanes = np.sum([each.lanes for each in sent], axis=0, dtype=np.uint64)
        sections = plan.geometry.sum
        blocks = [lanes.astype(f">u{plan.geometry.sum_size}").tobytes()]
        blocks += [bytes(proof.record_size * proof.records) for proof in sections[1:]]
        out = io.BytesIO()
        sign = signer(self.coordinator, "sum", plan.digest)
        self.previous = envelope.write(out, "sum", header.header(), sections, blocks, sign=sign)
        return Total(header, out)

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
        self.model = {name: each.astype(np.float32) for name, each in moved.items()}
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


def terms(model: Model, roster: Roster, scheme: Scheme, setting: Setting, rounds: int) -> Training:
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
        name="accuracy",
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


def federation(
    model: Model, hands: Sequence[Images], scheme: Scheme, setting: Setting, rounds: int
) -> Federation:
    """Begin a training.

    Args:
        model: The first model.
        hands: The images of each party.
        scheme: How updates would be hidden.
        setting: How values are coded.
        rounds: How many rounds there are.

    Returns:
        The training.
    """
    coordinator = Identity.generate("coordinator")
    parties = [Party(Identity.generate(f"party-{at}"), images) for at, images in enumerate(hands, 1)]
    cards = [party.identity.card for party in parties]
    roster = Roster.of(cards, [coordinator.card], [coordinator.card], coordinator=coordinator.card)
    training = terms(model, roster, scheme, setting, rounds)
    training.check()
    digest = write_training(training, io.BytesIO(), coordinator)
    return Federation(training, digest, coordinator, parties, model)


def train(
    model: Model,
    hands: Sequence[Images],
    test: Images,
    scheme: Scheme,
    way: Way,
    rounds: int,
    seed: int,
) -> Outcome:
    """Train to the end.

    Whatever the way, the same parties are missing in a round, and each learns
    from its images in the same order. Rounding up or down at random and the
    places of a sample are other ones in each run.

    Args:
        model: The first model.
        hands: The images of each party.
        test: The images that measure the model.
        scheme: How updates would be hidden.
        way: The way to train.
        rounds: How many rounds there are.
        seed: What all else that is random follows from.

    Returns:
        What came of it.
    """
    own = federation(model, hands, scheme, way.setting, rounds)
    random = np.random.default_rng((seed, 0))
    accuracies, clipped, sizes = [], [], []
    for number in range(1, rounds + 1):
        plan = own.plan(number)
        here = _here(random, len(hands), way.presence)
        sent = []
        for at, party in enumerate(own.parties):
            if here[at] or way.presence == LATE:
                update = own.send(plan, party, trained(own.model, party.images, (seed, number, at)))
                sent += [update] if here[at] else []
        total = own.add(plan, sent)
        own.move(plan, total)
        accuracies.append(accuracy(own.model, test))
        clipped.append(total.header.clipped / (len(sent) * plan.geometry.values))
        sizes.append((plan.geometry.bytes, update_bytes(plan)))
    return Outcome(tuple(accuracies), tuple(clipped), tuple(sizes))


def _here(random: np.random.Generator, parties: int, presence: str) -> list[bool]:
    """Who is there in a round, FEWEST of them at least."""
    if presence == ALL:
        return [True] * parties
    while True:
        here: list[bool] = (random.random(parties) >= MISSING).tolist()
        if sum(here) >= FEWEST:
            return here
