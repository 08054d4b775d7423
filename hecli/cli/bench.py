"""hecli bench."""

from collections.abc import Callable
from typing import Any

import click

from hecli.arithmetic.choosing import OFF
from hecli.bench import commands
from hecli.bench.masks import masks
from hecli.bench.native import native as measure_native
from hecli.bench.noisy import noisy
from hecli.bench.parts import parts
from hecli.bench.peers import PEERS
from hecli.bench.smaller import smaller
from hecli.cli import options
from hecli.cli.console import Console, show_table
from hecli.formats.text import count_bytes
from hecli.schemes.paillier.keys import DEFAULT_BITS

NATIVE_TABLES = (
    ("a ciphertext alone, ms", "alone", 1e3),
    ("whole commands, s", "commands", 1),
    ("peak memory, MB", "peak_bytes", 1e-6),
)

ROWS = {"encrypt": "encrypt, µs", "add": "add, µs", "decrypt": "decrypt, µs", "size": "encrypted, bytes"}


class Peers(click.ParamType[list[str]]):
    """Names of other libraries, separated by commas."""

    name = "peers"

    def convert(
        self, value: str | list[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """The names as a list."""
        names = value.split(",") if isinstance(value, str) else value
        if unknown := [name for name in names if name not in PEERS]:
            self.fail(f"{unknown[0]!r} is none of {', '.join(PEERS)}", param, ctx)
        return names


@click.command()
@click.option(
    "--bits", type=int, default=DEFAULT_BITS, metavar="N", help=f"Size of the key. [default: {DEFAULT_BITS}]"
)
@click.option(
    "--values",
    type=click.IntRange(1),
    default=1_000_000,
    metavar="N",
    help="How many float32 values. [default: 1000000]",
)
@click.option(
    "--against",
    type=Peers(),
    default="phe",
    metavar="LIST",
    help="Of phe, tenseal, sf-heu: measured where installed. [default: phe]",
)
@click.option("--memory", is_flag=True, help="Measure memory too, with 2 and 20 million values.")
@click.option("--native", is_flag=True, help="Measure the native arithmetic beside gmpy2, and only that.")
@options.talkative
def bench(bits: int, values: int, against: list[str], memory: bool, native: bool, console: Console) -> None:
    """Measure this machine, beside other libraries.

    Runs whole commands, from Python's start to the last byte, and the other
    libraries in the same run on a sample. Times are per value; an addition is
    one value of one update added to a sum. A million values take some minutes.

    \b
      hecli bench
      hecli bench --values 100000 --against phe,tenseal,sf-heu
    """
    if native:
        summary = measure_native(bits, values, console.note)
        _give(summary, _show_native, console)
        return
    summary = commands.bench(bits, values, against, console.note)
    summary |= commands.threshold(bits, values, console.note)
    summary |= parts(bits, values, console.note)
    summary |= smaller(bits, values, console.note)
    summary |= noisy(bits, values, console.note)
    summary |= masks(values, console.note)
    if memory:
        summary |= commands.memory(bits, console.note)
    _give(summary, _show, console)


def _give(summary: dict[str, Any], show: Callable[[dict[str, Any]], None], console: Console) -> None:
    if console.json:
        console.summary(summary, "")
        return
    click.echo(
        f"{summary['values']:,} float32 values, a key of {summary['bits']} bits, "
        f"{summary['cores']} cores of {summary['machine']}\n"
    )
    show(summary)


def _show(summary: dict[str, Any]) -> None:
    peers = summary["peers"]
    columns = ["per value", "hecli"]
    for name in peers:
        columns += [name, "ratio"]
    rows = []
    for field, text in ROWS.items():
        mine = summary["hecli"][field]
        row = [text, f"{mine:,.3f}"]
        for peer in peers.values():
            row += [f"{peer[field]:,.3f}", f"{peer[field] / mine:,.1f}"]
        rows.append(row)
    show_table(columns, rows)
    click.echo()
    show_table(["under the key", "encrypt, s", "add, s", "decrypt, s", "bytes a value"], part_rows(summary))
    click.echo()
    show_table(["an update", "encrypt, s", "bytes a value"], setting_rows(summary))
    click.echo()
    columns = ["noise protects", "encrypt, s", "plain, s", "ratio", "bytes a value", "plain", "bits"]
    show_table(columns, noise_rows(summary))
    _lines(summary)


def _show_native(summary: dict[str, Any]) -> None:
    for title, field, scale in NATIVE_TABLES:
        rows = native_rows(summary, field, scale)
        show_table([title, *next(iter(summary["native"].values()))[field]], rows)
        click.echo()


def native_rows(summary: dict[str, Any], field: str, scale: float) -> list[list[str]]:
    """Say what each arithmetic takes, beside gmpy2.

    Args:
        summary: The figures.
        field: Which of them.
        scale: What they are multiplied with.

    Returns:
        Rows of a table: each figure, and that of gmpy2 over it.
    """
    last = next(reversed(summary["native"].values()))[field]
    return [
        [
            "gmpy2" if name == OFF else name,
            *(_beside(value, last[what], scale) for what, value in found[field].items()),
        ]
        for name, found in summary["native"].items()
    ]


def _beside(value: float | None, other: float | None, scale: float) -> str:
    if value is None or other is None:
        return "unknown"
    return f"{value * scale:,.4g} ({other / value:.1f})"


def part_rows(summary: dict[str, Any]) -> list[list[str]]:
    """Say what rounds cost of which only a part is under the key, beside the whole.

    Args:
        summary: The figures.

    Returns:
        Rows of a table: each figure, and what it is of that of the first row.
    """
    whole = next(iter(summary["parts"].values()))
    return [
        [way, *(f"{value:.2f} ({value / whole[name]:.2f})" for name, value in found.items())]
        for way, found in summary["parts"].items()
    ]


def setting_rows(summary: dict[str, Any]) -> list[list[str]]:
    """Say what encrypting takes in several settings, beside the first.

    Args:
        summary: The figures.

    Returns:
        Rows of a table: each figure, and what it is of that of the first row.
    """
    settings = summary["smaller"]["settings"]
    first = next(iter(settings.values()))
    return [
        [name, *(f"{value:.2f} ({value / first[what]:.2f})" for what, value in found.items())]
        for name, found in settings.items()
    ]


def noise_rows(summary: dict[str, Any]) -> list[list[str]]:
    """Say what encrypting with noise takes, beside encrypting at as many bits without.

    Args:
        summary: The figures.

    Returns:
        Rows of a table.
    """
    rows = []
    for unit, found in summary["noise"]["updates"].items():
        seconds = f"{found['noisy']:.2f}", f"{found['plain']:.2f}", f"{found['ratio']:.2f}"
        sizes = f"{found['noisy size']:.2f}", f"{found['plain size']:.2f}"
        rows.append([f"a {unit}, by {found['sigma']:,.0f} steps", *seconds, *sizes, str(found["bits"])])
    return rows


def _lines(summary: dict[str, Any]) -> None:
    for name in summary["missing"]:
        click.echo(f"{name} is not installed: pip install 'hecli[bench]'")
    click.echo(f"\narithmetic: {summary['arithmetic']}; hecli bench --native measures each")
    click.echo(f"with 8 bits and 16 parties: {summary['smallest_size']:.2f} bytes a value")
    taken = ", ".join(f"{step} {value:.0f} ns" for step, value in summary["smaller"]["steps"].items())
    click.echo(f"steps before rounding, a value on one core: {taken}")
    drawn = ", ".join(f"{ns:.0f} ns at {sigma}" for sigma, ns in summary["noise"]["drawing"].items())
    click.echo(f"drawing noise, a value on one core, by its standard deviation in steps: {drawn}")
    click.echo("whole commands: " + ", ".join(f"{name} {s:.2f} s" for name, s in summary["seconds"].items()))
    speedups = ", ".join(f"{name} {ratio:.2f} times" for name, ratio in summary["speedup"].items())
    click.echo(f"all cores against one: {speedups}")
    signing = summary["signing"]
    click.echo(
        f"signed against unsigned: encrypt {signing['encrypt']:.3f}, aggregate {signing['aggregate']:.3f}"
    )
    click.echo(f"verify --from against aggregate: {signing['verify']:.3f}")
    click.echo(
        f"encrypt with masks against without: {signing['masks']:.3f}, alone {signing['masks alone']:.3f}"
    )
    for parties, found in summary["masks"].items():
        steps = ", ".join(f"{step} {found[step]:.2g} s" for step in ("enroll", "encrypt", "answer", "open"))
        click.echo(
            f"masks among {parties} without {found['gone']}, in one process: {steps}; enrollments up to "
            f"{count_bytes(found['enrollment'])}, answers up to {count_bytes(found['answer bytes'])}"
        )
    shares = summary["threshold"]
    partial, proof = f"{shares['partial']:.1f} times a decryption", f"{shares['proof']:.1%}"
    click.echo(
        f"shares: a partial {partial}, its proof {proof} of that; "
        f"combining 3 of 4 {shares['combine']:.2f} times a partial; dealt in {shares['keygen_seconds']:.1f} s"
    )
    proofs = summary["proofs"]
    click.echo(
        f"proofs: {proofs['prove']:.1%} of encrypting, {proofs['check']:.2f} of it to check, "
        f"a whole verify {proofs['verify_update']:.2f}"
    )
    click.echo(
        f"of a sum: {proofs['prove_sum']:.1%} of decrypting, {proofs['check_sum']:.3f} of it to check, "
        f"a whole verify {proofs['verify_sum']:.3f}"
    )
    _peaks("peak memory of all processes", summary["peak_bytes"])
    for count, peaks in summary.get("memory", {}).items():
        _peaks(f"peak memory with {int(count):,} values", peaks)


def _peaks(title: str, peaks: dict[str, int | None]) -> None:
    told = [f"{name} {count_bytes(peak)}" for name, peak in peaks.items() if peak is not None]
    if told:
        click.echo(f"{title}: {', '.join(told)}")
