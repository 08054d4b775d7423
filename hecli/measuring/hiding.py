"""What becomes of updates on their way to the sum: nothing, or all that a round does with them.

Encryption is exact: what comes out of it is what went in. So where it is left
out, the lanes of an encoded file take its place, and are added up.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from hecli.codec.basis import Basis
from hecli.codec.noise import Noise
from hecli.executors.interface import SERIAL, Executor
from hecli.formats import envelope
from hecli.formats.contributors import Contributor, sorted_contributors
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import TensorFile
from hecli.identity.signatures import Identity, signer
from hecli.measuring.federation import Party, Sent, Total
from hecli.plan.data import Plan
from hecli.rounds.aggregate import aggregate
from hecli.rounds.answer import answer
from hecli.rounds.combine import combine
from hecli.rounds.decrypt import decrypt
from hecli.rounds.encode import encode
from hecli.rounds.encrypt import encrypt, noise_of
from hecli.rounds.enroll import enroll
from hecli.rounds.headers import Sum, open_encoded, open_sum
from hecli.rounds.lanes import read_lanes
from hecli.rounds.partial import partial as make_partial
from hecli.rounds.residual import Compensated, Feedback
from hecli.rounds.spending import Account
from hecli.rounds.spool import spooled
from hecli.schemes.interface import KEY
from hecli.schemes.paillier.key_files import Share
from hecli.schemes.paillier.keys import PrivateKey, PublicKey


@dataclass
class Unencrypted:
    """Rounds in which lanes are added up as they are.

    Args:
        noises: What draws the noise of plans, by its variance and how many values there are.
    """

    noises: dict[tuple[int, int], Noise] = field(default_factory=dict)

    def begin(self, plan: Plan, parties: Sequence[Identity]) -> None:
        """Begin a round: nobody has to do anything."""

    def send(self, plan: Plan, party: Party, update: TensorFile, basis: Basis | None, *, keeps: bool) -> Sent:
        """Make an update: an encoded file, signed as an encrypted one would be."""
        fed = None
        if keeps:
            fed = Compensated.of(update, None if party.residual is None else io.BytesIO(party.residual), plan)
        file = io.BytesIO()
        coded = encode(fed.both if fed else update, file, plan=plan, basis=basis)
        reader, sizes = open_reader(file), plan.geometry
        control = open_encoded(reader, plan).control
        residual = None
        if fed is not None:
            out = io.BytesIO()
            lanes = read_lanes(reader, sizes.values, plan.codec.largest)
            with spooled(lanes, sizes.lane_size) as spool:
                fed.write(out, reader.digest, spool, coded, basis)
            residual = out.getvalue()
        sign = signer(party.identity, "update", plan.digest)
        assert sign is not None
        *_, signature = sign(reader.digest)
        assert isinstance(signature, bytes)
        contributor = Contributor(party.identity.card.name, reader.digest, signature)
        return Sent(file.getvalue(), control.clipped, residual, contributor)

    def add(self, plan: Plan, sent: Sequence[Sent], coordinator: Identity) -> Total:
        """Add up updates, with zeros for a proof: there was no key, and nobody looks at it."""
        contributors = sorted_contributors(each.contributor for each in sent if each.contributor)
        clipped = sum(each.clipped for each in sent)
        header = Sum(plan, contributors, bytes(DIGEST_SIZE), len(sent), clipped)
        lanes = np.zeros(plan.geometry.values, np.uint64)
        noise = self._noise(plan)
        for each in sent:
            reader = open_reader(io.BytesIO(each.file))
            open_encoded(reader, plan)
            own = np.concatenate([*read_lanes(reader, plan.geometry.values, plan.codec.largest)])
            lanes += own if noise is None else noise.added(own)
        sections = plan.geometry.sum
        blocks = [lanes.astype(f">u{plan.geometry.sum_size}").tobytes()]
        blocks += [bytes(proof.record_size * proof.records) for proof in sections[1:]]
        out = io.BytesIO()
        sign = signer(coordinator, "sum", plan.digest)
        digest = envelope.write(out, "sum", header.header(), sections, blocks, sign=sign)
        return Total(header, out, digest)

    def _noise(self, plan: Plan) -> Noise | None:
        """What draws a plan's noise: one table for all rounds, for what is drawn by it is new each time."""
        if plan.privacy is None:
            return None
        kind = plan.privacy.variance, plan.geometry.values
        if kind not in self.noises:
            self.noises[kind] = noise_of(plan, plan.privacy)
        return self.noises[kind]


