"""How far a training is, and what happened in it: from the folder alone, without any secret."""

import posixpath
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hecli.errors import HecliError
from hecli.ledger.chain import Ledger, Link
from hecli.ledger.entry import TIME
from hecli.privacy.describe import finite
from hecli.storage.store import Store
from hecli.training.applying import MODEL, spent_reason, stop_reason
from hecli.training.deriving import first_plan, later_plan
from hecli.training.history import History, Round, read_history, said_in
from hecli.training.joining import Terms
from hecli.training.session import AGGREGATE_FILE
from hecli.training.terms import Training

SIZED = {
    "enc": "update",
    "enroll": "enrollment",
    "part": "partial",
    "ans": "answer",
    "agg": "aggregate",
    "sum": "sum",
}
"""The kinds of file whose sizes are shown, by suffix."""


def read_status(shared: Store, terms: Terms, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """Say how far a training is.

    Args:
        shared: The folder.
        terms: Its terms.
        ledger: Its ledger.
        now: The time, for how long something lasts already.

    Returns:
        A map that JSON can hold.
    """
    training = terms.training
    history = read_history(ledger, training)
    # Factors take turns, so that there are at most three kinds of rounds.
    kinds = {min(each.number, 2 + each.number % 2) for each in history.rounds}
    values = {kind: _values(training, kind) for kind in kinds}
    rounds = [
        _round(shared, training, each, values[min(each.number, 2 + each.number % 2)])
        for each in history.rounds
    ]
    ended = history.ended
    done = [each for each in rounds if each["opened"]]
    over, awaited = None, None
    if ended is not None:
        over = ended.entry.text or "the coordinator ended it"
    else:
        stopped = stop_reason(training, _outcomes(history, training)) or _spent(history, training)
        awaited = _awaited(shared, training, history.rounds, now, stopped=stopped is not None)
        if awaited is None and history.rounds[-1].number < training.rounds:
            over = stopped
    return {
        "training": training.name,
        "digest": terms.digest.hex(),
        "coordinator": training.roster.coordinator,
        "parties": list(training.roster.parties),
        "aggregators": list(training.roster.aggregators),
        "keyholders": list(training.roster.keyholders),
        "rounds_done": len({each["round"] for each in done}),
        "rounds_planned": training.rounds,
        "over": over,
        "failed": ended is not None and ended.entry.event == "failed",
        "rounds": rounds,
        "awaited": awaited,
        "privacy": _privacy(training, len(history.rounds)),
        "entries": len(ledger.links),
        "head": ledger.last.head,
    }


def curves(status: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Give each metric over the rounds.

    Args:
        status: What `read_status` gave.

    Returns:
        The number of the round and the value, by the metric's name.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for each in status["rounds"]:
        for name, value in each["metrics"].items():
            found.setdefault(name, []).append((each["round"], value))
    return found


def _values(training: Training, number: int) -> int:
    """The coded values of an update in a round."""
    plan = first_plan(training) if number == 1 else later_plan(training, number)
    return plan.geometry.values


def _round(shared: Store, training: Training, found: Round, values: int) -> dict[str, Any]:
    """What happened in an attempt at a round, whose updates have so many coded values."""
    closed = found.closed[0] if found.closed else None
    opened = found.opened[0] if found.opened else None
    aggregated = found.aggregated[0] if found.aggregated else None
    said = said_in(opened) if opened else {}
    contributors = _names(training, closed, ".enc")
    missing = [name for name in training.roster.parties if name not in contributors] if closed else []
    clipped = said.get("clipped")
    models = {name: dict(link.entry.files).get(MODEL) for name, link in found.applied.items()}
    mine = _model_after(found, training)
    return {
        "round": found.number,
        "attempt": found.attempt,
        "planned": found.plan.entry.time,
        "closed": closed.entry.time if closed else None,
        "opened": opened.entry.time if opened else None,
        "abandoned": found.abandoned.entry.text or "abandoned" if found.abandoned else None,
        "contributors": contributors,
        "missing": missing,
        "seconds": {
            "collect": _seconds(found.plan, closed),
            "aggregate": said_in(aggregated).get("seconds") if aggregated else None,
            "open": said.get("seconds"),
            "apply": _seconds(opened, next(iter(found.applied.values()), None)),
        },
        "bytes": _said_size(closed) | _sizes(shared, found),
        "weight": said.get("weight"),
        "clipped": clipped,
        "clipped_share": clipped / (values * max(1, len(contributors))) if isinstance(clipped, int) else None,
        "metrics": _metrics(training, said),
        "applied": sorted(name for name in models if models[name] == mine),
        "differing": sorted(name for name in models if models[name] != mine),
        "refused": {name: link.entry.text for name, link in sorted(found.refused.items())},
    }


def _privacy(training: Training, attempts: int) -> dict[str, Any] | None:
    """What all attempts at rounds may have cost, of what was promised; None where there is no noise."""
    promise = training.privacy
    if promise is None:
        return None
    spent = promise.cost(attempts).epsilon(promise.delta)
    return {"epsilon": finite(spent), "promised": promise.epsilon, "delta": promise.delta}


def _spent(history: History, training: Training) -> str | None:
    """Why there is no other attempt, where noise has no more to spend."""
    last = history.rounds[-1] if history.rounds else None
    over = last is not None and (last.opened or last.abandoned)
    return spent_reason(training, len(history.rounds)) if over else None


def _metrics(training: Training, said: dict[str, Any]) -> dict[str, float]:
    found = said.get("metrics", {})
    return {each.name: float(found[each.name]) for each in training.metrics if each.name in found}


def _outcomes(history: History, training: Training) -> list[dict[str, Any]]:
    """What came of each round, as its entries say it: what decides whether there is another one."""
    found: list[dict[str, Any]] = []
    while (each := history.of(len(found) + 1)) is not None and each.opened:
        metrics = _metrics(training, said_in(each.opened[0]))
        # A model that nobody has yet is no earlier one.
        model = _model_after(each, training) or b""
        found.append({"metrics": metrics, "model": model.hex() or each.folder})
    return found


def _model_after(found: Round, training: Training) -> bytes | None:
    """The digest of the model: the coordinator's, or until it has one, of whoever had it first."""
    models = [dict(link.entry.files).get(MODEL) for link in found.applied.values()]
    own = found.applied.get(training.roster.coordinator)
    return dict(own.entry.files).get(MODEL) if own else next(iter(models), None)


def _awaited(
    shared: Store, training: Training, rounds: Sequence[Round], now: datetime, *, stopped: bool
) -> dict[str, Any] | None:
    """What is awaited of whom, and for how long, as far as the folder shows it."""
    roster = training.roster
    if not rounds:
        return _wait("the plan", [roster.coordinator], None, 1, now)
    found = rounds[-1]
    if found.opened:
        everybody = {card.name for card in roster.members}
        late = sorted(everybody - found.applied.keys() - found.refused.keys())
        if stopped:
            return _wait("the model", late, found.opened[0], found.number, now) if late else None
        return _wait("the plan", [roster.coordinator], found.opened[0], found.number + 1, now)
    if found.abandoned:
        waits = _wait("the plan", [roster.coordinator], found.abandoned, found.number, now)
        return None if stopped else waits
    masking, last = training.masking, found.plan
    there = set(shared.list(found.folder))
    if not found.closed:
        expected, suffix, what = list(roster.parties), ".enc", "updates"
        if masking is not None and not found.enrolled:
            suffix, what = ".enroll", "enrollments"
        elif found.enrolled:
            last = found.enrolled[0]
            expected = _names(training, last, ".enroll")
        missing = [name for name in expected if training.fingerprints[name] + suffix not in there]
        if missing:
            return _wait(what, missing, last, found.number, now)
        return _wait("the closing", sorted(roster.makers("aggregate")), last, found.number, now)
    if AGGREGATE_FILE not in there:
        return _wait("the aggregate", sorted(roster.makers("aggregate")), found.closed[0], found.number, now)
    return _wait("the sum", sorted(roster.makers("sum")), found.closed[0], found.number, now)


def _wait(what: str, names: list[str], since: Link | None, number: int, now: datetime) -> dict[str, Any]:
    began = None if since is None else datetime.strptime(since.entry.time, TIME).replace(tzinfo=UTC)
    seconds = None if began is None else max(0.0, (now - began).total_seconds())
    return {
        "what": what,
        "names": names,
        "round": number,
        "since": None if since is None else since.entry.time,
        "seconds": seconds,
    }


def _names(training: Training, link: Link | None, suffix: str) -> list[str]:
    files = link.entry.files if link else ()
    found = (training.names.get(file.removesuffix(suffix)) for file, _ in files)
    return [name for name in found if name is not None]


def _seconds(one: Link | None, other: Link | None) -> float | None:
    """What lies between two entries, by their makers' clocks."""
    if one is None or other is None:
        return None
    first, second = (datetime.strptime(link.entry.time, TIME) for link in (one, other))  # noqa: DTZ007
    return (second - first).total_seconds()


def _said_size(closed: Link | None) -> dict[str, int]:
    """The bytes of the largest update, as whoever closed the round says it, for it may be tidied away."""
    size = said_in(closed).get("bytes") if closed else None
    return {"update": size} if isinstance(size, int) else {}


def _sizes(shared: Store, found: Round) -> dict[str, int]:
    """The bytes of what is there: the largest update, and so on."""
    sizes: dict[str, int] = {}
    for file in shared.list(found.folder):
        kind = SIZED.get(file.rpartition(".")[2])
        if kind is None:
            continue
        try:
            with shared.open(posixpath.join(found.folder, file)) as stream:
                sizes[kind] = max(sizes.get(kind, 0), stream.seek(0, 2))
        except HecliError:
            continue
    return sizes
