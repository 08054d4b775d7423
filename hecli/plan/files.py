"""Plan files, read and written."""

from typing import BinaryIO

from hecli.errors import MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.cards import Card
from hecli.identity.signatures import FORGED, Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.streams import open_reader


def write_plan(plan: Plan, out: BinaryIO, identity: Identity | None = None) -> bytes:
    """Write a plan file, signed where there is an identity, and return its digest.

    Raises RefusedError unless a plan with a roster is signed by its coordinator.
    """
    if plan.roster is not None and (identity is None or identity.card.name != plan.roster.coordinator):
        raise RefusedError(
            f"the plan has a roster: its coordinator {plan.roster.coordinator} has to sign it",
            "pass --identity, the coordinator's .id file",
        )
    sign = signer(identity, "plan", plan.digest)
    return envelope.write(out, "plan", {"plan": plan.to_map()}, sign=sign)


def read_plan(source: BinaryIO, coordinator: Card | None = None) -> Plan:
    """The plan in a plan file (a seekable stream), signed by the coordinator where one is given.

    Raises FormatError, and MismatchError where somebody else or nobody signed.
    """
    reader = open_reader(source)
    plan = Plan.read(reader)
    signer = reader.signature.card if reader.signature else None
    if coordinator is not None and signer != coordinator:
        who = "nobody" if signer is None else f"{signer.name} ({signer.fingerprint})"
        raise MismatchError(
            f"{reader.name} is signed by {who}, not by {coordinator.name} ({coordinator.fingerprint})", FORGED
        )
    return plan
