"""A comparison: each technique's round and trainings, piece by piece, and what comes of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from hecli import __version__
from hecli.arithmetic.choosing import kernels
from hecli.compare.advice import advise
from hecli.compare.exposure import exposures
from hecli.compare.kept import Kept
from hecli.compare.one_round import Figures, Scene, Sent
from hecli.compare.pieces import Told, measured
from hecli.compare.techniques import Technique
from hecli.compare.tensors import Tensors, norm_of, share_of
from hecli.compare.training import Curve, Keys
from hecli.compare.trial import AVERAGED, BESIDE, EPSILONS, Asked, Learned, Trial
from hecli.errors import HecliError
from hecli.executors.cores import default_jobs
from hecli.measuring.processes import machine
from hecli.measuring.seeds import spread
from hecli.privacy.guarantee import PARTY
from hecli.schemes.paillier.keys import DEFAULT_BITS

PERTURBED = 1.0
"""How far from the one at hand updates are that are made up: its own deviation in each tensor."""

WITHIN = (0.05, 0.01)
"""How far below plain averaging's end the accuracies are, where none are given, that are to be reached."""


def compare_updates(
    asked: Asked, updates: Sequence[Tensors], values: int, kept: Kept, told: Told
) -> dict[str, Any]:
    """Compare techniques on tensors.

    Args:
        asked: What is compared; techniques that send soft labels are left out.
        updates: Those at hand, one at least; of large ones the part that `share_of` says.
        values: How many values an update has.
        kept: Where pieces are kept.
        told: Told what is going on.

    Returns:
        The comparison.

    Raises:
        HecliError: The tensors differ, or nothing can be measured.
    """
    every = _perturbed(updates, asked.parties)
    noise = asked.noise(PARTY, max(map(norm_of, every)))
    asked = asked._replace(
        techniques={name: each for name, each in asked.techniques.items() if not each.labels}
    )
    with TemporaryDirectory(prefix="hecli-compare-") as name:
        scene = Scene(Path(name), asked.parties)
        sent = Sent(every, noise, share_of(values, asked.parties))
        pieces = [scene.piece(name, each, lambda: sent) for name, each in asked.techniques.items()]
        found = dict(measured(pieces, asked.rounds, kept, told))
    summary = _about(asked) | {
        "values": values,
        "perturbed": asked.parties - len(updates),
        "noise": noise._asdict(),
    }
    rows = [_row(name, each, asked.parties, found) for name, each in asked.techniques.items()]
    return _advised(summary, rows)


def compare_data(asked: Asked, learned: Learned, kept: Kept, told: Told) -> dict[str, Any]:
    """Compare techniques on records, with trainings.

    Args:
        asked: What is compared.
        learned: What is trained.
        kept: Where pieces are kept.
        told: Told what is going on.

    Returns:
        The comparison.

    Raises:
        HecliError: The records cannot be split, or nothing can be trained.
    """
    told("dealing the records")
    trials = [Trial.of(asked, learned, seed) for seed in range(learned.seeds)]
    first = trials[0]
    with TemporaryDirectory(prefix="hecli-compare-") as name:
        scene = Scene(Path(name), asked.parties)
        pieces = [
            scene.piece(name, each, partial(first.sent, each)) for name, each in asked.techniques.items()
        ]
        keys = Keys(asked.parties)
        for trial in trials:
            pieces += trial.pieces(keys)
        found = dict(measured(pieces, asked.rounds, kept, told))
    model = first.learner.first(0)
    summary = _about(asked) | {
        "values": sum(each.size for each in model.values()),
        "perturbed": 0,
        "noise": first.noise._asdict(),
        "records": sum(len(each.labels) for each in first.hands.parties),
        "held_out": len(first.hands.test.labels),
        "classes": learned.data.classes,
        "split": str(learned.split),
        "seeds": learned.seeds,
        "rounds": asked.rounds,
    }
    beside = [
        {"name": name, "title": title, **_learned(_curves(name, found, learned.seeds))}
        for name, title in BESIDE.items()
    ]
    plain = beside.pop()
    if "accuracy" not in plain:
        raise HecliError(f"nothing can be trained: {plain['failure']}")
    summary |= {"beside": beside, "averaging": plain}
    end = plain["accuracy"]["mean"][-1]
    reach = [*learned.reach] or [end - within for within in WITHIN]
    rows = []
    for name, each in asked.techniques.items():
        row = _row(name, each, asked.parties, found)
        row |= _learned(_curves(name if each.hides else AVERAGED, found, learned.seeds))
        if "accuracy" in row:
            besides = row["figures"]["besides"] if row["figures"] else 0
            row["sent"] = [int(size + besides) for size in row.pop("update_bytes")]
            row["reached"] = [_reached(row, each) for each in reach]
            row["points"] = 100 * (row["accuracy"]["mean"][-1] - end)
        rows.append(row)
    summary |= {"reach": reach, "epsilons": list(_epsilons(found, learned.seeds))}
    return _advised(summary, rows)


