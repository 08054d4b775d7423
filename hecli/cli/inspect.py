"""hecli inspect."""

import json
from collections.abc import Callable
from typing import Any

import click

from hecli.cli import options
from hecli.cli.console import say, show_error, shown
from hecli.cli.files import open_input
from hecli.cli.parts import part_lines
from hecli.errors import HecliError
from hecli.formats.text import count_bytes
from hecli.inspection.inspect import inspect as inspect_file
from hecli.privacy.describe import privacy_lines
from hecli.rounds.describe import Description
from hecli.schemes.paillier.sharing import holds_against

SHOWN = 12


@click.command()
@click.argument("files", cls=options.Files, required=True, metavar="FILES...")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each file.")
def inspect(files: tuple[str, ...], as_json: bool) -> int:
    """Say what a file is, without any key.

    Works on every kind of file hecli makes: what it is, under which key and
    plan, who is in it, who signed it, and whether digests and signatures
    hold. Where the plan has no roster, names are what their writers claim.

    \b
      hecli inspect round.agg
      hecli inspect *.enc --json
    """
    found = []
    status = 0
    for file in files:
        try:
            with open_input(file) as stream:
                summary = inspect_file(stream)
        except HecliError as error:
            status = 1
            show_error(error.message, error.hint)
            continue
        found.append(summary)
        if not as_json:
            say(_text(summary))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    return status


def _text(summary: Description) -> str:
    lines = [f"{shown(summary['file'])}: {summary['kind']}, {count_bytes(summary['bytes'])}"]
    if "warning" in summary:
        lines.append(f"  {summary['warning']}")
    plan = summary.get("plan", {})
    parts = {"tensors": plan.get("tensors", []), "skipped": plan.get("skipped", [])} | summary
    for field, show in _SHOW.items():
        if field in parts:
            lines += show(parts[field])
    return "\n".join([*lines, f"  digests      {summary['digests']}"])


def _line(title: str) -> Callable[[Any], list[str]]:
    return lambda value: [f"  {title:<12} {value:,}" if isinstance(value, int) else f"  {title:<12} {value}"]


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    return [
        f"  plan         {plan['name']!r}, digest {plan['digest'][:16]}",
        *_position_lines(plan["position"]),
        *(f"  {title:<12} {text}" for title, text in plan["scheme_lines"]),
        f"  parties      {plan['min_parties']} to {plan['parties']}, weights up to {plan['max_weight']:,}",
        f"  values       {plan['values']:,} of {plan['bits']} bits, rounded {plan['rounding']}",
        *([f"  compression  {', '.join(plan['compression'])}"] if plan["compression"] else []),
        f"  ciphertexts  {plan['ciphertexts']:,}, {plan['values_per_ciphertext']} values in each",
        f"  lanes        {lane_text(plan['lane_bits'], plan['lanes_in_a_word'])}",
        *(f"  {title:<12} {text}" for title, text in part_lines(plan, SHOWN)),
        *(f"  {title:<12} {text}" for title, text in privacy_lines(plan["privacy"] or {})),
        *_roster_lines(plan["roster"]),
    ]


def lane_text(bits: int, lanes: int) -> str:
    """Say how lanes are packed.

    Args:
        bits: The bits of a lane, or of a word with several.
        lanes: How many lanes a word has.
    """
    return f"{bits} bits" if lanes == 1 else f"{lanes} in {bits} bits"


def _position_lines(position: dict[str, Any] | None) -> list[str]:
    if position is None:
        return []
    again = "" if position["attempt"] == 1 else f", attempt {position['attempt']}"
    return [
        f"  training     {position['training'][:16]}, round {position['round']:,}{again}",
        f"  model        {position['model'][:16]}",
    ]


def _roster_lines(roster: dict[str, Any] | None) -> list[str]:
    if roster is None:
        return []
    duties = {"parties": "party", "aggregators": "aggregator", "keyholders": "keyholder"}
    lines = []
    for member in roster["members"]:
        roles = [role for field, role in duties.items() if member["name"] in roster[field]]
        roles += ["coordinator"] if member["name"] == roster["coordinator"] else []
        lines.append(f"{member['fingerprint']} {member['name']}, {', '.join(roles)}")
    return _listed("roster", lines)


