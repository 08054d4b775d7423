"""hecli inspect."""

import json
from typing import Any

import click

from hecli.cli.console import count_bytes, printable, show_error
from hecli.cli.files import open_input
from hecli.errors import HecliError
from hecli.pipeline.facts import Facts
from hecli.pipeline.inspect import inspect as inspect_file

SHOWN = 12


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each file.")
def inspect(files: tuple[str, ...], as_json: bool) -> int:
    """Say what a file is, without any key.

    Works on every kind of file hecli makes: what it is, under which key and
    plan, who is in it, and whether its digests hold. Names are what their
    writers claim; nothing is signed.

    \b
      hecli inspect round.agg
      hecli inspect *.enc --json
    """
    found = []
    status = 0
    for file in files:
        try:
            with open_input(file) as stream:
                facts = inspect_file(stream)
        except HecliError as error:
            status = 1
            show_error(error.message, error.hint)
            continue
        found.append(facts)
        if not as_json:
            click.echo(printable(_text(facts)))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    return status


def _text(facts: Facts) -> str:
    lines = [f"{facts['file']}: {facts['kind']}, {count_bytes(facts['bytes'])}"]
    if "warning" in facts:
        lines.append(f"  {facts['warning']}")
    if "key" in facts:
        lines += [f"  key          {facts['key']}", f"  bits         {facts['key_bits']}"]
    if "passphrase" in facts:
        lines.append(f"  passphrase   {'yes' if facts['passphrase'] else 'no'}")
    if "plan" in facts:
        lines += _plan_lines(facts["plan"])
    if "weight" in facts:
        lines.append(f"  weight       {facts['weight']:,}")
    if "clipped" in facts:
        lines.append(f"  clipped      {facts['clipped']:,}")
    tensors = facts.get("tensors") or facts.get("plan", {}).get("tensors", [])
    lines += _listed("tensors", [_tensor(each) for each in tensors])
    lines += _listed("contributors", [_contributor(each) for each in facts.get("contributors", [])])
    if "aggregate" in facts:
        lines.append(f"  opened from  {facts['aggregate']}")
    if "digest" in facts:
        lines.append(f"  digest       {facts['digest']}")
    lines.append(f"  digests      {facts['digests']}")
    return "\n".join(lines)


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    return [
        f"  plan         {plan['name']!r}, digest {plan['digest'][:16]}",
        f"  key          {plan['key']} ({plan['key_bits']} bits)",
        f"  parties      {plan['min_parties']} to {plan['parties']}, weights up to {plan['max_weight']:,}",
        f"  values       {plan['values']:,} of {plan['bits']} bits, rounded {plan['rounding']}",
        f"  ciphertexts  {plan['ciphertexts']:,}, {plan['values_per_ciphertext']} values in each",
        f"  lanes        {plan['lane_bits']} bits",
        f"  randomness   {plan['randomness']}",
    ]


def _listed(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    lines = [f"  {title:<12} {items[0]}", *(f"  {'':<12} {item}" for item in items[1:SHOWN])]
    if len(items) > SHOWN:
        lines.append(f"  {'':<12} and {len(items) - SHOWN:,} more: --json shows all")
    return lines


def _tensor(tensor: dict[str, Any]) -> str:
    text = f"{tensor['name']} {tensor['dtype']}{tensor['shape']}"
    return f"{text} ±{tensor['range']:.3g}" if "range" in tensor else text


def _contributor(contributor: dict[str, Any]) -> str:
    return f"{contributor['party'] or '(unnamed)'} {contributor['digest'][:16]}"
