"""What there is to say of plans and contributors, as maps that JSON can hold."""

from typing import Any

from hecli.formats.rounds import Contributor
from hecli.plan import Plan

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
            "key": plan.key.fingerprint,
            "key_bits": plan.n.bit_length(),
            "bits": plan.bits,
            "rounding": plan.rounding,
            "parties": plan.capacity,
            "min_parties": plan.min_parties,
            "max_weight": plan.max_weight,
            "randomness": plan.randomness,
            "lane_bits": plan.lane_width,
            "values_per_ciphertext": plan.values_per_ciphertext,
            "values": plan.values,
            "ciphertexts": plan.ciphertexts,
            "tensors": tensors,
        }
    }


def contributor_facts(contributors: tuple[Contributor, ...]) -> list[Facts]:
    """Who is in an aggregate, and with which file."""
    return [{"party": each.party, "digest": each.digest.hex()} for each in contributors]
