"""What a file is, without any key."""

from collections.abc import Callable
from typing import BinaryIO

from hecli.formats.envelope import Reader
from hecli.formats.tensors.reading import own_specs
from hecli.identity.people import card, identity_facts
from hecli.ledger.chain import entry_signer
from hecli.ledger.entries import Entry
from hecli.plan.data import Plan
from hecli.rounds.aggregate import open_ciphertexts
from hecli.rounds.apply import open_sum
from hecli.rounds.dropouts import open_answer, open_enrollment
from hecli.rounds.encode import open_encoded
from hecli.rounds.facts import (
    Facts,
    card_facts,
    contributor_facts,
    entry_facts,
    plan_facts,
    signature_facts,
)
from hecli.rounds.keys import private_key_facts, public_key
from hecli.rounds.partials import open_partial
from hecli.rounds.streams import open_reader
from hecli.schemes.paillier.keys import PublicKey
from hecli.schemes.paillier.shares import share_facts, threshold_key
from hecli.storage.use_files import parse_record

_IN_THE_CLEAR = "holds one party's update in the clear: keep it to yourself"
_SECRET = "a secret: keep it to yourself"  # noqa: S105 - a sentence, not a secret
_SECRETS = ("private key", "identity", "share")


def inspect(source: BinaryIO) -> Facts:
    """What the file in a seekable stream is: a map that JSON can hold.

    Reads it to its end and checks its form, its digests, its signatures and
    what its header says of itself; what lanes and ciphertexts hold shows only
    to those who use them. Raises FormatError, and RefusedError for what the
    roster of its plan forbids.
    """
    reader = open_reader(source)
    facts: Facts = {"file": reader.name, "kind": reader.kind, "bytes": source.seek(0, 2)}
    facts |= _DESCRIBE[reader.kind](reader)
    if reader.kind not in _SECRETS:
        facts["digest"] = reader.digest.hex()
    reader.verify()
    facts["digests"] = "hold"
    return facts


def _public_key(reader: Reader) -> Facts:
    key = public_key(reader)
    facts: Facts = {"key": key.fingerprint, "key_bits": key.n.bit_length()}
    shares = threshold_key(reader)
    return facts if shares is None else facts | {"shares": [shares.threshold, shares.shares]}


def _private_key(reader: Reader) -> Facts:
    key, sealed = private_key_facts(reader)
    return {
        "key": key.fingerprint,
        "key_bits": key.n.bit_length(),
        "passphrase": sealed,
        "warning": _SECRET,
    }


def _plan(reader: Reader) -> Facts:
    return plan_facts(Plan.read(reader)) | signature_facts(reader)


def _encoded(reader: Reader) -> Facts:
    plan, header = open_encoded(reader)
    facts = {"weight": header.weight, "clipped": header.clipped, "warning": _IN_THE_CLEAR}
    return facts | plan_facts(plan)


def _ciphertexts(reader: Reader) -> Facts:
    plan, header = open_ciphertexts(reader)
    facts = {"contributors": contributor_facts(header.contributors), "names": _names(plan)}
    return facts | plan_facts(plan) | signature_facts(reader)


def _sum(reader: Reader) -> Facts:
    plan, header = open_sum(reader)
    facts = {
        "contributors": contributor_facts(header.contributors),
        "names": _names(plan),
        "aggregate": header.aggregate.hex(),
        "weight": header.weight,
        "clipped": header.clipped,
    }
    return facts | plan_facts(plan) | signature_facts(reader)


def _names(plan: Plan) -> str:
    return "unproven: the plan has no roster" if plan.roster is None else "proven by the plan's roster"


def _card(reader: Reader) -> Facts:
    return {"card": card_facts(card(reader))}


def _identity(reader: Reader) -> Facts:
    found, sealed = identity_facts(reader)
    return {"card": card_facts(found), "passphrase": sealed, "warning": _SECRET}


def _share(reader: Reader) -> Facts:
    key, index, card, sealed = share_facts(reader)
    public = PublicKey(key.n)
    return {
        "key": public.fingerprint,
        "key_bits": public.n.bit_length(),
        "shares": [key.threshold, key.shares],
        "share": index,
        "sealed_to": None if card is None else card_facts(card),
        "passphrase": sealed,
        "warning": _SECRET,
    }


def _partial(reader: Reader) -> Facts:
    plan, header = open_partial(reader)
    facts = {
        "contributors": contributor_facts(header.contributors),
        "names": _names(plan),
        "aggregate": header.aggregate.hex(),
        "share": header.index,
    }
    return facts | plan_facts(plan) | signature_facts(reader)


def _enrollment(reader: Reader) -> Facts:
    plan, enrollment = open_enrollment(reader)
    return {"party": enrollment.party} | plan_facts(plan) | signature_facts(reader)


def _answer(reader: Reader) -> Facts:
    plan, found = open_answer(reader)
    facts: Facts = {
        "party": found.party,
        "present": [owner for owner, _ in found.self_shares],
        "absent": [owner for owner, _ in found.mask_shares],
        "aggregate": found.aggregate.hex(),
    }
    return facts | plan_facts(plan) | signature_facts(reader)


def _record(reader: Reader) -> Facts:
    return {"uses": [{"plan": plan.hex(), "file": file.hex()} for plan, file in sorted(parse_record(reader))]}


def _entry(reader: Reader) -> Facts:
    entry = Entry.parse(reader)
    entry_signer(reader, entry)
    return {"entry": entry_facts(entry)} | signature_facts(reader)


def _tensors(reader: Reader) -> Facts:
    specs = own_specs(reader)
    return {"tensors": [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in specs]}


_DESCRIBE: dict[str, Callable[[Reader], Facts]] = {
    "public key": _public_key,
    "private key": _private_key,
    "plan": _plan,
    "encoded": _encoded,
    "update": _ciphertexts,
    "aggregate": _ciphertexts,
    "sum": _sum,
    "tensors": _tensors,
    "card": _card,
    "identity": _identity,
    "record": _record,
    "share": _share,
    "partial": _partial,
    "enrollment": _enrollment,
    "answer": _answer,
    "entry": _entry,
}
