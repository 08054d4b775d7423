"""Plans in headers and in files of their own."""

from dataclasses import replace
from typing import BinaryIO

from hecli.codec.chain import Codec
from hecli.errors import DataError, FormatError, HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import Map, Types, digest_of, fields, pack
from hecli.formats.reader import Reader
from hecli.formats.tensors.specs import parse_specs
from hecli.identity.cards import Card
from hecli.identity.roster import Roster
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.plan.checks import check_plan
from hecli.plan.data import Plan
from hecli.plan.parts import Masked, Published
from hecli.plan.position import Position
from hecli.privacy.guarantee import Privacy
from hecli.schemes.registry import parse_scheme

FIELDS: Types = {
    "name": str,
    "id": bytes,
    "tensors": list,
    "codec": list,
    "scheme": dict,
    "capacity": int,
    "min_parties": int,
    "max_weight": int,
}
OPTIONAL: Types = {
    "roster": dict,
    "skipped": list,
    "position": dict,
    "metrics": list,
    "masked": dict,
    "plain": list,
    "privacy": dict,
}


def parse_plan(value: Map, file: str) -> Plan:
    """Read the plan that a header carries.

    Args:
        value: What stands there.
        file: The file, for errors.

    Returns:
        The plan.

    Raises:
        FormatError: It is none, or cannot be kept.
    """
    fields(value, file, "its plan", FIELDS, OPTIONAL)
    try:
        tensors = parse_specs(value["tensors"], file, "the list of tensors in its plan")
    except DataError as error:
        raise FormatError(error.message, error.hint) from error
    skipped = tuple(value.get("skipped", ()))
    # What a round does without does not stand in its plan.
    if ("skipped" in value and not skipped) or not all(isinstance(name, str) for name in skipped):
        raise FormatError(f"{file}: the list of skipped tensors in its plan is malformed")
    plan = Plan(
        name=value["name"],
        id=value["id"],
        tensors=tensors,
        codec=Codec.parse(value["codec"], file),
        scheme=parse_scheme(value["scheme"], file),
        capacity=value["capacity"],
        min_parties=value["min_parties"],
        max_weight=value["max_weight"],
        roster=Roster.from_map(value["roster"], file) if "roster" in value else None,
        position=Position.parse(value["position"], file) if "position" in value else None,
        metrics=_metrics(value, file),
        skipped=skipped,
        masked=Masked.parse(value["masked"], file) if "masked" in value else None,
        plain=_plain(value, file),
        privacy=Privacy.parse(value["privacy"], file) if "privacy" in value else None,
    )
    try:
        check_plan(plan)
    except HecliError as error:
        raise FormatError(f"{file}: in its plan, {error.message}", error.hint) from error
    return plan


def carried_plan(reader: Reader) -> bytes:
    """Say which plan a file carries, of whatever kind it is, without checking either.

    Args:
        reader: The opened file.

    Returns:
        The plan's digest; empty where it carries none.
    """
    # A slice holds the header of the file that it is a part of.
    header = reader.header.get("header", reader.header)
    plan = header.get("plan") if isinstance(header, dict) else None
    return digest_of("plan", pack(plan)) if isinstance(plan, dict) else b""


def write_plan(plan: Plan, out: BinaryIO, identity: Identity | None = None) -> bytes:
    """Write a plan file.

    Args:
        plan: The plan.
        out: Where to.
        identity: Who signs it; a plan with a roster is signed by its coordinator.

    Returns:
        The file's digest.

    Raises:
        RefusedError: The coordinator does not sign.
    """
    roster = plan.roster
    if roster is not None and (identity is None or identity.card != roster.cards[roster.coordinator]):
        raise RefusedError(
            f"the plan has a roster: its coordinator {roster.coordinator} has to sign it",
            "pass --identity, the coordinator's .id file",
        )
    header: Map = {"plan": plan.to_map()}
    if roster is not None and plan.enrolls:
        # Parties seal to each other's cards. All other files hold the digests of these keys.
        header["kem"] = roster.kem_keys
    sign = signer(identity, "plan", plan.digest)
    return envelope.write(out, "plan", header, sign=sign)


def read_plan(reader: Reader, coordinator: Card | None = None) -> Plan:
    """Read a plan file.

    Args:
        reader: The opened file.
        coordinator: Whose signature it must have, where that matters.

    Returns:
        The plan.

    Raises:
        FormatError: It is none, or not signed by the coordinator that it names.
        MismatchError: Somebody else than `coordinator` signed, or nobody.
    """
    reader.require("plan")
    reader.require_sections()
    fields(reader.header, reader.name, "its header", {"plan": dict}, {"kem": list})
    plan = parse_plan(reader.header["plan"], reader.name)
    if plan.enrolls != ("kem" in reader.header):
        raise FormatError(f"{reader.name}: holds ML-KEM keys where none are needed, or lacks them")
    if plan.roster is not None and plan.enrolls:
        plan = replace(plan, roster=plan.roster.knowing(reader.header["kem"], reader.name))
    found = signer_of(reader, plan.digest)
    if plan.roster is not None and found != plan.roster.cards[plan.roster.coordinator]:
        raise FormatError(
            f"{reader.name}: is not signed by its coordinator {plan.roster.coordinator}", FORGED
        )
    if coordinator is not None and found != coordinator:
        who = "nobody" if found is None else f"{found.fingerprint} {found.name}"
        raise MismatchError(
            f"{reader.name} is signed by {who}, not by {coordinator.fingerprint} {coordinator.name}", FORGED
        )
    return plan


def _plain(value: Map, file: str) -> tuple[Published, ...]:
    found = tuple(Published.parse(item, file) for item in value.get("plain", ()))
    if "plain" in value and not found:
        raise FormatError(f"{file}: the list of what is plain in its plan is malformed")
    return found


def _metrics(value: Map, file: str) -> tuple[str, ...]:
    names = value.get("metrics", [])
    known = {tensor[0] for tensor in value["tensors"]}
    sound = all(isinstance(name, str) for name in names) and names == sorted(set(names))
    if not sound or not set(names) < known or ("metrics" in value) != bool(names):
        raise FormatError(f"{file}: the list of metrics in its plan is malformed")
    return tuple(names)
