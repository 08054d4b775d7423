"""What smaller updates cost in accuracy: python -m hecli.bench.accuracy.

Trains networks on images of handwritten digits, with parties that hold different
digits each, once for each setting, and beside them with dense updates of 16 bits,
which is plain federated averaging within rounding. Each seed deals the images,
and draws the first model and who is absent, anew; what is compared has the same
seed. Nothing is encrypted, for that is exact; all else is hecli's own.

The accuracy of a training is the mean of its last five rounds. What noise costs
stands behind it, by `hecli.bench.private`.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from statistics import fmean
from typing import Any, NamedTuple

from hecli.bench import private
from hecli.bench.federated import ABSENT, ALL, LATE, MISSING, Outcome, Way, train
from hecli.bench.images import SOURCES, Images, dealt, first_model
from hecli.executors.cores import default_jobs
from hecli.measuring.processes import machine
from hecli.measuring.seeds import Report, report, spread
from hecli.plan.settings import Setting
from hecli.schemes.paillier.keys import DEFAULT_BITS, PublicKey, keygen
from hecli.schemes.paillier.scheme import Paillier

DENSE = "dense, 16 bits"
SETTINGS = {
    DENSE: Setting(16),
    "2 bits, rotated": Setting(2, rotate=True),
    "10 % at 8 bits": Setting(8, sample=0.1),
    "rank 4 at 8 bits": Setting(8, rank=4),
    "rank 2 at 4 bits": Setting(4, rank=2),
}
LATECOMER = "rank 4 at 8 bits"
"""The setting in which parties also come too late: all of what they made is kept for their next update."""

GOALS = {"2 bits, rotated": 0.5, "rank 4 at 8 bits": 0.5, "rank 2 at 4 bits": 1.0}
"""How many points below dense updates a setting may be."""

ABSENCE = 0.5
"""How many points more it may be where a party in five is absent in each round, or too late."""

PARTIES, SEEDS, ROUNDS = (8, 16), 5, 60

LAST = 5
"""The accuracy is the mean of so many rounds."""

FLOAT32 = 4

HEAD, WIDTH = 16, 12


class Case(NamedTuple):
    """A training that is measured.

    Args:
        images: What it learns from, a key of SOURCES.
        parties: How many parties there are.
        setting: How values are coded, a key of SETTINGS.
        presence: Who is there, one of PRESENCES.
        seed: What all that is random follows from.
    """

    images: str
    parties: int
    setting: str
    presence: str
    seed: int

    @property
    def cost(self) -> int:
        """About how long it takes, in a unit of its own."""
        return self.parties * (50_000 + SOURCES[self.images].values)


def cases(images: Sequence[str], parties: Sequence[int], settings: Sequence[str], seeds: int) -> list[Case]:
    """List the trainings.

    Args:
        images: Keys of SOURCES.
        parties: How many parties there are, for each federation.
        settings: Keys of SETTINGS; DENSE is always done.
        seeds: How many seeds there are.

    Returns:
        Them, the longest first, so that none is left for the end.
    """
    ways = [(name, presence) for name in SETTINGS if name in {*settings, DENSE} for presence in (ALL, ABSENT)]
    if LATECOMER in settings:
        ways.append((LATECOMER, LATE))
    found = [
        Case(each, count, *way, seed)
        for each in images
        for count in parties
        for way in ways
        for seed in range(seeds)
    ]
    return sorted(found, key=lambda case: -case.cost)


def outcomes(
    todo: Sequence[Case], images: Mapping[str, Images], key: PublicKey, rounds: int, jobs: int, report: Report
) -> dict[Case, Outcome]:
    """Run trainings, several at once.

    Args:
        todo: The trainings.
        images: The images, by name.
        key: The key that updates would be encrypted under.
        rounds: How many rounds each has.
        jobs: How many run at once.
        report: Told how far it is, and what is left.

    Returns:
        What came of each.
    """
    started, whole, done = time.monotonic(), sum(case.cost for case in todo), 0
    found: dict[Case, Outcome] = {}
    for case, outcome in _run(todo, images, key, rounds, jobs):
        found[case] = outcome
        done += case.cost
        left = (time.monotonic() - started) * (whole - done) / done
        name = f"{case.images}, {case.parties} parties, {case.setting}, {case.presence}, seed {case.seed}"
        report(f"{len(found)} of {len(todo)} trainings, {left / 60:.0f} min left: {name}")
    return found


def _run(
    todo: Sequence[Case], images: Mapping[str, Images], key: PublicKey, rounds: int, jobs: int
) -> Iterator[tuple[Case, Outcome]]:
    """Trainings with what came of them, as they end."""
    if jobs == 1:
        _prepare(images, key, rounds)
        yield from ((case, _outcome(case)) for case in todo)
        return
    with _pool(images, key, rounds, jobs) as pool:
        running = {pool.submit(_outcome, case): case for case in todo}
        try:
            for each in as_completed(running):
                yield running[each], each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _pool(images: Mapping[str, Images], key: PublicKey, rounds: int, jobs: int) -> Executor:
    # One core each: matrices are too small to share. NumPy reads this where it is first imported.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"
    return ProcessPoolExecutor(jobs, get_context("spawn"), _prepare, (images, key, rounds))


_ready: dict[str, Any] = {}
"""What all trainings of a process have in common, which is handed over once."""


def _prepare(images: Mapping[str, Images], key: PublicKey, rounds: int) -> None:
    _ready.update(images=images, scheme=Paillier.of(key), rounds=rounds)


def _outcome(case: Case) -> Outcome:
    source = SOURCES[case.images]
    test, hands = dealt(_ready["images"][case.images], source.held_out, case.parties, case.seed)
    way = Way(SETTINGS[case.setting], case.presence)
    model = first_model(source.layers, case.seed)
    return train(model, hands, test, _ready["scheme"], way, _ready["rounds"], case.seed)


def rows(found: Mapping[Case, Outcome], images: str, parties: int) -> list[dict[str, Any]]:
    """Sum up the trainings of one federation.

    Args:
        found: What came of all trainings.
        images: What it learned from.
        parties: How many parties it has.

    Returns:
        Of each setting and presence the accuracy, and the difference to dense
        updates with the same parties missing, in percent; and the share of values
        that was clipped. Of dense updates with parties absent, the difference is to
        those where all are there.
    """
    ways: dict[tuple[str, str], dict[int, Outcome]] = {}
    for case, outcome in sorted(found.items(), key=lambda each: each[0].seed):
        if (case.images, case.parties) == (images, parties):
            ways.setdefault((case.setting, case.presence), {})[case.seed] = outcome
    shown = []
    for setting in SETTINGS:
        for presence in (ALL, ABSENT, LATE):
            if (setting, presence) not in ways:
                continue
            beside = ways[DENSE, ALL if presence == ALL or setting == DENSE else ABSENT]
            mine = ways[setting, presence]
            accuracies = [_accuracy(each) for each in mine.values()]
            differences = [_accuracy(each) - _accuracy(beside[seed]) for seed, each in mine.items()]
            goal = GOALS.get(setting, math.inf) + (0 if presence == ALL else ABSENCE)
            shown.append(
                {
                    "setting": setting,
                    "presence": presence,
                    "accuracy": spread(accuracies),
                    "points": spread(differences),
                    "missed_by": max(0.0, round(-fmean(differences) - goal, 6)),
                    # The first round has a range that nobody chose.
                    "clipped": fmean(share for each in mine.values() for share in each.clipped[1:] or (0.0,)),
                }
            )
    return shown


def sizes(found: Mapping[Case, Outcome], images: str, parties: int) -> list[dict[str, Any]]:
    """Sum up the sizes of one federation's updates, behind the first round.

    Args:
        found: What came of all trainings.
        images: What it learns from.
        parties: How many parties it has.

    Returns:
        Of each setting the bytes of an update's ciphertexts, and of its whole file;
        the mean of two rounds, for those of low rank take turns.
    """
    shown = []
    for case, outcome in found.items():
        if (case.images, case.parties, case.presence, case.seed) == (images, parties, ALL, 0):
            blocks, files = zip(*outcome.sizes[-2:], strict=True)
            shown.append({"setting": case.setting, "blocks": fmean(blocks), "file": fmean(files)})
    return sorted(shown, key=lambda each: [*SETTINGS].index(each["setting"]))


def lines(summary: dict[str, Any]) -> list[str]:
    """Put what was measured into lines.

    Args:
        summary: What main found.

    Returns:
        Of each federation a table of accuracies and one of sizes, and which goals were
        missed; and the same of noise, where it was measured.
    """
    trainings = f"{summary['seeds']} seeds, {summary['rounds']} rounds"
    shown = [
        f"{trainings}, {summary['minutes']:.0f} min on {summary['cores']} cores of {summary['machine']}",
        f"accuracy  of {LAST} rounds at the end, in percent of images held out; ± over seeds",
        "points    more or less than dense updates with the same parties missing;",
        "          dense ones with parties absent: than those with all there",
        "clipped   of all values, from round 2 on",
    ]
    for each in summary["federations"]:
        shown += ["", *_accuracies(each), "", *_sizes(each)]
    shown += ["", *_goals(summary)]
    return [*shown, "", *private.lines(summary["noise"])] if "noise" in summary else shown


def _accuracies(federation: dict[str, Any]) -> list[str]:
    by_way = {(row["setting"], row["presence"]): row for row in federation["rows"]}
    columns = f"{'accuracy':>11}{'points':>13}{'clipped':>8}"
    width = len(columns)
    shown = [
        " " * HEAD + "   all there".ljust(width) + f"   {MISSING:.0%} absent in each round",
        f"{federation['images']}, {federation['parties']}".ljust(HEAD) + columns * 2,
    ]
    shown += [
        setting.ljust(HEAD) + "".join(_cells(by_way[setting, each]) for each in (ALL, ABSENT))
        for setting in SETTINGS
        if (setting, ALL) in by_way
    ]
    if (LATECOMER, LATE) in by_way:
        name = f"{LATECOMER}: trained, and too late"
        shown.append(name.ljust(HEAD + width) + _cells(by_way[LATECOMER, LATE]))
    return shown


def _cells(row: dict[str, Any]) -> str:
    (accuracy, spread), (points, around) = row["accuracy"], row["points"]
    missed = "!" if row["missed_by"] else " "
    return (
        f"{accuracy:.1f} ±{spread:.1f}".rjust(11)
        + f"{points:+.2f} ±{around:.2f}".rjust(13)
        + missed
        + f"{row['clipped']:.2%}".rjust(7)
    )


def _sizes(federation: dict[str, Any]) -> list[str]:
    values = federation["values"]
    plain = FLOAT32 * values
    name = f"{values:,} values"
    head = ("bytes", "to float32", "a value", "ciphertexts", "the rest")
    shown = [name.ljust(HEAD) + _row(*head)]
    for each in federation["sizes"]:
        blocks, file = each["blocks"], each["file"]
        numbers = f"{file:,.0f}", f"{file / plain:.3f}", f"{file / values:.3f}", f"{blocks / values:.3f}"
        shown.append(each["setting"].ljust(HEAD) + _row(*numbers, f"{file - blocks:,.0f}"))
    return [*shown, "float32".ljust(HEAD) + _row(f"{plain:,}", f"{1:.3f}", f"{FLOAT32:.3f}")]


def _row(*cells: str) -> str:
    return "".join(f"{each:>{WIDTH}}" for each in cells)


def _goals(summary: dict[str, Any]) -> list[str]:
    missed = [
        f"MISSED (!) by {row['missed_by']:.2f}: {each['images']}, {each['parties']} parties, "
        f"{row['setting']}, {row['presence']}"
        for each in summary["federations"]
        for row in each["rows"]
        if row["missed_by"]
    ]
    goals = "; ".join(f"{setting}: {most}" for setting, most in GOALS.items())
    title = f"goals, in points below dense updates at most; {ABSENCE} more where parties are absent:"
    return [title, goals, *(missed or ["none is missed"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m hecli.bench.accuracy", description=__doc__)
    parser.add_argument("--images", choices=SOURCES, nargs="+", default=[*SOURCES])
    parser.add_argument("--parties", type=int, nargs="+", default=PARTIES)
    parser.add_argument("--settings", choices=SETTINGS, nargs="+", default=[*SETTINGS])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, 1 at least")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="2 at least")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="how many trainings run at once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    report("reading images, and making a key")
    images = {name: SOURCES[name].load() for name in options.images}
    key = keygen(DEFAULT_BITS).public
    todo = cases(options.images, options.parties, options.settings, options.seeds)
    found = outcomes(todo, images, key, options.rounds, options.jobs, report)
    noise = {}
    if private.IMAGES in images:
        own = images[private.IMAGES]
        noise["noise"] = private.measure(own, options.seeds, options.rounds, private.PARTIES, report)
    summary = {
        "seeds": options.seeds,
        "rounds": options.rounds,
        "cores": options.jobs,
        "machine": machine(),
        "minutes": (time.monotonic() - start) / 60,
        "federations": [
            {
                "images": name,
                "parties": parties,
                "values": SOURCES[name].values,
                "rows": rows(found, name, parties),
                "sizes": sizes(found, name, parties),
            }
            for name in options.images
            for parties in options.parties
        ],
        **noise,
    }
    print(json.dumps(summary) if options.json else "\n".join(lines(summary)))


def _accuracy(outcome: Outcome) -> float:
    return 100 * fmean(outcome.accuracies[-LAST:])


if __name__ == "__main__":
    main()