def _entry_lines(entry: dict[str, Any]) -> list[str]:
    lines = [
        f"  entry        {entry['number']}, {entry['event']} by {entry['party']} at {entry['time']}",
        f"  follows      {entry['previous']}",
    ]
    if entry["text"]:
        lines.append(f"  note         {entry['text']}")
    lines += _listed("files", [f"{each['file']} {each['digest'][:16]}" for each in entry["files"]])
    return lines + _listed("brings in", [f"{each['fingerprint']} {each['name']}" for each in entry["cards"]])


def _listed(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    lines = [f"  {title:<12} {items[0]}", *(f"  {'':<12} {item}" for item in items[1:SHOWN])]
    if len(items) > SHOWN:
        lines.append(f"  {'':<12} and {len(items) - SHOWN:,} more: --json shows all")
    return lines


def _signed_by(signer: dict[str, str] | None) -> list[str]:
    return [f"  signed by    {signer['fingerprint'] + ' ' + signer['name'] if signer else 'nobody'}"]


def _of_sum(has: bool) -> str:
    return "hecli verify --from checks it" if has else "none of its own: hecli verify --from opens it again"


def _tensor(tensor: dict[str, Any]) -> str:
    text = f"{tensor['name']} {tensor['dtype']}{tensor['shape']}"
    return f"{text} ±{tensor['range']:.3g}" if "range" in tensor else text


def _contributor(contributor: dict[str, Any]) -> str:
    return f"{contributor['party'] or '(unnamed)'} {contributor['digest'][:16]}"


_SHOW: dict[str, Callable[[Any], list[str]]] = {
    "key": _line("key"),
    "key_bits": lambda bits: [f"  bits         {bits}"],
    "shares": lambda shares: [f"  to open      {shares[0]} of {shares[1]} shares; {holds_against(*shares)}"],
    "share": _line("share"),
    "sealed_to": lambda card: [f"  sealed to    {card['fingerprint']} {card['name']}"] if card else [],
    "card": lambda card: [f"  card         {card['fingerprint']}", f"  name         {card['name']}"],
    "quantum": _line("quantum"),
    "verified_only": lambda only: [f"  opens        {'only what was verified' if only else 'anything'}"],
    "passphrase": lambda sealed: [f"  passphrase   {'yes' if sealed else 'no'}"],
    "entry": _entry_lines,
    "rank": _line("rank"),
    "side": _line("side"),
    "sum": _line("made from"),
    "bases": lambda bases: _listed("bases", [f"{each['name']} of {each['rows']:,} rows" for each in bases]),
    "waits_for": lambda subject: [f"  waits for    {f'the sum of {subject[:16]}' if subject else 'no sum'}"],
    "update": lambda digest: [f"  update       {digest[:16]}"] if digest else [],
    "uses": lambda uses: _listed(
        "uses", [f"plan {each['plan'][:16]} file {each['file'][:16]}" for each in uses]
    ),
    "spent": lambda spent: _listed(
        "spent", [f"{each['name']}, plan {each['plan'][:16]}, rho {each['rho']:.3g}" for each in spent]
    ),
    "ledgers": lambda ledgers: _listed(
        "ledgers", [f"{each['first'][:16]} seen up to {each['head'][:25]}" for each in ledgers]
    ),
    "training": lambda training: [
        f"  training     {training['name']!r}",
        *(f"  {line}" for line in training["lines"]),
    ],
    "plan": _plan_lines,
    "party": _line("party"),
    "present": lambda names: _listed("present", names),
    "absent": lambda names: _listed("absent", names),
    "weight": _line("weight"),
    "clipped": _line("clipped"),
    "tensors": lambda tensors: _listed("tensors", [_tensor(each) for each in tensors]),
    "skipped": lambda names: _listed("skipped", names),
    "contributors": lambda found: _listed("contributors", [_contributor(each) for each in found]),
    "names": _line("names"),
    "proofs": lambda count: [
        f"  proofs       {count:,}, which hecli verify checks" if count else "  proofs       none"
    ],
    "proof": lambda has: [f"  proof        {_of_sum(has)}"],
    "signed_by": _signed_by,
    "of": _line("slice of"),
    "range": _line("holds"),
    "aggregate": _line("opened from"),
    "attests": _line("attests"),
    "digest": _line("digest"),
}
"""How the parts of what `inspect` finds are shown, in their order."""
