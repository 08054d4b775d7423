"""What a file is, without any key."""

from collections.abc import Callable
from typing import BinaryIO

from hecli.formats.kinds import KINDS
from hecli.formats.reader import Reader, open_reader
from hecli.formats.tensors.own import read_specs
from hecli.identity.files import parse_identity, read_card
from hecli.identity.sealing import Kept
from hecli.ledger.chain import entry_signer
from hecli.ledger.checkpoint import parse_checkpoints
from hecli.ledger.entry import Entry
from hecli.plan.data import Plan
from hecli.plan.files import read_plan
from hecli.privacy.account import read_account
from hecli.rounds.attest import open_attestation
from hecli.rounds.basis import read_basis
from hecli.rounds.describe import (
    Description,
    describe_card,
    describe_contributors,
    describe_entry,
    describe_plan,
    describe_signature,
)
from hecli.rounds.enrollments import open_answer, open_enrollment
from hecli.rounds.headers import open_blocks, open_encoded, open_partial, open_sum
from hecli.rounds.lanes import read_lanes
from hecli.rounds.residual import read_residual
from hecli.rounds.slices import describe_range, open_slice
from hecli.schemes.paillier.key_files import parse_private_key, parse_share, read_public_key
from hecli.schemes.paillier.keys import PublicKey
from hecli.schemes.quantum import CARD, KEY
from hecli.storage.use_record_file import parse_record
from hecli.training.deriving import check_terms
from hecli.training.describe import describe_training
from hecli.training.terms import read_training

_IN_THE_CLEAR = "holds one party's update in the clear: keep it to yourself"
_AS_A_GRADIENT = "holds what was left of one party's updates, as private as a gradient: keep it to yourself"
_SECRET = "a secret: keep it to yourself"  # noqa: S105 - a sentence, not a secret


def inspect(source: BinaryIO) -> Description:
    """Say what a file is, without any key.

    Reads it to its end and checks its form, its digests, its signatures and
    what its header says of itself; what ciphertexts hold shows only to those
    who open them.

    Args:
        source: The file.

    Returns:
        A map that JSON can hold.

    Raises:
        FormatError: The file is not sound.
        RefusedError: The roster of its plan forbids it.
    """
    reader = open_reader(source)
    found: Description = {"file": reader.name, "kind": reader.kind, "bytes": source.seek(0, 2)}
    found |= _DESCRIBE[reader.kind](reader)
    if not KINDS[reader.kind].secret:
        found["digest"] = reader.digest.hex()
    reader.verify()
    found["digests"] = "hold"
    return found


def _public_key(reader: Reader) -> Description:
    key = read_public_key(reader)
    return _key(key) | ({"shares": [key.shared.threshold, key.shared.shares]} if key.shared else {})


def _private_key(reader: Reader) -> Description:
    file = parse_private_key(reader)
    return _key(file.public) | {
        "verified_only": file.verified_only,
        "passphrase": _has_passphrase(file.secret),
        "warning": _SECRET,
    }


def _share(reader: Reader) -> Description:
    file = parse_share(reader)
    card = file.secret.card
    return _key(PublicKey(file.key.n, file.key)) | {
        "shares": [file.key.threshold, file.key.shares],
        "share": file.index,
        "verified_only": file.verified_only,
        "sealed_to": None if card is None else describe_card(card),
        "passphrase": _has_passphrase(file.secret),
        "warning": _SECRET,
    }


def _card(reader: Reader) -> Description:
    return {"card": describe_card(read_card(reader)), "quantum": CARD}


def _identity(reader: Reader) -> Description:
    card, secret = parse_identity(reader)
    found = {"card": describe_card(card), "quantum": CARD}
    return found | {"passphrase": _has_passphrase(secret), "warning": _SECRET}


def _plan(reader: Reader) -> Description:
    return describe_plan(read_plan(reader)) | describe_signature(reader)


def _training(reader: Reader) -> Description:
    training = read_training(reader)
    check_terms(training, reader.name)
    return describe_training(training) | describe_signature(reader)


def _encoded(reader: Reader) -> Description:
    plan, control = open_encoded(reader)
    for _ in read_lanes(reader, plan.geometry.values, plan.codec.largest):
        pass
    found = {"weight": control.weight, "clipped": control.clipped, "warning": _IN_THE_CLEAR}
    return found | describe_plan(plan)


def _blocks(reader: Reader) -> Description:
    blocks = open_blocks(reader)
    found: Description = {
        "contributors": describe_contributors(blocks.contributors),
        "names": _names(blocks.plan),
    }
    if reader.kind == "update":
        found["proofs"] = blocks.plan.geometry.groups if blocks.plan.scheme.knowledge else 0
    return found | describe_plan(blocks.plan) | describe_signature(reader)


