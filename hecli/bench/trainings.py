"""Whole trainings, as their members run them: a process for each, and a folder between them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hecli.errors import HecliError
from hecli.ledger.chain import Ledger, read_ledger
from hecli.measuring.processes import environment, reason, watch
from hecli.storage.local import LOCAL
from hecli.training.history import round_folder
from hecli.training.session import AGGREGATE_FILE, LEDGER, PLAN_FILE, SUM_FILE

COORDINATOR = "coordinator"
SEED = 9


class Figures(NamedTuple):
    """What a training took.

    Args:
        first: Seconds of its first round,
        seconds: and of a later one, the median.
        first_up: Bytes that a party sends in the first round,
        up: and in a later one, the median.
        peak_bytes: The most memory that all processes held together, where the system tells.
        files: Files that are left in the folder that all share.
    """

    first: float
    seconds: float
    first_up: float
    up: float
    peak_bytes: int | None
    files: int


def figures(seconds: Sequence[float], up: Sequence[float], peak: int | None, files: int) -> Figures:
    """Sum up a training.

    Args:
        seconds: What each of its rounds took, of two at least.
        up: Bytes that a party sends in each.
        peak: The most memory that all processes held together, where the system tells.
        files: Files that are left.

    Returns:
        The figures; the first round apart, for it is like no other.
    """
    return Figures(seconds[0], median(seconds[1:]), up[0], median(up[1:]), peak, files)


def write_weights(folder: Path, layers: Sequence[int], parties: int) -> int:
    """Write a first model, and what each party's training hands over in odd and in even rounds.

    These are weights near the model's, some of it common to all parties, as
    in a training. All is float32, and the same in every run.

    Args:
        folder: Where.
        layers: How wide each layer of the model is.
        parties: How many parties there are.

    Returns:
        How many values the model has.
    """
    random = np.random.default_rng(SEED)

    def noise(scale: float) -> list[npt.NDArray[np.float32]]:
        made = []
        for wide, narrow in pairwise(layers):
            made += [random.normal(0, scale, (wide, narrow)), random.normal(0, scale, narrow)]
        return [each.astype(np.float32) for each in made]

    def save(name: str, tensors: Sequence[npt.NDArray[np.float32]]) -> None:
        kinds = ("weight", "bias")
        np.savez(
            folder / name,
            **{f"layer{at // 2}.{kinds[at % 2]}": each for at, each in enumerate(tensors)},  # type: ignore[arg-type]
        )

    model = noise(0.1)
    save("model.npz", model)
    for turn in range(2):
        common = noise(0.01)
        for party in range(parties):
            parts = zip(model, common, noise(0.003), strict=True)
            save(f"made-{party}-{turn}.npz", [old + shared + own for old, shared, own in parts])
    return sum(each.size for each in model)


def measure(folder: Path, parties: int, rounds: int, bits: int | None, limit: float) -> Figures:
    """Run a training to its end, and measure it.

    Args:
        folder: An empty folder but for what write_weights wrote.
        parties: How many parties there are, in as many processes, beside the coordinator's.
        rounds: How many rounds, two at least.
        bits: The size of a key, which the coordinator has; None for masks alone.
        limit: Seconds after which it is ended.

    Returns:
        What it took.

    Raises:
        HecliError: It failed.
    """
    key, secret = [], []
    if bits is not None:
        _hecli(folder, ["keygen", "--bits", str(bits)])
        key, secret = ["--key", "hecli.pub"], ["--key", "hecli.key"]
    people = ["--make-identities", "people", "--parties", str(parties)]
    begun = _hecli(
        folder,
        ["start", "shared", "--model", "model.npz", *people, *key, "--rounds", str(rounds), "--json"],
    )
    accept = ["--accept", json.loads(begun)["digest"]]
    commands = [["--identity", f"people/{COORDINATOR}.id", *secret]]
    for party in range(parties):
        train = f'sh -c \'cp "{folder.absolute()}/made-{party}-$((HECLI_ROUND % 2)).npz" "$HECLI_UPDATE"\''
        commands.append(["--identity", f"people/party-{party + 1}.id", "--train", train])
    running = [_start(folder, ["run", "shared", *accept, *each], at) for at, each in enumerate(commands)]
    try:
        peak = watch(running, limit)
        states = [each.poll() for each in running]
    finally:
        for each in running:
            each.kill()
            each.wait()
    for at, state in enumerate(states):
        if state:
            said = reason((folder / f"said-{at}").read_text())
            raise HecliError(f"hecli run {' '.join(commands[at][:2])} failed: {said}")
    if None in states:
        raise HecliError(f"the training did not end in {limit:.0f} s")
    ledger = read_ledger(LOCAL, str(folder / "shared" / LEDGER))
    shared = folder / "shared"
    left = sum(each.is_file() for each in shared.rglob("*"))
    return figures(_seconds(shared, rounds), _up(shared, ledger, parties, rounds), peak, left)


def _seconds(shared: Path, rounds: int) -> list[float]:
    """What each round took: from its plan to the next one, or to the last entry of all."""
    plans = [(_folder(shared, number) / PLAN_FILE).stat().st_mtime for number in range(1, rounds + 1)]
    plans.append(max(each.stat().st_mtime for each in (shared / LEDGER).iterdir()))
    return [end - start for start, end in pairwise(plans)]


def _up(shared: Path, ledger: Ledger, parties: int, rounds: int) -> list[float]:
    """Bytes of the files that a party wrote for each round, and of its entries about it."""
    found = []
    plans = [link.entry.plan for link in ledger.links if link.entry.event == "plan"]
    for number, plan in zip(range(1, rounds + 1), plans, strict=True):
        files = [
            each
            for each in _folder(shared, number).iterdir()
            if each.name not in (PLAN_FILE, AGGREGATE_FILE, SUM_FILE)
        ]
        files += [
            shared / LEDGER / link.file
            for link in ledger.links
            if link.entry.plan == plan and link.signer.name != COORDINATOR
        ]
        found.append(sum(each.stat().st_size for each in files) / parties)
    return found


def _folder(shared: Path, number: int) -> Path:
    return shared / round_folder(number, 1)


def _hecli(folder: Path, arguments: Sequence[str]) -> str:
    """Run a command of hecli to its end, and give what it printed."""
    ended = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-m", "hecli", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise HecliError(f"hecli {arguments[0]} failed: {reason(ended.stderr)}")
    return ended.stdout


def _start(folder: Path, arguments: Sequence[str], number: int) -> "subprocess.Popen[bytes]":
    with (folder / f"said-{number}").open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "hecli", *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
