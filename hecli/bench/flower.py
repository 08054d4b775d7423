"""Trainings with hecli and with Flower, in one run: python -m hecli.bench.flower.

For each model: hecli with masks alone and with a key, and Flower with SecAgg+
and without. The training itself is the same everywhere and does nothing: it
hands over weights made beforehand, so what is measured is what a round costs
beyond it. Flower simulates its parties, with neither network nor disk between
them; hecli's are processes with a folder between them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hecli.bench.trainings import Figures, figures, measure, write_weights
from hecli.errors import HecliError
from hecli.executors.cores import default_jobs
from hecli.measuring.processes import environment, machine, watch
from hecli.schemes.paillier.keys import DEFAULT_BITS

FLOWER = "flwr[simulation]==1.41.0"
PARTIES, ROUNDS = 5, 10
MODELS = ((64, 128, 10), (64, 896, 896, 128, 10))
"""The widths of the layers, for digits of 8 x 8 pixels: 9,610 and 978,058 values."""

LIMIT = 3600.0
"""Seconds that a training may take."""

WAYS = ("hecli, masks", "hecli, key", "Flower, SecAgg+", "Flower, open")
YARDSTICK = "Flower, SecAgg+"
COLUMNS = ("s a round", "s, first", "kB up", "kB, first", "MB held", "files")
HEAD, WIDTH = 18, 12

Report = Callable[[str], None]
Way = Callable[[Path], Figures]


def install(folder: Path, report: Report) -> Path:
    """Make an environment with Flower, unless it was made before.

    Args:
        folder: Where.
        report: Told what is going on.

    Returns:
        The Python of the environment.

    Raises:
        HecliError: It cannot be made.
    """
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        report(f"installing {FLOWER}")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", FLOWER]
        for command in ([sys.executable, "-m", "venv", str(folder)], pip):
            ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Python and pip
            if ended.returncode:
                raise HecliError(f"cannot install {FLOWER}: {_last_line(ended.stderr)}")
        done.touch()
    return python.absolute()


def flower(python: Path, folder: Path, parties: int, rounds: int, *, secure: bool) -> Figures:
    """Run a training with Flower to its end, and measure it.

    Args:
        python: The Python of an environment with Flower.
        folder: A folder with what write_weights wrote.
        parties: How many parties there are.
        rounds: How many rounds, two at least.
        secure: Whether sums are made with SecAgg+.

    Returns:
        What it took.

    Raises:
        HecliError: It failed.
    """
    app = Path(__file__).with_name("flower_app.py")
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    said = folder / "said"
    with said.open("wb") as errors, (folder / "figures").open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - the script beside this one
            [str(python), str(app), str(folder.absolute()), str(parties), str(rounds), str(int(secure))],
            cwd=folder,
            env=environment() | quiet,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        try:
            peak = watch([process], LIMIT)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise HecliError(f"Flower failed: {_last_line(said.read_text())}")
    found = json.loads(_last_line((folder / "figures").read_text()))
    if len(found["seconds"]) != rounds or not all(found["up"]):
        raise HecliError(f"Flower did not do all rounds: {_last_line(said.read_text())}")
    return figures(found["seconds"], found["up"], peak, 0)


def compare(
    ways: dict[str, Way], models: Sequence[Sequence[int]], parties: int, report: Report
) -> list[dict[str, Any]]:
    """Measure each way to train with each model.

    Args:
        ways: What to measure, by name: run in a folder of its own.
        models: The widths of the models' layers.
        parties: How many parties there are.
        report: Told what is going on.

    Returns:
        For each model its values, and the figures of each way.
    """
    found = []
    for layers in models:
        measured = {}
        for name, way in ways.items():
            with TemporaryDirectory(prefix="hecli-bench-") as folder:
                values = write_weights(Path(folder), layers, parties)
                report(f"measuring {name} with {values:,} values")
                measured[name] = way(Path(folder))
        found.append({"values": values, "ways": {name: each._asdict() for name, each in measured.items()}})
    return found


def lines(summary: dict[str, Any]) -> list[str]:
    """Put a comparison into lines.

    Args:
        summary: What main found.

    Returns:
        A table for each model, and under it hecli's ratios to Flower with SecAgg+.
    """
    cores = f"{summary['cores']} cores of {summary['machine']}"
    shown = [f"{summary['parties']} parties, {summary['rounds']} rounds, {cores}"]
    for model in summary["models"]:
        ways = {name: Figures(**each) for name, each in model["ways"].items()}
        shown += [
            "",
            f"{model['values']:,} values".ljust(HEAD) + "".join(f"{each:>{WIDTH}}" for each in COLUMNS),
        ]
        shown += [
            name.ljust(HEAD) + "".join(f"{each:>{WIDTH}}" for each in _cells(of)) for name, of in ways.items()
        ]
        if YARDSTICK in ways:
            shown += [_ratio(name, of, ways[YARDSTICK]) for name, of in ways.items() if name != YARDSTICK]
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m hecli.bench.flower", description=__doc__)
    parser.add_argument("--environment", type=Path, help="where Flower is, or is installed; else for once")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=WAYS, nargs="+", default=WAYS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="hecli-bench-") as temporary:
        python = install(options.environment or Path(temporary), _report)
        rounds = options.rounds
        ways: dict[str, Way] = {
            "hecli, masks": lambda folder: measure(folder, PARTIES, rounds, None, LIMIT),
            "hecli, key": lambda folder: measure(folder, PARTIES, rounds, DEFAULT_BITS, LIMIT),
            "Flower, SecAgg+": lambda folder: flower(python, folder, PARTIES, rounds, secure=True),
            "Flower, open": lambda folder: flower(python, folder, PARTIES, rounds, secure=False),
        }
        chosen = {name: way for name, way in ways.items() if name in options.only}
        summary = {
            "parties": PARTIES,
            "rounds": rounds,
            "cores": default_jobs(),
            "machine": machine(),
            "models": compare(chosen, MODELS, PARTIES, _report),
        }
    print(json.dumps(summary) if options.json else "\n".join(lines(summary)))


def _cells(of: Figures) -> list[str]:
    held = "" if of.peak_bytes is None else f"{of.peak_bytes / 1e6:,.0f}"
    sizes = [f"{of.up / 1e3:,.1f}", f"{of.first_up / 1e3:,.1f}"]
    return [f"{of.seconds:.2f}", f"{of.first:.2f}", *sizes, held, f"{of.files:,}"]


def _ratio(name: str, of: Figures, beside: Figures) -> str:
    parts = [f"{of.seconds / beside.seconds:.2f} of its time", f"{of.up / beside.up:.2f} of its bytes"]
    if of.peak_bytes is not None and beside.peak_bytes is not None:
        parts.append(f"{of.peak_bytes / beside.peak_bytes:.2f} of its memory")
    return f"{name} beside {YARDSTICK}: {', '.join(parts)}"


def _last_line(text: str) -> str:
    return next((each for each in reversed(text.splitlines()) if each.strip()), "it said nothing")


def _report(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