def _slice(reader: Reader) -> Description:
    part = open_slice(reader)
    plan = part.product.plan
    found = {
        "of": part.product.kind,
        "range": describe_range(part.extent),
        "contributors": describe_contributors(part.contributors),
        "names": _names(plan),
    }
    about = part.product.header.get("aggregate")
    if about is not None:
        found["aggregate"] = about.hex()
    return found | describe_plan(plan) | describe_signature(reader)


def _partial(reader: Reader) -> Description:
    partial = open_partial(reader)
    found = {
        "contributors": describe_contributors(partial.contributors),
        "names": _names(partial.plan),
        "aggregate": partial.aggregate.hex(),
        "share": partial.index,
    }
    return found | describe_plan(partial.plan) | describe_signature(reader)


def _sum(reader: Reader) -> Description:
    total = open_sum(reader)
    plan = total.plan
    for _ in read_lanes(reader, plan.geometry.values, plan.codec.largest * len(total.contributors)):
        pass
    found = {
        "contributors": describe_contributors(total.contributors),
        "names": _names(plan),
        "aggregate": total.aggregate.hex(),
        "weight": total.weight,
        "clipped": total.clipped,
        "proof": plan.scheme.correctness is not None,
    }
    return found | describe_plan(plan) | describe_signature(reader)


def _enrollment(reader: Reader) -> Description:
    plan, enrollment = open_enrollment(reader)
    return {"party": enrollment.party} | describe_plan(plan) | describe_signature(reader)


def _answer(reader: Reader) -> Description:
    plan, answer = open_answer(reader)
    found: Description = {
        "party": answer.party,
        "present": [owner for owner, _ in answer.self_shares],
        "absent": [owner for owner, _ in answer.round_shares],
    }
    return found | describe_plan(plan) | describe_signature(reader)


def _attestation(reader: Reader) -> Description:
    found = open_attestation(reader)
    said: Description = {
        "party": found.party,
        "contributors": describe_contributors(found.contributors),
        "attests": found.aggregate.hex(),
    }
    return said | describe_plan(found.plan) | describe_signature(reader)


def _tensors(reader: Reader) -> Description:
    specs = read_specs(reader)
    return {"tensors": [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in specs]}


def _basis(reader: Reader) -> Description:
    basis = read_basis(reader)
    header = reader.header
    return {
        "sum": header["sum"].hex(),
        "rank": header["rank"],
        "side": header["side"],
        "bases": [{"name": name, "rows": len(each.numbers)} for name, each in basis.columns.items()],
    }


def _residual(reader: Reader) -> Description:
    residual = read_residual(reader)
    return {
        "tensors": [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in residual.specs],
        "waits_for": residual.subject.hex() or None,
        "update": residual.update.hex() or None,
        "warning": _AS_A_GRADIENT,
    }


def _use_record(reader: Reader) -> Description:
    return {"uses": [{"plan": plan.hex(), "file": file.hex()} for plan, file in sorted(parse_record(reader))]}


def _account(reader: Reader) -> Description:
    spent = read_account(reader)
    described = [
        {"name": each.name, "plan": each.plan.hex(), "unit": each.unit, "rho": float(each.cost.rho)}
        for each in spent
    ]
    return {"spent": described} | describe_signature(reader)


def _checkpoint(reader: Reader) -> Description:
    ledgers = [
        {
            "first": first.hex(),
            "head": f"{seen.number}:{seen.digest.hex()}",
            "members": [describe_card(card) for card in sorted(seen.members)],
        }
        for first, seen in parse_checkpoints(reader).items()
    ]
    return {"ledgers": ledgers}


def _entry(reader: Reader) -> Description:
    entry = Entry.parse(reader)
    entry_signer(reader, entry)
    return {"entry": describe_entry(entry)} | describe_signature(reader)


def _key(key: PublicKey) -> Description:
    return {"key": key.fingerprint, "key_bits": key.n.bit_length(), "quantum": KEY}


def _has_passphrase(secret: Kept) -> bool:
    return secret.clear is None and secret.card is None


def _names(plan: Plan) -> str:
    return "unproven: the plan has no roster" if plan.roster is None else "proven by the plan's roster"


_DESCRIBE: dict[str, Callable[[Reader], Description]] = {
    "public key": _public_key,
    "private key": _private_key,
    "share": _share,
    "identity": _identity,
    "card": _card,
    "training": _training,
    "plan": _plan,
    "encoded": _encoded,
    "enrollment": _enrollment,
    "update": _blocks,
    "aggregate": _blocks,
    "attestation": _attestation,
    "answer": _answer,
    "partial": _partial,
    "slice": _slice,
    "sum": _sum,
    "basis": _basis,
    "residual": _residual,
    "tensors": _tensors,
    "use record": _use_record,
    "account": _account,
    "checkpoint": _checkpoint,
    "entry": _entry,
}
"""How each kind of file is described."""
