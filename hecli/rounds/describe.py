"""What there is to say of plans and people, as maps that JSON can hold."""

from typing import Any

from hecli.formats.contributors import Contributor
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.identity.roster import Roster
from hecli.identity.signatures import signature_of
from hecli.ledger.entry import Entry
from hecli.plan.costs import error_bound
from hecli.plan.data import Plan
from hecli.plan.parts import MAIN, MASKED, PLAIN, by_tensor, size_of
from hecli.plan.position import Position
from hecli.privacy.describe import describe_privacy
from hecli.schemes.quantum import quantum_line, stays_closed

Description = dict[str, Any]


def describe_plan(plan: Plan) -> Description:
    """Say what a plan says, and what follows from it.

    Args:
        plan: The plan.

    Returns:
        It, under the key `plan`.
    """
    quantise, sizes = plan.codec.quantise, plan.geometry
    tensors = [
        {
            "name": spec.name,
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "step": quantise.steps[at],
            "range": quantise.bound(at) * quantise.steps[at],
            "error_bound": error_bound(plan, at),
        }
        for at, spec in enumerate(plan.tensors)
    ]
    return {
        "plan": {
            "name": plan.name,
            "digest": plan.digest.hex(),
            "id": plan.id.hex(),
            **plan.scheme.describe(),
            "post_quantum": stays_closed(plan.scheme),
            "scheme_lines": scheme_lines(plan),
            "codec": [step["step"] for step in plan.codec.to_list()],
            "compression": [step.describe() for step in plan.codec.steps],
            "bits": quantise.bits,
            "rounding": quantise.rounding,
            "parties": plan.capacity,
            "min_parties": plan.min_parties,
            "max_weight": plan.max_weight,
            "roster": None if plan.roster is None else describe_roster(plan.roster),
            "lane_bits": sizes.packing.width,
            "lanes_in_a_word": sizes.packing.digits,
            "values_per_ciphertext": sizes.packing.values,
            "values": sizes.values,
            "ciphertexts": sizes.blocks,
            "tensors": tensors,
            "skipped": list(plan.skipped),
            "encrypted": _part(plan, MAIN),
            "masked": _part(plan, MASKED),
            "plain": _part(plan, PLAIN),
            "metrics": list(plan.metrics),
            "position": None if plan.position is None else _position(plan.position),
            "privacy": _privacy(plan),
        }
    }


def _privacy(plan: Plan) -> Description | None:
    if plan.privacy is None or plan.spending is None:
        return None
    return describe_privacy(plan.privacy, plan.spending, plan.codec.quantise.steps[0])


def scheme_lines(plan: Plan) -> list[tuple[str, str]]:
    """Say how a round hides updates, for people.

    Args:
        plan: The plan.

    Returns:
        Titles and texts.
    """
    lines = plan.scheme.lines(plan.capacity)
    if plan.scheme.masking is None and plan.masking is not None:
        lines += plan.masking.lines(plan.capacity)
    return [*lines, quantum_line(plan.scheme, masked=plan.masked is not None)]


def describe_roster(roster: Roster) -> Description:
    """Say who is on a roster, and what for.

    Args:
        roster: The roster.

    Returns:
        It, with fingerprints for cards.
    """
    return roster.to_map() | {"members": [describe_card(card) for card in roster.members]}


def describe_card(card: Card) -> Description:
    """Say who a card says somebody is.

    Args:
        card: The card.

    Returns:
        Name and fingerprint.
    """
    return {"name": card.name, "fingerprint": card.fingerprint}


def describe_signature(reader: Reader) -> Description:
    """Say who signed a file; whether the signature holds, and means anything, is for others to check.

    Args:
        reader: The opened file.

    Returns:
        The signer, under the key `signed_by`.
    """
    signature = signature_of(reader)
    return {"signed_by": describe_card(signature.card) if signature else None}


def describe_entry(entry: Entry) -> Description:
    """Say what an entry of a ledger says.

    Args:
        entry: The entry.

    Returns:
        It.
    """
    return vars(entry) | {
        "previous": entry.previous.hex(),
        "plan": entry.plan.hex(),
        "files": [{"file": name, "digest": digest.hex()} for name, digest in entry.files],
        "cards": [describe_card(card) for card in entry.cards],
    }


def describe_contributors(contributors: tuple[Contributor, ...]) -> list[Description]:
    """Say who is in an aggregate, and with which file.

    Args:
        contributors: Them.

    Returns:
        Name and digest of each.
    """
    return [{"party": each.party, "digest": each.digest.hex()} for each in contributors]


def _part(plan: Plan, name: str) -> Description | None:
    """What of a round travels together: how much, and of which tensors which runs of their values."""
    part = next((each for each in plan.geometry.parts if each.name == name), None)
    if part is None:
        return None
    tensors, total = [], 0
    sizes = plan.geometry.sizes
    for spec, size, lanes in zip(plan.tensors, sizes, by_tensor(part.runs, sizes), strict=True):
        # However a whole tensor is coded, it is all of its values.
        runs = [(0, spec.size)] if lanes == [(0, size)] else lanes
        if runs:
            values = size_of(runs)
            total += values
            found = {
                "name": spec.name,
                "values": values,
                "of": spec.size,
                "runs": [list(run) for run in runs],
            }
            tensors.append(found)
    share = total / sum(spec.size for spec in plan.tensors)
    return {"values": total, "share": share, "bytes": part.bytes, "tensors": tensors}


def _position(position: Position) -> Description:
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in position._asdict().items()
    }