@dataclass
class Encrypted:
    """Rounds in which updates are encrypted, aggregated and opened, as their plans say.

    Args:
        key: The private key, for plans under a key that one person has; None for others.
        shares: As many shares of a key as open it, for plans under one in shares.
        work: Who works.
    """

    key: PrivateKey | None = None
    shares: Sequence[Share] = ()
    work: Executor = SERIAL
    _parties: Sequence[Identity] = ()
    _enrolled: Sequence[bytes] = ()

    def begin(self, plan: Plan, parties: Sequence[Identity]) -> None:
        """Begin a round: where there are masks, all enroll."""
        self._parties, self._enrolled = parties, ()
        if plan.masking is not None:
            self._enrolled = [_made(partial(enroll, plan=plan, identity=each)) for each in parties]

    def send(self, plan: Plan, party: Party, update: TensorFile, basis: Basis | None, *, keeps: bool) -> Sent:
        """Make an update: encrypt it."""
        out, kept = io.BytesIO(), io.BytesIO()
        before = None if party.residual is None else io.BytesIO(party.residual)
        done = encrypt(
            update,
            out,
            self._public if KEY in plan.scheme.to_encrypt else None,
            plan=plan,
            identity=party.identity,
            record=_forgotten,
            account=Account(party.identity.card, _forgotten, _forgotten),
            enrollments=_opened(self._enrolled),
            basis=basis,
            feedback=Feedback(before, kept) if keeps else None,
            work=self.work,
        )
        return Sent(out.getvalue(), done.update.clipped, kept.getvalue() if keeps else None)

    def add(self, plan: Plan, sent: Sequence[Sent], coordinator: Identity) -> Total:
        """Aggregate updates and open the sum, with all the checks of whoever opens."""
        files = [each.file for each in sent]
        by: dict[str, Any] = {"identity": coordinator, "work": self.work}
        product = _made(lambda out: aggregate(_opened(files), out, **by))
        by |= {"plan": plan}
        checking: dict[str, Any] = {**by, "updates": _opened(files), "record": _forgotten}
        masks: dict[str, Any] = {"enrollments": _opened(self._enrolled)}
        if plan.masking is not None and plan.masking.dropouts:
            masks["answers"] = _opened([self._answer(plan, each, product, files) for each in self._parties])
        out = io.BytesIO()
        if plan.scheme.sharing is None:
            key = self.key if KEY in plan.scheme.to_open else None
            digest = decrypt(io.BytesIO(product), out, key, **checking, **masks).digest
        else:
            parts = [_made(partial(_part, product, share, checking)) for share in self.shares]
            digest = combine(io.BytesIO(product), _opened(parts), out, self._public, **by, **masks).digest
        return Total(open_sum(open_reader(out), plan), out, digest)

    @property
    def _public(self) -> PublicKey:
        if self.key is not None:
            return self.key.public
        dealt = self.shares[0].key
        return PublicKey(dealt.n, dealt)

    def _answer(self, plan: Plan, party: Identity, product: bytes, files: Sequence[bytes]) -> bytes:
        def make(out: BinaryIO) -> None:
            enrolled, updates = _opened(self._enrolled), _opened(files)
            answer(io.BytesIO(product), out, party, enrolled, updates, plan=plan, record=_forgotten)

        return _made(make)


def _part(product: bytes, share: Share, checking: dict[str, Any], out: BinaryIO) -> None:
    make_partial(io.BytesIO(product), out, share, **checking)


def _made(make: Callable[[BinaryIO], object]) -> bytes:
    out = io.BytesIO()
    make(out)
    return out.getvalue()


def _opened(files: Sequence[bytes]) -> list[BinaryIO]:
    return [io.BytesIO(each) for each in files]


def _forgotten(*_: object) -> None:
    """Keep no record: in a trial nothing is sent to anybody, and its keys and files are gone at the end."""