def _about(asked: Asked) -> dict[str, Any]:
    return {
        "version": __version__,
        "machine": machine(),
        "cores": default_jobs(),
        "arithmetic": kernels().name,
        "key_bits": DEFAULT_BITS,
        "parties": asked.parties,
    }


def _row(name: str, technique: Technique, parties: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to say of a technique but for its trainings."""
    figures = found[f"round-{name}"]
    failure = figures.get("failure")
    row: dict[str, Any] = {"technique": name, "title": technique.title, "failure": failure}
    row["figures"] = None if failure else Figures(**figures)._asdict()
    row |= {"post_quantum": technique.quantum, "noise": technique.noise}
    row["learns"] = {who: each._asdict() for who, each in exposures(technique, parties).items()}
    try:
        row |= {"extra_steps": technique.steps(parties), "dropouts": technique.survived(parties)}
    except HecliError:
        # Of too few parties, as the round has said.
        row |= {"extra_steps": (), "dropouts": 0}
    return row


def _curves(name: str, found: Mapping[str, Any], seeds: int) -> list[Any]:
    return [found[f"{name}-{seed}"] for seed in range(seeds)]


def _learned(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the trainings of all seeds come to."""
    for each in pieces:
        if "failure" in each:
            return {"failure": each["failure"]}
    curves = [Curve(**each) for each in pieces]
    spreads = [spread(of_round) for of_round in zip(*(each.accuracies for each in curves), strict=True)]
    return {
        "accuracy": {"mean": [each[0] for each in spreads], "spread": [each[1] for each in spreads]},
        "update_bytes": [fmean(of_round) for of_round in zip(*(each.bytes for each in curves), strict=True)],
        "clipped": fmean(each.clipped for each in curves),
        "epsilon": curves[0].epsilon,
        "epsilon_alone": curves[0].alone,
    }


def _epsilons(found: Mapping[str, Any], seeds: int) -> Iterator[dict[str, Any]]:
    """What models come to at the end with more and less noise, where that was measured."""
    for epsilon in EPSILONS:
        if f"epsilon-{epsilon:g}-0" in found:
            learned = _learned(_curves(f"epsilon-{epsilon:g}", found, seeds))
            if "accuracy" in learned:
                mean, around = (learned["accuracy"][name][-1] for name in ("mean", "spread"))
                yield {"epsilon": epsilon, "accuracy": {"mean": mean, "spread": around}}


def _reached(row: Mapping[str, Any], wanted: float) -> dict[str, Any]:
    """In which round an accuracy is reached, and what a party has sent by then."""
    for number, mean in enumerate(row["accuracy"]["mean"], 1):
        if mean >= wanted:
            return {"accuracy": wanted, "rounds": number, "bytes": sum(row["sent"][:number])}
    return {"accuracy": wanted, "rounds": None, "bytes": None}


def _advised(summary: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    if all(row["failure"] for row in rows):
        raise HecliError(f"no technique works: {rows[0]['failure']}")
    return summary | {"rows": rows, "recommendation": advise(summary, rows)}


def _perturbed(updates: Sequence[Tensors], parties: int) -> list[Tensors]:
    """As many updates as there are parties: those at hand, and others like them."""
    first = {name: (each.shape, each.dtype) for name, each in updates[0].items()}
    for each in updates[1:]:
        if {name: (tensor.shape, tensor.dtype) for name, tensor in each.items()} != first:
            raise HecliError("the files have different tensors", "give updates of one model")
    if len(updates) > parties:
        raise HecliError(f"{len(updates)} files are more than {parties} parties", "raise --parties")
    random = np.random.default_rng()

    def other(name: str, like: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not like.size:
            return like
        with np.errstate(over="ignore"):
            deviation = PERTURBED * float(like.std(dtype=np.float64))
            made = (like + random.normal(0, deviation, like.shape)).astype(like.dtype)
        if not np.isfinite(made).all():
            raise HecliError(
                f"the values of tensor {name} are too large to make up others like them",
                "give the updates of all parties",
            )
        return made

    found = list(updates)
    while len(found) < parties:
        like = updates[len(found) % len(updates)]
        found.append({name: other(name, each) for name, each in like.items()})
    return found
