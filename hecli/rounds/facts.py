"""What there is to say of plans and contributors, as maps that JSON can hold."""

from typing import Any

from hecli.formats.cards import Card
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Contributor
from hecli.identity.roster import Roster
from hecli.ledger.entries import Entry
from hecli.plan.data import Plan

Facts = dict[str, Any]


def plan_facts(plan: Plan) -> Facts:
    """What a plan says, and what follows from it."""
    tensors = [
        {
            "name": tensor.spec.name,
            "dtype": tensor.spec.dtype,
            "shape": list(tensor.spec.shape),
            "step": tensor.step,
            "range": plan.qmax * tensor.step,
            "error_bound": plan.error_bound(tensor),
        }
        for tensor in plan.tensors
    ]
    return {
        "plan": {
            "name": plan.name,
            "digest": plan.digest.hex(),
            "id": plan.id.hex(),
            "scheme": plan.scheme,
            "masks": plan.masks,
            "dropouts": plan.dropouts,
            "key": plan.key.fingerprint if plan.has_key else None,
            "key_bits": plan.n.bit_length() if plan.has_key else None,
            "bits": plan.bits,
            "rounding": plan.rounding,
            "parties": plan.capacity,
            "min_parties": plan.min_parties,
            "max_weight": plan.max_weight,
            "randomness": plan.randomness,
            "require_verified": plan.require_verified,
            "opens": None if plan.opens is None else [plan.opens.threshold, plan.opens.shares],
            "roster": None if plan.roster is None else roster_facts(plan.roster),
            "lane_bits": plan.lane_width,
            "values_per_ciphertext": plan.values_per_ciphertext,
            "values": plan.values,
            "ciphertexts": plan.ciphertexts,
            "tensors": tensors,
        }
    }


def roster_facts(roster: Roster) -> Facts:
    """Who is on a roster, and what for."""
    return roster.to_map() | {"members": [card_facts(card) for card in roster.members]}


def card_facts(card: Card) -> Facts:
    """Who a card says somebody is."""
    return {"name": card.name, "fingerprint": card.fingerprint}


def signature_facts(reader: Reader) -> Facts:
    """Who signed a file; whether the signature holds, and means anything, is for others to check."""
    return {"signed_by": card_facts(reader.signature.card) if reader.signature else None}


def entry_facts(entry: Entry) -> Facts:
    """What an entry of a ledger says."""
    return vars(entry) | {
        "previous": entry.previous.hex(),
        "plan": entry.plan.hex(),
        "files": [{"file": name, "digest": digest.hex()} for name, digest in entry.files],
        "cards": [card_facts(card) for card in entry.cards],
    }


def contributor_facts(contributors: tuple[Contributor, ...]) -> list[Facts]:
    """Who is in an aggregate, and with which file."""
    return [{"party": each.party, "digest": each.digest.hex()} for each in contributors]
